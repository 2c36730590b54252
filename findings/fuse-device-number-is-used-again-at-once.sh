#!/usr/bin/env bash
# Linux: the number of a FUSE file system (`st_dev`, `/sys/fs/fuse/connections/N`, `/sys/class/bdi/0:N`) is given to the very next
# one as soon as the first is unmounted, even while the process that served the first still runs. A socket, a lock file or a
# watcher that is named after the number then belongs to two file systems at once; who noted N to abort a mount that hangs, or to
# set its read-ahead, and comes a moment late, hits a mount that has nothing to do with it. What tells the two apart is the inode
# number of the directory `/sys/class/bdi/0:N`, which is new each time.
#
# Seen with bindfs 1.14.7-1 (Debian bookworm) on Linux 6.18, in a mount namespace of its own:
#   the same device number: yes
#   the same entry in /sys/fs/fuse/connections: yes
#   the same inode number of /sys/class/bdi/0:N: no
#   the first server still runs: yes
set -euo pipefail
if [ "${INSIDE:-}" = "" ]; then
    exec env INSIDE=1 unshare --mount --propagation private bash "$0"
fi
work=$(mktemp -d)
cd "$work"
servers=()
end() {
    umount --lazy "$work/mount" 2>/dev/null || true
    for server in "${servers[@]}"; do kill -KILL "$server" 2>/dev/null || true; done
    cd /
    rm -rf "$work"
}
trap end EXIT
apt-get -o APT::Sandbox::User=root download --quiet bindfs=1.14.7-1 libfuse3-3=3.14.0-4 fuse3=3.14.0-4 >/dev/null
for package in *.deb; do dpkg -x "$package" programs; done
export LD_LIBRARY_PATH=$work/programs/usr/lib/x86_64-linux-gnu:$work/programs/lib/x86_64-linux-gnu
mkdir one two mount

# Mounts a directory, and says what the kernel knows the file system by: device, connection, state.
mounted() {
    programs/usr/bin/bindfs -f "$1" mount &
    servers+=($!)
    disown
    for _ in $(seq 100); do mountpoint --quiet mount && break; sleep 0.05; done
    minor=$(mountpoint -d mount)
    minor=${minor#0:}
    test -d "/sys/fs/fuse/connections/$minor" || mount -t fusectl none /sys/fs/fuse/connections
    seen=("$minor" "$(ls -d "/sys/fs/fuse/connections/$minor")" "$(stat -c %i "/sys/class/bdi/0:$minor/")")
}
mounted one
first=("${seen[@]}")
# Its server does nothing from now on, not even end.
kill -STOP "${servers[0]}"
umount --lazy mount
mounted two
same() { if [ "${first[$1]}" = "${seen[$1]}" ]; then echo yes; else echo no; fi; }
{
    echo "the same device number: $(same 0)"
    echo "the same entry in /sys/fs/fuse/connections: $(same 1)"
    echo "the same inode number of /sys/class/bdi/0:N: $(same 2)"
    echo "the first server still runs: $(if kill -0 "${servers[0]}"; then echo yes; else echo no; fi)"
} | tee seen
diff seen - <<'EXPECTED'
the same device number: yes
the same entry in /sys/fs/fuse/connections: yes
the same inode number of /sys/class/bdi/0:N: no
the first server still runs: yes
EXPECTED
echo "as described"
