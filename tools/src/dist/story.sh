# What is done with the packages by root of a fresh Debian, where systemd runs.
set -eux
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
# Debian's images for containers leave manual pages out.
rm -f /etc/dpkg/dpkg.cfg.d/*
apt-get install --yes --no-install-recommends /play/*.deb

# The programs, their pages, their completions.
gofer --version
gofer-volumes --version
fusebridge --version
for page in fusebridge fusebridge-mnt gofer gofer-serve gofer-volumes gofer-volumes-blob-mkfs; do
    man "$page" | grep -q SYNOPSIS
done
cat > /play/complete <<'END'
# complete WORD..: what TAB offers for the last word.
. /usr/share/bash-completion/bash_completion
_completion_loader "$1" || [ $? = 124 ]
function=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
"$function" "$1" "${@: -1}" "${@: -2:1}"
echo "${COMPREPLY[*]}"
END
test "$(bash /play/complete fusebridge um)" = umount
test "$(bash /play/complete fusebridge mnt --access e)" = exclusive
test "$(bash /play/complete fusebridge trace stat)" = stats
test "$(bash /play/complete gofer serve --read)" = --read-only
test "$(bash /play/complete gofer-volumes blob mk)" = mkfs

# By hand, with mount(8), and over a socket.
mkdir -p /srv/data /point
echo content > /srv/data/file
test "$(fusebridge run /srv/data -- cat file)" = content
mount -t fuse.fusebridge -o ro /srv/data /point
test "$(cat /point/file)" = content
test "$(findmnt --noheadings --output FSTYPE,SOURCE /point | tr -s ' ')" = "fuse.fusebridge /srv/data"
fusebridge stats /point > /dev/null
umount /point
gofer serve --socket /run/data.sock /srv/data & server=$!
until test -S /run/data.sock; do sleep 0.1; done
test "$(fusebridge run unix:/run/data.sock -- cat file)" = content
kill $server

# A line of fstab, which systemd has made a unit of.
echo '/srv/data /point fuse.fusebridge access=exclusive,noauto 0 0' >> /etc/fstab
systemctl daemon-reload
systemctl start point.mount
test "$(cat /point/file)" = content
systemctl stop point.mount
test ! -e /point/file

# A mount as a service. It is there when the unit is started; when its process is killed, it is there again.
systemd-analyze verify fusebridge@x.service gofer-volumes.service gofer-volumes.socket
mkdir -p /etc/fusebridge
printf 'BACKEND=/srv/data\nMOUNTPOINT=/point\nOPTIONS=--access exclusive --noatime\n' > /etc/fusebridge/data.conf
systemctl start fusebridge@data
test "$(cat /point/file)" = content
systemctl show --property=StatusText fusebridge@data | grep '/point'
first=$(systemctl show --value --property=MainPID fusebridge@data)
tr '\0' ' ' < "/proc/$first/cmdline" | grep -e '--access exclusive --noatime'
kill -KILL "$first"
until [ "$(systemctl show --value --property=MainPID fusebridge@data)" != "$first" ] &&
    systemctl is-active --quiet fusebridge@data; do sleep 0.1; done
test "$(cat /point/file)" = content
systemctl stop fusebridge@data
test ! -e /point/file
test "$(findmnt --noheadings /point)" = ""
# What cannot be mounted fails, and says why.
printf 'BACKEND=/nowhere\nMOUNTPOINT=/point\n' > /etc/fusebridge/wrong.conf
if systemctl start fusebridge@wrong; then exit 1; fi
systemctl stop fusebridge@wrong
journalctl --sync
journalctl --unit=fusebridge@wrong --output=cat | grep 'fusebridge: cannot serve /nowhere'

# Volumes, whose server is started by the first who asks for one.
mkdir -p /etc/gofer
printf '[volumes]\ndata = "/srv/data"\n' > /etc/gofer/volumes.toml
systemctl start gofer-volumes.socket
test "$(fusebridge run "volume:/run/gofer/volumes.sock#data" -- cat file)" = content
systemctl is-active gofer-volumes
echo 'more = "/srv/data"' >> /etc/gofer/volumes.toml
systemctl reload gofer-volumes
until fusebridge run "volume:/run/gofer/volumes.sock#more" -- true; do sleep 0.1; done
gofer-volumes status > /dev/null
systemctl stop gofer-volumes.socket gofer-volumes

# Nothing of them stays.
dpkg --purge gofer fusebridge gofer-volumes
for left in /usr/bin/gofer* /usr/bin/fusebridge* /usr/bin/runsc-* /usr/sbin/mount.fuse* /usr/lib/systemd/system/*gofer* \
    /usr/lib/systemd/system/fusebridge* /usr/share/doc/gofer* /usr/share/doc/fusebridge*; do
    case $left in */mount.fuse | */mount.fuse3) continue ;; esac
    if [ -e "$left" ] || [ -L "$left" ]; then exit 1; fi
done
echo done
