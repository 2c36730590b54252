#!/usr/bin/env bash
# gocryptfs: `-passwd -masterkey` keeps the old configuration as gocryptfs.conf.bak in the encrypted directory. A mount passes over
# it with a warning, but `gocryptfs -fsck` counts it as a corrupt name and ends with exit status 26, so a volume that nothing is wrong
# with cannot be found clean until somebody removes the backup. An ordinary `-passwd` leaves no such file.
#
# Seen with gocryptfs 2.3 (Debian bookworm):
#   before: fsck 0
#   after -passwd -masterkey: gocryptfs.conf.bak, fsck 26
#   backup removed: fsck 0
set -euo pipefail
command -v gocryptfs >/dev/null || apt-get install --yes --quiet gocryptfs >/dev/null
gocryptfs -version | grep -q '^gocryptfs 2\.3;' || { echo "written for gocryptfs 2.3, found: $(gocryptfs -version)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir volume
fsck() {
    local status=0
    gocryptfs -fsck -quiet -nosyslog -extpass 'echo secret' volume >/dev/null 2>&1 || status=$?
    echo "fsck $status"
}

gocryptfs -init -quiet -scryptn 10 -extpass 'echo secret' volume
key=$(echo secret | gocryptfs-xray -dumpmasterkey volume/gocryptfs.conf 2>/dev/null)
{
    echo "before: $(fsck)"
    # The key is that of a volume which was made a moment ago and is removed in another.
    printf 'secret\nsecret\n' | gocryptfs -passwd -quiet -scryptn 10 -masterkey "$key" volume >/dev/null 2>&1
    echo "after -passwd -masterkey: $(cd volume && ls -- *.bak), $(fsck)"
    rm -f volume/*.bak
    echo "backup removed: $(fsck)"
} | tee seen
diff seen - <<'EXPECTED'
before: fsck 0
after -passwd -masterkey: gocryptfs.conf.bak, fsck 26
backup removed: fsck 0
EXPECTED
echo "as described"
