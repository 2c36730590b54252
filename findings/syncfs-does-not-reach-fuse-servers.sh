#!/usr/bin/env bash
# FUSE and syncfs(2): the protocol has had a request SYNCFS since 7.34 (Linux 5.15), and syncfs on a FUSE mount returns 0. But the
# kernel sends the request only to servers of virtiofs and to fuseblk mounts of privileged ones; an ordinary FUSE server hears
# nothing, neither SYNCFS nor an FSYNC of any file. A server that buffers what was written (in memory, for an upload) cannot
# be asked by "sync -f", and whoever tests durability that way tests nothing. fsync(2) of a file is sent, as FSYNC; so a
# program that must know that all of the mount is stored has to fsync a file or directory of it.
#
# Seen on Linux 6.18 with bindfs 1.14.7, which prints the requests that it gets:
#   after "sync -f": OPEN RELEASE
#   after "sync": OPEN FSYNC RELEASE
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, to mount"; exit 1; }
command -v bindfs >/dev/null || apt-get install --yes --quiet bindfs >/dev/null
bindfs --version | grep -q '^bindfs 1\.14\.7' || { echo "written for bindfs 1.14.7, found: $(bindfs --version)"; exit 1; }
work=$(mktemp -d)
trap 'umount "$work/mount" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mkdir files mount
bindfs -d files mount 2>>log >>log &
for _ in $(seq 100); do mountpoint -q mount && break; sleep 0.1; done
mountpoint -q mount || { cat log; exit 1; }
echo data >mount/file

# The requests that come in while $1 runs, but for those about names and attributes.
requests() {
    local before after
    sleep 0.5
    before=$(wc -l <log)
    eval "$1"
    sleep 0.5
    after=$(tail -n "+$((before + 1))" log)
    sed -n 's/.*opcode: \([A-Z]*\).*/\1/p' <<<"$after" | grep -v -e LOOKUP -e GETATTR -e FLUSH | paste -sd ' '
}
{
    echo "after \"sync -f\": $(requests 'sync -f mount/file')"
    echo "after \"sync\": $(requests 'sync mount/file')"
} | tee seen
diff - seen <<'SEEN' || { echo "that has changed"; exit 1; }
after "sync -f": OPEN RELEASE
after "sync": OPEN FSYNC RELEASE
SEEN
