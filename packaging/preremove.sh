#!/bin/sh
# Before a removal, and not before an upgrade: sessions are handed over while it
# stops.
set -e
case "$1" in upgrade | [1-9]*) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now wsresilience-sidecar.service wsresilience-agent.service || true
fi
