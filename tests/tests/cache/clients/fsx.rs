//! fsx, the random I/O exerciser, at one of two clients or at both in turn.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use conform::FSX_CONFIG;
use conform::tool::FSX;
use e2e::{command, scratch};

use super::{Clients, Rules};

const LIMIT: Duration = Duration::from_secs(300);
const FILE: &str = "exercised";

/// Runs it on a file, which it compares with its copy in memory.
fn exercise(file: &Path, seed: u64, operations: u32) -> Result<()> {
    let artifacts = scratch::memory()?;
    let config = artifacts.path().join("fsx.toml");
    // A file is opened again more often than conformance needs: that is when the cache looks at it.
    fs::write(&config, FSX_CONFIG.replace("close_open = 1\n", "close_open = 5\n"))?;
    let mut fsx = Command::new(FSX.installed()?);
    fsx.arg("-f").arg(&config).args(["-S", &seed.to_string(), "-N", &operations.to_string()]);
    command::succeed(fsx.arg("-P").arg(artifacts.path()).arg(file).env("NO_COLOR", "1"), LIMIT).map(drop)
}

/// Both have the same in it.
fn is_same(clients: &mut Clients) -> Result<()> {
    let above = fs::read(clients.cached()?.join(FILE))?;
    let below = fs::read(clients.behind_to_look(FILE)?.join(FILE))?;
    ensure!(above == below, "the file is not the same for both");
    Ok(())
}

/// Changes a file and looks at it through the mount at `above`, and the other way round, until `has_ended` says so.
fn change_others(rules: Rules, above: &Path, below: &Path, has_ended: &AtomicBool) -> Result<()> {
    /// So many times at least.
    const ROUNDS: u32 = 20;
    for round in 0_u32.. {
        // Where nobody else may change what the cache knows, it does not know the file yet.
        let name = if rules.is_shared() { "other".to_owned() } else { format!("other-{round}") };
        let content = round.to_le_bytes().repeat(1000 * (1 + round as usize % 50));
        fs::write(below.join("new"), &content)?;
        fs::rename(below.join("new"), below.join(&name))?;
        ensure!(fs::read(above.join(&name))? == content, "{name}, round {round}");
        let back = format!("back-{}", round % 7);
        fs::write(above.join(&back), &content)?;
        File::open(above.join(&back))?.sync_all()?;
        ensure!(fs::read(below.join(&back))? == content, "{back}, round {round}");
        if round >= ROUNDS && has_ended.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

#[test]
fn fsx_sees_nothing_of_what_others_do_to_other_files() -> Result<()> {
    for (seed, rules) in (1..).zip(Rules::ALL) {
        let mut clients = Clients::new(rules, "64m")?;
        let (above, below, has_ended) = (clients.cached()?, clients.files.path(), AtomicBool::new(false));
        thread::scope(|scope| {
            let others = scope.spawn(|| change_others(rules, &above, below, &has_ended));
            let exercised = exercise(&above.join(FILE), seed, 1500);
            has_ended.store(true, Ordering::Relaxed);
            exercised?;
            others.join().map_err(|_| anyhow!("the other client panicked"))?
        })
        .and_then(|()| is_same(&mut clients))
        .and_then(|()| clients.leave())
        .with_context(|| format!("{rules:?}"))?;
    }
    Ok(())
}

#[test]
fn fsx_takes_turns_on_one_file() -> Result<()> {
    const TURNS: u64 = 12;
    for rules in Rules::ALL {
        // What the cache has room for, and what it has not.
        for size in ["64m", "128k"] {
            let mut clients = Clients::new(rules, size)?;
            let mut turn = |seed: u64| -> Result<()> {
                let directory = if seed.is_multiple_of(2) { clients.cached()? } else { clients.behind()? };
                exercise(&directory.join(FILE), seed, 150)?;
                is_same(&mut clients)
            };
            (0..TURNS).try_for_each(|seed| turn(seed).with_context(|| format!("{rules:?}, {size}, turn {seed}")))?;
            clients.leave()?;
            // For who comes next, too.
            is_same(&mut clients)?;
            clients.leave()?;
        }
    }
    Ok(())
}
