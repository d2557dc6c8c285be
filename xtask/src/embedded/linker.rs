//! A linker of firmware images for Debian's compiler, which brings none.
//!
//! A toolchain of rustup has `rust-lld`, which serves any compiler; else it is the `ld.lld` of Debian's package lld. A library
//! needs neither.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::compiler;
use crate::{apt, process, workspace};

const PACKAGE: &str = "lld";
const LLD: &str = "/usr/bin/ld.lld";

/// Finds a linker, or installs one.
pub(super) fn provide() -> Result<PathBuf> {
    // There need not be a toolchain of rustup.
    if let Ok(linker) = of_toolchain()
        && linker.exists()
    {
        return Ok(linker);
    }
    if !Path::new(LLD).exists() {
        apt::provide(PACKAGE)?;
    }
    Ok(LLD.into())
}

/// Where the toolchain in use would have it.
fn of_toolchain() -> Result<PathBuf> {
    let mut ask = Command::new("rustc");
    let sysroot = process::capture(ask.args(["--print", "sysroot"]).current_dir(workspace::root()))?;
    let host = compiler::fact("rustc", "host")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld"))
}
