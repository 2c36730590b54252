//! The files that containers work on.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use e2e::command;

use super::kinds::{Kind, Sizes};

/// How long each of the programs may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Files of a tree that are in one directory.
const TOGETHER: u32 = 50;
/// Rows of one transaction.
const ROWS: u32 = 10;

/// Puts into `data` what `kinds` need.
pub(super) fn make(data: &Path, sizes: &Sizes, kinds: &[Kind]) -> Result<()> {
    for &files in &sizes.files {
        let directory = data.join(files.to_string());
        fs::create_dir(&directory)?;
        if kinds.contains(&Kind::Tree) || kinds.contains(&Kind::Untar) {
            tree(&directory.join("tree"), files)?;
            run(Command::new("tar").args(["cf", "tree.tar", "tree"]).current_dir(&directory))?;
        }
        if kinds.contains(&Kind::Modules) {
            modules(&directory.join("modules"), files)?;
        }
        if kinds.contains(&Kind::Git) {
            repository(&directory.join("repository"), files)?;
        }
    }
    if kinds.contains(&Kind::Sqlite) {
        fs::write(data.join("insert.sql"), inserts(sizes.transactions))?;
        fs::write(data.join("select.sql"), queries(sizes))?;
    }
    Ok(())
}

/// Small files in directories.
fn tree(root: &Path, files: u32) -> Result<()> {
    for file in 0..files {
        let directory = root.join(format!("directory-{}", file / TOGETHER));
        if file % TOGETHER == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join(format!("file-{}", file % TOGETHER)), "something small\n".repeat(64))?;
    }
    Ok(())
}

/// The files of a package, as most have them.
const PACKAGE: [&str; 10] = [
    "package.json",
    "README.md",
    "LICENSE",
    "index.js",
    "lib/main.js",
    "lib/util.js",
    "lib/internal/errors.js",
    "lib/internal/streams.js",
    "dist/esm/index.mjs",
    "dist/esm/index.d.ts",
];
/// So many packages are within each other.
const DEPTH: u32 = 4;

/// Packages that have packages of their own.
fn modules(root: &Path, files: u32) -> Result<()> {
    let (mut package, mut packages) = (root.to_owned(), 0);
    for (file, part) in (0..files).zip(PACKAGE.iter().cycle()) {
        if *part == PACKAGE[0] {
            if packages % DEPTH == 0 {
                root.clone_into(&mut package);
            }
            package.push(format!("node_modules/package-{packages}"));
            packages += 1;
        }
        let path = package.join(part);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let lines = 5 << (file % 8);
        fs::write(path, format!("\"line of {file}\",\n").repeat(lines))?;
    }
    Ok(())
}

/// A repository in which nothing is changed.
fn repository(root: &Path, files: u32) -> Result<()> {
    tree(root, files)?;
    let long_ago = SystemTime::now() - Duration::from_secs(86400);
    for file in 0..files {
        // What is as young as the index, git reads in any case.
        let path = root.join(format!("directory-{}/file-{}", file / TOGETHER, file % TOGETHER));
        File::options().write(true).open(path)?.set_modified(long_ago)?;
    }
    let author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message", "all"]] {
        run(Command::new("git").args(author).args(arguments).current_dir(root))?;
    }
    Ok(())
}

/// A table that is filled in many transactions, each of which is made durable.
fn inserts(transactions: u32) -> String {
    let mut sql = "create table t (k integer primary key, v text);\n".to_owned();
    for transaction in 0..transactions {
        sql.push_str("begin;\n");
        for row in 0..ROWS {
            let key = transaction * ROWS + row;
            _ = writeln!(sql, "insert into t values ({key}, '{}');", "value ".repeat(40));
        }
        sql.push_str("commit;\n");
    }
    sql
}

/// Looks for single rows, here and there.
fn queries(sizes: &Sizes) -> String {
    let rows = u64::from(sizes.transactions * ROWS);
    let keys = (0..u64::from(sizes.queries)).map(|query| query * 7919 % rows);
    keys.map(|key| format!("select v from t where k = {key};\n")).collect()
}

fn run(command: &mut Command) -> Result<()> {
    command::succeed(command, LIMIT).map(drop)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use e2e::scratch;

    use super::*;

    #[test]
    fn there_are_as_many_files_as_wanted() {
        let data = scratch::memory().unwrap();
        make(data.path(), &Sizes::quick(), Kind::value_variants()).unwrap();
        let count = |directory: &str| {
            let mut find = Command::new("find");
            let find = find.args([directory, "-type", "f", "-not", "-path", "*/.git/*"]).current_dir(data.path());
            command::succeed(find, LIMIT).unwrap().lines().count()
        };
        assert_eq!(["100/tree", "100/modules", "100/repository"].map(count), [100; 3]);
        let status = command::succeed(
            Command::new("git").args(["status", "--porcelain"]).current_dir(data.path().join("100/repository")),
            LIMIT,
        );
        assert_eq!(status.unwrap(), "");
    }
}
