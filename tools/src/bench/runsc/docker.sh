# `docker run` on runsc with its own gofer and with ours, in turns. Prints the runtime and how long it took, in hundredths of a second.

install -m 755 target/dist/gofer /usr/local/bin/gofer
ln -sf gofer /usr/local/bin/runsc-gofer-rs
mkdir -p /etc/docker
cat > /etc/docker/daemon.json <<END
{"runtimes": {
    "stock": {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"]},
    "ours": {"path": "/usr/local/bin/runsc-gofer-rs", "runtimeArgs": ["--network=host"]}
}}
END

now() {
    cut -d ' ' -f 1 /proc/uptime | tr -d .
}

# The clock is coarse, so it is looked at only after some.
thrice() {
    start=$(now)
    for turn in 1 2 3; do docker run --rm --runtime="$1" busybox true; done
    echo "$1 $(($(now) - start))"
}

dockerd_start
thrice stock > /dev/null
thrice ours > /dev/null
for round in $(seq "$ROUNDS"); do
    thrice stock
    thrice ours
    thrice ours
    thrice stock
done
dockerd_stop
