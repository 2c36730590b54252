#!/usr/bin/env bash
# util-linux mount(8) and its helpers (/sbin/mount.TYPE, what fstab calls for FUSE file systems): root's environment is passed on
# but for some variables, PATH, HOME and SHELL among them, which are missing and not set to anything safe. A helper that is a shell
# script does not notice, since shells have a PATH of their own, nor does execvp; a program that looks through PATH for fusermount3
# or its server, or for its configuration below HOME, finds nothing, and only when it is started by mount.
#
# Seen with util-linux 2.38.1 (Debian bookworm), as root:
#   PATH missing
#   HOME missing
#   SHELL missing
#   USER kept
#   MARK kept
#   arguments: source /mnt -o rw,opt
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, for a mount namespace"; exit 1; }
mount --version | grep -q ' 2\.38\.1 ' || { echo "written for util-linux 2.38.1, found: $(mount --version)"; exit 1; }
command -v gcc >/dev/null || apt-get install --yes --quiet gcc libc6-dev >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/upper" "$work/work" "$work/tmpfs"
cat >"$work/helper.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    const char *names[] = {"PATH", "HOME", "SHELL", "USER", "MARK"};
    FILE *said = fopen(getenv("SAID"), "w");
    for (int i = 0; i < 5; i++)
        fprintf(said, "%s %s\n", names[i], getenv(names[i]) ? "kept" : "missing");
    fprintf(said, "arguments:");
    for (int i = 1; i < argc; i++)
        fprintf(said, " %s", argv[i]);
    fputc('\n', said);
    return fclose(said);
}
C
gcc -o "$work/helper" "$work/helper.c"
# In a namespace of its own, a copy of /sbin in which there is a helper for the type "finding".
unshare --mount bash -s "$work" <<'SH' | tee "$work/seen"
set -euo pipefail
work=$1
mount -t tmpfs finding "$work/tmpfs"
mkdir "$work/tmpfs/upper" "$work/tmpfs/work"
sbin=$(readlink -f /sbin)
mount -t overlay finding -o "lowerdir=$sbin,upperdir=$work/tmpfs/upper,workdir=$work/tmpfs/work" "$sbin"
cp "$work/helper" "$sbin/mount.finding"
export SAID=$work/said MARK=one HOME=/root SHELL=/bin/sh USER=root
mount -t finding -o opt source /mnt
cat "$work/said"
SH
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
PATH missing
HOME missing
SHELL missing
USER kept
MARK kept
arguments: source /mnt -o rw,opt
SEEN
