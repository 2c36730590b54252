//! Programs of every day do their work on the mount.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::backend::Backend;
use e2e::modes::{Access, Io};
use e2e::scene::{Scene, everywhere};
use e2e::{bins, check, command, host, scratch, skip};

const LIMIT: Duration = Duration::from_secs(300);

fn sh(directory: &Path, script: &str) -> Result<String> {
    command::shell(directory, script, LIMIT)
}

/// Name, type, mode, size, link count, link target and time of everything below a directory.
const LISTING: &str =
    r"find . -mindepth 1 \( -type d -printf '%p d %m\n' -o -printf '%p %y %m %s %n %l %T@\n' \) | sort";

#[test]
fn a_source_tree_is_copied() -> Result<()> {
    everywhere(|scene| {
        let sources = bins::workspace();
        for part in ["gofer", "fusebridge", "tests", "tools"] {
            command::succeed(Command::new("cp").arg("-a").arg(sources.join(part)).arg(scene.path()), LIMIT)?;
            let mut diff = Command::new("diff");
            diff.args(["-r", "--no-dereference"]).arg(sources.join(part)).arg(scene.path().join(part));
            check::equal("differences", &command::succeed(&mut diff, LIMIT)?.as_str(), &"")?;
            let wanted = sh(&sources.join(part), LISTING)?;
            check::equal("attributes on the mount", &sh(&scene.path().join(part), LISTING)?, &wanted)?;
            check::equal(
                "attributes below",
                &sh(&scene.below().unwrap_or(scene.path()).join(part), LISTING)?,
                &wanted,
            )?;
        }
        sh(scene.path(), "mkdir out; tar cf all.tar gofer tests; tar xf all.tar -C out; diff -r tests out/tests")?;
        sh(scene.path(), "rm -r gofer fusebridge tests tools out all.tar")?;
        check::equal("left over", &sh(scene.below().unwrap_or(scene.path()), "ls -A")?.as_str(), &"")
    })
}

#[test]
fn git_works() -> Result<()> {
    everywhere(|scene| {
        sh(
            scene.path(),
            r#"
            export HOME="$PWD" GIT_CONFIG_NOSYSTEM=1
            unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE
            git config --global user.name Tester
            git config --global user.email tester@localhost
            git config --global init.defaultBranch main
            git init -q project
            cd project
            mkdir -p src/deep/er
            for i in $(seq 300); do echo "file $i" > src/deep/er/$i.txt; done
            ln -s src/deep link
            printf '#!/bin/sh\necho ran\n' > run; chmod +x run
            git add .
            git commit -qm first
            git checkout -qb other
            git mv src/deep src/moved
            echo more >> src/moved/er/1.txt
            git commit -qam second
            git checkout -q main
            test -z "$(git status --porcelain)"
            git merge -q other
            git gc -q
            git fsck --full --strict
            cd ..
            git clone -q project copy
            diff -r --no-dereference --exclude=.git project copy
            cd copy
            test "$(git log --oneline | wc -l)" = 2
            test "$(./run)" = ran
            git fsck --full
            "#,
        )?;
        Ok(())
    })
}

#[test]
fn a_cargo_project_is_built() -> Result<()> {
    everywhere(|scene| {
        let cargo = |words: &str, directory: &Path| {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(words.split(' ')).current_dir(directory);
            // What the outer cargo has set is about another project.
            for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS", "RUSTDOCFLAGS"] {
                cargo.env_remove(name);
            }
            command::succeed(&mut cargo, LIMIT)
        };
        cargo("new --quiet --vcs none hello", scene.path())?;
        let project = scene.path().join("hello");
        cargo("build --quiet --offline", &project)?;
        check::equal("the program", &sh(&project, "target/debug/hello")?.as_str(), &"Hello, world!\n")?;
        sh(&project, "sed -i s/world/mount/ src/main.rs; touch -d '+2 seconds' src/main.rs")?;
        cargo("build --quiet --offline", &project)?;
        check::equal("the next program", &sh(&project, "target/debug/hello")?.as_str(), &"Hello, mount!\n")
    })
}

