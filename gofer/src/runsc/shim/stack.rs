//! What a program finds on its stack when it starts.

use std::ffi::{CString, c_char};

use super::elf_file::Headers;

/// What a program is told.
#[derive(Debug)]
pub(super) struct Start {
    /// Its file.
    pub(super) path: CString,
    /// The whole command line.
    pub(super) arguments: Vec<CString>,
    /// `NAME=VALUE` each.
    pub(super) environment: Vec<CString>,
}

/// What the auxiliary vector says about a program that has been mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// The address of its first instruction.
    pub(super) entry: usize,
    /// Its program headers.
    pub(super) headers: Headers,
}

/// The type of an entry of the auxiliary vector.
type Kind = usize;

const END: Kind = 0;
const PHDR: Kind = 3;
const PHENT: Kind = 4;
const PHNUM: Kind = 5;
const BASE: Kind = 7;
const ENTRY: Kind = 9;
const EXECFN: Kind = 31;

/// The words from the stack pointer up: the arguments, the environment and the auxiliary vector, which is `ours` (as
/// procfs has it: the kernel's word on this process and machine) but for what it says about the program. The words
/// point to the texts of `start`, which must live on. Their number is even, as the stack pointer's alignment wants.
pub(super) fn words(start: &Start, placed: Placed, ours: &[u8]) -> Vec<usize> {
    let mut words = vec![start.arguments.len()];
    for texts in [&start.arguments, &start.environment] {
        words.extend(texts.iter().map(|text| address(text.as_ptr())));
        words.push(0);
    }
    for (kind, value) in pairs(ours) {
        let value = match kind {
            PHDR => placed.headers.address,
            PHENT => placed.headers.size,
            PHNUM => placed.headers.count,
            // There is no dynamic linker.
            BASE => 0,
            ENTRY => placed.entry,
            EXECFN => address(start.path.as_ptr()),
            _ => value,
        };
        words.extend([kind, value]);
    }
    words.extend([END, 0]);
    if words.len() % 2 == 1 {
        words.push(0);
    }
    words
}

fn address(text: *const c_char) -> usize {
    text.expose_provenance()
}

/// The entries of an auxiliary vector up to its end.
fn pairs(vector: &[u8]) -> impl Iterator<Item = (Kind, usize)> {
    let words = vector.as_chunks().0.iter().map(|word| usize::from_ne_bytes(*word));
    let values = words.clone().skip(1).step_by(2);
    words.step_by(2).zip(values).take_while(|&(kind, _)| kind != END)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[usize]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn start(arguments: usize, environment: usize) -> Start {
        let texts = |count| (0..count).map(|n| CString::new(format!("text {n}")).unwrap()).collect();
        Start { path: c"/bin/x".to_owned(), arguments: texts(arguments), environment: texts(environment) }
    }

    const PLACED: Placed = Placed { entry: 0x1234, headers: Headers { address: 0x40_0040, count: 7, size: 56 } };

    #[test]
    fn the_vector_speaks_of_the_program() {
        let (hwcap, random) = (16, 25);
        let ours = bytes(&[
            PHDR, 1, PHENT, 1, PHNUM, 1, BASE, 99, hwcap, 0xfeed, ENTRY, 1, EXECFN, 1, random, 0xabc0, END, 0, 17, 18,
        ]);
        let start = start(2, 1);
        let words = words(&start, PLACED, &ours);
        let path = address(start.path.as_ptr());
        let vector = [
            PHDR, 0x40_0040, PHENT, 56, PHNUM, 7, BASE, 0, hwcap, 0xfeed, ENTRY, 0x1234, EXECFN, path, random, 0xabc0,
            END, 0,
        ];
        let [one, two] = [0, 1].map(|n: usize| address(start.arguments[n].as_ptr()));
        let variable = address(start.environment[0].as_ptr());
        assert_eq!(words[..6], [2, one, two, 0, variable, 0]);
        assert_eq!(words[6..], vector);
    }

    #[test]
    fn the_stack_pointer_is_aligned() {
        for (arguments, environment) in [(0, 0), (1, 0), (1, 1), (5, 100)] {
            let words = words(&start(arguments, environment), PLACED, &bytes(&[BASE, 1]));
            assert_eq!(words.len() * size_of::<usize>() % 16, 0);
            assert_eq!(words.len(), (arguments + environment + 3 + 4).next_multiple_of(2));
        }
    }

    #[test]
    fn a_vector_without_an_end_ends() {
        assert_eq!(pairs(&bytes(&[16, 1, 25])).collect::<Vec<_>>(), [(16, 1)]);
        assert_eq!(pairs(&[]).count(), 0);
    }
}
