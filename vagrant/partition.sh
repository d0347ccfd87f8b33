#!/usr/bin/env bash
# partition.sh HOST...: cuts these hosts off from all others of the lab; partition.sh heal: undoes it.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/machines.sh"

network=${ZABD_NETWORK:-192.168.60}
if [ "$1" = heal ]; then
	for host in $machines; do
		on "$host" 'sudo nft list table inet lab >/dev/null 2>&1 || exit 0; sudo nft delete table inet lab && echo "$(hostname) reaches all others again"' </dev/null
	done
	exit
fi
others=''
for host in $machines; do
	case " $* " in
	*" $host "*) ;;
	*) others+=${others:+, }$network.$((10 + ${host#zk})) ;;
	esac
done
[ -n "$others" ] || { echo "nobody is left on the other side" >&2; exit 1; }
for host in "$@"; do
	case " $machines " in
	*" $host "*) ;;
	*) echo "$host does not run; these do: $machines" >&2; exit 1 ;;
	esac
done
for host in "$@"; do
	on "$host" sudo nft -f - <<NFT
table inet lab
delete table inet lab
table inet lab {
	chain in { type filter hook input priority -10; ip saddr { $others } drop; }
	chain out { type filter hook output priority -10; ip daddr { $others } drop; }
}
NFT
	echo "$host is cut off from $others"
done
