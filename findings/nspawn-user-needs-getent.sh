#!/usr/bin/env bash
# systemd-nspawn 252 resolves --user= by running getent(1) *inside* of the container, even if the user is a number. A root
# without getent, such as one of busybox, can't run a program as user 1000, while `--user=root` and `--user=0` work, for they
# are answered without a look.
# Seen with systemd-container 252.39-1~deb12u2: "Failed to resolve user 1000." and "Child died too early.", exit code 1.
set -euo pipefail
((EUID == 0)) || { echo "nspawn takes root" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version='252.39-1~deb12u2'
apt-get download -qq "systemd-container=$version" "libsystemd-shared=$version" busybox-static 2>/dev/null
for package in *.deb; do dpkg -x "$package" tools; done
mkdir -p root/{bin,etc,usr,proc,sys,dev,run,tmp,var}
cp tools/bin/busybox root/bin/
printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >root/etc/passwd
touch root/etc/os-release
LD_LIBRARY_PATH=$(dirname "$(find "$PWD/tools" -name 'libsystemd-shared-*.so')")
export LD_LIBRARY_PATH
start() { # USER
    tools/usr/bin/systemd-nspawn --quiet --register=no --keep-unit --directory=root --user="$1" /bin/busybox id -u 2>&1
}
tools/usr/bin/systemd-nspawn --version | head -n 1
echo "root: $(start root | tr -d '\r')"
if said=$(start 1000); then
    echo "it works now: $said" >&2
    exit 1
fi
echo "1000: $said"
grep -q "Failed to resolve user 1000" <<<"$said"
