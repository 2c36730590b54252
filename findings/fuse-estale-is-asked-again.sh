#!/usr/bin/env bash
# Linux: a FUSE server that answers ESTALE to a call by name (open, stat, unlink, mkdir, rename, chmod, truncate, ..) is asked the
# same thing a second time, after another LOOKUP of the whole path; the application sees the second answer only. A server that has
# done something before it answered ESTALE does it twice, one that counts or logs such errors counts them double, and one that
# gives ESTALE once, for a file that was replaced, has repaired the call without anybody knowing. What has a file descriptor already
# (fsync, fstat, ..) is asked once, and the application gets ESTALE.
#
# Seen with fusepy 3.0.1 (PyPI) on libfuse 2.9.9-6+b1 (Debian bookworm), Linux 6.18; requests that the server had, and what the
# application got:
#   open: 2, then it was well
#   unlink: 2, ESTALE
#   mkdir: 2, ESTALE
#   rename: 2, ESTALE
#   fsync: 1, ESTALE
set -euo pipefail
if [ "${INSIDE:-}" = "" ]; then
    exec env INSIDE=1 unshare --mount --propagation private bash "$0"
fi
work=$(mktemp -d)
end() {
    umount --lazy "$work/mount" 2>/dev/null || true
    cd /
    rm -rf "$work"
}
trap end EXIT
cd "$work"
mkdir mount
apt-get -o APT::Sandbox::User=root download --quiet libfuse2=2.9.9-6+b1 >/dev/null
dpkg -x libfuse2_*.deb programs
python3 -m pip download --quiet --no-deps --no-binary :all: --dest . fusepy==3.0.1 2>/dev/null
tar xf fusepy-3.0.1.tar.gz
cat > server.py <<'PYTHON'
import errno
import stat
import sys

sys.path.insert(0, "fusepy-3.0.1")
from fuse import FUSE, FuseOSError, Operations


class Stale(Operations):
    def told(self, name):
        with open("requests", "a") as log:
            log.write(name + "\n")

    def stale(self, name):
        self.told(name)
        raise FuseOSError(errno.ESTALE)

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path == "/new":
            raise FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": 10}

    opens = 0

    def open(self, path, flags):
        self.told("open")
        self.opens += 1
        if self.opens == 1:
            raise FuseOSError(errno.ESTALE)
        return 0

    def fsync(self, path, datasync, fh):
        self.stale("fsync")

    def unlink(self, path):
        self.stale("unlink")

    def mkdir(self, path, mode):
        self.stale("mkdir")

    def rename(self, old, new):
        self.stale("rename")


FUSE(Stale(), "mount", foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0, hard_remove=True)
PYTHON
FUSE_LIBRARY_PATH=$(find "$work/programs" -name 'libfuse.so.2') python3 server.py &
for _ in $(seq 100); do mountpoint --quiet mount && break; sleep 0.05; done
cat > application.py <<'PYTHON'
import errno
import os


def tried(name, call):
    open("requests", "w").close()
    try:
        result = call()
        ended = "then it was well"
    except OSError as error:
        result = None
        ended = errno.errorcode[error.errno]
    with open("requests") as log:
        count = log.read().split().count(name)
    print(f"{name}: {count}, {ended}")
    return result


file = tried("open", lambda: os.open("mount/file", os.O_RDONLY))
tried("unlink", lambda: os.unlink("mount/file"))
tried("mkdir", lambda: os.mkdir("mount/new"))
tried("rename", lambda: os.rename("mount/file", "mount/new"))
tried("fsync", lambda: os.fsync(file))
PYTHON
python3 application.py | tee seen
diff seen - <<'EXPECTED'
open: 2, then it was well
unlink: 2, ESTALE
mkdir: 2, ESTALE
rename: 2, ESTALE
fsync: 1, ESTALE
EXPECTED
