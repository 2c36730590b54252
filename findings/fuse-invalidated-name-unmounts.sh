#!/usr/bin/env bash
# Linux FUSE: FUSE_NOTIFY_INVAL_ENTRY (fuse_lowlevel_notify_inval_entry, pyfuse3.invalidate_entry, fuser's Notifier::inval_entry)
# sounds like a hint for a cache: "forget this name, ask again". For a directory it also detaches, silently, whatever is mounted
# on it or below it, though the directory is still there and the file system answers the next lookup with the same inode.
# Applications that write there afterwards write into the file system below. A server that invalidates names to save memory or
# to follow changes elsewhere thereby unmounts bind mounts, overlays and container roots of other people.
#
# Seen with python3-pyfuse3 3.2.1 and libfuse 3.14 (Debian bookworm) on Linux 6.18:
#   mounted below: tmpfs
#   invalidated, looked up again: inode unchanged
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
# A root with one directory, `d`. Invalidates its name when the file `now` appears, and makes `done`.
import errno, os, stat, sys, pyfuse3, trio

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

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pyfuse3.main)
        while not os.path.exists("now"):
            await trio.sleep(0.05)
        await trio.to_thread.run_sync(pyfuse3.invalidate_entry, pyfuse3.ROOT_INODE, b"d")
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
    [ "$(stat -c %i mnt/d)" = 2 ] && echo "invalidated, looked up again: inode unchanged"
    below
} | tee seen
diff seen - <<'EXPECTED'
mounted below: tmpfs
invalidated, looked up again: inode unchanged
mounted below: nothing
EXPECTED
echo "as described"
