//! `cargo xtask soak`: property tests with new seeds until the time is over or one fails.
//!
//! It builds and starts the program `soak` of the tests, which says what it found; nothing is decided here.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long it runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// The seed to begin with; by the clock if there is none
    #[arg(long)]
    seed: Option<u64>,
}

/// A release, but with the assertions of a test: see the workspace's manifest.
const PROGRAM: [&str; 6] = ["--profile", "soak", "--package", "tieline-tests", "--bin", "soak"];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut build = workspace::cargo()?;
    build.arg("build").args(PROGRAM);
    process::run(&mut build).context("the soak test could not be built")?;

    let mut soak = workspace::cargo()?;
    soak.args(["run", "--quiet"]).args(PROGRAM).arg("--").arg(args.minutes.to_string());
    soak.args(args.seed.map(|seed| seed.to_string()));
    let status = process::spawn(&mut soak)?.wait().context("lost the soak test")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
