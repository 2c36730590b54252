# gofer-volumes under a systemd of its own, by the units that ship, as they ship: socket activation, readiness, reload, upgrade, stop.

rm -f /usr/local/sbin/systemctl
mkdir -p /usr/local/bin /etc/gofer /srv/data /run/units
install -m 755 target/dist/gofer-volumes /usr/local/bin/gofer-volumes
cp gofer-volumes.socket gofer-volumes.service /run/units/
# Nothing else of what Debian has is started.
for unit in sysinit basic sockets local-fs multi-user shutdown; do
    cp "/usr/lib/systemd/system/$unit.target" /run/units/
done
printf 'socket = "/run/gofer/volumes.sock"\ndrain = 5\n[volumes]\ndata = "/srv/data"\n' > /etc/gofer/volumes.toml
cat > /run/units/story.service <<'END'
[Service]
Type=exec
ExecStart=/bin/sh -c 'sh -eu /play/story > /play/told 2>&1; echo $? > /play/status.new; mv /play/status.new /play/status'
END
cat > /play/story <<'END'
PATH=/usr/local/bin:$PATH
main_pid() { systemctl show --property MainPID --value gofer-volumes; }
is() { [ "$2" = "$3" ] || { echo "$1 is $2, not $3"; systemctl status --no-pager --full gofer-volumes; exit 1; }; }
state() { systemctl show --property ActiveState --value gofer-volumes."$1"; }
until_it() {
    for turn in $(seq 300); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done
    echo "has not come: $*"; systemctl status --no-pager --full gofer-volumes; exit 1
}
another_main() { [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }

systemctl start gofer-volumes.socket
is "the service before anybody connects" "$(state service)" inactive
is "the socket's mode" "$(stat -c %a /run/gofer/volumes.sock)" 600
echo "- socket activation"
gofer-volumes status > /dev/null
is "the service" "$(state service)" active
first=$(main_pid)
echo "- reload"
echo 'more = "mem:"' >> /etc/gofer/volumes.toml
systemctl reload gofer-volumes
is "the process after it" "$(main_pid)" "$first"
gofer-volumes status > /dev/null
echo "- a wrong file is not taken, and keeps nobody from going on"
echo 'nonsense' >> /etc/gofer/volumes.toml
systemctl reload gofer-volumes
gofer-volumes status > /dev/null
is "the process after it" "$(main_pid)" "$first"
sed -i '/nonsense/d' /etc/gofer/volumes.toml
echo "- upgrade by SIGUSR2"
systemctl kill --kill-whom=main --signal=USR2 gofer-volumes
until_it another_main "$first"
until_it test ! -e "/proc/$first"
is "the service" "$(state service)" active
gofer-volumes status > /dev/null
second=$(main_pid)
echo "- a crash is mended"
kill -KILL "$second"
until_it another_main "$second"
until_it gofer-volumes status
echo "- stop"
systemctl stop gofer-volumes.service
is "the service" "$(state service)" inactive
is "how it ended" "$(systemctl show --property Result --value gofer-volumes)" success
is "the socket" "$(state socket)" active
gofer-volumes status > /dev/null
is "the service, which came again" "$(state service)" active
systemctl stop gofer-volumes.socket gofer-volumes.service
echo "- done"
END
export SYSTEMD_UNIT_PATH=/run/units container=play SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=warning
/usr/bin/unshare --mount --pid --cgroup --ipc --uts --fork --mount-proc --kill-child sh -eu <<'END' > /var/log.systemd 2>&1 &
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec /usr/lib/systemd/systemd --system --unit=story.service --default-standard-output=inherit --show-status=no
END
for turn in $(seq 1200); do
    [ ! -e /play/status ] || break
    sleep 0.1
done
# It would execute itself again after anything milder.
kill -KILL $!
cat /play/told
[ "$(cat /play/status)" = 0 ] || { tail -n 40 /var/log.systemd; exit 1; }
