//! `tieline stats`: how both sides see the line.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tieline_std::{CallError, Connection, Options, Report};

use crate::format::{count, json, json_millis, millis};
use crate::terminal::note;
use crate::{Peer, interrupt, seconds};

/// How long the peer may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Show how both sides see the line: losses, damage, repetitions, round trips
///
/// Watches the line for a while, then asks the peer for its own view. A program answers that by itself, a board if its
/// application does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// How long the line is watched, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    watch: Duration,
    /// Write one JSON object: {"peer": ..., "here": {...}, "there": {...} or null}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = Options { ping_interval: Duration::from_millis(100), ..Options::default() };
    args.peer.talk(options, |connection| {
        watch(connection, args.watch)?;
        let name = connection.peer().map(|peer| peer.name.to_string()).unwrap_or_default();
        let there = match connection.peer_report(ANSWER) {
            Ok(report) => Some(report),
            Err(CallError::NoService | CallError::Request(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let here = connection.report();
        if interrupt::requested() {
            return Ok(interrupt::exit_code());
        }
        if args.json {
            let there = there.map_or("null".to_owned(), |report| object(&report));
            writeln!(
                io::stdout(),
                "{{\"peer\":{},\"here\":{},\"there\":{there}}}",
                json(&name),
                object(&here)
            )?;
        } else {
            print(&here, there.as_ref())?;
            if there.is_none() {
                note(format_args!("the peer {name:?} does not tell how it sees the line"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Round trips are measured meanwhile.
fn watch(connection: &Connection, span: Duration) -> Result<()> {
    let begin = std::time::Instant::now();
    while let Some(left) = span.checked_sub(begin.elapsed()) {
        match connection.next_rtt(connection.rtt().samples, left) {
            Ok(_) | Err(tieline_std::Error::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The numbers, as they are called in JSON and for people.
fn rows(report: &Report) -> [(&'static str, &'static str, u64); 18] {
    let Report { stats, undelivered, unsent, rtt, .. } = report;
    [
        ("bytes_in", "bytes in", stats.bytes_in.into()),
        ("bytes_out", "bytes out", stats.bytes_out.into()),
        ("frames_in", "frames in", stats.frames_in.into()),
        ("frames_out", "frames out", stats.frames_out.into()),
        ("check_failures", "frames damaged", stats.check_failures.into()),
        ("framing_errors", "frames not decodable", stats.framing_errors.into()),
        ("skipped", "bytes in no intact frame", stats.skipped.into()),
        ("malformed", "frames not understood", stats.malformed.into()),
        ("retransmitted", "packets sent again", stats.retransmitted.into()),
        ("best_effort_received", "best-effort messages in", stats.best_effort.received.into()),
        ("best_effort_lost", "best-effort messages lost", stats.best_effort.lost.into()),
        ("dropped_no_room", "dropped, no room", stats.dropped_no_room.into()),
        ("dropped_too_fast", "dropped, too fast", stats.dropped_too_fast.into()),
        ("expired", "expired", stats.expired.into()),
        ("dropped_unknown", "for nothing declared", stats.dropped_unknown.into()),
        ("undelivered", "reliable ones on their way", (*undelivered).into()),
        ("unsent", "best-effort ones waiting", (*unsent).into()),
        ("pings", "round trips measured", rtt.samples.into()),
    ]
}

fn times(report: &Report) -> [(&'static str, &'static str, Duration); 5] {
    let rtt = report.rtt;
    [
        ("min_ms", "shortest round trip", rtt.min),
        ("mean_ms", "mean", rtt.mean),
        ("p50_ms", "half within", rtt.p50),
        ("p99_ms", "99 % within", rtt.p99),
        ("jitter_ms", "jitter", rtt.jitter),
    ]
}

fn object(report: &Report) -> String {
    let numbers = rows(report).into_iter().map(|(key, _, number)| format!("\"{key}\":{number}"));
    let times = times(report).into_iter().map(|(key, _, span)| format!("\"{key}\":{}", json_millis(span)));
    format!("{{{}}}", numbers.chain(times).collect::<Vec<_>>().join(","))
}

fn print(here: &Report, there: Option<&Report>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut row = |what: &str, here: String, there: Option<String>| {
        writeln!(out, "{what:<28}{here:>14}{:>14}", there.unwrap_or_default())
    };
    row("", "here".to_owned(), there.map(|_| "there".to_owned()))?;
    let theirs = there.map(rows);
    for (at, (_, what, number)) in rows(here).into_iter().enumerate() {
        row(what, number.to_string(), theirs.map(|rows| rows[at].2.to_string()))?;
    }
    let theirs = there.map(times);
    for (at, (_, what, span)) in times(here).into_iter().enumerate() {
        row(what, millis(span), theirs.map(|times| millis(times[at].2)))?;
    }
    Ok(())
}

/// What the peer says, in one line; for `tieline ping`.
pub(crate) fn peer_view(connection: &Connection) -> Option<String> {
    let Report { stats, rtt, .. } = connection.peer_report(ANSWER).ok()?;
    let damaged = stats.check_failures.wrapping_add(stats.framing_errors);
    Some(format!(
        "as the peer sees it: half within {}, {} damaged, {} sent again",
        millis(rtt.p50),
        count(damaged.into(), "frame"),
        count(stats.retransmitted.into(), "packet")
    ))
}
