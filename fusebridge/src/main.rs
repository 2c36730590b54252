//! Mounts LisaFS backends.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut extensions = gofer::extensions::shipped();
    extensions.push(Box::new(gofer_blob::BlobExtension::default()));
    extensions.push(Box::new(gofer_crypt::CryptExtension::default()));
    fusebridge::main_with(extensions)
}
