//! `tieline sub`: messages of a route to standard output.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tieline_std::{Connection, Error, Event, InterestOptions, Options, Peeked, RawSubscriber, RouteName};

use super::broadcast;
use crate::format::{self, Format};
use crate::terminal::note;
use crate::{Peer, interrupt, outage, route};

/// How long the end may take: the peer is told what was taken.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// What the peer is told when our output fails: a code of the application's own.
const OUTPUT_FAILED: u32 = 16;
/// While nothing comes we look that often why.
const LOOK: Duration = Duration::from_millis(200);
/// After that long without a publisher we say so.
const HINT: Duration = Duration::from_secs(3);

/// Write the messages of a route to standard output, one a line
///
/// Ends after --count messages, or when the peer closes the connection. A peer that is lost is waited for, and so is one that
/// starts anew: standard error says so. A message counts as delivered when its line is written. When the output fails (a full
/// disk) the end is an error here and, for reliable messages that were not written, at the publisher. An address with
/// ?multicast or ?broadcast is that of whoever sends to all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// The route: Type@path
    #[arg(value_parser = route)]
    route: &'static RouteName,
    /// End after that many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How payloads are written
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
}

impl Args {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.peer.address.is_broadcast() {
        return broadcast::subscribe(&args.peer.address, args.route, args.count, args.format());
    }
    args.peer.talk(Options::default(), |connection| {
        let subscriber = connection.raw_subscriber(args.route, InterestOptions::default())?;
        let mut seen = 0;
        let mut watch = Watch::new(connection, args);
        let written = write_messages(args, &subscriber, &mut watch, &mut seen);
        end(args, connection, seen, written)
    })
}

/// Copies messages to standard output until there is a reason to stop.
fn write_messages(
    args: &Args,
    subscriber: &RawSubscriber,
    watch: &mut Watch<'_>,
    seen: &mut u64,
) -> Result<()> {
    let name = args.route.to_string();
    let format = args.format();
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut payload = Vec::new();
    while args.count.is_none_or(|count| *seen < count) {
        let peeked = match subscriber.try_peek(&mut payload) {
            Ok(Some(peeked)) => peeked,
            _ => wait(subscriber, &mut payload, watch, *seen)?,
        };
        format::payload(&mut out, format, &name, &payload)?;
        // What is not written is not delivered.
        out.flush()?;
        subscriber.take(peeked);
        *seen += 1;
    }
    watch.look(*seen)
}

/// Nothing more has come so far: says why, and waits.
fn wait(
    subscriber: &RawSubscriber,
    payload: &mut Vec<u8>,
    watch: &mut Watch<'_>,
    seen: u64,
) -> Result<Peeked> {
    loop {
        // What was told before the end says more than that it has ended.
        watch.look(seen)?;
        match subscriber.peek_timeout(LOOK, payload) {
            Ok(peeked) => return Ok(peeked),
            Err(Error::TimedOut) => {}
            Err(error) => {
                watch.look(seen)?;
                return Err(error.into());
            }
        }
    }
}

/// Why nothing comes, as far as it can be known.
struct Watch<'c> {
    route: &'static RouteName,
    line: outage::Watch,
    connection: &'c Connection,
    /// When to say that nobody publishes, unless somebody does.
    hint_at: Option<Instant>,
}

impl<'c> Watch<'c> {
    fn new(connection: &'c Connection, args: &Args) -> Self {
        let hint_at = Instant::now().checked_add(args.peer.patience().min(HINT));
        Self { route: args.route, line: outage::Watch::new(connection), connection, hint_at }
    }

    fn look(&mut self, seen: u64) -> Result<()> {
        let (wanted, hint_at) = (self.route, &mut self.hint_at);
        self.line.look(|event| {
            match event {
                Event::RouteConflict { route, .. } if route == *wanted => {
                    bail!("the peer has another type or schema on {}", wanted.path());
                }
                Event::Publisher { route, present: true } if route == *wanted => *hint_at = None,
                _ => {}
            }
            Ok(())
        })?;
        if self.hint_at.is_some_and(|at| seen == 0 && at <= Instant::now()) {
            self.hint_at = None;
            let peer = self.connection.peer().map_or_else(String::new, |peer| format!(" {:?}", peer.name));
            note(format_args!(
                "waiting: the peer{peer} is there, but does not publish {} so far",
                self.route
            ));
        }
        Ok(())
    }
}

/// What did not come, as far as the peer has told.
fn note_losses(connection: &Connection) {
    let stats = connection.stats();
    if stats.best_effort.lost > 0 {
        note(format_args!("{} lost on the line", format::count(stats.best_effort.lost.into(), "message")));
    }
    if stats.dropped_no_room > 0 {
        note(format_args!(
            "{} dropped: they came faster than they were taken",
            format::count(stats.dropped_no_room.into(), "message")
        ));
    }
}

/// Tells the peer what was taken, and decides how it went.
fn end(args: &Args, connection: &Connection, seen: u64, written: Result<()>) -> Result<ExitCode> {
    match &written {
        // What was not written must not count as taken.
        Err(error) if error.is::<io::Error>() && !crate::is_closed_output(error) => {
            connection.abort(OUTPUT_FAILED);
        }
        // Its own failures do not concern a reader.
        _ => drop(connection.close(CLOSE_LIMIT)),
    }
    // Whoever reads no more (`| head`) does not miss what it did not wait for.
    if !written.as_ref().is_err_and(anyhow::Error::is::<io::Error>) {
        note_losses(connection);
    }
    let Err(error) = written else { return Ok(ExitCode::SUCCESS) };
    let missing = args.count.map(|count| format!("{seen} of {}", format::count(count, "message")));
    if interrupt::requested() {
        let text = missing.clone().unwrap_or_else(|| format::count(seen, "message"));
        note(format_args!("interrupted after {text}"));
        return Ok(if missing.is_some() { interrupt::exit_code() } else { ExitCode::SUCCESS });
    }
    match (error.downcast_ref::<Error>(), missing) {
        (Some(Error::Ended(ended)), Some(missing)) => bail!("{ended} after {missing}"),
        (Some(Error::Ended(ended)), None) if ended.is_orderly() => Ok(ExitCode::SUCCESS),
        (Some(Error::Ended(ended)), None) => bail!("{ended} after {}", format::count(seen, "message")),
        _ => Err(error),
    }
}
