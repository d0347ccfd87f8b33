# shellcheck shell=bash
# Sourced by the scripts that reach into the lab's running machines: $machines are their names; on HOST COMMAND runs a command there.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
ssh_config=$(mktemp)
trap 'rm -f "$ssh_config"' EXIT
vagrant ssh-config >"$ssh_config" 2>/dev/null || true # it fails when a machine is down, and names the others
machines=$(sed -n 's/^Host //p' "$ssh_config" | paste -s -d ' ')
[ -n "$machines" ] || { echo "no machine runs: vagrant up" >&2; exit 1; }

on() { ssh -F "$ssh_config" -o ConnectTimeout=20 -o LogLevel=ERROR "$@"; }
