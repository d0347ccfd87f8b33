#!/usr/bin/env bash
# test.sh [COUNT]: the lab of COUNT machines (1) for real, on a machine that need not have hardware support: makes a box, boots it through
# Vagrant and libvirt, provisions. With three voters or more it kills the leader and cuts a host off, by the lab's scripts. Then it provisions again.
# It runs in namespaces of its own, with a libvirtd of its own; all of that ends with it. The lab's variables count (README.md).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../.cache/vagrant-$(cksum <"$here/box.sh" | cut -d' ' -f1)${ZABD_JAVA:+-java}

if [ "${1:-}" != --inside ]; then
	missing=()
	for tool in unshare ip iptables mmdebstrap mkfs.ext4 qemu-img qemu-system-x86_64 dnsmasq libvirtd virsh vagrant ansible-playbook ssh; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || missing+=("$tool")
	done
	vagrant plugin list 2>/dev/null | grep -q '^vagrant-libvirt ' || missing+=(vagrant-libvirt)
	if ((${#missing[@]})); then
		echo "missing: ${missing[*]}; apt-get install -y --no-install-recommends vagrant vagrant-libvirt libvirt-daemon-system" \
			"libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables mmdebstrap e2fsprogs ansible openssh-client iproute2 util-linux" >&2
		exit 1
	fi
	[ "$(id -u)" = 0 ] || { echo "root is needed, for the namespaces" >&2; exit 1; }
	echo "== box"
	SECONDS=0
	"$here/box.sh" "$cache" ${ZABD_JAVA:+java} >/dev/null
	echo "== box: $SECONDS s"
	dir=$(mktemp -d)
	namespaces=
	trap 'kill -KILL $namespaces 2>/dev/null || true; rm -rf --one-file-system "$dir"' EXIT
	unshare --mount --net --pid --fork --kill-child=KILL --mount-proc "$0" --inside "${1:-1}" "$dir" </dev/null &
	namespaces=$! # with this process all others end
	wait "$namespaces"
	exit
fi

# From here on in the namespaces, as their first process.
count=$2 dir=$3 log=$3/libvirtd.log
cd "$here"

fail() {
	echo "FAILED: $*" >&2
	tail -n 60 "$log" >&2
	exit 1
}
trap 'fail "line $LINENO"' ERR

# step NAME LIMIT COMMAND...: runs it for at most so many seconds, with its output in NAME.log, and tells how long it took.
step() {
	local name=$1 limit=$2 began=$SECONDS
	shift 2
	log=$dir/$name.log
	timeout --kill-after=10 "$limit" "$@" </dev/null >"$log" 2>&1 || fail "$name: $* ($((SECONDS - began)) s)"
	echo "== $name: $((SECONDS - began)) s"
}

# A libvirtd of its own: it sees none of the machine's settings, and leaves nothing behind.
ip link set lo up
for d in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
	mkdir -p "$d"
	mount -t tmpfs lab "$d"
done
printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = [ ]' 'namespaces = [ ]' \
	'remember_owner = 0' 'stdio_handler = "file"' >/etc/libvirt/qemu.conf
echo 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
libvirtd </dev/null >"$dir/libvirtd.log" 2>&1 &
export LIBVIRT_DEFAULT_URI=qemu:///system
step libvirtd 60 bash -c 'until virsh version; do sleep 0.2; done'
mkdir "$dir/pool"
step pool 60 virsh pool-create-as default dir --target "$dir/pool"

export HOME=$dir VAGRANT_HOME=$dir/vagrant VAGRANT_DOTFILE_PATH=$dir/dot VAGRANT_DEFAULT_PROVIDER=libvirt
export VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_BOX_UPDATE_CHECK_DISABLE=1
export ZABD_HOSTS=$count ZABD_BOX=zabd-lab ZABD_KERNEL=$cache/vmlinuz ZABD_INITRD=$cache/initrd ZABD_INSERT_KEY=false ZABD_BOOT_TIMEOUT=600
export ZABD_DRIVER=${ZABD_DRIVER:-qemu} ZABD_CONSOLES=$dir ZABD_OBSERVER=${ZABD_OBSERVER:-0} ZABD_JAVA=${ZABD_JAVA:-}
step add-box 300 vagrant box add --provider libvirt --name zabd-lab "$cache/box.tar"
step up $((600 + 1200 * count)) vagrant up

# The table that it has ended with: each server has a role, and one of them leads.
observers=$((ZABD_OBSERVER > 0)) leaders=$((count > 1))
grep -o '"zk[0-9]* .*"' "$dir/up.log" | tr -d '"'
roles() { grep -c "\"zk[0-9]* .* $1 " "$dir/up.log" || true; }
[ "$(roles leader)" = "$leaders" ] || fail "leaders: $(roles leader), not $leaders"
[ "$(roles observer)" = "$observers" ] || fail "observers: $(roles observer), not $observers"
[ "$(roles follower)" = $((leaders * (count - 1 - observers))) ] || fail "followers: $(roles follower)"

if ((count - observers >= 3)); then
	step kill-leader 600 ./kill-leader.sh
	cat "$dir/kill-leader.log"
	step partition 300 ./partition.sh "zk$count"
	step minority-stops 300 vagrant ssh "zk$count" -c 'while zabctl status --server 127.0.0.1:2181; do sleep 1; done'
	step majority-serves 300 vagrant ssh "zk$((count - 1))" -c 'zabctl wait --server 127.0.0.1:2181 --timeout 120s'
	step heal 300 ./partition.sh heal
	step all-serve 300 vagrant ssh "zk$count" -c 'zabctl wait --server 127.0.0.1:2181 --timeout 120s'
fi
step again $((600 + 600 * count)) vagrant provision
! grep -E 'changed=[1-9]' "$dir/again.log" || fail "a second run changes something"
step destroy 300 vagrant destroy -f
echo "== all: $SECONDS s"
