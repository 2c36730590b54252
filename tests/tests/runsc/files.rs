//! What containers do with files.

use std::fs;

use anyhow::{Context, Result};
use e2e::sandbox::{self, Bundle, Gofer, Runsc, Sandbox, listing};
use e2e::{check, command};

#[test]
fn names_and_attributes() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::busybox(sandbox, "c")?.bind(&data, "/data", &[]).script(
            r#"
            cd /data
            mkdir -p a/b/c; echo one > a/one; echo two > a/b/two
            mv a/one a/b/c/moved; test ! -e a/one; cat a/b/c/moved
            mv a/b away; cat away/c/moved
            ln away/two hard; echo three >> hard; cat away/two; stat -c %h hard
            ln -s away/two soft; cat soft; readlink soft
            echo replaced > r; mv r hard; cat hard away/two
            chmod 4751 hard; chown 12:34 hard; stat -c '%a %u:%g' hard
            touch -d '2001-02-03 04:05:06' hard; stat -c %Y hard
            truncate -s 3 hard; cat hard; echo; truncate -s 10 hard; wc -c < hard
            ! rmdir away; rm -r away; ls -l | wc -l
            for i in $(seq 300); do echo $i > file-$i; done; ls | wc -l; rm file-1?
            ! mkdir hard; ! cat nowhere; ! ls hard/x
            seq 100000 > numbers; sort -rn numbers | head -1; dd if=numbers bs=1000 skip=100 count=2 2> /dev/null | md5sum
            mkdir "$(printf '%0255d' 0)"; ! mkdir "$(printf '%0256d' 0)"
            umask 027; mkdir m; touch m/f; stat -c %a m m/f
            "#,
        );
        let outcome = sandbox.run(&bundle)?;
        check::equal("status", &outcome.status.code(), &Some(0)).with_context(|| outcome.describe())?;
        let host = listing(&data)?;
        check::holds("moved", host.contains("hard 100751 12:34 x1 10 bytes"))?;
        Ok(outcome.describe() + &host)
    })
}

#[test]
fn programs_of_a_group_are_made_by_its_members_only() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::host(sandbox, "c")?.bind(&data, "/data", &[]).script(
            r#"
            cd /data; mkdir d; chown 0:77 d; chmod 2777 d
            setpriv --reuid 1234 --regid 1234 --clear-groups perl -e '
                use Fcntl; umask 0;
                for my $mode (02775, 02711, 0775) { sysopen(my $file, sprintf("d/%o", $mode), O_CREAT | O_RDWR, $mode) or die $!; }
                mkdir "d/dir", 0775 or die $!;'
            perl -e 'for (sort glob "d/*") { my @s = stat; printf "%s %o %d:%d\n", $_, @s[2, 4, 5]; }'
            "#,
        );
        let outcome = sandbox.run(&bundle)?;
        check::equal("status", &outcome.status.code(), &Some(0)).with_context(|| outcome.describe())?;
        let host = listing(&data)?;
        for right in ["d/2775 100775 1234:77", "d/2711 100711 1234:77", "d/dir 42775 1234:77"] {
            check::holds(right, host.contains(right)).with_context(|| host.clone())?;
        }
        Ok(outcome.describe() + &host)
    })
}

