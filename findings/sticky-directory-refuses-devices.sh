#!/usr/bin/env bash
# Linux, O_CREAT in sticky directories: what is known as fs.protected_regular and fs.protected_fifos protects regular files
# and FIFOs, has a switch each, and is said to be about files that somebody else planted. For device nodes there is no switch:
# in a sticky directory that everybody may write to, opening a node with O_CREAT is EACCES unless the caller or the directory's
# owner owns the node. Root is not exempt, and both sysctls being 0 changes nothing. Opening the same node without O_CREAT works.
# A tmpfs without options has the mode 1777, and a shell's ">file" is O_CREAT: so ">dev/null" fails for root in a fresh /dev
# whose nodes belong to somebody else, with "Permission denied" that neither mode, capability nor security module explains.
#
# Seen on Linux 6.18, as root, in a private mount namespace on tmpfs:
#   FIFO, sysctls 0: opened
#   device of root, with O_CREAT: opened
#   device of nobody, with O_CREAT: EACCES
#   device of nobody, without O_CREAT: opened
#   device of nobody, with O_CREAT, directory not sticky: opened
#   device of nobody, with O_CREAT, directory not for all: opened
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, to mount and to make device nodes"; exit 1; }
command -v python3 >/dev/null || apt-get install --yes --quiet python3-minimal >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/try.py" <<'PY'
import errno, os, stat

def opened(how, name):
    try:
        os.close(os.open(name, os.O_RDWR | os.O_NONBLOCK | how))
        return "opened"
    except OSError as error:
        return errno.errorcode[error.errno]

for sysctl in ("protected_regular", "protected_fifos"):
    with open(f"/proc/sys/fs/{sysctl}", "w") as file:
        file.write("0")
NOBODY = 65534
os.mkfifo("fifo", 0o666)
os.chown("fifo", NOBODY, NOBODY)
os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
print("FIFO, sysctls 0:", opened(os.O_CREAT, "fifo"))
print("device of root, with O_CREAT:", opened(os.O_CREAT, "null"))
os.chown("null", NOBODY, NOBODY)
print("device of nobody, with O_CREAT:", opened(os.O_CREAT, "null"))
print("device of nobody, without O_CREAT:", opened(0, "null"))
os.chmod(".", 0o777)
print("device of nobody, with O_CREAT, directory not sticky:", opened(os.O_CREAT, "null"))
os.chmod(".", 0o1755)
print("device of nobody, with O_CREAT, directory not for all:", opened(os.O_CREAT, "null"))
PY
before="$(cat /proc/sys/fs/protected_regular /proc/sys/fs/protected_fifos)"
restore() { set -- $before; echo "$1" >/proc/sys/fs/protected_regular; echo "$2" >/proc/sys/fs/protected_fifos; rm -rf "$work"; }
trap restore EXIT
unshare --mount bash -c 'mkdir "$0/tmpfs"; mount -t tmpfs finding "$0/tmpfs"; cd "$0/tmpfs"; python3 "$0/try.py"' "$work" | tee "$work/seen"
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
FIFO, sysctls 0: opened
device of root, with O_CREAT: opened
device of nobody, with O_CREAT: EACCES
device of nobody, without O_CREAT: opened
device of nobody, with O_CREAT, directory not sticky: opened
device of nobody, with O_CREAT, directory not for all: opened
SEEN
