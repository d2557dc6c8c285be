//! `tieline`: watch, feed and question whatever speaks Tieline.
//!
//! Payloads go to standard output, everything else to standard error. Exit status: 0 done, 1 something went wrong
//! (and the last line says what), 2 wrong usage, 130 interrupted before it was done
//! (what goes on until Ctrl-C, as `demo` and `sub` without `--count` do, is done by then: 0).
#![forbid(unsafe_code)]

mod commands;
mod demo;
mod format;
mod interrupt;
mod outage;
mod terminal;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use tieline_std::{Address, Connection, Error, Options, RouteName};

/// Every address that works, for the help of the program and of each command that takes one.
const ADDRESSES: &str = "\
Addresses:
  tcp://HOST:PORT              dial; with ?listen wait there for one peer
  tcp://HOST:PORT?framing=serial
                               a serial line carried over TCP; &baud=N keeps to its rate
  udp://HOST:PORT              the peer there; ?listen waits; ?mtu=N where packets of another size go undivided
  udp://GROUP:PORT?multicast   whoever listens (pub and sub); &interface=eth0, &hops=N
  udp://HOST:PORT?broadcast    the same, in a whole network
  unix:///PATH                 a Unix socket; with ?listen wait there for one peer
  serial:///dev/ttyUSB0        a serial port; ?baud=N [115200], ?flow=rtscts, ?dtr=on|off|keep
  serial://?usb=VID:PID        the port of that USB device, whatever its number; VID:PID:SERIAL tells equal ones apart
Several options are joined by &, and quoted for the shell: 'serial:///dev/ttyUSB0?baud=921600&dtr=keep'";

/// Typed, named messages between this PC and a board (or another program).
///
/// A ROUTE is Type@path, as in ImuSample@sensors.imu. ADDRESSes are told at the end.
#[derive(Debug, Parser)]
#[command(name = "tieline", version, about, arg_required_else_help = true, after_long_help = ADDRESSES)]
struct Cli {
    /// Tell on standard error what becomes of the connection; -vv says how it is looked for, -vvv every read and write
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Pub(commands::publish::Args),
    Sub(commands::subscribe::Args),
    Call(commands::call::Args),
    Ping(commands::ping::Args),
    Stats(commands::stats::Args),
    Routes(commands::routes::Args),
    Ports(commands::ports::Args),
    /// Write a script that completes this program's commands and options in a shell
    ///
    /// For bash: tieline completions bash > ~/.local/share/bash-completion/completions/tieline
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    let done = interrupt::watch().and_then(|()| match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Pub(args) => commands::publish::run(&args),
        Command::Sub(args) => commands::subscribe::run(&args),
        Command::Call(args) => commands::call::run(&args),
        Command::Ping(args) => commands::ping::run(&args),
        Command::Stats(args) => commands::stats::run(&args),
        Command::Routes(args) => commands::routes::run(&args),
        Command::Ports(args) => commands::ports::run(&args),
        Command::Completions { shell } => completions(shell),
    });
    match done {
        Ok(code) => code,
        Err(_) if interrupt::requested() => interrupt::exit_code(),
        Err(error) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error, as everything that is no payload.
fn log(verbose: u8) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(color).init();
}

fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tieline", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever read our output has seen enough, as in `tieline sub ... | head`.
fn is_closed_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// After that long without a session, people are told what is waited for.
const WONDER: Duration = Duration::from_secs(1);

/// Where the peer is and how long it is waited for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ADDRESSES)]
struct Peer {
    /// Where the peer is, as in tcp://HOST:PORT, with ?listen to wait for it, or serial:///DEVICE?baud=N (all: --help)
    address: Address,
    /// Seconds to wait for the peer, or `forever` [default: 10; forever for an address with ?listen]
    #[arg(long, value_name = "SECONDS", value_parser = patience)]
    timeout: Option<Duration>,
}

impl Peer {
    /// Opens the connection, which an interrupt closes, and sees that it is closed however the talk ends.
    fn talk(&self, options: Options, talk: impl FnOnce(&Connection) -> Result<ExitCode>) -> Result<ExitCode> {
        if self.address.is_broadcast() {
            anyhow::bail!(
                "{} reaches whoever listens, which is no connection with a peer: `tieline pub` and `tieline sub` take such an address",
                self.address
            );
        }
        let name = if options.name.is_empty() { "tieline" } else { options.name };
        let options = Options { name, timeout: self.timeout, ..options };
        // Whoever listens waits by design; one who dials wonders.
        let connection = if self.address.listens() {
            Connection::open(&self.address, options)?
        } else {
            let note = |error: &Error| terminal::note(format_args!("{error}; still waiting"));
            Connection::open_noting(&self.address, options, WONDER, note)?
        };
        interrupt::closes(&connection);
        let done = talk(&connection);
        // Whether everything is delivered is for the talk to find out; this only tells the peer.
        let _ = connection.close(Duration::from_millis(500));
        interrupt::forgets();
        done
    }

    /// How long the peer's program is waited for once it is connected.
    fn patience(&self) -> Duration {
        match self.timeout {
            Some(limit) => limit,
            None if self.address.listens() => Duration::MAX,
            None => Options::DIAL_TIMEOUT,
        }
    }
}

/// A number of seconds, or without end.
fn patience(text: &str) -> Result<Duration, String> {
    if text == "forever" {
        return Ok(Duration::MAX);
    }
    seconds(text).map_err(|error| format!("{error}, or `forever`"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is a number of seconds, as in 2.5".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "it is a number of seconds, as in 2.5, not below 0".to_owned())
}

fn route(text: &str) -> Result<&'static RouteName, tieline::RouteError> {
    tieline_std::route(text)
}
