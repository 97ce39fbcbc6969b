//! Writes the manual pages of `sandbar` and of each of its commands into a folder.
//!
//! usage: cargo run --example manuals -- FOLDER

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("usage: manuals FOLDER")?.into();
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(sandbar::cli::definition(), &folder)?;
    Ok(())
}
