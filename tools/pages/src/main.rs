//! `pages DIRECTORY`

use std::path::Path;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let directory = std::env::args_os().nth(1).context("where to? pages DIRECTORY")?;
    pages::make(Path::new(&directory))
}
