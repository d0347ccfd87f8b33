#!/usr/bin/env bash
# kill-leader.sh: kills the leader's process and tells for how long a follower did not serve. Run it beside the Vagrantfile.
set -euo pipefail
cd "$(dirname "$0")"

# role HOST: what its server says it does.
role() { vagrant ssh "$1" -c 'sudo zabctl status -o json' 2>/dev/null | sed -n 's/.*"mode": "\(.*\)".*/\1/p'; }

leader='' other=''
for host in $(vagrant status --machine-readable | awk -F, '$3 == "state" && $4 == "running" {print $2}'); do
	case $(role "$host") in
	leader) leader=$host ;;
	follower) other=$host ;;
	esac
done
if [ -z "$leader" ] || [ -z "$other" ]; then
	echo "there is no quorum: no leader with a follower" >&2
	exit 1
fi
echo "$leader leads, $other follows"

# On the follower, for twenty seconds: ask all the time what it is, and remember the longest time between two answers.
watch='python3 -c "
import socket, time
begin = last = time.monotonic()
worst = 0
while time.monotonic() < begin + 20:
    try:
        with socket.create_connection((\"127.0.0.1\", 2181), 1) as s:
            s.sendall(b\"srvr\")
            serves = b\"Mode: \" in s.makefile(\"rb\").read()
    except OSError:
        serves = False
    if serves:
        now = time.monotonic()
        worst, last = max(worst, now - last), now
print(round(1000 * max(worst, time.monotonic() - last)))
"'
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
vagrant ssh "$other" -c "$watch" >"$answer" 2>/dev/null &
watcher=$!
sleep 3 # until it asks
vagrant ssh "$leader" -c 'sudo systemctl kill --signal=KILL zabd' 2>/dev/null
wait "$watcher"
echo "$other did not serve for at most $(tr -d '\r' <"$answer") ms"
for host in "$leader" "$other"; do echo "$host: $(role "$host")"; done
