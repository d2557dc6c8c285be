//! The stages of `cargo xtask test`: what is checked, with which feature combinations.
//!
//! A stage is a list of cargo calls; it leaves no environment behind for the next one, so
//! that stages share what they have built.

use std::io;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::emulated;
use super::totals::Totals;
use crate::{cycles, embedded, firmware, measure, process, size, workspace};

/// One stage, in the order in which they run: cheap ones and frequent failures first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// `cargo fmt`
    Format,
    /// `cargo clippy`
    Clippy,
    /// `cargo doc`
    Docs,
    /// `cargo test`
    Host,
    /// The core crate for a microcontroller
    Board,
    /// The proof that the core neither panics nor allocates
    Panics,
    /// The footprint of the measured firmware
    Size,
    /// The instructions that a message takes
    Cycles,
    /// The firmware of real boards
    Boards,
    /// Firmware that runs on emulated boards
    Emulated,
}

/// Feature combinations of the core crate that clippy sees besides the workspace's own.
/// The ones with defmt are only checked: its symbols come from a board, so no test links.
const CLIPPY_FEATURES: [&[&str]; 5] = [
    &["--no-default-features"],
    &["--features", "postcard"],
    &["--features", "crc-table"],
    &["--features", "crc-table16,postcard"],
    &["--features", "defmt,postcard"],
];

/// Sets of capabilities that are connected to a complete peer; none of them at all is tested with the workspace.
const REDUCED_FEATURES: [&str; 7] = [
    "rates,stats",
    "receive",
    "receive,stats",
    "reliable,stats",
    "receive,reliable,expiry",
    "requests",
    "requests,reliable,fragments",
];

/// Feature combinations in which the core crate is built for a microcontroller.
const BOARD_FEATURES: [&[&str]; 3] =
    [&["--no-default-features"], &["--features", "postcard"], &["--features", "defmt,postcard"]];

impl Stage {
    /// The name that `--only` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Host => "host",
            Self::Board => "board",
            Self::Panics => "panics",
            Self::Size => "size",
            Self::Cycles => "cycles",
            Self::Boards => "boards",
            Self::Emulated => "emulated",
        }
    }

    /// What the stage checks, for people.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Format => "the code is formatted by rustfmt",
            Self::Clippy => "no compiler or clippy warning, in all feature combinations",
            Self::Docs => "the documentation builds without a warning",
            Self::Host => "all tests on this machine, documentation examples included",
            Self::Board => {
                "the core crate, and what is measured, build for a microcontroller without a warning"
            }
            Self::Panics => "no panic and no allocation can be reached in the core: proven when linking",
            Self::Size => "flash and RAM of the measured firmware are not above what is recorded",
            Self::Cycles => {
                "the instructions that a message takes, counted in QEMU, are not above what is recorded"
            }
            Self::Boards => "the firmware of real boards builds for its targets without a warning",
            Self::Emulated => {
                "firmware on emulated boards: resets, killed programs, bad lines, floods, hostile bytes"
            }
        }
    }

    /// Runs the stage; the one that runs tests leaves their number in `totals`.
    pub(crate) fn run(self, totals: &mut Option<Totals>) -> Result<()> {
        match self {
            Self::Format => format(),
            Self::Clippy => clippy(),
            Self::Docs => docs(),
            Self::Host => host(totals),
            Self::Board => board(),
            Self::Panics => size::prove_no_panic(),
            Self::Size => size::check(),
            Self::Cycles => cycles::check(),
            Self::Boards => firmware::check_real(),
            Self::Emulated => emulated::run(totals),
        }
    }
}

pub(super) fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = workspace::cargo()?;
    command.args(arguments);
    Ok(command)
}

