#!/usr/bin/env bash
# partition.sh HOST...: cuts these hosts off from all others of the lab; partition.sh heal: undoes it. Run it beside the Vagrantfile.
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || { sed -n 2p "$0" >&2; exit 64; }

network=${ZABD_NETWORK:-10.88.0}
all=$(vagrant status --machine-readable | awk -F, '$3 == "state" && $4 == "running" {print $2}')

if [ "$1" = heal ]; then
	for host in $all; do vagrant ssh "$host" -c 'sudo nft delete table inet lab 2>/dev/null || true' 2>/dev/null; done
	exit
fi
others=''
for host in $all; do
	case " $* " in
	*" $host "*) ;;
	*) others+=${others:+,}$network.$((10 + ${host#zk})) ;;
	esac
done
[ -n "$others" ] || { echo "nobody is left on the other side" >&2; exit 1; }
for host in "$@"; do
	vagrant ssh "$host" -c "sudo nft 'table inet lab {
		chain in { type filter hook input priority -10; ip saddr { $others } drop; }
		chain out { type filter hook output priority -10; ip daddr { $others } drop; }
	}'" 2>/dev/null
	echo "$host is cut off from $others"
done
