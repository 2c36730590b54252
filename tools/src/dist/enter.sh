# Runs ROOT/play/story as a service of a systemd that is process 1 of its own namespaces: of mounts, processes, the
# network, cgroups. Its exit status is the story's. Nothing that is started here outlives it.
set -eu
ROOT=$1
if [ "${2-}" != inside ]; then
    # A cgroup of its own, which is all that its systemd sees.
    hierarchy=/sys/fs/cgroup
    [ -e $hierarchy/cgroup.controllers ] || hierarchy=$hierarchy/systemd
    cgroup=$hierarchy/fusebridge-dist-$$
    mkdir "$cgroup"
    trap 'find "$cgroup" -depth -type d -exec rmdir {} +' EXIT
    (
        # The subshell's own number, which $$ is not.
        sh -c 'echo $PPID' > "$cgroup/cgroup.procs"
        exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child sh "$0" "$ROOT" inside
    )
    exit
fi
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --bind proc/sys proc/sys
# What systemd sets there would be set for the machine.
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
# In a sticky directory, as it would be, opening another user's device with O_CREAT is refused.
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty fuse; do
    : > dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
ln -s /proc/self/fd dev/fd
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
cat > etc/systemd/system/play.service <<END
[Unit]
DefaultDependencies=no
Requires=systemd-journald.service
After=systemd-journald.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/sh /play/story
StandardOutput=append:/play/log
StandardError=append:/play/log
END
mkdir -p old
pivot_root . old
cd /
umount -l /old
export container=other
exec /lib/systemd/systemd --unit=play.service --show-status=false --log-target=console --log-level=err
