//! Prints which system calls are allowed, and why: what `docs/seccomp.md` consists of.

fn main() {
    print!("{}", gofer::seccomp::markdown());
}
