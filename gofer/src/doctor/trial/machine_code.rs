//! A program that needs nothing but a kernel: it writes a file and ends.
//!
//! A root file system with it takes nothing from the host, whatever that one has installed.

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// Ours, if it is one of them.
    pub(super) fn here() -> Option<Machine> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Machine::X86_64),
            "aarch64" => Some(Machine::Aarch64),
            _ => None,
        }
    }

    /// `e_machine`.
    fn number(self) -> u16 {
        match self {
            Machine::X86_64 => 62,
            Machine::Aarch64 => 183,
        }
    }
}

/// Where the file comes to lie in memory: a multiple of the largest page.
const BASE: u32 = 0x40_0000;
/// The sizes of both headers.
const HEADERS: (u16, u16) = (64, 56);

/// A static ELF program that writes `text` to the new file `path`, and ends with status 0 whatever becomes of it.
///
/// Both together must be shorter than 32 KiB, and there must be no zero byte in `path`.
pub(super) fn writes_a_file(machine: Machine, path: &str, text: &str) -> Vec<u8> {
    let mut data = path.as_bytes().to_vec();
    data.push(0);
    let path_at = BASE + u32::from(HEADERS.0 + HEADERS.1);
    let text_at = path_at + length(data.len());
    data.extend(text.as_bytes());
    // Instructions of one architecture must be aligned.
    data.resize(data.len().next_multiple_of(8), 0);
    let entry = path_at + length(data.len());
    let code = match machine {
        Machine::X86_64 => x86_64(path_at, text_at, length(text.len())),
        Machine::Aarch64 => aarch64(path_at, text_at, length(text.len())),
    };
    let mut program = headers(machine, entry, u64::from(entry - BASE) + u64::from(length(code.len())));
    program.extend(data);
    program.extend(code);
    program
}

/// The lengths are the caller's own, and small.
fn length(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The header of the file, and that of its only segment, which is all of it.
fn headers(machine: Machine, entry: u32, size: u64) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec(); // 64 bits, little endian, version 1
    out.resize(16, 0);
    out.extend(2_u16.to_le_bytes()); // e_type: ET_EXEC
    out.extend(machine.number().to_le_bytes());
    out.extend(1_u32.to_le_bytes()); // e_version
    out.extend(u64::from(entry).to_le_bytes());
    out.extend(u64::from(HEADERS.0).to_le_bytes()); // e_phoff
    out.extend([0; 8 + 4]); // e_shoff, e_flags
    for half in [HEADERS.0, HEADERS.1, 1, 64, 0, 0] {
        out.extend(half.to_le_bytes()); // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    }
    out.extend(1_u32.to_le_bytes()); // p_type: PT_LOAD
    out.extend(5_u32.to_le_bytes()); // p_flags: read and execute
    for word in [0, BASE.into(), BASE.into(), size, size, 0x1_0000] {
        out.extend(u64::to_le_bytes(word)); // p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
    }
    out
}

fn x86_64(path: u32, text: u32, length: u32) -> Vec<u8> {
    let syscall = [0x0f, 0x05];
    [
        [&[0xbf][..], &(-100_i32).to_le_bytes()].concat(), // mov edi, AT_FDCWD
        [&[0xbe][..], &path.to_le_bytes()].concat(),       // mov esi, path
        [&[0xba][..], &0x41_u32.to_le_bytes()].concat(),   // mov edx, O_WRONLY | O_CREAT
        [&[0x41, 0xba][..], &0o644_u32.to_le_bytes()].concat(), // mov r10d, 0644
        [&[0xb8][..], &257_u32.to_le_bytes()].concat(),    // mov eax, SYS_openat
        syscall.to_vec(),
        vec![0x89, 0xc7],                              // mov edi, eax
        [&[0xbe][..], &text.to_le_bytes()].concat(),   // mov esi, text
        [&[0xba][..], &length.to_le_bytes()].concat(), // mov edx, length
        [&[0xb8][..], &1_u32.to_le_bytes()].concat(),  // mov eax, SYS_write
        syscall.to_vec(),
        vec![0x31, 0xff],                               // xor edi, edi
        [&[0xb8][..], &231_u32.to_le_bytes()].concat(), // mov eax, SYS_exit_group
        syscall.to_vec(),
    ]
    .concat()
}

fn aarch64(path: u32, text: u32, length: u32) -> Vec<u8> {
    // mov Wregister, value; and the upper half of it.
    let low = |register: u32, value: u32| 0x5280_0000 | (value & 0xffff) << 5 | register;
    let high = |register: u32, value: u32| 0x72a0_0000 | (value >> 16) << 5 | register;
    let syscall = 0xd400_0001; // svc #0
    let words = [
        0x1280_0c60, // mov w0, AT_FDCWD
        low(1, path),
        high(1, path),
        low(2, 0x41), // O_WRONLY | O_CREAT
        low(3, 0o644),
        low(8, 56), // SYS_openat
        syscall,
        low(1, text),
        high(1, text),
        low(2, length),
        low(8, 64), // SYS_write
        syscall,
        low(0, 0),
        low(8, 94), // SYS_exit_group
        syscall,
    ];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn it_runs_here() {
        let machine = Machine::here().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let [program, file] = ["program", "file"].map(|name| scratch.path().join(name));
        fs::write(&program, writes_a_file(machine, file.to_str().unwrap(), "a text\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let status = loop {
            match Command::new(&program).status() {
                // Another test starts a program just now, and has inherited what we have written to for a moment.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                result => break result.unwrap(),
            }
        };
        assert!(status.success());
        assert_eq!(fs::read_to_string(&file).unwrap(), "a text\n");
    }

    #[test]
    fn headers_are_those_of_a_program() {
        for (machine, number) in [(Machine::X86_64, elf::abi::EM_X86_64), (Machine::Aarch64, elf::abi::EM_AARCH64)] {
            let program = writes_a_file(machine, "/out/file", "text");
            let file = elf::ElfBytes::<elf::endian::AnyEndian>::minimal_parse(&program).unwrap();
            assert_eq!((file.ehdr.e_type, file.ehdr.e_machine), (elf::abi::ET_EXEC, number));
            let segment = file.segments().unwrap().get(0).unwrap();
            assert_eq!(usize::try_from(segment.p_filesz), Ok(program.len()));
            let entry = usize::try_from(file.ehdr.e_entry - segment.p_vaddr).unwrap();
            assert_eq!(entry % 8, 0);
            assert!(program[..entry].ends_with(b"/out/file\0text\0\0"));
        }
    }
}
