//! Builds programs of `firmware-example/measure`.
//!
//! One program at a time: cargo gives the programs of one build the same features of the core, and what each of them
//! needs is what is measured.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::embedded::BoardCargo;
use crate::{process, workspace};

const MANIFEST: &str = "firmware-example/Cargo.toml";

/// What the compiler optimizes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opt {
    /// `opt-level = "s"`: small.
    Small,
    /// `opt-level = "z"`: smallest.
    Smallest,
    /// `opt-level = 3`: fast.
    Fast,
}

impl Opt {
    /// The profile of `firmware-example/Cargo.toml`, which is the name of cargo's directory as well.
    const fn profile(self) -> &'static str {
        match self {
            Self::Small => "release",
            Self::Smallest => "size",
            Self::Fast => "speed",
        }
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Small => "s",
            Self::Smallest => "z",
            Self::Fast => "3",
        })
    }
}

/// A program, and the features of the package that it is built with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// Its name in the tables.
    pub(crate) name: &'a str,
    /// The binary.
    pub(crate) bin: &'a str,
    /// Comma-separated.
    pub(crate) features: &'a str,
}

impl Program<'_> {
    /// The command that builds the program.
    pub(crate) fn command(&self, cargo: &BoardCargo, opt: Opt) -> Result<Command> {
        let mut command = cargo.command("build")?;
        command
            .args(["--quiet", "--manifest-path", MANIFEST, "--package", "tieline-measure"])
            .args(["--profile", opt.profile(), "--bin", self.bin, "--features", self.features])
            .env("CARGO_TARGET_DIR", target_dir()?);
        Ok(command)
    }

    /// Builds the program; returns where the image is.
    pub(crate) fn build(&self, cargo: &BoardCargo, target: &str, opt: Opt) -> Result<PathBuf> {
        let mut command = self.command(cargo, opt)?;
        let status = process::spawn(&mut command)?.wait()?;
        process::expect_success(&command, status)?;
        self.path(target, opt)
    }

    /// Where the image is when it has been built.
    pub(crate) fn path(&self, target: &str, opt: Opt) -> Result<PathBuf> {
        Ok(target_dir()?.join(target).join(opt.profile()).join(self.bin))
    }
}

/// Clippy's opinion of all the programs, where there is a clippy; an error if it has one.
pub(crate) fn check(cargo: &BoardCargo) -> Result<()> {
    let mut command = cargo.command("clippy")?;
    command
        .args(["--manifest-path", MANIFEST, "--package", "tieline-measure", "--release", "--bins"])
        .args(["--features", "cycles,no-panic,whole,typed", "--", "-D", "warnings"])
        .env("CARGO_TARGET_DIR", target_dir()?);
    process::run(&mut command)
}

/// Apart from what is built for this machine, which another compiler may have built.
fn target_dir() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("firmware"))
}
