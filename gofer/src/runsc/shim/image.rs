//! A program in place of ours, in the same process.
#![allow(unsafe_code, reason = "maps a program at the addresses it wants, and jumps to it")]

use std::convert::Infallible;
use std::ffi::c_void;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect};

use super::elf_file::{Headers, Program, Segment};
use super::stack::{Placed, Start, words};

/// The program's stack, without what it is told. As the kernel's default; no page of it costs anything before it is
/// used.
const STACK: usize = 8 << 20;

/// Lets `program` run in this process in place of us. What the kernel does at an `execve` is done here as far as it can
/// be told: handlers of signals and their stack go, ignored signals and the mask stay, the name of the process changes.
/// The process has one thread, and descriptors that should not be inherited are closed already: we have opened none but
/// the program. What the C library has told the kernel about this thread (restartable sequences, robust locks) stays,
/// and does no harm because its memory stays mapped.
pub(super) fn run(program: Program, start: Start) -> io::Result<Infallible> {
    let vector = fs::read("/proc/self/auxv")?;
    let placed = map(&program)?;
    // Nothing of ours may stay open.
    drop(program);
    // Its texts become the program's.
    let start = ManuallyDrop::new(start);
    let stack = stack(&words(&start, placed, &vector))?;
    reset_signals();
    register_barriers();
    if let Some(name) = start.path.to_bytes().rsplit(|&byte| byte == b'/').next() {
        let mut short = name.to_vec();
        // The kernel's limit, with the final zero.
        short.truncate(15);
        _ = std::ffi::CString::new(short).map(|name| rustix::thread::set_name(&name));
    }
    // SAFETY: the program is mapped at the addresses it was linked for, `placed.entry` is its first instruction (or
    // wherever its file says, as with `execve`), and `stack` is laid out as it expects. Nothing of ours runs after this
    // in the only thread.
    unsafe { jump(placed.entry, stack) }
}

