//! `tieline ping`: how long the line and the peer take.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tieline_std::{Connection, Error, Options, RttStats, printable};

use super::stats;
use crate::format::{count, json, json_millis, millis};
use crate::terminal::note;
use crate::{Peer, interrupt, outage, seconds};

const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Measure the round-trip time to the peer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// End after that many round trips
    #[arg(long, value_name = "N")]
    count: Option<u32>,
    /// Seconds between them
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = seconds)]
    interval: Duration,
    /// One JSON object for each round trip, and one with the summary
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let interval = args.interval.max(Duration::from_millis(1));
    let silence =
        Options::default().silence.max(interval.saturating_mul(2).saturating_add(Duration::from_secs(1)));
    let options = Options { ping_interval: interval, silence, ..Options::default() };
    args.peer.talk(options, |connection| ping(args, connection, silence))
}

fn ping(args: &Args, connection: &Connection, silence: Duration) -> Result<ExitCode> {
    let name = connection.peer().map(|peer| peer.name.to_string()).unwrap_or_default();
    if !args.json {
        note(format_args!(
            "connected to {} at {}",
            printable(if name.is_empty() { "a peer" } else { &name }),
            args.peer.address
        ));
    }
    let measured = measure(args, connection, silence / 2);
    let rtt = connection.rtt();
    let theirs = if measured.is_ok() && !args.json { stats::peer_view(connection) } else { None };
    let _ = connection.close(CLOSE_LIMIT);
    if interrupt::requested() || measured.is_ok() {
        summary(args, &name, &rtt)?;
        if let Some(theirs) = theirs {
            note(format_args!("{theirs}"));
        }
        let incomplete = args.count.is_some_and(|count| rtt.samples < count);
        return Ok(if incomplete { interrupt::exit_code() } else { ExitCode::SUCCESS });
    }
    measured.with_context(|| format!("after {}", count(rtt.samples.into(), "round trip")))?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args, connection: &Connection, limit: Duration) -> Result<()> {
    let mut watch = outage::Watch::new(connection);
    // A new session counts from 0 again.
    let (mut shown, mut known) = (0, 0);
    while args.count.is_none_or(|count| shown < count) {
        let rtt = watch.during(limit, |limit| match connection.next_rtt(known, limit) {
            Ok(rtt) if rtt.samples == 0 => {
                known = 0;
                Ok(None)
            }
            Ok(rtt) => Ok(Some(rtt)),
            Err(Error::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        watch.look(|_| Ok(()))?;
        known = rtt.samples;
        shown += 1;
        let mut out = io::stdout().lock();
        if args.json {
            writeln!(out, "{{\"ping\":{shown},\"ms\":{}}}", json_millis(rtt.last))?;
        } else {
            writeln!(out, "{shown}: {}", millis(rtt.last))?;
        }
    }
    Ok(())
}

fn summary(args: &Args, name: &str, rtt: &RttStats) -> io::Result<()> {
    let RttStats { samples, min, mean, p50, p99, jitter, .. } = *rtt;
    if args.json {
        let [min, mean, p50, p99, jitter] = [min, mean, p50, p99, jitter].map(json_millis);
        return writeln!(
            io::stdout(),
            "{{\"peer\":{},\"pings\":{samples},\"min_ms\":{min},\"mean_ms\":{mean},\"p50_ms\":{p50},\"p99_ms\":{p99},\
             \"jitter_ms\":{jitter}}}",
            json(name)
        );
    }
    let [min, mean, p50, p99, jitter] = [min, mean, p50, p99, jitter].map(millis);
    note(format_args!(
        "{}: min {min}, mean {mean}, half within {p50}, 99 % within {p99}, jitter {jitter}",
        count(samples.into(), "round trip")
    ));
    Ok(())
}
