# What plays are made of. The cgroups of containers are below this one.
CGROUP=/gofer-play-$PLAY

# Waits until the command succeeds, half a minute at most.
until_it() {
    for turn in $(seq 300); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.1
    done
    echo "has not come: $*" >&2
    tail -n 20 /var/log.* >&2
    exit 1
}

image() {
    mkdir -p /image/bin /image/etc /image/tmp /image/root
    cp /usr/bin/busybox /image/bin/busybox
    for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -sf busybox "/image/bin/$applet"; done
    tar -C /image -c . > /image.tar
}

dockerd_start() {
    dockerd --iptables=false --ip6tables=false --cgroup-parent="$CGROUP" --pidfile /run/docker.pid "$@" > /var/log.dockerd 2>&1 &
    until_it docker version
    docker image inspect busybox > /dev/null 2>&1 || { image; docker import - busybox < /image.tar > /dev/null; }
}

dockerd_stop() {
    kill "$(cat /run/docker.pid)"
    while [ -e /run/docker.pid ]; do sleep 0.1; done
}

containerd_start() {
    containerd > /var/log.containerd 2>&1 &
    CONTAINERD=$!
    until_it ctr version
}

ctr_image() {
    podman import -q /image.tar docker.io/library/busybox:latest > /dev/null
    podman save -q -o /archive.tar docker.io/library/busybox:latest
    ctr image import /archive.tar > /dev/null
}

# How many processes of containers and mounts there are.
counts() {
    echo "processes $(ps | grep -c '[r]unsc-gofer\|[r]unsc-sandbox')" "mounts $(wc -l < /proc/self/mountinfo)"
}

# How many descriptors the daemon has open.
descriptors() {
    ls /proc/"$(cat /run/docker.pid)"/fd | wc -l
}

# The commands of the chapter are for people with systemd.
mkdir -p /usr/local/sbin
printf '#!/bin/sh\nexec "$@"\n' > /usr/local/sbin/sudo
cat > /usr/local/sbin/systemctl <<'END'
#!/bin/sh
[ "$*" = "reload docker" ] || { echo "no systemd here for: $*" >&2; exit 1; }
kill -HUP "$(cat /run/docker.pid)"
# It says so when runtimes are there.
until grep -q 'Reloaded configuration' /var/log.dockerd; do sleep 0.1; done
END
chmod +x /usr/local/sbin/*

# From now on, whatever is not done with sudo is done by an ordinary user.
ordinary_user() {
    mkdir -p /var/lib/user /run/user/1000
    chown 1000:1000 /var/lib/user /run/user/1000
    chmod 1777 /tmp /var/tmp
    ORDINARY=user
}

# Runs the file $1 as whoever it is for.
run_step() {
    if [ -z "${ORDINARY:-}" ] || grep -q 'sudo ' "$1"; then
        sh -eu "$1"
    else
        busybox su -s /bin/sh "$ORDINARY" -c "XDG_RUNTIME_DIR=/run/user/1000 sh -eu $1"
    fi
}

# Does what is in the file $1. It must print what is in $1.prints, a part of a line in each line, and may fail only then.
step() {
    sed 's/^/$ /' "$1"
    status=0
    run_step "$1" > /run/printed 2>&1 || status=$?
    cat /run/printed
    if [ ! -s "$1.prints" ]; then
        [ $status = 0 ] || { echo "exit status $status"; tail -n 20 /var/log.*; exit 1; }
        return
    fi
    echo >> "$1.prints"
    while IFS= read -r line; do
        [ -z "$line" ] || grep -qF -e "$line" /run/printed || { echo "it does not print: $line"; exit 1; }
    done < "$1.prints"
}
