#!/usr/bin/env bash
# Installs a deb as a user would, on a copy of this machine's file system that is
# thrown away: its files, its units by systemd's own judgement, the programs in
# it, an upgrade that keeps the settings, and a removal that leaves nothing.
#
#   packaging/test-deb.sh dist/wsresilience_1.2.3_amd64.deb 1.2.3
#
# It needs root, dpkg and systemd (systemd-analyze), and starts no service.
set -euo pipefail

deb=$(realpath "$1")
version=$2

if [ "${TEST_DEB_ROOT:-}" = "" ]; then
	root=$(mktemp -d)
	trap 'rm -rf "$root"' EXIT
	TEST_DEB_ROOT=$root unshare --mount --pid --fork "$0" "$deb" "$version"
	exit
fi

# From here on in a namespace of its own: nothing of this reaches the machine.
root=$TEST_DEB_ROOT
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/all"
cp "$deb" "$root/all/package.deb"
mount -t proc proc "$root/all/proc"
mount --bind /dev "$root/all/dev"

chroot "$root/all" bash -euo pipefail -s "$version" <<'SCRIPT'
version=$1
export DEBIAN_FRONTEND=noninteractive
fail() { echo "test-deb: $*" >&2; exit 1; }
# stderr of one command, and its exit code
before=$(mktemp)
find /etc /usr /var/lib -xdev \( -path /var/lib/dpkg -o -path /usr/local \) -prune -o -print | sort > "$before"

dpkg -i /package.deb
for program in sidecar agent; do
	said=$(wsresilience-$program version)
	case $said in *"$version"*) ;; *) fail "wsresilience-$program says it is $said, and the package is $version" ;; esac
done
wsresilience-sidecar help > /dev/null
dpkg --verify wsresilience
[ "$(stat -c %a /etc/wsresilience/sidecar.env)" = 640 ] || fail "who may read the settings?"

for unit in wsresilience-sidecar wsresilience-agent; do
	systemd-analyze verify /usr/lib/systemd/system/$unit.service
	exposure=$(systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/$unit.service | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
	echo "$unit: exposure $exposure of 10"
	awk -v e="$exposure" 'BEGIN { exit !(e > 0 && e < 2.5) }' || fail "$unit is exposed: $exposure"
done

# The settings of the file are those that the program reads.
(set -a; . /etc/wsresilience/sidecar.env; WSR_UPSTREAM=http://127.0.0.1:8080 wsresilience-sidecar config > /dev/null) || fail "sidecar.env cannot be used"

echo 'WSR_UPSTREAM=http://127.0.0.1:8080' >> /etc/wsresilience/sidecar.env
dpkg -i /package.deb
grep -q 'WSR_UPSTREAM=http://127.0.0.1:8080' /etc/wsresilience/sidecar.env || fail "an upgrade takes the settings away"

dpkg -r wsresilience
[ -e /etc/wsresilience/sidecar.env ] || fail "a removal takes the settings away"
[ ! -e /usr/bin/wsresilience-sidecar ] || fail "a removal leaves the program"
mkdir -p /var/lib/private/wsresilience
dpkg -P wsresilience
after=$(mktemp)
find /etc /usr /var/lib -xdev \( -path /var/lib/dpkg -o -path /usr/local \) -prune -o -print | sort > "$after"
left=$(comm -13 "$before" "$after" | grep -v -e '^/var/lib/private$' || true)
[ -z "$left" ] || fail "a purge leaves
$left"
echo "test-deb: installed, verified, upgraded and removed"
SCRIPT
