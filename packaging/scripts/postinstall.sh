#!/bin/sh
# Makes the user; starts and enables nothing that the administrator did not ask for.
set -e
if ! getent passwd zabd >/dev/null; then
	adduser --system --group --no-create-home --home /var/lib/zabd --quiet zabd
fi
chown root:zabd /etc/zabd/zoo.cfg
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	systemctl try-restart zabd.service || true
fi