#[test]
fn sqlite_writes_ahead() -> Result<()> {
    everywhere(|scene| {
        let total = sh(
            scene.path(),
            r#"
            test "$(sqlite3 base.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(who TEXT, n INTEGER);')" = wal
            writer() {
                for i in $(seq 40); do
                    sqlite3 -cmd '.timeout 60000' base.db "INSERT INTO t VALUES('$1', $i);"
                done
            }
            writer a & first=$!
            writer b & second=$!
            wait $first; wait $second
            sqlite3 base.db '.timeout 60000' 'BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<20000)
                INSERT INTO t SELECT hex(randomblob(50)), n FROM c; COMMIT;'
            test "$(sqlite3 base.db 'PRAGMA integrity_check;')" = ok
            sqlite3 base.db 'PRAGMA wal_checkpoint(TRUNCATE);' >&2
            sqlite3 base.db 'SELECT count(*) FROM t;'
            "#,
        )?;
        check::equal("rows", &total.trim(), &"20080")?;
        check::equal(
            "rows below",
            &sh(scene.below().unwrap_or(scene.path()), "sqlite3 base.db 'SELECT count(*) FROM t;'")?.trim(),
            &"20080",
        )
    })
}

#[test]
fn ten_thousand_files_in_one_directory() -> Result<()> {
    everywhere(|scene| {
        let script = r#"
            count() { find "$1" -mindepth 1 -printf . | wc -c; }
            mkdir many
            seq -f 'many/a file with a rather long name, number %.0f' 10000 | tr '\n' '\0' | xargs -0 touch
            test "$(count many)" = 10000
            test "$(ls many | sort -u | wc -l)" = 10000
            mv many renamed
            perl -e 'chdir "renamed"; rename $_, "new $_" or die $! for <*[05]>'
            test "$(count renamed)" = 10000
            test "$(ls renamed | grep -c '^new')" = 2000
            find renamed -name '*7' -delete
            test "$(count renamed)" = 9000
            rm -r renamed
            test -z "$(ls -A)"
        "#;
        sh(scene.path(), script).map(drop)
    })
}

#[test]
fn two_processes_append_to_one_file() -> Result<()> {
    everywhere(|scene| {
        sh(
            scene.path(),
            r#"
            writer() { exec >> log; for i in {1..3000}; do echo "$1 $i"; done; }
            writer a & first=$!
            writer b & second=$!
            wait $first; wait $second
            test "$(wc -l < log)" = 6000
            for who in a b; do diff <(grep "^$who " log) <(seq -f "$who %.0f" 3000); done
            "#,
        )
        .map(drop)
    })
}

#[test]
fn editors_save_by_renaming() -> Result<()> {
    everywhere(|scene| {
        sh(
            scene.path(),
            r#"
            echo old > text; chmod 640 text
            exec 3< text
            cp -p text text.new; echo new > text.new; sync text.new; mv text.new text
            test "$(cat text)" = new
            test "$(cat <&3)" = old
            test "$(stat -c %a text)" = 640
            sed -i s/new/newer/ text
            test "$(cat text)" = newer
            "#,
        )
        .map(drop)
    })
}

#[test]
fn locks_extended_attributes_and_space() -> Result<()> {
    everywhere(|scene| {
        sh(
            scene.path(),
            r#"
            touch f
            exec 3< f; flock -x 3
            fails flock -n f true
            flock -u 3; flock -n f true

            fallocate -l 100000 f; test "$(stat -c %s f)" = 100000
            fallocate -p -o 0 -l 65536 f; test "$(stat -c %s f)" = 100000
            truncate -s 10 f; test "$(stat -c %s f)" = 10
            df . > /dev/null
            test "$(stat -f -c %l .)" = 255
            touch -d '1969-07-20 20:17:40 UTC' f; test "$(stat -c %Y f)" = -14182940
            "#,
        )?;
        // tmpfs has user attributes since 6.6 only.
        if command::shell(
            scene.below().unwrap_or(scene.path()),
            "setfattr -n user.try -v x .; setfattr -x user.try .",
            LIMIT,
        )
        .is_ok()
        {
            sh(
                scene.path(),
                r#"
                setfattr -n user.colour -v blue f
                test "$(getfattr --only-values -n user.colour f)" = blue
                test "$(getfattr -d f | grep -c user)" = 1
                setfattr -x user.colour f
                test -z "$(getfattr -d f)"
                fails getfattr -n user.colour f 2> error; grep -q 'No such attribute' error
                "#,
            )?;
        }
        sh(
            scene.path(),
            r#"
            touch listed; chmod 600 listed; setfacl -m u:daemon:r listed
            test "$(stat -c %A listed)" = -rw-r-----
            getfacl --omit-header listed | grep -qx user:daemon:r--
            setfacl -b listed
            test "$(getfacl --omit-header listed | grep -c :)" = 3
            "#,
        )
        .map(drop)
    })
}

/// Mounts an overlay on `$point` with the lower directory `$1` and further options `$2`, and its upper and work
/// directory here.
const OVERLAY: &str = r#"
    overlay() {
        mount -t overlay overlay -o "lowerdir=$1,upperdir=$PWD/upper,workdir=$PWD/work$2" "$point"
    }
    point=$(mktemp -d)
    trap 'umount "$point" 2>/dev/null || true; rmdir "$point"' EXIT
    mkdir upper work
