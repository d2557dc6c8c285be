//! `tieline pub`: one message for each line of standard input.

use std::io::{self, Read};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tieline::PublishError;
use tieline_std::{Connection, Error, IntentOptions, Options, RawPublisher, RouteName};

use crate::format::{count, json};
use crate::terminal::{Progress, note};
use crate::{Peer, interrupt, route};

/// How long the peer may take to hear that we are done.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// While there is no input, and while messages are on their way, we look that often how the connection is.
const LOOK: Duration = Duration::from_millis(100);
/// Input that is read at once.
const CHUNK: usize = 64 * 1024;

/// Publish one message for each line of standard input
///
/// Waits until somebody wants them. Ends with status 0 only when every line was handed over: to the operating system,
/// or with --reliable to the peer's application.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// The route: Type@path
    #[arg(value_parser = route)]
    route: &'static RouteName,
    /// Each line is delivered exactly once and in order, or its loss is reported
    #[arg(long)]
    reliable: bool,
    /// Write a summary as JSON to standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    args.peer.talk(Options::default(), |connection| publish(args, connection))
}

fn publish(args: &Args, connection: &Connection) -> Result<ExitCode> {
    let quality = if args.reliable { IntentOptions::reliable() } else { IntentOptions::best_effort() };
    let publisher = connection.raw_publisher(args.route, quality)?;
    let patience = args.peer.patience();
    publisher.wait_audience(patience).map_err(|error| match error {
        Error::TimedOut => anyhow!(
            "the peer is there, but has not asked for {} within {} s: does it read that route?",
            args.route,
            patience.as_secs_f64()
        ),
        error => error.into(),
    })?;

    let mut progress = Progress::new();
    let mut lines = Lines::default();
    let sent = send(connection, &publisher, &mut lines, &mut progress)
        .and_then(|()| deliver(args, connection, &publisher, &mut progress));
    progress.clear();
    // The verdict is about the lines; whatever else was on its way is none.
    let _ = connection.close(CLOSE_LIMIT);
    report(args, &publisher, &lines, sent)
}

/// Publishes the input, line by line.
fn send(
    connection: &Connection,
    publisher: &RawPublisher,
    lines: &mut Lines,
    progress: &mut Progress,
) -> Result<()> {
    let mut input = io::stdin().lock();
    loop {
        while !is_readable(&input)? {
            if let Some(ended) = connection.ended() {
                bail!(Error::Ended(ended));
            }
            progress.show(|| format!("{} sent, waiting for input", count(lines.read, "line")));
        }
        let more = lines.fill(&mut input)?;
        lines.publish(connection, publisher, !more)?;
        progress.show(|| {
            let on_their_way = publisher.undelivered();
            format!("{} sent, {on_their_way} on their way", count(lines.read, "line"))
        });
        if !more {
            return Ok(());
        }
    }
}

/// Waits until everything is where it belongs. A peer that lives and does not read is waited for.
fn deliver(
    args: &Args,
    connection: &Connection,
    publisher: &RawPublisher,
    progress: &mut Progress,
) -> Result<()> {
    loop {
        match connection.flush(LOOK) {
            Err(Error::TimedOut) => progress.show(|| {
                let what = if args.reliable { "not taken yet by the peer" } else { "on their way" };
                format!("all lines sent, {} {what}", publisher.undelivered())
            }),
            other => return Ok(other?),
        }
    }
}

/// The verdict.
fn report(args: &Args, publisher: &RawPublisher, lines: &Lines, sent: Result<()>) -> Result<ExitCode> {
    let done = publisher.progress();
    if args.json {
        println_json(args, lines.read, &done)?;
    }
    let missing = done.published - done.delivered;
    if sent.is_ok() && done.published == lines.read && (!args.reliable || missing == 0) {
        return Ok(ExitCode::SUCCESS);
    }
    let read = count(lines.read, "line");
    let unread = lines.read - done.published;
    let state = if args.reliable {
        let in_doubt = missing - done.not_delivered;
        let not = done.not_delivered + unread;
        format!(
            "of {read} read, the peer took {}, {in_doubt} are in doubt and {not} were not delivered",
            done.delivered
        )
    } else {
        format!("of {read} read, {} were handed over", done.published)
    };
    if interrupt::requested() {
        note(format_args!("interrupted: {state}"));
        return Ok(interrupt::exit_code());
    }
    match sent {
        Err(error) => match error.downcast_ref::<Error>() {
            Some(Error::Publish(PublishError::NoAudience) | Error::Undelivered { .. }) => {
                Err(anyhow!("the peer does not read {} any more; {state}", args.route))
            }
            _ => Err(anyhow!("{error:#}; {state}")),
        },
        Ok(()) => Err(anyhow!("{state}")),
    }
}

fn println_json(args: &Args, read: u64, done: &tieline_std::Progress) -> io::Result<()> {
    use std::io::Write;
    writeln!(
        io::stdout(),
        "{{\"route\":{},\"lines\":{read},\"published\":{},\"delivered\":{},\"not_delivered\":{},\"reliable\":{}}}",
        json(&args.route.to_string()),
        done.published,
        done.delivered,
        done.not_delivered,
        args.reliable
    )
}

/// Whether a read of the input returns at once; waits for a moment.
fn is_readable(input: &io::StdinLock<'_>) -> Result<bool> {
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    let limit = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    match poll(&mut fds, Some(&limit)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("standard input cannot be read"),
    }
}

/// The input, cut into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Lines that were cut so far.
    read: u64,
}

impl Lines {
    /// Reads once. Returns whether there may be more.
    fn fill(&mut self, input: &mut impl Read) -> Result<bool> {
        let len = self.buffer.len();
        self.buffer.resize(len + CHUNK, 0);
        let read = loop {
            match input.read(self.buffer.get_mut(len..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.context("standard input cannot be read"),
            }
        };
        self.buffer.truncate(len + read.as_ref().copied().unwrap_or(0));
        Ok(read? > 0)
    }

    /// Publishes all lines that are complete, and the rest if nothing follows.
    fn publish(&mut self, connection: &Connection, publisher: &RawPublisher, last: bool) -> Result<()> {
        let end = match self.buffer.iter().rposition(|&byte| byte == b'\n') {
            _ if last => self.buffer.len(),
            Some(at) => at + 1,
            None => 0,
        };
        // Nobody to send to: reading on would only fill the memory.
        let limit = publisher.payload_limit().ok_or_else(|| match connection.ended() {
            Some(ended) => Error::Ended(ended),
            None => Error::Publish(PublishError::NoAudience),
        })?;
        let lines: Vec<&[u8]> =
            self.buffer[..end].split_inclusive(|&byte| byte == b'\n').map(chomp).collect();
        // A line that is not complete, but too long already, will not become shorter.
        let rest = self.buffer.len() - end;
        let too_long = lines.iter().position(|line| line.len() > limit);
        let fitting = too_long.unwrap_or(lines.len());
        let before = self.read;
        self.read += fitting as u64;
        publisher.publish_all(&lines[..fitting])?;
        let long = too_long.and_then(|at| lines.get(at)).map(|line| line.len());
        if let Some(len) = long.or((rest > limit).then_some(rest)) {
            let number = before + fitting as u64 + 1;
            self.read += 1;
            bail!("line {number} has {len} bytes or more, and a message of this route has at most {limit}");
        }
        self.buffer.drain(..end);
        Ok(())
    }
}

fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
