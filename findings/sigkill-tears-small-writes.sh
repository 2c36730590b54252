#!/usr/bin/env bash
# Linux: one pwrite of a few kilobytes is not all or nothing when its process is killed. A write that crosses a page boundary stops
# at that boundary if a SIGKILL is pending, so a record of 4,128 bytes (a block of gocryptfs's format) can be left new in its first
# part and old in the rest, with no power failure and on tmpfs, too. Programs that rewrite records in place and count on a
# killed process leaving each record old or new need a journal.
#
# Seen on Linux 6.18, tmpfs: in 400 kills of a process that does nothing but write, records that are torn, each of them at
# a page boundary (about one kill in five).
set -euo pipefail
command -v python3 >/dev/null || apt-get install --yes --quiet python3-minimal >/dev/null
uname -s | grep -q '^Linux$'
work=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work"' EXIT
python3 - "$work/file" <<'PY' | tee "$work/seen"
import os, random, signal, sys, time

RECORD, RECORDS, FIRST = 4128, 64, 18
path = sys.argv[1]
torn, elsewhere = 0, 0
for _ in range(400):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.pwrite(fd, b"a" * (FIRST + RECORD * RECORDS), 0)
    child = os.fork()
    if child == 0:
        records = [b"a" * RECORD, b"b" * RECORD]
        count = 0
        while True:
            # Each call is one record, whole.
            os.pwrite(fd, records[count // RECORDS % 2 ^ 1], FIRST + count % RECORDS * RECORD)
            count += 1
    time.sleep(0.002 + random.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for index in range(RECORDS):
        record = os.pread(fd, RECORD, FIRST + index * RECORD)
        changes = [at for at in range(1, RECORD) if record[at] != record[at - 1]]
        if changes:
            torn += 1
            elsewhere += any((FIRST + index * RECORD + at) % 4096 for at in changes)
    os.close(fd)
print("torn records:", "some" if torn else "none")
print("torn elsewhere than at a page boundary:", elsewhere)
PY
diff "$work/seen" - <<'EXPECTED'
torn records: some
torn elsewhere than at a page boundary: 0
EXPECTED
echo "as described"
