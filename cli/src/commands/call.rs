//! `tieline call`: one request and its answer.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::CommandFactory;
use clap::error::ErrorKind;
use tieline_std::{CallError, Options, RawCaller, RouteName};

use crate::format::{self, Format};
use crate::{Cli, Peer, route};

/// A peer that has just started may not have declared its service yet.
const AGAIN: Duration = Duration::from_millis(50);
/// Largest answer.
const ROOM: usize = 64 * 1024;

/// Ask a service of the peer and write its answer to standard output
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    peer: Peer,
    /// The service's route: Type@path
    #[arg(value_parser = route)]
    route: &'static RouteName,
    /// The request's payload
    payload: String,
    /// PAYLOAD is hexadecimal digits, two a byte
    #[arg(long)]
    hex: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let payload = if args.hex {
        match from_hex(&args.payload) {
            Ok(payload) => payload,
            // Only together do the two arguments tell; the status is that of wrong usage.
            Err(error) => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
        }
    } else {
        args.payload.clone().into_bytes()
    };
    args.peer.talk(Options::default(), |connection| {
        let caller = connection.raw_caller(args.route).with_room(ROOM);
        let answer = ask(&caller, &payload, args.peer.patience());
        let answer = answer.map_err(|error| anyhow!("{}: {error}", args.route))?;
        let format = if args.json { Format::Json } else { args.format };
        format::payload(&mut io::stdout().lock(), format, &args.route.to_string(), &answer)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks, and asks again while there is no such service: then nothing was handled.
fn ask(caller: &RawCaller, payload: &[u8], patience: Duration) -> Result<Vec<u8>, CallError> {
    let begin = Instant::now();
    loop {
        // The protocol states time-outs in 32 bits of milliseconds.
        let left = patience.saturating_sub(begin.elapsed()).min(Duration::from_secs(86_400));
        match caller.call(payload, left) {
            Err(CallError::NoService | CallError::Busy) if left > AGAIN => std::thread::sleep(AGAIN),
            other => return other,
        }
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0);
    let digits = digits
        .ok_or_else(|| anyhow!("with --hex the payload is hexadecimal digits, two a byte, as in 00ff"))?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_payloads_are_checked() {
        assert_eq!(from_hex("00fFa1").unwrap(), [0, 0xFF, 0xA1]);
        assert!(from_hex("0").is_err() && from_hex("0g").is_err());
        assert!(from_hex("").unwrap().is_empty());
    }
}
