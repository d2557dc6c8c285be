//! `tieline pub` and `tieline sub` with an address that reaches whoever listens.

use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tieline_std::{Address, Broadcast, BroadcastStats, Error, RouteName};

use crate::format::{self, Format, count};
use crate::interrupt;
use crate::terminal::note;

/// While nothing comes, we look that often whether there was an interrupt.
const LOOK: Duration = Duration::from_millis(200);

/// One message for each line of standard input; returns how many.
pub(crate) fn publish(address: &Address, route: &'static RouteName) -> Result<u64> {
    let publisher = Broadcast::open(address)?.raw_publisher(route)?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    let mut sent = 0;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).context("standard input cannot be read")? == 0 {
            return Ok(sent);
        }
        let payload = line.strip_suffix(b"\n").unwrap_or(&line);
        publisher.publish(payload).with_context(|| format!("line {}", sent + 1))?;
        sent += 1;
    }
}

/// Messages to standard output, until there are `limit` of them.
pub(crate) fn subscribe(
    address: &Address,
    route: &'static RouteName,
    limit: Option<u64>,
    format: Format,
) -> Result<ExitCode> {
    let subscriber = Broadcast::open(address)?.raw_subscriber(route)?;
    interrupt::is_looked_for();
    let name = route.to_string();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut seen = 0;
    while limit.is_none_or(|limit| seen < limit) && !interrupt::requested() {
        match subscriber.recv_timeout(LOOK) {
            Ok(heard) => {
                if heard.restarted {
                    let sender = heard.sender;
                    note(format_args!("sender {sender:016x} has started anew, or another has the same id"));
                }
                format::payload(&mut out, format, &name, &heard.message)?;
                seen += 1;
                out.flush()?;
            }
            Err(Error::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    tell_losses(&subscriber.stats());
    let complete = limit.is_none_or(|limit| seen >= limit);
    Ok(if complete { ExitCode::SUCCESS } else { interrupt::exit_code() })
}

fn tell_losses(stats: &BroadcastStats) {
    let BroadcastStats { lost, late, duplicates, damaged, other_type, .. } = *stats;
    for (n, what) in [
        (lost, "lost on the way"),
        (late, "came after a newer one, and was dropped"),
        (duplicates, "came again"),
        (damaged, "damaged"),
        (other_type, "on this path with another type: the two sides disagree"),
    ] {
        if n > 0 {
            note(format_args!("{}: {what}", count(n.into(), "message")));
        }
    }
}
