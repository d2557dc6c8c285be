//! Programs that others have written in Rust, installed for this repository alone when they are needed.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// `defmt-print`, which decodes what firmware logs.
pub(crate) fn defmt_print() -> Result<PathBuf> {
    provide("defmt-print", "^1")
}

/// Installs a published program into `target/tools`, which it says, unless it is there.
fn provide(program: &str, version: &str) -> Result<PathBuf> {
    let root = workspace::target_dir()?.join("tools");
    let path = root.join("bin").join(program).with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        eprintln!("installing {program} into {}, which takes a minute or two", root.display());
        let mut install = workspace::cargo()?;
        install
            // Not optimized: it is built more slowly than it runs.
            .args(["install", "--quiet", "--locked", "--debug", program, "--version", version])
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(root.join("build"));
        let status = process::spawn(&mut install)?.wait()?;
        process::expect_success(&install, status)
            .with_context(|| format!("{program} cannot be installed"))?;
    }
    Ok(path)
}
