//! `tieline demo`: a board and this PC talk, and you watch.

mod board;
mod script;
mod show;
mod talk;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tieline_std::Address;

use crate::seconds;
use crate::terminal::{BOLD, note};
use board::Board;
use script::Script;
use show::Show;

/// Watch a board and this PC talk to each other
///
/// The board publishes samples, is told to publish faster, is asked how it is, and is reset half-way: it comes back by
/// itself. It is any board that runs the example application (firmware-example/app), at --board; without, that
/// application runs on this host behind a real pseudo-terminal (or TCP where there is none).
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::ADDRESSES)]
pub(crate) struct Args {
    /// The board: serial:///dev/ttyUSB0?baud=115200, or another address [default: a simulated one]
    #[arg(long, value_name = "ADDRESS")]
    board: Option<Address>,
    /// A shell command that resets that board; without, you are asked to press its button
    #[arg(long, value_name = "COMMAND", requires = "board")]
    reset: Option<String>,
    /// How long to run
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = seconds)]
    seconds: Duration,
    /// Run until Ctrl-C
    #[arg(long, conflicts_with = "seconds")]
    forever: bool,
    /// Samples and summary as JSON, one object a line
    #[arg(long)]
    json: bool,
    /// What carries the bytes of the simulated board
    #[arg(long, value_enum, hide = true, conflicts_with = "board")]
    transport: Option<Transport>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Pty,
    Tcp,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let place = match &args.board {
        Some(address) => Place::Given { address: address.clone(), reset: args.reset.clone() },
        None => Place::Simulated(switch_on(args.transport)?),
    };
    let what = if args.board.is_some() { "the board" } else { "a simulated board" };
    note(format_args!("{BOLD}tieline demo{BOLD:#}: {what} at {}", place.address()));
    let mut show = Show::new(args.json);
    let mut script = Script::new((!args.forever).then_some(args.seconds));
    talk::talk(&place, &mut script, &mut show)?;
    Ok(ExitCode::SUCCESS)
}

/// The board, and its reset button.
enum Place {
    Simulated(Board),
    Given { address: Address, reset: Option<String> },
}

impl Place {
    fn address(&self) -> &Address {
        match self {
            Self::Simulated(board) => board.address(),
            Self::Given { address, .. } => address,
        }
    }

    /// Resets the board; false: only its owner can.
    fn reset(&self) -> Result<bool> {
        match self {
            Self::Simulated(board) => board.reset().context("the simulated board is gone")?,
            Self::Given { reset: None, .. } => return Ok(false),
            Self::Given { reset: Some(line), .. } => {
                // What it says goes where people read, not among the samples.
                let mut command = Command::new("sh");
                command.args(["-c", line]).stdin(Stdio::null()).stdout(std::io::stderr());
                let status = command.status().context("there is no `sh` to run the command of --reset")?;
                if !status.success() {
                    bail!("the command of --reset, `{line}`, has failed ({status})");
                }
            }
        }
        Ok(true)
    }
}

/// Starts the simulated board: behind a pseudo-terminal if there can be one.
fn switch_on(transport: Option<Transport>) -> Result<Board> {
    match transport {
        Some(Transport::Pty) => Board::behind_terminal(),
        Some(Transport::Tcp) => Board::behind_tcp(),
        None => Board::behind_terminal().or_else(|error| {
            note(format_args!("{error:#}: the board is behind TCP instead"));
            Board::behind_tcp()
        }),
    }
}
