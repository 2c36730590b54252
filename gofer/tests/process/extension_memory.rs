//! An extension that maps memory of its own while it is asked for a file system: what it finds there later is what it
//! has put there. The program is both the test and the gofer with this extension. Needs root.
#![allow(unsafe_code, reason = "maps memory")]

use std::ffi::c_void;
use std::fs::File;
use std::ptr;
use std::sync::Arc;

use gofer::Program;
use gofer::extension::{self, Backends, Claim, Extension};
use lisafs::backend::{
    Attachment, Backend, ControlFile, Error, Found, IoTarget, Name, OpenFile, OpenHow, Opened, Result, Statx, StatxMask,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use serde_json::json;

use crate::caller::Call;
use crate::common::client::Pathway;

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
mod caller;
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../../lisafs/tests/common/mod.rs"]
mod common;

/// One page.
#[derive(Clone, Copy)]
struct Page(*mut u8);

// SAFETY: it is an address.
unsafe impl Send for Page {}
// SAFETY: as above; what is there is only read once it has been written.
unsafe impl Sync for Page {}

const SIZE: usize = 4096;
const CONTENT: u8 = 7;

impl Page {
    /// What looks like a page of a library's code.
    fn code() -> Self {
        let file = File::open("/proc/self/exe").unwrap();
        let access = ProtFlags::READ | ProtFlags::EXEC;
        // SAFETY: at an address of the kernel's choice.
        Page(unsafe { mmap(ptr::null_mut(), SIZE, access, MapFlags::PRIVATE, file, 0) }.unwrap().cast())
    }

    /// Puts memory in its place, as who unloads a library and then maps something may do.
    fn replace(self) {
        let at: *mut c_void = self.0.cast();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the page is this program's own, and nobody looks at it meanwhile.
        unsafe {
            munmap(at, SIZE).unwrap();
            mmap_anonymous(at, SIZE, access, MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE).unwrap();
            self.0.write_bytes(CONTENT, SIZE);
        }
    }

    fn first(self) -> u8 {
        // SAFETY: mapped and readable.
        unsafe { self.0.read_volatile() }
    }
}

struct Maps(Page);

impl Extension for Maps {
    fn name(&self) -> &'static str {
        "maps"
    }

    fn open(&self, _: &str, _: &Backends<'_>) -> extension::Result<Claim> {
        self.0.replace();
        Ok(Claim::new(Arc::new(OneFile(self.0))))
    }
}

/// A mount that is a file with the first byte of the page.
#[derive(Clone, Copy)]
struct OneFile(Page);

impl OneFile {
    fn attributes() -> Statx {
        let mask = StatxMask::BASIC_STATS;
        Statx { mask, mode: 0o100_444, size: 1, nlink: 1, ino: 1, dev_major: 79, ..Statx::default() }
    }
}

impl Backend for OneFile {
    fn attach(&self) -> Result<Attachment> {
        Ok(Attachment::new(Found::new(*self, Self::attributes())))
    }
}

impl ControlFile for OneFile {
    fn stat(&self) -> Result<Statx> {
        Ok(Self::attributes())
    }

    fn walk(&self, _: Name<'_>) -> Result<Found> {
        Err(Error::NOTDIR)
    }

    fn open(&self, _: OpenHow) -> Result<Opened> {
        Ok(Opened::new(*self))
    }
}

impl OpenFile for OneFile {
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn stat(&self) -> Result<Statx> {
        Ok(Self::attributes())
    }

    fn read_at(&self, mut into: IoTarget<'_>, _: u64) -> Result<usize> {
        into.put(0, &[self.0.first()]);
        Ok(1)
    }
}

fn main() -> std::process::ExitCode {
    if std::env::args().next().is_some_and(|program| program.ends_with("runsc-gofer")) {
        return gofer::main_of(Program::new(vec![Box::new(Maps(Page::code()))]).without_shipped());
    }
    let mut call = Call::new();
    call.program = std::env::current_exe().unwrap();
    call.spec["annotations"] = json!({"dev.gofer.backend./data": "maps:"});
    let mut running = call.go();
    running.mounts();
    let client = &mut running.clients[1];
    let root = client.mount();
    let open = client.open(root, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(open, 0, 1), Ok(vec![CONTENT]), "memory of the extension was taken for code and dropped");
    let end = running.end();
    assert_eq!(end.code, Some(0), "{}", end.debug_log);
    println!("memory that an extension maps is its own: ok");
    std::process::ExitCode::SUCCESS
}
