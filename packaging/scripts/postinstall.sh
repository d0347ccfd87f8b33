#!/bin/sh
# Makes the user and the directories; starts and enables nothing that the administrator did not ask for.
set -e
# Debian says "configure" and the version that was there before; others say how many there are now.
case "$1" in
configure) previous=$2 ;;
1) previous= ;;
2) previous=yes ;;
*) exit 0 ;;
esac
systemd-sysusers zabd.conf
# The administrator's file may have secrets in it.
chown root:zabd /etc/zabd/zoo.cfg
# In an image that is being built there may be no /proc for it; then the first boot does it.
systemd-tmpfiles --create zabd.conf || true
journalctl --update-catalog || true
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
if [ -z "$previous" ]; then
	if systemctl is-active --quiet zookeeper.service; then
		echo "zabd: zookeeper.service runs on this host. To put zabd in its place, see /usr/share/doc/zabd/operations.md."
	fi
	exit 0
fi
if cat /etc/default/zabd /etc/sysconfig/zabd 2>/dev/null | grep -q '^RESTART_ON_UPGRADE=yes'; then
	systemctl try-restart zabd.service || true
elif systemctl is-active --quiet zabd.service; then
	echo "zabd: the version before still runs; systemctl restart zabd puts the new one in its place."
fi
