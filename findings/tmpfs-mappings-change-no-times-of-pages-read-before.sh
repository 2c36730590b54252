#!/usr/bin/env bash
# Linux: on tmpfs a store through a shared mapping (mmap, MAP_SHARED) changes a file's time of change only if it is the first access
# to its page through that mapping. A page that was read there first can be changed for ever without any time changing, msync or
# not, although POSIX wants the times marked by the next msync at the latest, and file systems on a disk do so. What tells changed
# files by size and time, such as rsync, make or a cache, does not see what a database or an mmap-based writer changes in /dev/shm,
# /tmp or /run.
#
# Seen with rsync 3.5.0+ds1-0+deb12u1 (Debian bookworm) and Python's mmap on Linux 6.18:
#   a store into a page that was not read before changes the time: yes
#   a store into a page that was read before changes the time: no
#   rsync copies: nothing
#   the copy is the same: no
set -euo pipefail
if [ "${INSIDE:-}" = "" ]; then
    exec env INSIDE=1 unshare --mount --propagation private bash "$0"
fi
work=$(mktemp -d)
end() {
    umount --lazy "$work/memory" 2>/dev/null || true
    cd /
    rm -rf "$work"
}
trap end EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download --quiet rsync=3.5.0+ds1-0+deb12u1 libpopt0=1.19+dfsg-1 libxxhash0=0.8.1-1 >/dev/null
for package in *.deb; do dpkg -x "$package" programs; done
mkdir memory copy
mount -t tmpfs none memory
head -c 8192 /dev/zero > memory/file
rsync() { LD_LIBRARY_PATH=$(echo programs/usr/lib/*) programs/usr/bin/rsync "$@"; }
cat > store.py <<'PYTHON'
import mmap
import os
import sys
import time

with open("memory/file", "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 8192)
    was_read = sys.argv[1] == "was"
    if was_read:
        assert mapping[4096] is not None
    before = os.fstat(file.fileno()).st_mtime_ns
    time.sleep(0.1)
    mapping[4096:4101] = sys.argv[2].encode()
    mapping.flush()
    changed = os.fstat(file.fileno()).st_mtime_ns != before
    print(f"a store into a page that {sys.argv[1]} read before changes the time: {'yes' if changed else 'no'}")
PYTHON
{
    python3 store.py "was not" first
    rsync --archive memory/ copy/
    python3 store.py was later
    copied=$(rsync --archive --out-format=%n memory/ copy/)
    echo "rsync copies: ${copied:-nothing}"
    echo "the copy is the same: $(if cmp --quiet memory/file copy/file; then echo yes; else echo no; fi)"
} | tee seen
diff seen - <<'EXPECTED'
a store into a page that was not read before changes the time: yes
a store into a page that was read before changes the time: no
rsync copies: nothing
the copy is the same: no
EXPECTED
