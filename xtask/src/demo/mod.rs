//! `cargo xtask demo`: builds the `tieline` program and the firmware, and runs the program's demo with that firmware in an
//! emulator.
//!
//! Where there can be no emulated board it says why and lets the program simulate one. It knows nothing about the demo
//! itself: arguments and exit status are passed through.

mod child;
mod emulated;
mod logs;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the board's side as a process on this host instead of firmware in an emulator
    #[arg(long, conflicts_with_all = ["logs", "on", "board"])]
    simulated: bool,
    /// Show what the firmware logs
    #[arg(long)]
    logs: bool,
    /// Which emulated board
    #[arg(long, value_name = "BOARD", default_value = emulated::DEFAULT, conflicts_with = "board")]
    on: String,
    /// A board of yours, that runs firmware-example: serial:///dev/ttyUSB0?baud=115200
    #[arg(long, value_name = "ADDRESS", conflicts_with = "logs")]
    board: Option<String>,
    /// Arguments for `tieline demo`, such as --seconds 20, --forever or --json
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

const PROGRAM: [&str; 4] = ["--package", "tieline-cli", "--bin", "tieline"];

/// Progress goes where people read: the demo's own output may be for a machine.
macro_rules! say {
    ($($text:tt)*) => { eprintln!("demo: {}", format_args!($($text)*)) };
}
use say;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let which = emulated::find(&args.on)?;
    let mut build = workspace::cargo()?;
    say!("building the program (a minute the first time)");
    build.arg("build").args(PROGRAM);
    let status = process::spawn(&mut build)?.wait()?;
    process::expect_success(&build, status).context("the demo could not be built")?;

    // Through cargo again: it knows where it has put the program, whatever the configuration.
    let mut demo = workspace::cargo()?;
    demo.args(["run", "--quiet"]).args(PROGRAM).args(["--", "demo"]);
    if let Some(address) = &args.board {
        demo.args(["--board", address]);
    } else if !args.simulated {
        match emulated::Board::start(which, args.logs) {
            Ok(board) => {
                demo.args(board.arguments()?).args(&args.arguments);
                let code = child::run(&mut demo);
                // It may have been switched off while the program still needed it otherwise.
                drop(board);
                return code;
            }
            Err(error) => {
                say!("no emulated board: {error:#}");
                say!("so the board is simulated by a process on this host (as with --simulated)");
            }
        }
    }
    child::run(demo.args(&args.arguments))
}
