#!/usr/bin/env bash
# overlayfs on FUSE: a pass-through FUSE file system with extended attributes, hard links and device nodes looks like all that the
# upper directory of an overlay needs, and on it the same files make a fine *lower* one. As upper it is refused ("wrong fs type, bad
# option, bad superblock"), with `userxattr` too, and the reason stands in the kernel's log only: a remote file system, which every
# FUSE file system is to overlayfs, must know renameat2's RENAME_WHITEOUT, and libfuse's high-level pass-through servers answer it
# with EINVAL. (On a local file system without it, overlayfs only prints a warning.) Whoever wants containers' layers on a FUSE
# mount has to implement that one flag.
#
# Seen with bindfs 1.14.7 (Debian bookworm), Linux 6.18, on tmpfs:
#   renameat2(RENAME_WHITEOUT) there: tmpfs 0, bindfs EINVAL
#   upper on tmpfs: mounted
#   lower on bindfs: mounted
#   upper on bindfs: refused
#   upper on bindfs, userxattr: refused
#   kernel: upper fs does not support RENAME_WHITEOUT.
#   kernel: upper fs missing required features.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, to mount"; exit 1; }
command -v bindfs >/dev/null || apt-get install --yes --quiet bindfs >/dev/null
bindfs --version | grep -q ' 1\.14\.7$' || { echo "written for bindfs 1.14.7, found: $(bindfs --version)"; exit 1; }
work=$(mktemp -d)
trap 'umount "$work/tmpfs/bound" 2>/dev/null || true; umount -l "$work/tmpfs" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/tmpfs"
mount -t tmpfs finding "$work/tmpfs"
cd "$work/tmpfs"
mkdir source bound lower merged
bindfs source bound
mkdir source/upper source/work native native/upper native/work source/lower
touch lower/file source/lower/file

whiteout() {
    touch "$1/old"
    python3 - "$1" <<'PY'
import ctypes, errno, os, sys
libc, there = ctypes.CDLL(None, use_errno=True), sys.argv[1].encode()
RENAME_WHITEOUT = 4
done = libc.renameat2(-100, there + b"/old", -100, there + b"/new", RENAME_WHITEOUT)
print("0" if done == 0 else errno.errorcode[ctypes.get_errno()])
PY
}
try() {
    if mount -t overlay finding -o "$1" merged 2>/dev/null; then umount merged; echo mounted; else echo refused; fi
}

# The log is a ring: what is new in it comes after this.
echo "finding $$" >/dev/kmsg
{
    echo "renameat2(RENAME_WHITEOUT) there: tmpfs $(whiteout native), bindfs $(whiteout bound)"
    echo "upper on tmpfs: $(try lowerdir=lower,upperdir=native/upper,workdir=native/work)"
    echo "lower on bindfs: $(try lowerdir=bound/lower,upperdir=native/upper,workdir=native/work)"
    echo "upper on bindfs: $(try lowerdir=lower,upperdir=bound/upper,workdir=bound/work)"
    dmesg | sed "1,/finding $$\$/d" | grep -o 'upper fs .*\(WHITEOUT\|required features\).*' | sort -u >kernel
    echo "upper on bindfs, userxattr: $(try userxattr,lowerdir=lower,upperdir=bound/upper,workdir=bound/work)"
    sed 's/^/kernel: /' kernel
} | tee seen
diff - seen <<'SEEN' || { echo "that has changed"; exit 1; }
renameat2(RENAME_WHITEOUT) there: tmpfs 0, bindfs EINVAL
upper on tmpfs: mounted
lower on bindfs: mounted
upper on bindfs: refused
upper on bindfs, userxattr: refused
kernel: upper fs does not support RENAME_WHITEOUT.
kernel: upper fs missing required features.
SEEN
