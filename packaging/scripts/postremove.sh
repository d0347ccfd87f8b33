#!/bin/sh
# The data in /var/lib/zabd and the user who owns it stay.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
case "$1" in
purge) systemctl reset-failed zabd.service zabd.socket 2>/dev/null || true ;;
esac
