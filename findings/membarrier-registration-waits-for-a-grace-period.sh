#!/usr/bin/env bash
# Linux, membarrier(2): MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED is meant to be called once, at the start, and looks like a flag that
# is set. It is one as long as the process has one thread: some microseconds. With a second thread, idle or not, the kernel waits
# until every processor has passed a quiescent state (an RCU grace period): 5 to 20 ms, a thousand times as long. A program whose
# runtime starts threads before `main`, as Go's does, always pays. runsc registers first of all, so this wait is most of what its
# quick commands take (`runsc list`: 17 ms, of which 5 ms are computing), and each container start has several of them in a row.
# Once registered, registering again is free, and the registration belongs to the memory: it lasts until the next execve.
#
# Seen with Linux 6.18 on two processors, runsc 0.0~20221219.0 (Debian bookworm) and Python 3.11:
#   one thread: 20 us, again 1 us
#   two threads: 15271 us, again 15 us
#   runsc: 1 registration, 13436 us
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download --quiet runsc=0.0~20221219.0-2+b3 strace >/dev/null
for package in *.deb; do dpkg -x "$package" programs; done
# strace has libraries of its own, which are where it is installed already.
strace=$(command -v strace || echo "$work/programs/usr/bin/strace")

cat >register.py <<'PYTHON'
import ctypes, platform, sys, threading, time

number = {"x86_64": 324, "aarch64": 283}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)

def register():
    start = time.perf_counter()
    if libc.syscall(number, 1 << 4, 0, 0) != 0:
        sys.exit(f"membarrier: errno {ctypes.get_errno()}")
    return (time.perf_counter() - start) * 1e6

threads = int(sys.argv[1])
for _ in range(threads - 1):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(f"{register():.0f} {register():.0f}")
PYTHON

# Medians of 11.
median() { sort -n | sed -n 6p; }
for threads in 1 2; do
    for _ in $(seq 11); do python3 register.py "$threads"; done >"of-$threads"
    cut -d' ' -f1 "of-$threads" | median >"first-$threads"
    cut -d' ' -f2 "of-$threads" | median >"again-$threads"
done
for _ in $(seq 11); do
    "$strace" -f -T -e trace=membarrier -o calls programs/usr/bin/runsc --root "$work/state" list >/dev/null
    grep -o 'REGISTER_PRIVATE_EXPEDITED, 0.* = 0 <[0-9.]*>' calls | sed 's/.*<\(.*\)>/\1/' | awk '{printf "%d\n", $1 * 1e6}'
done >of-runsc
echo "one thread: $(<first-1) us, again $(<again-1) us"
echo "two threads: $(<first-2) us, again $(<again-2) us"
echo "runsc: $(($(wc -l <of-runsc) / 11)) registration, $(median <of-runsc) us"

# One processor needs no barrier, and nobody waits there.
[ "$(nproc)" -gt 1 ] || { echo "this machine has one processor"; exit 1; }
[ "$(wc -l <of-runsc)" = 11 ]
[ "$(<first-2)" -gt $((20 * $(<first-1))) ]
[ "$(<first-2)" -gt $((20 * $(<again-2))) ]
[ "$(median <of-runsc)" -gt $((20 * $(<first-1))) ]
echo "as described"
