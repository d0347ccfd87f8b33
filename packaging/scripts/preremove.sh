#!/bin/sh
set -e
# $1 is "upgrade" (deb) or 1 (rpm) when a newer version is being put in place: then it goes on running.
case "$1" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now zabd.socket zabd.service || true
fi