#[test]
fn set_id_bits_of_files_that_change_are_those_of_the_own_gofer() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::host(sandbox, "c")?.bind(&data, "/data", &[]).script(
            r#"
            cd /data; umask 0
            # Files of the user, of a group that he is not in, with all bits.
            for name in chmod-2755 chmod-6777 chmod-1644 write truncate allocate chown-own chown-other root-chown; do
                : > $name; chown 1234:77 $name; chmod 6777 $name
            done
            chown 0:77 root-chown; chmod 6777 root-chown; chown 5:6 root-chown
            setpriv --reuid 1234 --regid 1234 --clear-groups perl -e '
                use Fcntl; use Socket;
                sub tell_of { printf "%s: %s\n", $_[0], $_[1] ? "done" : $!; }
                for (02755, 06777, 01644) { my $name = sprintf("chmod-%o", $_); tell_of($name, chmod($_, $name)); }
                sysopen(my $file, "write", O_WRONLY); tell_of("write", syswrite($file, "x"));
                tell_of("truncate", truncate("truncate", 100));
                tell_of("chown-own", chown(-1, 1234, "chown-own"));
                tell_of("chown-other", chown(-1, 77, "chown-other"));'
            setpriv --reuid 1234 --regid 1234 --clear-groups fallocate -l 100 allocate && echo allocated
            mkdir d; chown 0:77 d; chmod 2777 d
            for umask in 000 022 077; do
                setpriv --reuid 1234 --regid 1234 --clear-groups perl -e '
                    use Fcntl; use Socket; umask(oct($ARGV[0]));
                    for my $mode (02775, 02711, 0775) { sysopen(my $f, sprintf("d/%o-$ARGV[0]", $mode), O_CREAT | O_RDWR, $mode) or die $!; }
                    mkdir "d/dir-$ARGV[0]", 0775 or die $!; symlink("x", "d/link-$ARGV[0]") or die $!;
                    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die $!; print bind($s, sockaddr_un("d/socket-$ARGV[0]")) ? "bound" : $!, "\n"' $umask
            done
            perl -e 'for (sort(glob("*"), glob("d/*"))) { my @s = lstat; printf "%s %o %d:%d\n", $_, @s[2, 4, 5]; }'
            "#,
        );
        let outcome = sandbox.run(&bundle)?;
        check::equal("status", &outcome.status.code(), &Some(0)).with_context(|| outcome.describe())?;
        let host = listing(&data)?;
        for right in ["d/2775-000 100775 1234:77", "d/2775-022 100755 1234:77", "d/dir-077 42700 1234:77"] {
            check::holds(right, host.contains(right)).with_context(|| host.clone())?;
        }
        Ok(outcome.describe() + &host)
    })
}

#[test]
fn programs_that_map_lock_and_connect() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::host(sandbox, "c")?.bind(&data, "/data", &[]).script(
            r#"
            cd /data
            # Maps a shared file and locks ranges of another.
            sqlite3 base 'pragma journal_mode=wal; create table t(n); insert into t select value from generate_series(1, 1000);
                select sum(n) from t; pragma integrity_check; pragma wal_checkpoint;' | sed 's/|.*//'
            sqlite3 base 'select count(*) from t'
            git init -q r; cd r; for i in 1 2 3 4 5; do echo $i > $i; done; git add .
            git -c user.name=t -c user.email=t@localhost commit -qm all --date='2001-02-03 04:05:06 +0000'
            git fsck; git gc -q; git status --short; git cat-file -p HEAD: ; cd ..
            perl -e '
                use strict; use Socket; use Fcntl qw(:flock); use POSIX;
                socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die; bind($listener, sockaddr_un("/tmp/s")) or die $!; listen($listener, 5) or die;
                if (my $child = fork) {
                    accept(my $client, $listener) or die; print scalar <$client>; waitpid($child, 0);
                } else {
                    socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un("/tmp/s")) or die $!; syswrite($s, "through a socket\n"); exit 0;
                }
                mkfifo("/tmp/pipe", 0600) or die $!;
                if (my $child = fork) { open(my $p, "<", "/tmp/pipe") or die; print <$p>; waitpid($child, 0); }
                else { open(my $p, ">", "/tmp/pipe") or die; syswrite($p, "through a pipe\n"); POSIX::_exit(0); }
                open(my $f, "+>", "locked") or die; flock($f, LOCK_EX) or die;
                if (my $child = fork) { waitpid($child, 0); print $? >> 8, "\n"; }
                else { open(my $g, "+<", "locked") or die; POSIX::_exit(flock($g, LOCK_EX | LOCK_NB) ? 1 : 0); }
            '
            mkfifo here && (echo a pipe on a volume > here & cat here) || echo no pipe here
            "#,
        );
        let output = sandbox.output(&bundle)?;
        for line in ["500500\nok\n", "\n1000\n", "through a socket\n", "through a pipe\n"] {
            check::holds(line, output.contains(line)).with_context(|| output.clone())?;
        }
        let (sum, fsck) = ("sqlite3 base 'select sum(n) from t'", "git -c safe.directory='*' -C r fsck && rm base*");
        check::equal("on the host", &command::shell(&data, sum, sandbox::LIMIT)?, &"500500\n")?;
        command::shell(&data, fsck, sandbox::LIMIT)?;
        Ok(output)
    })
}