fn format() -> Result<()> {
    let firmware = "firmware-example/Cargo.toml";
    let mut checks =
        vec![vec!["fmt", "--all", "--check"], vec!["fmt", "--all", "--manifest-path", firmware, "--check"]];
    // Not a member of a workspace: it needs another compiler.
    let fuzz = "core/fuzz/Cargo.toml";
    if workspace::root().join(fuzz).exists() {
        checks.push(vec!["fmt", "--manifest-path", fuzz, "--check"]);
    }
    for check in checks {
        let repair = repair_of(&check);
        process::run(&mut cargo(&check)?).with_context(|| format!("`{repair}` repairs the format"))?;
    }
    Ok(())
}

/// The command that repairs what a check has found.
fn repair_of(check: &[&str]) -> String {
    let repair: Vec<_> = check.iter().copied().filter(|argument| *argument != "--check").collect();
    format!("cargo {}", repair.join(" "))
}

fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    process::run(cargo(&["clippy", "--workspace", "--all-targets"])?.args(deny))?;
    for features in CLIPPY_FEATURES {
        let mut command = cargo(&["clippy", "--package", "tieline", "--all-targets"])?;
        process::run(command.args(features).args(deny))?;
    }
    Ok(())
}

fn docs() -> Result<()> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"])?;
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn host(totals: &mut Option<Totals>) -> Result<()> {
    let mut sum = Totals::default();
    // All programs, even after a failure: the totals are then those of the whole run.
    let all = test(cargo(&["test", "--workspace", "--no-fail-fast"])?, &mut sum);
    let reduced = REDUCED_FEATURES.iter().try_for_each(|features| {
        test(cargo(&["test", "--package", "tieline-reduced", "--features", features])?, &mut sum)
    });
    *totals = Some(sum);
    all.and(reduced)?;
    if sum.failed > 0 {
        bail!("{} tests failed although cargo reports success", sum.failed);
    }
    if sum.ran() == 0 {
        bail!("not a single test was run");
    }
    Ok(())
}

/// Runs tests, shows what they print and adds their number to `sum`.
pub(super) fn test(mut command: Command, sum: &mut Totals) -> Result<()> {
    println!("$ {}", process::describe(&command));
    let mut child = process::spawn(command.stdout(Stdio::piped()))?;
    if let Some(output) = child.stdout.take() {
        process::tee(output, io::stdout(), |line| sum.add_line(line))
            .context("cannot read what the tests print")?;
    }
    let status = child.wait()?;
    process::expect_success(&command, status)
}

fn board() -> Result<()> {
    let cargo = embedded::cargo_for(workspace::BOARD_TARGET)?;
    println!("{}: compiled by {}", workspace::BOARD_TARGET, cargo.about());
    for features in BOARD_FEATURES {
        process::run(&mut board_command(cargo.command("build")?, features)?)?;
    }
    if let Some(reason) = cargo.why_no_clippy() {
        println!("clippy was not run for the microcontroller: {reason}");
    } else {
        for features in BOARD_FEATURES {
            let mut command = board_command(cargo.command("clippy")?, features)?;
            process::run(command.args(["--", "-D", "warnings"]))?;
        }
        measure::check(&cargo)?;
    }
    // The richest combination: it documents everything the others do.
    let mut doc = board_command(cargo.command("doc")?, &["--features", "defmt,postcard"])?;
    process::run(doc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))
}

/// The core crate with these features, in a target directory of its own: other compiler
/// flags in the common one would make every stage build everything again.
fn board_command(mut cargo: Command, features: &[&str]) -> Result<Command> {
    cargo
        .args(["--package", "tieline"])
        .args(features)
        .env("RUSTFLAGS", "-D warnings")
        .env("CARGO_TARGET_DIR", workspace::target_dir()?.join("board"));
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_repairs_what_the_check_has_found() {
        let check = ["fmt", "--all", "--manifest-path", "firmware-example/Cargo.toml", "--check"];
        assert_eq!(repair_of(&check), "cargo fmt --all --manifest-path firmware-example/Cargo.toml");
    }
}
