//! A cargo that can build for a bare-metal target, on any machine with rustup or Debian.
//!
//! Two ways lead there, tried in this order:
//! 1. the toolchain in use has the target, or `rustup target add` can download it;
//! 2. Debian's `rustc-web`, with a standard library built once from `rust-web-src`.
//!
//! The second way exists because a build must not depend on rustup's download server. It
//! replaces only the compiler (`RUSTC`), so it touches no toolchain and no configuration of
//! the user. `TIELINE_BOARD_COMPILER=rustup` or `=debian` allows only one of the two.
//!
mod cache;
mod compiler;
mod debian;
mod linker;
mod rustup;
mod sysroot;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::workspace;
use sysroot::Sysroot;

const CHOICE: &str = "TIELINE_BOARD_COMPILER";

/// Makes cargo commands for one bare-metal target.
pub(crate) struct BoardCargo {
    target: String,
    compiler: Compiler,
}

enum Compiler {
    /// The toolchain that cargo uses anyway.
    InUse,
    /// Debian's, with our sysroot.
    Debian(Sysroot),
}

/// Finds or sets up a compiler for `target`; may download, which it says.
pub(crate) fn cargo_for(target: &str) -> Result<BoardCargo> {
    let choice = env::var(CHOICE).unwrap_or_default();
    if !["", "rustup", "debian"].contains(&choice.as_str()) {
        bail!("{CHOICE}={choice} is not known: use `rustup` or `debian`, or leave it unset");
    }
    let made = |compiler| BoardCargo { target: target.to_owned(), compiler };
    let mut tried = Vec::new();
    if choice != "debian" {
        match rustup::provide(target) {
            Ok(()) => return Ok(made(Compiler::InUse)),
            Err(error) => tried.push(format!("  rustup: {error:#}")),
        }
    }
    if choice != "rustup" {
        if let Some(first) = tried.last() {
            eprintln!("{target} is not to be had from rustup, so Debian's rustc-web it is:\n{first}");
        }
        match debian::provide(target) {
            Ok(sysroot) => return Ok(made(Compiler::Debian(sysroot))),
            Err(error) => tried.push(format!("  Debian's rustc-web: {error:#}")),
        }
    }
    bail!(
        "no compiler for {target}. Tried:\n{}\n\
         What helps: `rustup target add {target}` where rustup can download, or Debian (or a \
         derivative) with rustc-web and rust-web-src {} or newer",
        tried.join("\n"),
        crate::version::Version::required()
    )
}

impl BoardCargo {
    /// Which compiler it is, for people.
    pub(crate) fn about(&self) -> String {
        match &self.compiler {
            Compiler::InUse => "the toolchain in use".to_owned(),
            Compiler::Debian(sysroot) => format!("Debian's rustc-web {}", sysroot.version),
        }
    }

    /// Whether it is the toolchain that the repository asks for.
    pub(crate) const fn is_pinned(&self) -> bool {
        matches!(self.compiler, Compiler::InUse)
    }

    /// Why `command("clippy")` cannot work; `None` if it can.
    pub(crate) fn why_no_clippy(&self) -> Option<&str> {
        match &self.compiler {
            Compiler::InUse => None,
            Compiler::Debian(sysroot) => sysroot.why_no_clippy.as_deref(),
        }
    }

    /// `cargo SUBCOMMAND --target ...` in the root of the repository. Flags for the host's
    /// compiler that the user may have set are not passed on.
    pub(crate) fn command(&self, subcommand: &str) -> Result<Command> {
        let mut command = workspace::cargo()?;
        if let Compiler::Debian(sysroot) = &self.compiler {
            if subcommand == "clippy" {
                // Through cargo it would be the clippy of cargo's own toolchain.
                let cargo = PathBuf::from(command.get_program());
                command = Command::new(debian::CARGO_CLIPPY);
                command.current_dir(workspace::root()).env("CARGO", cargo);
            }
            command
                .env("RUSTC", sysroot.rustc())
                .env("RUSTDOC", sysroot.rustdoc())
                // How clippy-driver is told what `--sysroot` tells the other two.
                .env("SYSROOT", &sysroot.dir)
                .envs(sysroot.linker.as_ref().map(|linker| (linker_variable(&self.target), linker)))
                .env_remove("RUSTC_WRAPPER")
                .env_remove("RUSTC_WORKSPACE_WRAPPER");
        }
        command
            .args([subcommand, "--target", &self.target])
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET");
        Ok(command)
    }
}

/// How cargo is told which linker a target has.
fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}
