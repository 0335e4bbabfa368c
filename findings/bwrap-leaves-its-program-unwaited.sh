#!/usr/bin/env bash
# bubblewrap 0.8.0 with --unshare-pid ends when a pipe tells it the exit code, and never waits for its sandbox. So the
# kernel doesn't add the program's processor time to that of bwrap: getrusage(RUSAGE_CHILDREN), wait4(2), time(1) and
# hyperfine show some milliseconds for a program that computes for a second. runc, crun and systemd-nspawn do wait.
# Seen with bubblewrap 0.8.0-2+deb12u1 on Linux 6.18: 1.0 s of work, 0.00 s told.
# Whoever compares sandboxes by processor time needs a cgroup's counter instead.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq bubblewrap=0.8.0-2+deb12u1 2>/dev/null
dpkg -x bubblewrap_*.deb root
root/usr/bin/bwrap --version
python3 - <<'PY'
import resource, subprocess, sys

work = "import time\nwhile time.process_time() < 1: pass"
bare = [sys.executable, "-c", work]
inside = ["root/usr/bin/bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", *bare]

def told(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

alone, sandboxed = told(bare), told(inside)
print(f"told of the bare program: {alone:.2f} s; of the same in bwrap: {sandboxed:.2f} s")
sys.exit(not (alone > 0.9 and sandboxed < 0.2))
PY
