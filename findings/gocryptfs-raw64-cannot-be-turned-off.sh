#!/usr/bin/env bash
# gocryptfs: `-init -raw64=false` is documented ("Use unpadded base64 encoding for file names. [...] Default true.") and accepted,
# but the new volume has Raw64 all the same, and its names are unpadded. So a volume with padded names, which readers of the
# format must still understand, cannot be made for a test by a current gocryptfs; one has to take the flag out of
# gocryptfs.conf before the first file is written, as this script does to show that padded names still work.
#
# Seen with gocryptfs 2.3 (Debian bookworm):
#   made with -raw64=false: Raw64 yes, name of 22 characters
#   flag taken out by hand: Raw64 no, name of 24 characters, ends with ==
set -euo pipefail
command -v gocryptfs >/dev/null && command -v fusermount3 >/dev/null || apt-get install --yes --quiet gocryptfs fuse3 >/dev/null
gocryptfs -version | grep -q '^gocryptfs 2\.3;' || { echo "written for gocryptfs 2.3, found: $(gocryptfs -version)"; exit 1; }
work=$(mktemp -d)
trap 'fusermount3 -u "$work/plain" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
mkdir made edited plain

# The encrypted name of the file `f` that is written through a mount of the volume.
name() {
    gocryptfs -quiet -nosyslog -extpass 'echo secret' "$1" plain
    echo x >plain/f
    fusermount3 -u plain
    find "$1" -type f ! -name 'gocryptfs.*' -printf '%f\n'
}
flag() { if grep -q '"Raw64"' "$1/gocryptfs.conf"; then echo yes; else echo no; fi; }

gocryptfs -init -quiet -raw64=false -scryptn 10 -extpass 'echo secret' made
gocryptfs -init -quiet -scryptn 10 -extpass 'echo secret' edited
chmod u+w edited/gocryptfs.conf
python3 - <<'PY'
import json
config = json.load(open("edited/gocryptfs.conf"))
config["FeatureFlags"].remove("Raw64")
json.dump(config, open("edited/gocryptfs.conf", "w"))
PY
made=$(name made)
edited=$(name edited)
{
    echo "made with -raw64=false: Raw64 $(flag made), name of ${#made} characters"
    echo "flag taken out by hand: Raw64 $(flag edited), name of ${#edited} characters, ends with ${edited: -2}"
} | tee seen
diff seen - <<'EXPECTED'
made with -raw64=false: Raw64 yes, name of 22 characters
flag taken out by hand: Raw64 no, name of 24 characters, ends with ==
EXPECTED
echo "as described"
