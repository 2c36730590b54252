#!/usr/bin/env bash
# runsc: `process.user.umask` of an OCI configuration (in the runtime specification since 1.0.2) has no effect. A container begins
# with 0022, whatever it asks for and whatever the umask of `runsc` is, without an error or a warning; runc does as it is told. A
# program that writes secrets and counts on `umask: 63` (0077) of its configuration makes files that everybody can read.
#
# Seen with runsc 0.0~20221219.0 and runc 1.1.5 (Debian bookworm); runsc 0.0~20240729.0 (trixie) is the same:
#   runsc: umask 0022, a new file 644
#   runc: umask 0077, a new file 600
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p rootfs/bin rootfs/proc
apt-get -o APT::Sandbox::User=root download --quiet runsc=0.0~20221219.0-2+b3 runc=1.1.5+ds1-1+deb12u1 libseccomp2 busybox-static >/dev/null
for package in *.deb; do dpkg -x "$package" programs; done
cp programs/bin/busybox rootfs/bin/busybox
runsc=programs/usr/bin/runsc
runc=programs/usr/sbin/runc
export LD_LIBRARY_PATH=$work/programs/usr/lib/x86_64-linux-gnu

cat >config.json <<'JSON'
{
  "ociVersion": "1.0.2",
  "process": {
    "user": {"uid": 0, "gid": 0, "umask": 63},
    "args": ["/bin/busybox", "sh", "-c", "echo umask $(umask), a new file $(echo x >/file; busybox stat -c %a /file); busybox rm /file"],
    "env": ["PATH=/bin"],
    "cwd": "/"
  },
  "root": {"path": "rootfs"},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}]}
}
JSON
{
    echo "runsc: $("$runsc" --root "$work/runsc" --network=none --ignore-cgroups --platform=ptrace run --bundle . one 2>&1)"
    echo "runc: $("$runc" --root "$work/runc" run --bundle . two 2>&1)"
} | tee seen
diff seen - <<'EXPECTED'
runsc: umask 0022, a new file 644
runc: umask 0077, a new file 600
EXPECTED
echo "as described"
