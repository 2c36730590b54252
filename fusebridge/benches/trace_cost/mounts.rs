//! System calls on a mount.

use std::fs::{File, OpenOptions, metadata};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::pairs::Pairs;
use super::traces;

/// A mount in a process of its own.
struct Mount {
    process: Child,
    path: PathBuf,
}

impl Mount {
    /// Nothing is cached: each system call is a message at least.
    fn new(directory: &Path, trace: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fusebridge"));
        command.args(["mnt", "--io", "rpc", "--access", "shared"]);
        if let Some(trace) = trace {
            command.arg("--trace").arg(trace);
        }
        let mut process = command.arg(directory).stdout(Stdio::piped()).spawn().expect("a process");
        let mut path = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut path).expect("where it is mounted");
        Mount { process, path: path.trim_end().into() }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted =
            Command::new(env!("CARGO_BIN_EXE_fusebridge")).arg("umount").arg(&self.path).status().expect("a process");
        assert!(unmounted.success());
        self.process.wait().expect("it ends");
    }
}

pub(crate) fn measure(pairs: &Pairs) {
    let directory = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    std::fs::write(directory.path().join("file"), vec![7; 1 << 20]).expect("a file");
    let traces = traces();
    let sides = [None, Some(traces.path().join("trace"))];
    let sides = sides.map(|trace| Mount::new(directory.path(), trace.as_deref()));
    let files = [0, 1].map(|side: usize| sides[side].path.join("file"));
    let open =
        [0, 1].map(|side: usize| OpenOptions::new().read(true).write(true).open(&files[side]).expect("it is there"));
    let compare = |name: &str, call: &dyn Fn(usize)| {
        pairs.compare(&format!("{name}, mount"), &mut || call(0), &mut || call(1));
    };
    compare("stat", &|side| assert!(metadata(&files[side]).is_ok()));
    compare("open, close", &|side| drop(File::open(&files[side]).expect("it can be opened")));
    compare("write 4 KiB", &|side| assert!(open[side].write_all_at(&[1; 4096], 0).is_ok()));
    let new = [0, 1].map(|side: usize| sides[side].path.join("new"));
    compare("create, unlink", &|side| {
        drop(File::create_new(&new[side]).expect("it is new"));
        std::fs::remove_file(&new[side]).expect("it is there");
    });
}
