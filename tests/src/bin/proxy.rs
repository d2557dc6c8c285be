//! `proxy`: a bad line between two programs, for trying things by hand. [`tieline_tests::proxy`] does the
//! work.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tieline_tests::proxy::{Cuts, Faults, Plan, Proxy};

/// A bad line between two programs: flips, loses, inserts and repeats bytes, and is cut now and then.
///
/// FAULTS is a list of name=value, with commas. Probabilities: bits (a bit is flipped), loss (a byte is
/// lost), burst (a burst of loss begins), insert (a byte is inserted), twice (a chunk is repeated). Numbers:
/// burst-max (bytes, 40 unless stated), chunk (bytes are passed on in chunks of 1 to that many). cuts=CUTS:
/// outages of that direction alone.
///
/// CUTS is EVERY/LASTS in milliseconds, each a number or LOW-HIGH, as in 500-3000/200-2500: it works for 0.5
/// to 3 s, then is cut for 0.2 to 2.5 s, and so on. What comes meanwhile is lost; TCP connections stay open.
///
/// Ends when both ends are closed, or with Ctrl-C, and then says what it did.
#[derive(Debug, Parser)]
#[command(name = "proxy", arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    wiring: Wiring,
    #[command(flatten)]
    line: Line,
}

const EXAMPLES: &str = "Examples:
  proxy tcp 127.0.0.1:7701 127.0.0.1:7700 --both bits=1e-5,loss=1e-5,chunk=100 --cuts 500-1500/200-1000
  tieline sub 'tcp://127.0.0.1:7700?listen&framing=serial' Line@demo.in --count 1000
  seq 1000 | tieline pub --reliable 'tcp://127.0.0.1:7701?framing=serial' Line@demo.in";

#[derive(Debug, Subcommand)]
enum Wiring {
    /// Wait for one peer at LISTEN, dial DIAL for it, and stand between the two
    Tcp {
        /// HOST:PORT; port 0: the system chooses one
        listen: String,
        /// HOST:PORT; somebody may begin to listen there later
        dial: String,
    },
    /// Make two pseudo-terminals and stand between them
    Pty,
}

#[derive(Debug, clap::Args)]
struct Line {
    /// Where chance begins: the same seed damages the same bytes
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// Faults of both directions
    #[arg(long, value_name = "FAULTS", value_parser = faults, default_value = "", global = true)]
    both: Faults,
    /// Faults from LISTEN (the first terminal) to DIAL (the second), instead of those of --both
    #[arg(long, value_name = "FAULTS", value_parser = faults, global = true)]
    there: Option<Faults>,
    /// Faults of the other direction, instead of those of --both
    #[arg(long, value_name = "FAULTS", value_parser = faults, global = true)]
    back: Option<Faults>,
    /// Outages of both directions at once
    #[arg(long, value_name = "CUTS", value_parser = cuts, global = true)]
    cuts: Option<Cuts>,
}

fn main() -> Result<ExitCode> {
    let Cli { wiring, line } = Cli::parse();
    let (there, back) = (line.there.unwrap_or(line.both), line.back.unwrap_or(line.both));
    let plan = Plan { seed: line.seed, there, back, cuts: line.cuts };
    let proxy = match &wiring {
        Wiring::Tcp { listen, dial } => {
            Proxy::tcp(listen, dial, &plan).with_context(|| format!("cannot listen at {listen}"))?
        }
        Wiring::Pty => Proxy::terminals(&plan).context("no pseudo-terminals can be had")?,
    };
    let stopper = proxy.stopper();
    ctrlc::set_handler(move || stopper.stop()).context("Ctrl-C cannot be watched")?;

    let mut out = std::io::stdout();
    let [near, far] = proxy.ends();
    match wiring {
        Wiring::Tcp { .. } => writeln!(out, "tcp://{near}?framing=serial goes to {far}")?,
        Wiring::Pty => writeln!(out, "serial://{near} goes to serial://{far}")?,
    }
    writeln!(out, "{}", proxy.wait()?)?;
    Ok(ExitCode::SUCCESS)
}

fn faults(text: &str) -> Result<Faults, String> {
    let mut faults = Faults::NONE;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not name=value"))?;
        match name {
            "bits" => faults.bit_error = probability(name, value)?,
            "loss" => faults.byte_loss = probability(name, value)?,
            "burst" => faults.burst = probability(name, value)?,
            "insert" => faults.insertion = probability(name, value)?,
            "twice" => faults.duplication = probability(name, value)?,
            "burst-max" => faults.burst_max = number(value)?,
            "chunk" => faults.chunk_max = number(value)?,
            "cuts" => faults.cuts = Some(cuts(value)?),
            _ => {
                return Err(format!(
                    "`{name}` is no fault: bits, loss, burst, insert, twice, burst-max, chunk and cuts are"
                ));
            }
        }
    }
    Ok(faults)
}

fn cuts(text: &str) -> Result<Cuts, String> {
    let (every, last) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` is not EVERY/LASTS in milliseconds, as in 500-3000/200-2500"))?;
    Ok(Cuts { every_ms: span(every)?, last_ms: span(last)? })
}

fn span(text: &str) -> Result<(u64, u64), String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low)?, number(high)?);
    if low > high { Err(format!("`{text}`: the smaller number comes first")) } else { Ok((low, high)) }
}

fn probability(name: &str, value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("`{name}` is a probability from 0 to 1, as in 1e-5, and not `{value}`")),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number"))
}
