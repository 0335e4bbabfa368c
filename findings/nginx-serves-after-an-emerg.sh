#!/usr/bin/env bash
# nginx 1.22.1 as uid 0 without capabilities, as in a container that drops them all, with `user root;`: each worker logs
# "[emerg] initgroups(root, 0) failed (1: Operation not permitted)", and then serves. An emerg elsewhere ends nginx: with the
# user that Debian's build has by default, the chown(2) of its directory for bodies fails, "[emerg] chown(...) failed", and
# nginx exits with 1.
# Seen with nginx 1.22.1-9+deb12u11 on Debian 12: status 200 after the emerg.
set -euo pipefail
((EUID == 0)) || { echo "dropping capabilities of uid 0 takes root" >&2; exit 1; }
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq nginx=1.22.1-9+deb12u11 2>/dev/null
dpkg -x nginx_*.deb root
port=18431
cat >nginx.conf <<CONF
user root;
daemon off;
pid $work/pid;
events {}
http {
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    access_log off;
    server { listen 127.0.0.1:$port; location / { return 200 "yes\n"; } }
}
CONF
drop() { setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"; }
root/usr/sbin/nginx -v
drop root/usr/sbin/nginx -p "$work" -e "$work/log" -c "$work/nginx.conf" 2>/dev/null &
server=$!
for _ in $(seq 50); do
    answer=$(python3 -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:$port/').status)" 2>/dev/null) && break
    sleep 0.1
done
echo "status $answer, after: $(grep -m 1 initgroups log)"
[[ $answer == 200 ]]
sed -i '/^user/d' nginx.conf
if drop root/usr/sbin/nginx -p "$work" -e "$work/log2" -c "$work/nginx.conf" 2>/dev/null; then
    echo "the default user works now" >&2
    exit 1
fi
grep -m 1 '\[emerg\] chown' log2
