//! Serves a file system in memory to one client at descriptor 3.
//!
//! `fusebridge run 'exec:serve_memfs size=1g' -- sh -c 'echo hello > file; ls -l'`

use std::error::Error;
use std::sync::Arc;

use gofer::extensions::memfs::{MemFs, MemOptions};
use lisafs::server::Server;

/// Where `fusebridge` puts the connection.
const CONNECTION: i32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let client = gofer::inherited::take(CONNECTION)?;
    let options = MemOptions::parse(&std::env::args().nth(1).unwrap_or_default())?;
    Server::new().connect(client, b"/", Arc::new(MemFs::new(options)?))?.wait();
    Ok(())
}