#[test]
fn a_large_tree() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        for directory in 0..60 {
            let path = data.join(format!("directory-{directory}/below/further"));
            fs::create_dir_all(&path)?;
            for file in 0..40 {
                fs::write(path.join(format!("file-{file}")), format!("{directory}/{file}").repeat(file))?;
            }
        }
        let count = "find . | wc -l; find . -type f | sort | xargs cat | md5sum";
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/data", &["ro"])
            .script(&format!("cd /data; {count}; ls -lR | wc; tar c . | tar t | wc -l"));
        let output = sandbox.output(&bundle)?;
        let host = command::shell(&data, count, sandbox::LIMIT)?;
        check::holds("the same as on the host", output.starts_with(&host))?;
        Ok(output)
    })
}

#[test]
fn large_files() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        let bundle = Bundle::busybox(sandbox, "c")?.bind(&data, "/data", &[]).script(
            "cd /data; seq 3000000 > numbers; md5sum numbers; cp numbers copy; cmp numbers copy
             dd if=/dev/zero of=sparse bs=1 count=1 seek=10000000000 2> /dev/null; stat -c %s sparse; rm sparse
             dd if=/dev/urandom of=random bs=64k count=200 conv=fsync 2> /dev/null; md5sum random > sums; md5sum -c sums",
        );
        let output = sandbox.output(&bundle)?;
        command::shell(&data, "md5sum -c sums; cmp numbers copy", sandbox::LIMIT)?;
        Ok(output)
    })
}

#[test]
fn what_the_host_changes_is_seen() -> Result<()> {
    sandbox::compare(|sandbox| {
        let data = sandbox.directory("data")?;
        fs::write(data.join("file"), "before\n")?;
        let bundle = Bundle::busybox(sandbox, "c")?
            .bind(&data, "/data", &[])
            .script("cat /data/file; while test ! -e /data/go; do sleep 0.05; done; cat /data/file; test ! -e /data/gone; echo done > /data/answer; while :; do sleep 1; done");
        fs::write(data.join("gone"), "")?;
        sandbox.start(&bundle)?;
        fs::write(data.join("file"), "after, and longer\n")?;
        fs::remove_file(data.join("gone"))?;
        fs::write(data.join("go"), "")?;
        let answer = || fs::read_to_string(data.join("answer")).is_ok_and(|text| text == "done\n");
        e2e::wait::until("the container's answer", sandbox::LIMIT, answer)?;
        sandbox.succeed(["kill", bundle.id(), "KILL"])?;
        sandbox.succeed(["delete", "--force", bundle.id()])?;
        listing(&data)
    })
}

#[test]
fn one_mount_may_have_nearly_all_descriptors() -> Result<()> {
    for runsc in Runsc::all() {
        let sandbox = Sandbox::new(&runsc, Gofer::Ours)?.with_flags(&["--fdlimit=2000"]);
        let data = sandbox.directory("data")?;
        let bundle = Bundle::host(&sandbox, "c")?.bind(&data, "/data", &[]).script(
            r#"
            perl -e '
                my @open;
                while (open(my $file, ">", "/data/" . @open)) { push @open, $file; last if @open == 900; }
                print scalar(@open), " $!\n";'
            "#,
        );
        let outcome = sandbox.run(&bundle)?;
        // Each takes two: the file is held, and it is open.
        check::holds("900 files", outcome.stdout.starts_with("900 ")).with_context(|| outcome.describe())?;
        sandbox.end()?;
    }
    Ok(())
}
