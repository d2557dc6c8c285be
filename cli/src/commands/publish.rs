//! `tieline pub`: one message for each line of standard input.

use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tieline::PublishError;
use tieline_std::{Connection, Error, Event, FailReason, IntentOptions, Options, RawPublisher, RouteName};

use super::broadcast;
use crate::format::{count, json};
use crate::terminal::{Progress, note};
use crate::{Peer, interrupt, outage, route};

/// How long the peer may take to hear that we are done.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// While there is no input, and while messages are on their way, we look that often how the connection is.
const LOOK: Duration = Duration::from_millis(100);
/// Input that is read at once.
const CHUNK: usize = 64 * 1024;

/// Publish one message for each line of standard input
///
/// Waits until somebody wants them. A line that is lost is waited for, and the session goes on where it was; when the peer
/// starts anew, or is away for longer than 10 s, reliable lines under way are in doubt, and that is an error. Ends with status 0 only when every line was handed over: to the operating system,
/// or with --reliable to the peer's application. An address with ?multicast or ?broadcast reaches whoever listens; then nobody is
/// waited for.
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
    let address = &args.peer.address;
    if address.is_broadcast() {
        if args.reliable {
            bail!("nobody acknowledges what is sent to all at {address}: leave --reliable away");
        }
        let sent = broadcast::publish(address, args.route)?;
        if args.json {
            println_json(args, sent, &tieline_std::Progress { published: sent, ..Default::default() })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    args.peer.talk(Options::default(), |connection| publish(args, connection))
}

fn publish(args: &Args, connection: &Connection) -> Result<ExitCode> {
    let quality = if args.reliable { IntentOptions::reliable() } else { IntentOptions::best_effort() };
    let publisher = connection.raw_publisher(args.route, quality)?.with_timeout(LOOK);
    let patience = args.peer.patience();
    publisher.wait_audience(patience)?;

    let mut talk = Talk {
        connection,
        publisher: &publisher,
        reliable: args.reliable,
        patience,
        watch: outage::Watch::new(connection),
        progress: Progress::new(),
    };
    let mut lines = Lines::default();
    let sent = talk.send(&mut lines).and_then(|()| talk.deliver());
    talk.progress.clear();
    drop(talk);
    // The verdict is about the lines; whatever else was on its way is none.
    let _ = connection.close(CLOSE_LIMIT);
    report(args, &publisher, &lines, sent)
}

/// What is under way.
struct Talk<'c> {
    connection: &'c Connection,
    publisher: &'c RawPublisher,
    reliable: bool,
    patience: Duration,
    watch: outage::Watch,
    progress: Progress,
}

impl Talk<'_> {
    /// Publishes the input, line by line.
    fn send(&mut self, lines: &mut Lines) -> Result<()> {
        let mut input = io::stdin().lock();
        loop {
            while !is_readable(&input)? {
                if let Some(ended) = self.connection.ended() {
                    bail!(Error::Ended(ended));
                }
                self.look()?;
                self.progress.show(|| format!("{} sent, waiting for input", count(lines.read, "line")));
            }
            let more = lines.fill(&mut input)?;
            if !more && lines.buffer.is_empty() {
                // A peer that has had enough may be gone by now.
                return Ok(());
            }
            self.look()?;
            let limit = self.audience()?;
            lines.publish(self, limit, !more)?;
            let publisher = self.publisher;
            self.progress.show(|| {
                let on_their_way = publisher.undelivered();
                format!("{} sent, {on_their_way} on their way", count(lines.read, "line"))
            });
            if !more {
                return Ok(());
            }
        }
    }

    /// Waits until everything is where it belongs. A peer that lives and does not read is waited for.
    fn deliver(&mut self) -> Result<()> {
        loop {
            match self.connection.flush(LOOK) {
                Err(Error::TimedOut) => {
                    self.look()?;
                    let what = if self.reliable { "not taken yet by the peer" } else { "on their way" };
                    let publisher = self.publisher;
                    self.progress.show(|| format!("all lines sent, {} {what}", publisher.undelivered()));
                }
                Err(error) => {
                    // Why they were not delivered says more.
                    self.look()?;
                    return Err(error.into());
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Says what becomes of the line. It may come back; messages that are in doubt do not.
    fn look(&mut self) -> Result<()> {
        let mut failed = false;
        self.watch.look(|event| {
            if let Event::Failed { reason, .. } = event {
                failed |= matches!(
                    reason,
                    FailReason::SessionLost | FailReason::PeerRestarted | FailReason::NotSent
                );
            }
            Ok(())
        })?;
        if failed && self.reliable {
            bail!("connection lost: the session with the peer is over");
        }
        Ok(())
    }

    /// Largest line; waits for somebody to want it, after the peer was lost.
    fn audience(&mut self) -> Result<usize> {
        let begin = Instant::now();
        loop {
            if let Some(limit) = self.publisher.payload_limit() {
                return Ok(limit);
            }
            // Nobody to send to: reading on would only fill the memory. A peer that is there has taken its interest back,
            // unless it has just begun anew.
            let patience = if self.watch.lost > 0 { self.patience } else { LOOK };
            match self.publisher.wait_audience(LOOK) {
                Err(Error::NoAudience { .. }) if self.connection.peer().is_none() => {}
                Err(Error::NoAudience { .. }) if begin.elapsed() < patience => {}
                Err(Error::NoAudience { .. }) => bail!(Error::Publish(PublishError::NoAudience)),
                other => other?,
            }
            self.look()?;
        }
    }

    /// Publishes lines, however long the line is away.
    fn publish(&mut self, lines: &[&[u8]]) -> Result<()> {
        let before = self.publisher.progress().published;
        loop {
            let done = usize::try_from(self.publisher.progress().published - before).unwrap_or(usize::MAX);
            let rest = lines.get(done..).unwrap_or_default();
            match self.publisher.publish_all(rest) {
                Err(Error::TimedOut) => self.look()?,
                // Best effort: what is published while nobody is there is lost, so it waits.
                Err(Error::Publish(PublishError::Disconnected)) => {
                    self.look()?;
                    self.audience()?;
                    if self.connection.peer().is_some() {
                        std::thread::sleep(LOOK);
                    }
                }
                other => return Ok(other?),
            }
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

    /// Publishes all lines that are complete, and the rest if nothing follows; none may be longer than `limit`.
    fn publish(&mut self, talk: &mut Talk<'_>, limit: usize, last: bool) -> Result<()> {
        let end = match self.buffer.iter().rposition(|&byte| byte == b'\n') {
            _ if last => self.buffer.len(),
            Some(at) => at + 1,
            None => 0,
        };
        let lines: Vec<&[u8]> =
            self.buffer[..end].split_inclusive(|&byte| byte == b'\n').map(chomp).collect();
        // A line that is not complete, but too long already, will not become shorter.
        let rest = self.buffer.len() - end;
        let too_long = lines.iter().position(|line| line.len() > limit);
        let fitting = too_long.unwrap_or(lines.len());
        let before = self.read;
        self.read += fitting as u64;
        talk.publish(&lines[..fitting])?;
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
