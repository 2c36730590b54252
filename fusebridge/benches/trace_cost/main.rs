//! What recording costs: the same calls with and without a trace, in turn, so that what else the machine does hits
//! both.
//!
//! With an argument, only what has it in its name is measured. `TRACE_DIR` is where traces go, which is `/var/tmp`
//! otherwise.
//!
//! Each line has the median of what a call takes without and with a trace, and the median of the ratios of neighbours.

mod calls;
mod mounts;
mod pairs;

use fusebridge::launch::Launcher;

/// Server processes are this package's program.
fn launcher() -> Launcher {
    Launcher {
        gofer: (env!("CARGO_BIN_EXE_fusebridge").into(), vec!["gofer".to_owned()]),
        read_only: false,
        no_atime: false,
        access: None,
        log: Vec::new(),
        flags: Vec::new(),
        hand_downs: Vec::new(),
        relay: false,
        stats: false,
        in_process: None,
    }
}

/// A directory for traces.
fn traces() -> tempfile::TempDir {
    let parent = std::env::var_os("TRACE_DIR").unwrap_or_else(|| "/var/tmp".into());
    tempfile::tempdir_in(parent).expect("a directory for traces")
}

fn main() {
    // Without it, cargo only wants to know whether everything runs.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let pairs = pairs::Pairs { rounds: if is_measured { 100 } else { 1 }, wanted };
    println!("{:32} {:>12} {:>12} {:>8}", "", "off", "on", "ratio");
    calls::measure(&pairs);
    mounts::measure(&pairs);
}
