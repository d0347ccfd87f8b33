#!/usr/bin/env bash
# kill-leader.sh: kills the leader's process, and tells for how long a follower did not serve and who leads then.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/machines.sh"

# role HOST: what its server, of zabd or of ZooKeeper, says that it does; nothing if it serves nobody.
role() {
	on "$1" 'exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/2181 && printf srvr >&3 && timeout 10 cat <&3' </dev/null | sed -n 's/^Mode: //p'
}

leader='' follower=''
for host in $machines; do
	case $(role "$host" || true) in
	leader) leader=$host ;;
	follower) follower=$host ;;
	esac
done
if [ -z "$leader" ] || [ -z "$follower" ]; then
	echo "there is no leader with a follower among: $machines" >&2
	exit 1
fi
echo "$leader leads, $follower follows"

# The follower is asked all the time, by a program on its own machine, from before the kill until it has stopped serving and serves again.
# Each line that the program prints begins with what it is about.
exec {asker}< <(on "$follower" python3 -u - <<'PYTHON'
import socket, time

def serves():
    try:
        with socket.create_connection(("127.0.0.1", 2181), 5) as s:
            s.settimeout(5)
            s.sendall(b"srvr")
            return b"Mode: " in s.makefile("rb").read()
    except OSError:
        return False

def until(state, limit):
    begin = last = time.monotonic()
    while serves() != state:
        last = time.monotonic()
        if last > begin + limit:
            raise SystemExit("late: %d s have gone by" % limit)
        time.sleep(0.005)
    return last

until(True, 60)
print("asking")
last_answer = until(False, 60)
until(True, 120)
print("gap: %d ms" % (1000 * (time.monotonic() - last_answer)))
PYTHON
)
read -r line <&"$asker" || true
[ "$line" = asking ] || { echo "$follower does not answer: $line" >&2; exit 1; }
unit=$(on "$leader" 'systemctl is-active --quiet zabd && echo zabd || echo zookeeper' </dev/null)
on "$leader" sudo systemctl kill --signal=KILL "$unit" </dev/null
read -r line <&"$asker" || { echo "$follower has not noticed, or not recovered" >&2; exit 1; }
echo "$leader's process is killed; $follower did not serve for ${line#gap: }"

on "$leader" sudo systemctl start "$unit" </dev/null # systemd starts zabd again by itself
for _ in {1..60}; do
	[ -z "$(role "$leader" || true)" ] || break
	sleep 1
done
for host in $machines; do echo "$host: $(role "$host" || true)"; done
