#!/usr/bin/env bash
# Linux FUSE: FUSE_NOTIFY_INC_EPOCH (Linux 6.16; fuse_lowlevel_notify_increment_epoch of libfuse 3.18) is offered as the cheap way
# to make the kernel ask for all names again, where FUSE_NOTIFY_INVAL_ENTRY takes a message for each. It does that, for names that
# do not exist as well. But every name that is walked over afterwards counts as gone before the file system is asked: whatever is
# mounted on or below a directory is detached silently, in all mount namespaces, though the next lookup finds the same inode. A
# server that does this when it comes back after a restart takes bind mounts, overlays and the /proc of containers away that live
# in its file system. A name whose time has only expired is asked for first, and keeps its mounts.
#
# Seen with python3-pyfuse3 3.2.1 and libfuse 3.14 (Debian bookworm) on Linux 6.18:
#   mounted below: tmpfs
#   the next epoch, looked up again: inode unchanged
#   mounted below: nothing
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, for the mount inside"; exit 1; }
/usr/bin/python3 -c 'import pyfuse3' 2>/dev/null || apt-get install --yes --quiet python3-pyfuse3 fuse3 >/dev/null
work=$(mktemp -d)
server=
trap 'umount -l "$work/mnt/d" 2>/dev/null || true; umount -l "$work/mnt" 2>/dev/null || true
      [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mkdir mnt
cat >server.py <<'PY'
# A root with one directory, `d`. Begins the next epoch when the file `now` appears, and makes `done`.
import errno, os, stat, struct, sys, pyfuse3, trio

class Server(pyfuse3.Operations):
    def attributes(self, inode):
        entry = pyfuse3.EntryAttributes()
        entry.st_ino, entry.st_mode, entry.st_nlink = inode, stat.S_IFDIR | 0o755, 2
        entry.entry_timeout = entry.attr_timeout = 3600
        return entry

    async def getattr(self, inode, ctx=None):
        return self.attributes(inode)

    async def lookup(self, parent, name, ctx=None):
        if name != b"d":
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self.attributes(2)

def device():
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + fd) == "/dev/fuse":
                return int(fd)
        except OSError:
            pass

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pyfuse3.main)
        while not os.path.exists("now"):
            await trio.sleep(0.05)
        INC_EPOCH = 8
        os.write(device(), struct.pack("=IiQ", 16, INC_EPOCH, 0))
        open("done", "w").close()

pyfuse3.init(Server(), sys.argv[1], {"fsname=finding"})
trio.run(main)
PY
wait_for() { for _ in $(seq 200); do "$@" && return; sleep 0.05; done; echo "never came: $*"; exit 1; }
below() { echo "mounted below: $(findmnt --noheadings --output FSTYPE --mountpoint "$work/mnt/d" || echo nothing)"; }
/usr/bin/python3 server.py "$work/mnt" 2>errors &
server=$!
wait_for mountpoint -q mnt
mount -t tmpfs inside mnt/d
{
    below
    touch now
    wait_for test -e done
    [ "$(stat -c %i mnt/d)" = 2 ] && echo "the next epoch, looked up again: inode unchanged"
    below
} | tee seen
diff seen - <<'EXPECTED'
mounted below: tmpfs
the next epoch, looked up again: inode unchanged
mounted below: nothing
EXPECTED
echo "as described"
