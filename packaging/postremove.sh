#!/bin/sh
# After a removal. A purge (deb) takes journal and outboxes along, which nobody
# else needs.
set -e
[ "$1" != purge ] || rm -rf /var/lib/wsresilience /var/lib/wsresilience-agent /var/lib/private/wsresilience /var/lib/private/wsresilience-agent
[ ! -d /run/systemd/system ] || systemctl daemon-reload
