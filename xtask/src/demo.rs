//! `cargo xtask demo`: builds the `tieline` program and runs its demo.
//!
//! It knows nothing about the demo itself: arguments and exit status are passed through.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the board's side as a process on this host (the only board so far, and the default)
    #[arg(long)]
    simulated: bool,
    /// Arguments for `tieline demo`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

const PROGRAM: [&str; 5] = ["--release", "--package", "tieline-cli", "--bin", "tieline"];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut build = workspace::cargo()?;
    println!("demo: building the program, which takes a minute or three the first time");
    build.arg("build").args(PROGRAM);
    process::run(&mut build).context("the demo could not be built")?;

    let how = if args.simulated { "" } else { " (default)" };
    println!("demo: the board is simulated by a process on this host{how}");
    // Through cargo again: it knows where it has put the program, whatever the configuration.
    let mut demo = workspace::cargo()?;
    demo.args(["run", "--quiet"]).args(PROGRAM).args(["--", "demo"]).args(&args.arguments);
    pass_through(&mut demo)
}

/// Becomes the program: its signals, its terminal and its exit status are then its own.
#[cfg(unix)]
fn pass_through(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", process::describe(command)))
}

#[cfg(not(unix))]
fn pass_through(command: &mut Command) -> Result<ExitCode> {
    let status = process::spawn(command)?.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
