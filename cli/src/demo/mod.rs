//! `tieline demo`: a board and this PC talk, and you watch.

mod board;
mod show;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tieline_app::{COMMAND, GetStatus, IMU, ImuSample, STATUS, SetRate, Status};
use tieline_std::{Caller, Connection, Error, IntentOptions, Options, Publisher, Subscriber};

use crate::terminal::{BOLD, DIM, note};
use crate::{interrupt, seconds};
use board::Board;
use show::Show;

/// The rate that the board is told to use.
const FASTER: u32 = 100;
/// Longest time without a sample, or for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Watch a board and this PC talk to each other
///
/// The board is the example application, running on this host behind a real pseudo-terminal (or TCP where there is
/// none). It publishes samples, is told to publish faster, and is asked how it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to run
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = seconds)]
    seconds: Duration,
    /// Run until Ctrl-C
    #[arg(long, conflicts_with = "seconds")]
    forever: bool,
    /// Samples and summary as JSON, one object a line
    #[arg(long)]
    json: bool,
    /// What carries the bytes
    #[arg(long, value_enum, hide = true)]
    transport: Option<Transport>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Pty,
    Tcp,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let board = switch_on(args.transport)?;
    note(format_args!("{BOLD}tieline demo{BOLD:#}: a simulated board at {}", board.address()));
    let begin = Instant::now();
    let options =
        Options { name: "tieline demo", ping_interval: Duration::from_millis(100), ..Options::default() };
    let connection = Connection::open(board.address(), options)?;
    interrupt::closes(&connection);
    let peer = connection.peer().map(|peer| peer.name.to_string()).unwrap_or_default();
    note(format_args!("{DIM}connected to \"{peer}\" in {}{DIM:#}", crate::format::millis(begin.elapsed())));

    let mut show = Show::new(args.json);
    let talked = Talk::begin(&connection).and_then(|talk| {
        let limit = (!args.forever).then_some(args.seconds);
        talk.run(&connection, limit, &mut show)
    });
    let (stats, rtt) = (connection.stats(), connection.rtt());
    let _ = connection.close(CLOSE_LIMIT);
    match talked {
        Err(_) if interrupt::requested() => {}
        other => other?,
    }
    show.summary(&stats, &rtt)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the board: behind a pseudo-terminal if there can be one.
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

/// The PC's side.
struct Talk {
    samples: Subscriber<ImuSample>,
    command: Publisher<SetRate>,
    status: Caller<GetStatus, Status>,
}

impl Talk {
    fn begin(connection: &Connection) -> Result<Self> {
        Ok(Self {
            samples: connection.subscriber(&IMU)?,
            command: connection.publisher(&COMMAND, IntentOptions::reliable())?,
            status: connection.caller(&STATUS),
        })
    }

    /// Watches samples; after a third of the time sends the command, after two thirds asks.
    fn run(&self, connection: &Connection, limit: Option<Duration>, show: &mut Show) -> Result<()> {
        let begin = Instant::now();
        let third = limit.unwrap_or(Duration::from_secs(6)) / 3;
        let mut steps = [Step::Command, Step::Ask].into_iter();
        let mut next = begin + third;
        while limit.is_none_or(|limit| begin.elapsed() < limit) && !interrupt::requested() {
            if next <= Instant::now()
                && let Some(step) = steps.next()
            {
                next += third;
                show.interrupt();
                match step {
                    Step::Command => self.command(connection, show)?,
                    Step::Ask => self.ask(show)?,
                }
            }
            match self.samples.recv_timeout(PATIENCE) {
                Ok(sample) => show.sample(&sample, connection.rtt().last)?,
                Err(Error::TimedOut) => {
                    anyhow::bail!("the board has sent no sample for {} s", PATIENCE.as_secs())
                }
                Err(error) => return Err(error.into()),
            }
        }
        show.interrupt();
        Ok(())
    }

    fn command(&self, connection: &Connection, show: &mut Show) -> Result<()> {
        let begin = Instant::now();
        self.command.wait_audience(PATIENCE).context("the board takes no commands")?;
        self.command.publish(&SetRate { hertz: FASTER })?;
        connection.flush(PATIENCE).context("the board has not taken the command")?;
        show.command(&SetRate { hertz: FASTER }, begin.elapsed());
        Ok(())
    }

    fn ask(&self, show: &mut Show) -> Result<()> {
        let begin = Instant::now();
        let status = self.status.call(&GetStatus, PATIENCE).context("the board does not answer")?;
        show.answer(&status, begin.elapsed());
        Ok(())
    }
}

enum Step {
    Command,
    Ask,
}