/// Gives SIGPIPE, which Rust ignores from the start, its default action back: the next program would inherit it.
pub(super) fn default_sigpipe() {
    // SAFETY: no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Maps all segments.
fn map(program: &Program) -> Result<Placed, Errno> {
    let page = rustix::param::page_size();
    let (Some(first), Some(last)) = (program.segments.first(), program.segments.last()) else {
        return Err(Errno::NOEXEC);
    };
    let start = first.data.start - first.data.start % page;
    let length = last.end.next_multiple_of(page) - start;
    let (wanted, how) = if program.relocatable {
        (ptr::null_mut(), MapFlags::PRIVATE)
    } else {
        (ptr::with_exposed_provenance_mut(start), MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE)
    };
    // First of all a reservation, so that no segment can replace anything of ours.
    // SAFETY: replaces nothing: NOREPLACE, or the kernel chooses.
    let reserved: *mut c_void = unsafe { mmap_anonymous(wanted, length, ProtFlags::empty(), how) }?;
    // A kernel before 4.17 does not know NOREPLACE and takes the address for a wish.
    if !program.relocatable && reserved != wanted {
        return Err(Errno::EXIST);
    }
    let bias = reserved.expose_provenance().wrapping_sub(start);
    for segment in &program.segments {
        // SAFETY: it is within the reservation, which nobody else uses.
        unsafe { place(program, segment, reserved, start, page) }?;
    }
    let headers = Headers { address: program.headers.address.wrapping_add(bias), ..program.headers };
    Ok(Placed { entry: program.entry.wrapping_add(bias), headers })
}

/// Maps one segment into the reservation at `reserved`, which stands for the address `start`.
///
/// # Safety
///
/// The reservation covers the segment's pages, and nobody uses them.
unsafe fn place(
    program: &Program,
    segment: &Segment,
    reserved: *mut c_void,
    start: usize,
    page: usize,
) -> Result<(), Errno> {
    let at = |address: usize| reserved.wrapping_byte_add(address - start);
    let protection =
        [(segment.read, ProtFlags::READ), (segment.write, ProtFlags::WRITE), (segment.execute, ProtFlags::EXEC)]
            .into_iter()
            .filter_map(|(wanted, flag)| wanted.then_some(flag))
            .collect();
    let how = MapFlags::PRIVATE | MapFlags::FIXED;
    let first = segment.data.start - segment.data.start % page;
    let behind = segment.data.end.next_multiple_of(page);
    if !segment.data.is_empty() {
        let offset = segment.offset - (segment.data.start - first) as u64;
        // SAFETY: the caller's promise.
        unsafe { mmap(at(first), segment.data.end - first, protection, how, &program.file, offset) }?;
        if segment.end > segment.data.end {
            // SAFETY: the rest of the page that was just mapped, which is writable: the parser checked it.
            unsafe { ptr::write_bytes(at(segment.data.end).cast::<u8>(), 0, behind - segment.data.end) };
        }
    }
    let zero = if segment.data.is_empty() { first } else { behind };
    let end = segment.end.next_multiple_of(page);
    if end > zero {
        // SAFETY: the caller's promise.
        unsafe { mmap_anonymous(at(zero), end - zero, protection, how) }?;
    }
    Ok(())
}

/// A new stack with `words` on top, above a page that cannot be touched. Answers the stack pointer.
fn stack(words: &[usize]) -> Result<*mut usize, Errno> {
    let page = rustix::param::page_size();
    let told = size_of_val(words);
    let length = (page + STACK + told).next_multiple_of(page);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses a free place.
    let bottom =
        unsafe { mmap_anonymous(ptr::null_mut(), length, protection, MapFlags::PRIVATE | MapFlags::NORESERVE) }?;
    // SAFETY: the lowest page of what was just mapped.
    unsafe { mprotect(bottom, page, MprotectFlags::empty()) }?;
    let pointer = bottom.wrapping_byte_add(length - told).cast::<usize>();
    // SAFETY: the uppermost bytes of it, which are aligned because its end is and the number of words is even.
    unsafe { ptr::copy_nonoverlapping(words.as_ptr(), pointer, words.len()) };
    Ok(pointer)
}

/// Registers this process for barriers among its threads. Current releases of runsc do so first of all, in a process
/// that has several threads by then: it waits until all processors have seen that, which takes 5 to 20 ms. With one
/// thread nobody waits, and what is registered already is not registered again. An `execve` would undo it.
fn register_barriers() {
    // Kernels before 4.14 do not know it, nor do some filters of system calls; runsc then hears that itself.
    _ = rustix::thread::membarrier(rustix::thread::MembarrierCommand::RegisterPrivateExpedited);
}

/// Takes all handlers away, ours being no longer there, and the stack that they ran on.
fn reset_signals() {
    default_sigpipe();
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: an all-zero `sigaction` is one; it is only read and written through.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            // Fails for those that the C library keeps to itself, which have no handlers.
            if libc::sigaction(signal, ptr::null(), &raw mut action) == 0
                && ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
            {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
    // SAFETY: no handler is left that could be running on it.
    unsafe {
        let mut none: libc::stack_t = std::mem::zeroed();
        none.ss_flags = libc::SS_DISABLE;
        libc::sigaltstack(&raw const none, ptr::null_mut());
    }
}

/// # Safety
///
/// `entry` is the first instruction of a program, `stack` what it wants to find in the stack pointer.
#[cfg(target_arch = "x86_64")]
unsafe fn jump(entry: usize, stack: *mut usize) -> ! {
    // SAFETY: the caller's promise. A zero in rdx says that there is nothing to call at exit, one in rbp ends
    // backtraces.
    unsafe {
        std::arch::asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "jmp {entry}",
            stack = in(reg) stack,
            entry = in(reg) entry,
            in("rdx") 0,
            options(noreturn)
        )
    }
}

/// # Safety
///
/// `entry` is the first instruction of a program, `stack` what it wants to find in the stack pointer.
#[cfg(target_arch = "aarch64")]
unsafe fn jump(entry: usize, stack: *mut usize) -> ! {
    // SAFETY: the caller's promise. A zero in x0 says that there is nothing to call at exit, one in x29 ends
    // backtraces.
    unsafe {
        std::arch::asm!(
            "mov sp, {stack}",
            "mov x29, xzr",
            "br {entry}",
            stack = in(reg) stack,
            entry = in(reg) entry,
            in("x0") 0,
            options(noreturn)
        )
    }
}

/// Is never called: the parser accepts no program here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn jump(_: usize, _: *mut usize) -> ! {
    std::process::abort()
}
