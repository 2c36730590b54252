//! What a million files in memory cost: time and resident memory for each.
//!
//! `cargo run --release -p gofer --example memfs_million [FILES [BYTES]]` makes FILES files of BYTES bytes each in 1000
//! directories. Without BYTES it does so for several sizes.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use gofer::extensions::memfs::{MemFs, MemOptions};
use lisafs::backend::{Access, Backend, DirEntry, DirSink, Mode, Name, NewFile, OpenHow};

const DIRECTORIES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let files = arguments.next().unwrap_or("1000000".to_owned());
    if let Some(bytes) = arguments.next() {
        return measure(files.parse()?, bytes.parse()?);
    }
    for bytes in ["0", "100", "4096"] {
        // In a process of its own: memory that was used before would not count again.
        let measured = Command::new(std::env::current_exe()?).args([&files, bytes]).status()?;
        if !measured.success() {
            return Err("a measurement failed".into());
        }
    }
    Ok(())
}

/// Makes `files` files of `bytes` bytes, looks at them all, and removes them.
fn measure(files: usize, bytes: usize) -> Result<(), Box<dyn Error>> {
    println!("{files} files of {bytes} bytes in {DIRECTORIES} directories");
    let fs = MemFs::new(MemOptions::default().inodes(None))?;
    let before = resident()?;
    each(files, "made", || make(&fs, files, bytes))?;
    // The content of larger files is in memory of the kernel's.
    println!("  {:>9.0} bytes of memory per file in the process", (resident()? - before) / per(files));
    println!("  {:>9.0} bytes of space per file", space(&fs)? / per(files));
    each(files, "found", || find(&fs, files))?;
    each(files, "listed", || list(&fs, files))?;
    each(files, "dropped", || {
        drop(fs);
        Ok(())
    })?;
    Ok(())
}

/// Does something to all files and prints how long it took for each.
fn each(files: usize, done: &str, work: impl FnOnce() -> Result<(), lisafs::Error>) -> Result<(), lisafs::Error> {
    let start = Instant::now();
    work()?;
    println!("  {:>9.0} ns until a file was {done}", start.elapsed().as_secs_f64() * 1e9 / per(files));
    Ok(())
}

fn make(fs: &MemFs, files: usize, bytes: usize) -> Result<(), lisafs::Error> {
    let content = vec![b'x'; bytes];
    let new = NewFile::new(Mode::new(0o755), 0, 0);
    let root = fs.attach()?.root.file;
    for dir in 0..DIRECTORIES {
        let dir_name = format!("dir-{dir}");
        let dir_file = root.mkdir(Name::new(dir_name.as_bytes())?, &new)?.file;
        for file in (dir..files).step_by(DIRECTORIES) {
            let name = format!("file-{file}");
            let created = dir_file.create(Name::new(name.as_bytes())?, &new, Access::Write)?;
            created.opened.file.write_at(content.as_slice().into(), 0)?;
        }
    }
    Ok(())
}

fn find(fs: &MemFs, files: usize) -> Result<(), lisafs::Error> {
    let root = fs.attach()?.root.file;
    for file in 0..files {
        let (dir, name) = (format!("dir-{}", file % DIRECTORIES), format!("file-{file}"));
        root.walk(Name::new(dir.as_bytes())?)?.file.walk(Name::new(name.as_bytes())?)?;
    }
    Ok(())
}

fn list(fs: &MemFs, files: usize) -> Result<(), lisafs::Error> {
    struct Count(usize);
    impl DirSink for Count {
        fn add(&mut self, _: &DirEntry<'_>) -> bool {
            self.0 += 1;
            true
        }
    }
    let root = fs.attach()?.root.file;
    let mut count = Count(0);
    for dir in 0..DIRECTORIES {
        let dir_file = root.walk(Name::new(format!("dir-{dir}").as_bytes())?)?.file;
        let opened = dir_file.open(OpenHow::new(Access::Read))?;
        opened.file.read_dir(0, &mut count)?;
    }
    if count.0 == files { Ok(()) } else { Err(lisafs::Error::IO) }
}

/// Bytes of this process that are in memory.
fn resident() -> Result<f64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u32 = statm.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    Ok(f64::from(pages) * 4096.0)
}

/// Bytes of space that are in use.
fn space(fs: &MemFs) -> Result<f64, Box<dyn Error>> {
    let stat = fs.attach()?.root.file.stat_fs()?;
    let pages = u32::try_from(stat.blocks - stat.blocks_free)?;
    Ok(f64::from(pages) * 4096.0)
}

fn per(files: usize) -> f64 {
    f64::from(u32::try_from(files).unwrap_or(u32::MAX))
}
