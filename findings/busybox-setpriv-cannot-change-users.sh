#!/usr/bin/env bash
# BusyBox: `setpriv` is there, but only for capabilities and no_new_privs: --reuid, --regid, --init-groups and --clear-groups of
# util-linux, which entrypoints use to give up root, are not known. A script that finds `setpriv` on the PATH (`command -v`) and
# works on Debian ends in Alpine's or BusyBox's image before its program starts.
#
# Seen with busybox-static 1:1.35.0-4+deb12u1+b1 and util-linux 2.38.1-5+deb12u3 (Debian bookworm):
#   util-linux: 65534 65534
#   busybox --reuid: status 1, unrecognized option '--reuid=65534'
#   busybox --nnp: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download --quiet busybox-static=1:1.35.0-4+deb12u1+b1 util-linux=2.38.1-5+deb12u3 \
    libcap-ng0=0.8.3-1+b3 >/dev/null
for package in *.deb; do dpkg -x "$package" programs; done
busybox=programs/bin/busybox
setpriv() { LD_LIBRARY_PATH=$(echo programs/usr/lib/*-linux-gnu) programs/usr/bin/setpriv "$@"; }
{
    echo "util-linux: $(setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo $(id -u) $(id -g)')"
    status=0
    said=$($busybox setpriv --reuid=65534 --regid=65534 --clear-groups id -u 2>&1) || status=$?
    echo "busybox --reuid: status $status, $(sed -n 's/^setpriv: //p' <<< "$said")"
    echo "busybox --nnp: $($busybox setpriv --nnp id -u)"
} | tee seen
diff seen - <<'EXPECTED'
util-linux: 65534 65534
busybox --reuid: status 1, unrecognized option '--reuid=65534'
busybox --nnp: 0
EXPECTED
