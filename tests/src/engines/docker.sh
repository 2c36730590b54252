# What people do with Docker, on runsc with its own gofer and with ours: what is said must be the same.

configure() {
    mkdir -p /etc/docker
    cat > /etc/docker/daemon.json <<END
{"runtimes": {
    "stock": {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--network=host"$1]},
    "ours": {"path": "/usr/local/bin/runsc-gofer-rs", "runtimeArgs": ["--network=host"$1]}
}}
END
}

# Runs a command that may fail, and says how, without what differs from one to the next. Its two outputs come in any order.
fails() {
    status=0
    "$@" > /run/out 2> /run/err || status=$?
    echo "exit status $status: $(cat /run/out /run/err | sed 's/[0-9a-f]\{12,\}/ID/g; / seconds, /d')"
}

story() {
    echo "- run"
    fails docker run --rm busybox sh -c 'echo out; exit 3'
    docker run --rm busybox sh -c 'mkdir /d; echo x > /d/f; ln -s f /d/l; mv /d /e; ls -l /e | cut -c 1-10; cat /e/l'
    echo "- volumes"
    docker run --rm -v data:/data busybox sh -c 'echo one > /data/f; chown 7:8 /data/f; chmod 640 /data/f; mkdir /data/d'
    fails docker run --rm -v data:/data:ro busybox sh -c 'stat -c "%n %u:%g %a" /data/*; echo x > /data/f'
    docker run --rm -v data:/data busybox sh -c 'stat -c "%n %u:%g %a" /data/*'
    docker run --rm -v /play:/play:ro -v /etc/passwd:/etc/passwd busybox sh -c 'head -n 1 /etc/passwd; ls /play | head -n 1'
    docker volume rm data
    echo "- tmpfs, read-only, user"
    fails docker run --rm --tmpfs /t:size=1m busybox dd if=/dev/zero of=/t/x bs=1M count=2
    fails docker run --rm --read-only --tmpfs /t busybox sh -c 'echo x > /t/x; cat /t/x; echo x > /x'
    fails docker run --rm --user 1000:1000 -w /made busybox sh -c 'id -u; pwd; touch /x'
    echo "- exec, restart, pause, stop"
    docker run -d --name long busybox sh -c 'trap exit TERM; echo x >> /x; while true; do sleep 0.1; done' > /dev/null
    until_it docker exec long test -e /x
    docker exec long wc -l /x
    echo in | docker exec -i long sh -c 'cat > /y; cat /y; id -u'
    docker exec --user 1000 long id -u
    docker restart -t 5 long > /dev/null
    until_it docker exec long grep -c x /x
    docker exec long cat /x
    docker pause long
    docker inspect -f '{{.State.Status}}' long
    docker unpause long
    docker exec long echo goes on
    echo "- cp, commit, diff"
    echo copied > /copied
    docker cp -q /copied long:/copied
    fails docker exec long cat /copied
    fails docker cp -q long:/x /run/x
    docker diff long | sed 's|filestore.*|filestore|' | sort
    docker stop -t 5 long
    docker inspect -f '{{.State.ExitCode}}' long
    docker commit long kept > /dev/null
    fails docker run --rm kept cat /x /copied
    docker rm -f long
    docker rmi kept > /dev/null
    echo "- build"
    mkdir -p /context
    printf 'FROM busybox\nCOPY f /f\nRUN mkdir /d && cp /f /d/g && chmod 600 /d/g\nCMD cat /d/g\n' > /context/Dockerfile
    echo built > /context/f
    DOCKER_BUILDKIT=0 docker build -q -t built /context > /dev/null 2>&1
    fails docker run --rm built
    docker rmi built > /dev/null
    echo "- healthcheck"
    docker run -d --name ill --health-cmd 'test -e /well' --health-interval 500ms --health-retries 100 busybox \
        sh -c 'sleep 1; touch /well; sleep 1000' > /dev/null
    until_it sh -c 'docker inspect -f "{{.State.Health.Status}}" ill | grep -qx healthy'
    docker rm -f ill
    echo "- failed starts"
    fails docker run --rm busybox not-there
    fails docker run --rm -w /etc/passwd/x busybox true
    fails docker run --rm --user nobody-here busybox true
    fails docker run --rm -v /not-there:/x:ro --mount type=bind,src=/gone,dst=/y busybox true
}

# Many starts leave nothing behind. What the first ones open once stays.
many() {
    for turn in $(seq 3); do docker run --rm busybox true; done
    before=$(counts)
    open=$(descriptors)
    for turn in $(seq "$1"); do docker run --rm -v many:/many busybox sh -c 'echo x >> /many/x'; done
    pids=
    for turn in $(seq 20); do
        docker run --rm -v many:/many busybox sh -c 'echo x >> /many/x' & pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
    echo "written $(wc -l < /var/lib/docker/volumes/many/_data/x)"
    docker volume rm many > /dev/null
    for turn in $(seq 100); do
        is_as_before && return
        sleep 0.1
    done
    echo "before: $before, descriptors $open; after: $(counts), descriptors $(descriptors)"
    exit 1
}

# A daemon keeps connections for a while, but not one for each of so many.
is_as_before() {
    [ "$(counts)" = "$before" ] && [ "$(descriptors)" -lt $((open + 10)) ]
}

# A new program in the place of the old one, and runsc itself again, while containers run.
exchange() {
    docker run -d --runtime=ours --name old -v kept:/kept busybox sh -c 'while true; do sleep 0.1; done' > /dev/null
    install -m 755 target/dist/gofer /usr/local/bin/gofer
    docker exec old sh -c 'echo upgraded > /kept/f; cat /kept/f'
    docker run --rm --runtime=ours -v kept:/kept busybox cat /kept/f
    docker run --rm --runtime=stock -v kept:/kept busybox cat /kept/f
    rm /usr/local/bin/runsc-gofer-rs
    ln -s runsc /usr/local/bin/runsc-gofer-rs
    docker exec old cat /kept/f
    docker stop -t 1 old
    docker rm old
    ln -sf gofer /usr/local/bin/runsc-gofer-rs
    docker volume rm kept
}

install -m 755 target/dist/gofer /usr/local/bin/gofer
ln -sf gofer /usr/local/bin/runsc-gofer-rs
for flags in '' ', "--directfs=false", "--overlay2=none"'; do
    configure "$flags"
    for runtime in stock ours; do
        dockerd_start --default-runtime=$runtime
        (set +e; story) > /run/story.$runtime 2>&1
        [ -n "$flags" ] || many "$STARTS" > /run/many.$runtime 2>&1 || { cat /run/many.$runtime; exit 1; }
        dockerd_stop
    done
    diff /run/story.stock /run/story.ours || { echo "differs from runsc's own gofer, flags: $flags"; exit 1; }
    [ -n "$flags" ] || diff /run/many.stock /run/many.ours
    echo "equal, flags: ${flags:-none}, $(grep -c . /run/story.ours) lines"
    grep '^- \|^exit' /run/story.ours
done
dockerd_start
exchange
dockerd_stop
