//! A gofer that can serve encrypted volumes itself: it has the key, which the processes of a volume server would have
//! otherwise.

use std::process::ExitCode;

fn main() -> ExitCode {
    gofer::main_with(vec![Box::new(gofer_crypt::CryptExtension::default())])
}
