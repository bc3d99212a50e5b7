#!/bin/sh
# After an installation or an upgrade. Nothing is started that was not: the app's
# address has to be set first.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart wsresilience-sidecar.service wsresilience-agent.service || true
fi
case "$1" in
configure) [ -z "$2" ] || exit 0 ;; # deb: an upgrade
[2-9]*) exit 0 ;;                   # rpm: likewise
esac
cat <<'TEXT'
wsresilience: say where your app is in /etc/wsresilience/sidecar.env, then
  systemctl enable --now wsresilience-sidecar
TEXT
