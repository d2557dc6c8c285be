//! `tieline routes`: what the peer declares.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tieline_std::{Options, PeerRoute, printable};

use crate::format::json;
use crate::terminal::note;
use crate::{Peer, interrupt, seconds};

/// List the routes that the peer publishes, wants and answers requests on
///
/// Nothing needs to be known of them before, and any peer says them, boards included.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// How long the peer may take to say them, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    watch: Duration,
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = Options { observe: true, ..Options::default() };
    args.peer.talk(options, |connection| {
        // A peer declares all it has when the session begins, and does not say that it is done.
        let begin = std::time::Instant::now();
        while let Some(left) = args.watch.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            match connection.next_rtt(connection.rtt().samples, left) {
                Ok(_) | Err(tieline_std::Error::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if interrupt::requested() {
            return Ok(interrupt::exit_code());
        }
        let routes = connection.peer_routes();
        let mut out = io::stdout().lock();
        for route in &routes {
            if args.json {
                writeln!(out, "{}", object(route))?;
            } else {
                let name = printable(&route.name).to_string();
                writeln!(out, "{name:<50} {}", words(route).join(", "))?;
            }
        }
        if routes.is_empty() {
            note("the peer declares nothing so far");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn words(route: &PeerRoute) -> Vec<&'static str> {
    let mut words = Vec::new();
    match (route.publishes, route.reliable) {
        (true, true) => words.push("publishes, reliable"),
        (true, false) => words.push("publishes"),
        (false, _) => {}
    }
    words.extend(route.wants.then_some("wants"));
    words.extend(route.answers.then_some("answers"));
    words
}

fn object(route: &PeerRoute) -> String {
    let PeerRoute { name, publishes, reliable, wants, answers, .. } = route;
    format!(
        "{{\"route\":{},\"publishes\":{publishes},\"reliable\":{},\"wants\":{wants},\"answers\":{answers}}}",
        json(name),
        *publishes && *reliable
    )
}
