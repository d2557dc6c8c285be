//! Where the repository is, and cargo called in it.
//!
//! It does not read manifests: paths and package names are the ones the repository has.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The bare-metal target every change is built for: no atomic swap, no FPU, the smallest core.
pub(crate) const BOARD_TARGET: &str = "thumbv6m-none-eabi";

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    // Compiled in: cargo rebuilds this program when the repository has moved.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The cargo that started this program, to be run in the repository's root.
pub(crate) fn cargo() -> Result<Command> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        // Relative to where the user is, while the command runs in the root.
        command.env("CARGO_TARGET_DIR", target_dir()?);
    }
    Ok(command)
}

/// The cargo that chooses its toolchain by a first argument `+name` (rustup's), in `dir`.
pub(crate) fn cargo_of_toolchain(name: &str, dir: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.arg(format!("+{name}")).current_dir(dir);
    // A cargo hands on the CARGO it finds, which would be the pinned toolchain's.
    command.env_remove("CARGO");
    command
}

/// Where cargo builds, as an absolute path.
pub(crate) fn target_dir() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir)
            .with_context(|| format!("CARGO_TARGET_DIR={} is not usable", dir.display())),
        None => Ok(root().join("target")),
    }
}
