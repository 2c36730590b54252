# Runs /play in a root directory of its own, over LOWER with all changes below STATE. To be started in namespaces of its own: of
# mounts, processes and the network. Nothing that is started here outlives it.
set -eu
LOWER=$1 STATE=$2
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$STATE/upper,workdir=$STATE/work" "$STATE/root"
cd "$STATE/root"
for directory in bin sbin lib lib64; do [ -e $directory ] || ln -s usr/$directory $directory; done
mkdir -p proc sys dev run tmp root old etc/docker etc/containers usr/local/bin var/lib var/tmp
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
# What is an overlay itself cannot be the upper layer of one.
mount --bind "$STATE/lib" var/lib
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/var/lib/user:/bin/sh\n' > etc/passwd
printf 'root:x:0:\ndocker:x:999:\n' > etc/group
echo '127.0.0.1 localhost' > etc/hosts
: > etc/resolv.conf
[ -e etc/containers/policy.json ] || echo '{"default": [{"type": "insecureAcceptAnything"}]}' > etc/containers/policy.json
for applet in $(usr/bin/busybox --list); do
    [ -e usr/bin/"$applet" ] || [ -e usr/sbin/"$applet" ] || ln -s busybox usr/bin/"$applet"
done
# A process in a mere chroot may not make namespaces of users.
pivot_root . old
cd /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root PODMAN_IGNORE_CGROUPSV1_WARNING=1
umount -l /old
ip link set lo up
cd /play
exec sh /play/play