"#;

/// Runs a script in a mount namespace of its own, in which it can mount without anybody else holding on to it.
fn mounting(directory: &Path, script: &str) -> Result<String> {
    let mut bash = Command::new("unshare");
    bash.args(["--mount", "--propagation", "private", "bash", "-euo", "pipefail", "-c"]);
    command::succeed(bash.arg(format!("{OVERLAY}\n{script}")).current_dir(directory), LIMIT)
}

#[test]
fn overlays_have_their_upper_directory_on_the_mount() -> Result<()> {
    if !host::is_root() {
        skip!("mounting an overlay needs root");
    }
    let lower = scratch::memory()?;
    sh(lower.path(), "mkdir d e; echo a > a; echo b > b; echo c > d/c; echo f > e/f; ln -s a l; chmod 750 e")?;
    let before = sh(lower.path(), LISTING)?;
    everywhere(|scene| {
        for options in ["", ",userxattr"] {
            let script = format!(
                r#"
                overlay {lower} "{options}"
                (
                    cd "$point"
                    echo more >> a; rm b l; mv a moved; rm -r d; mkdir d; echo new > d/n; mv e/f f; rmdir e; chmod 600 f
                    setfattr -n user.name -v value f
                )
                umount "$point"
                test "$(cat upper/moved)" = $'a\nmore'
                find upper -type c | sort | tr '\n' ' '
                overlay {lower} "{options}"
                cd "$point"
                find . -mindepth 1 -printf '%p %y %m\n' | sort | tr '\n' ' '
                test "$(cat moved f d/n)" = $'a\nmore\nf\nnew'
                test "$(getfattr --only-values -n user.name f)" = value
                cd /; umount "$point"
                "#,
                lower = lower.path().display(),
            );
            let seen = mounting(scene.path(), &script)?;
            check::equal(
                "whiteouts, and what the overlay shows",
                &seen.as_str(),
                &concat!("upper/a upper/b upper/e upper/l ", "./d d 755 ./d/n f 644 ./f f 600 ./moved f 644 "),
            )?;
            sh(scene.path(), "rm -r upper work")?;
        }
        Ok(())
    })?;
    check::equal("the lower directory", &sh(lower.path(), LISTING)?, &before)
}

/// In an overlay over this machine's own files.
#[test]
fn a_package_manager_installs_and_removes() -> Result<()> {
    if !host::is_root() {
        skip!("mounting an overlay needs root");
    }
    if !Path::new("/usr/bin/dpkg-deb").exists() {
        skip!("this machine has no dpkg");
    }
    let scene = Scene::of(Backend::Host, Io::Auto, Access::Exclusive)?;
    mounting(
        scene.path(),
        r##"
        overlay / ""
        mkdir -p "$point"/tmp/pkg/{DEBIAN,usr/bin,usr/share/tiny/dir}
        (
            cd "$point/tmp/pkg"
            printf '%s\n' 'Package: tiny' 'Version: 1' 'Architecture: all' 'Maintainer: Nobody <nobody@localhost>' \
                'Description: a package for a test' > DEBIAN/control
            printf '#!/bin/sh\necho tiny\n' > usr/bin/tiny
            printf '#!/bin/sh\nln -s tiny /usr/bin/tiny-too\n' > DEBIAN/postinst
            printf '#!/bin/sh\nrm /usr/bin/tiny-too\n' > DEBIAN/prerm
            chmod 755 usr/bin/tiny DEBIAN/p*
            ln -s dir usr/share/tiny/link
        )
        chroot "$point" /bin/bash -euo pipefail -c '
            cd /tmp
            dpkg-deb --root-owner-group --build pkg
            dpkg --force-unsafe-io --no-triggers --install pkg.deb
            test "$(tiny-too)" = tiny
            dpkg --verify tiny
            # A package of the machine: its files are whited out.
            dpkg --force-depends --no-triggers --purge acl
            test ! -e /usr/bin/setfacl
            cp /bin/true t
            setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 t
            tar --xattrs --xattrs-include="*" -cf t.tar t
            rm t
            tar --xattrs --xattrs-include="*" -xf t.tar
            test "$(getfattr --only-values -n security.capability t | wc -c)" = 20
            dpkg --no-triggers --purge tiny
            test ! -e /usr/bin/tiny
        ' >&2
        umount "$point"
        test -e /usr/bin/setfacl
        test -c upper/usr/bin/setfacl
        overlay / ""
        ! chroot "$point" dpkg --status acl 2>/dev/null | grep -q "^Status: install ok"
        "##,
    )?;
    scene.end()
}
