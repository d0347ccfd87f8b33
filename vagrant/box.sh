#!/usr/bin/env bash
# box.sh DIR [java]: makes a Vagrant box for libvirt in DIR, from Debian's packages: box.tar, and beside it the kernel and the initrd that
# it boots with, for it has no boot loader. It is made for a machine without hardware support: what such a guest does not need
# is not there. With java, apt finds Debian's ZooKeeper in it, without a network. test.sh uses it.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 64; }

# Before the packages: what the initrd is made of when the kernel is installed. The kernel finds the disk with these alone.
before() {
	mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
	printf 'MODULES=list\nBUSYBOX=n\n' >"$1/etc/initramfs-tools/conf.d/lab"
	printf '%s\n' virtio_pci virtio_blk ext4 >"$1/usr/share/initramfs-tools/modules.d/lab"
}

# After them: the user whom Vagrant knows, an address by DHCP on the first interface, and no service that nobody waits for.
after() {
	chroot "$1" useradd --create-home --shell /bin/bash vagrant
	echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$1/etc/sudoers.d/vagrant"
	install -D -m 600 "$KEY" "$1/home/vagrant/.ssh/authorized_keys"
	chmod 700 "$1/home/vagrant/.ssh"
	chown -R --reference="$1/home/vagrant" "$1/home/vagrant/.ssh"
	# sudo looks up the host's name each time: no name server is asked, and DHCP names nothing.
	printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nUseDNS=no\n' \
		>"$1/etc/systemd/network/10-eth0.network"
	echo lab >"$1/etc/hostname"
	echo '127.0.0.1 localhost lab' >"$1/etc/hosts"
	chroot "$1" systemctl enable systemd-networkd
	# Each unit costs: systemd starts it, or Ansible asks about it, by a command of its own for each one that is not loaded.
	(cd "$1/usr/lib/systemd/system" && rm -rf apt-daily* autovt@* console-getty* container-getty* cryptdisks* debug-shell* dev-* \
		dpkg-db-backup* e2scrub* fstrim* getty* hwclock* initrd-* kmod-static-nodes* modprobe@* pam_namespace* proc-sys-fs-* quotaon* rc.service \
		rc-local* rcS* serial-getty* sudo.service sys-fs-* sys-kernel-* system-update* x11-common* {cryptsetup,integritysetup,veritysetup}* \
		dbus-org.freedesktop.{hostname,locale,login,timedate}1.service \
		systemd-{ask-password,backlight,binfmt,boot,firstboot,fsck,hibernate,hostnamed,hybrid,hwdb,initctl,journal-catalog,journal-flush,kexec}* \
		systemd-{localed,logind,modules-load,network-generator,networkd-wait,pcrphase,pstore,quotacheck,random-seed,remount-fs,repart}* \
		systemd-{rfkill,suspend,sysext,time,tmpfiles-clean,update-utmp,volatile}*)
	rm -rf "$1"/etc/systemd/system/{getty.target,timers.target,network-online.target}.wants "$1"/etc/init.d/* "$1"/etc/rc?.d/* \
		"$1/usr/lib/systemd/system-generators/systemd-getty-generator" "$1/var/log/journal"
	find "$1/usr/lib/udev/rules.d" -name '*.rules' ! -name 50-udev-default.rules ! -name 80-drivers.rules ! -name 99-systemd.rules -delete
	touch "$1/etc/.updated" "$1/var/.updated" # nothing has to be brought up to date with /usr
	rm -f "$1/usr/bin/hostnamectl" # Vagrant names a machine by it if it is there, through a service that starts more slowly than D-Bus waits
	printf 'blacklist %s\n' kvm kvm_amd aesni_intel drm ata_piix ata_generic virtio_balloon evdev serio_raw qemu_fw_cfg >"$1/etc/modprobe.d/lab.conf"
	: >"$1/etc/fstab"
	: >"$1/etc/machine-id" # each machine makes its own
	[ -z "$JAVA" ] || bring_zookeeper "$1"
	rm -f "$1"/etc/apt/sources.list
	[ -z "$JAVA" ] || echo 'deb [trusted=yes] file:/srv/apt ./' >"$1/etc/apt/sources.list"
	: >"$1/etc/resolv.conf" # it was this machine's
	cp "$1"/boot/vmlinuz-* "$OUT/vmlinuz"
	cp "$1"/boot/initrd.img-* "$OUT/initrd"
}

# ZooKeeper's server is not installed, but lies in a repository of its own; what it depends on is installed.
bring_zookeeper() {
	mkdir -p "$1/usr/share/man/man1" # Java's packages link to pages there
	chroot "$1" apt-get install -y --no-install-recommends zookeeper
	mkdir -p "$1/srv/apt/partial"
	chroot "$1" apt-get install -y --no-install-recommends --download-only -o Dir::Cache::archives=/srv/apt zookeeperd
	(cd "$1/srv/apt" && apt-ftparchive packages . >Packages)
}

# mmdebstrap calls this script again, in between: before DIR, after DIR.
case $1 in
before | after)
	"$@"
	exit
	;;
esac

mkdir -p "$1"
OUT=$(cd "$1" && pwd)
[ ! -e "$OUT/box.tar" ] || exit 0
KEY=$(find -L /usr/share/vagrant /usr/share/rubygems-integration /opt/vagrant -path '*keys/vagrant.pub' -print -quit 2>/dev/null || true)
[ -n "$KEY" ] || { echo "vagrant.pub is not where Vagrant's packages have it" >&2; exit 1; }
BOX=$(realpath "$0")
JAVA=${2:-}
export OUT KEY BOX JAVA

dir=$(mktemp -d)
trap 'rm -rf --one-file-system "$dir"' EXIT
mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Languages "none"' \
	--include=linux-image-cloud-amd64,initramfs-tools,systemd,systemd-sysv,udev,dbus,adduser,openssh-server,sudo \
	--include=python3-minimal,python3-apt,iproute2,nftables,procps,libnss-myhostname \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt=force-unsafe-io --essential-hook='"$BOX" before "$1"' --customize-hook='"$BOX" after "$1"' \
	bookworm "$dir/root"

truncate -s 2G "$dir/root.img"
mkfs.ext4 -q -F -L root -d "$dir/root" "$dir/root.img"
qemu-img convert -f raw -O qcow2 "$dir/root.img" "$dir/box.img"
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 2}' >"$dir/metadata.json"
echo 'Vagrant.configure("2") { }' >"$dir/Vagrantfile"
tar -C "$dir" -cf "$dir/box.tar" metadata.json Vagrantfile box.img
mv "$dir/box.tar" "$OUT/box.tar" # last: a directory with it is whole
