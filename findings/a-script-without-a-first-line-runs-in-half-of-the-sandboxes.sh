#!/usr/bin/env bash
# An executable text file without `#!` runs in some sandboxes and not in others. bubblewrap and unshare start
# their program by execvp(3), which answers ENOEXEC by running the file with /bin/sh of the sandbox; runc starts it by execve(2),
# which fails. So the same command of the same root "works" in half of a comparison, and there it is a shell's time.
# Seen with bubblewrap 0.8.0-2+deb12u1, util-linux 2.38.1-5+deb12u3: "hi", exit code 0; runc
# 1.1.5+ds1-1+deb12u1: "exec /bin/text: exec format error", exit code 1.
set -euo pipefail
((EUID == 0)) || { echo "namespaces take root" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq bubblewrap=0.8.0-2+deb12u1 runc=1.1.5+ds1-1+deb12u1 busybox-static 2>/dev/null
for package in *.deb; do dpkg -x "$package" tools; done
mkdir -p bundle/root/{bin,proc,dev}
cp tools/bin/busybox bundle/root/bin/
ln -s busybox bundle/root/bin/sh
echo 'echo hi' >bundle/root/bin/text
chmod +x bundle/root/bin/text
tools/usr/sbin/runc spec --bundle bundle
python3 - bundle/config.json <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    config = json.load(file)
config["process"].update(terminal=False, args=["/bin/text"])
config["root"] = {"path": "root"}
config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] == "/proc"]
config["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
config["linux"].pop("resources", None)
with open(sys.argv[1], "w") as file:
    json.dump(config, file)
PYTHON
starts() { # NAME COMMAND...: the file must run
    local name=$1 said
    said=$("${@:2}" 2>&1)
    echo "$name: $said"
    [[ $said == hi ]]
}
refuses() { # NAME COMMAND...: the file must not run, for the reason above
    local name=$1 said
    if said=$("${@:2}" 2>&1); then
        echo "$name runs the file now: $said" >&2
        exit 1
    fi
    echo "$name: $said"
    grep -qi "exec format error" <<<"$said"
}
starts bwrap tools/usr/bin/bwrap --bind bundle/root / -- /bin/text
starts unshare unshare --mount --root=bundle/root /bin/text
refuses runc tools/usr/sbin/runc --root "$work/state" run --bundle bundle "finding-$$"
