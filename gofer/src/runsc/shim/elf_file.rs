//! What a program file wants in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use elf::ElfStream;
use elf::abi;
use elf::endian::AnyEndian;
use elf::segment::ProgramHeader;
use rustix::fs::{Access, access};

use super::{Failure, find};

/// A static program for this machine.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) file: File,
    /// What goes into memory, by increasing address, without overlaps.
    pub(super) segments: Vec<Segment>,
    /// The address of its first instruction.
    pub(super) entry: usize,
    /// The address, number and size of its program headers.
    pub(super) headers: Headers,
    /// Whether all addresses are offsets from wherever it is put.
    pub(super) relocatable: bool,
}

/// A part of the file at its place in memory.
#[derive(Debug)]
pub(super) struct Segment {
    /// The addresses of what comes from the file.
    pub(super) data: Range<usize>,
    /// The end of what follows it, which is zero.
    pub(super) end: usize,
    /// Where in the file. Has the same distance from the beginning of its page as the address.
    pub(super) offset: u64,
    /// The protection.
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) execute: bool,
}

/// The program headers, in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    pub(super) address: usize,
    pub(super) count: usize,
    pub(super) size: usize,
}

/// What the header of a program for this machine says.
#[cfg(target_arch = "x86_64")]
const MACHINE: Option<u16> = Some(abi::EM_X86_64);
#[cfg(target_arch = "aarch64")]
const MACHINE: Option<u16> = Some(abi::EM_AARCH64);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: Option<u16> = None;

/// The program at `path`.
pub(super) fn open(path: &Path) -> Result<Program, Failure> {
    let cannot = |source: io::Error| Failure::Open { path: path.to_owned(), source };
    if find::is_this_program(path) {
        return Err(Failure::Ourselves(path.to_owned()));
    }
    // As if it were executed.
    access(path, Access::EXEC_OK).map_err(|error| cannot(error.into()))?;
    let file = File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(cannot(io::Error::from_raw_os_error(libc::EACCES)));
    }
    parse(file, rustix::param::page_size()).map_err(|problem| Failure::Program { path: path.to_owned(), problem })
}

fn parse(file: File, page: usize) -> Result<Program, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let again = file.try_clone().map_err(|error| error.to_string())?;
    let elf = ElfStream::<AnyEndian, File>::open_stream(file).map_err(|error| match error {
        elf::ParseError::BadMagic(_) | elf::ParseError::IOError(_) => "it is not an ELF program".to_owned(),
        error => format!("it is not a readable ELF program: {error}"),
    })?;
    let header = elf.ehdr;
    if MACHINE != Some(header.e_machine) || header.class != elf::file::Class::ELF64 || header.endianness != NATIVE {
        return Err("it is for another machine".to_owned());
    }
    let relocatable = match header.e_type {
        abi::ET_EXEC => false,
        abi::ET_DYN => true,
        _ => return Err("it is not a program".to_owned()),
    };
    if elf.segments().iter().any(|segment| segment.p_type == abi::PT_INTERP) {
        return Err("it is dynamically linked".to_owned());
    }
    let loads = || elf.segments().iter().filter(|segment| segment.p_type == abi::PT_LOAD);
    let segments = loads().map(|load| segment(load, page, size)).collect::<Option<Vec<Segment>>>();
    let segments = segments.ok_or("a segment extends beyond the file or the address space")?;
    // The pages of two segments must not be the same: each has its own protection.
    let apart = |pair: &[Segment]| pair[0].end.next_multiple_of(page) <= pair[1].data.start - pair[1].data.start % page;
    if segments.is_empty() || !segments.windows(2).all(apart) {
        return Err("its segments overlap, or there are none".to_owned());
    }
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let address = loads().find_map(|load| address_of(load, header.e_phoff)).map(number);
    let headers = Headers {
        address: address.ok_or("its headers are in no segment")?,
        count: elf.segments().len(),
        size: header.e_phentsize.into(),
    };
    Ok(Program { file: again, segments, entry: number(header.e_entry), headers, relocatable })
}

/// The byte order of this machine.
const NATIVE: AnyEndian = if cfg!(target_endian = "little") { AnyEndian::Little } else { AnyEndian::Big };

/// `None` if the numbers make no sense.
fn segment(load: &ProgramHeader, page: usize, file_size: u64) -> Option<Segment> {
    let start = usize::try_from(load.p_vaddr).ok()?;
    let data_end = start.checked_add(usize::try_from(load.p_filesz).ok()?)?;
    let end = start.checked_add(usize::try_from(load.p_memsz).ok()?)?;
    // Leaves room for rounding up.
    end.checked_add(page)?;
    let inside = load.p_offset.checked_add(load.p_filesz)? <= file_size;
    let aligned = usize::try_from(load.p_offset).ok()? % page == start % page;
    let flag = |flag: u32| load.p_flags & flag != 0;
    let write = flag(abi::PF_W);
    // The rest of the last page has to be cleared, which needs the right to write.
    let clearable = data_end == end || write;
    (inside && aligned && clearable && data_end <= end).then(|| Segment {
        data: start..data_end,
        end,
        offset: load.p_offset,
        read: flag(abi::PF_R),
        write,
        execute: flag(abi::PF_X),
    })
}

/// The address at which the byte at `offset` in the file comes to lie.
fn address_of(load: &ProgramHeader, offset: u64) -> Option<u64> {
    let within = offset.checked_sub(load.p_offset)?;
    (within < load.p_filesz).then(|| load.p_vaddr.checked_add(within))?
}
