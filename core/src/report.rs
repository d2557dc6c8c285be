//! What one side tells the other of how it sees the line: the answer to a request on [`STATS`] (docs/protocol.md, section 13).
//!
//! Invariant: a number that a later version adds is skipped by this one, and one that is missing reads as 0. Who answers such
//! requests is the application's business: on a board it declares a service on [`STATS`] and responds with
//! [`Report::emit`].

use core::time::Duration;

use crate::endpoint::{Endpoint, Stats, Storage};
use crate::ping::{Loss, RttStats};
use crate::route::RouteName;
use crate::wire::{Full, Reader, Writer};

/// The service that tells how a side sees the line. Its requests are empty.
pub static STATS: RouteName = match RouteName::new("Stats", "tieline.stats") {
    Ok(name) => name,
    Err(_) => panic!("a valid name"),
};

/// How many numbers a report has.
const NUMBERS: usize = 24;

/// Bytes that a report takes at most.
pub const REPORT_MAX: usize = NUMBERS * 6;

/// How a side sees the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Counters.
    pub stats: Stats,
    /// Round-trip times; the newest one and the clocks' offset do not travel.
    pub rtt: RttStats,
    /// Reliable messages that were published and not yet taken by the other side.
    pub undelivered: u32,
    /// Best-effort messages that wait for the line.
    pub unsent: u32,
}

impl<S: Storage> Endpoint<S> {
    /// How this side sees the line.
    #[must_use]
    pub fn report(&self) -> Report {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Report {
            stats: self.stats(),
            rtt: self.rtt(),
            undelivered: count(self.undelivered_total()),
            unsent: count(self.unsent_best_effort()),
        }
    }
}

impl Report {
    /// In the order of their tags, from 1.
    const fn numbers(&self) -> [u32; NUMBERS] {
        let Stats { bytes_in, bytes_out, frames_in, frames_out, check_failures, .. } = self.stats;
        let Stats { framing_errors, malformed, retransmitted, dropped_no_room, .. } = self.stats;
        let Stats { dropped_too_fast, expired, dropped_unknown, best_effort, .. } = self.stats;
        let RttStats { samples, min, mean, p50, p99, jitter, .. } = self.rtt;
        [
            bytes_in,
            bytes_out,
            frames_in,
            frames_out,
            check_failures,
            framing_errors,
            malformed,
            retransmitted,
            dropped_no_room,
            dropped_too_fast,
            expired,
            dropped_unknown,
            best_effort.received,
            best_effort.lost,
            samples,
            micros(min),
            micros(mean),
            micros(p50),
            micros(p99),
            micros(jitter),
            self.undelivered,
            self.unsent,
            self.stats.peer_dropped_no_room as u32,
            self.stats.skipped,
        ]
    }

    fn from_numbers(numbers: [u32; NUMBERS]) -> Self {
        let [bytes_in, bytes_out, frames_in, frames_out, check_failures, rest @ ..] = numbers;
        let [framing_errors, malformed, retransmitted, dropped_no_room, rest @ ..] = rest;
        let [dropped_too_fast, expired, dropped_unknown, received, lost, rest @ ..] = rest;
        let [samples, min, mean, p50, p99, jitter, undelivered, unsent, peer_dropped, skipped] = rest;
        let span = |micros: u32| Duration::from_micros(micros.into());
        Self {
            stats: Stats {
                bytes_in,
                bytes_out,
                frames_in,
                frames_out,
                check_failures,
                framing_errors,
                skipped,
                malformed,
                retransmitted,
                dropped_no_room,
                dropped_too_fast,
                expired,
                dropped_unknown,
                best_effort: Loss { received, lost },
                peer_dropped_no_room: peer_dropped as u16,
                ..Stats::default()
            },
            rtt: RttStats {
                samples,
                min: span(min),
                mean: span(mean),
                p50: span(p50),
                p99: span(p99),
                jitter: span(jitter),
                ..RttStats::default()
            },
            undelivered,
            unsent,
        }
    }

    /// The report as bytes, in `out`, of which [`REPORT_MAX`] are enough.
    ///
    /// # Errors
    /// [`Full`]
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8], Full> {
        let mut writer = Writer::new(out);
        for (tag, number) in (1..).zip(self.numbers()) {
            if number != 0 {
                writer.varint(tag)?;
                writer.varint(number)?;
            }
        }
        Ok(writer.into_written())
    }

    /// Reads a report; `None` if the bytes are none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut numbers = [0; NUMBERS];
        while !reader.is_empty() {
            let tag = reader.varint()?;
            let number = reader.varint()?;
            if let Some(place) = tag.checked_sub(1).and_then(|at| numbers.get_mut(at as usize)) {
                *place = number;
            }
        }
        Some(Self::from_numbers(numbers))
    }
}

/// Microseconds, as many as can be said.
const fn micros(span: Duration) -> u32 {
    let micros = span.as_micros();
    if micros > u32::MAX as u128 { u32::MAX } else { micros as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Report {
        let mut numbers = [0; NUMBERS];
        numbers.iter_mut().zip(1..).for_each(|(number, at)| *number = at * 1000);
        Report::from_numbers(numbers)
    }

    #[test]
    fn a_report_survives_and_fits() {
        let mut out = [0; REPORT_MAX];
        for report in [Report::default(), some(), Report::from_numbers([u32::MAX; NUMBERS])] {
            let bytes = report.emit(&mut out).unwrap();
            assert_eq!(Report::parse(bytes), Some(report));
        }
        assert_eq!(some().emit(&mut out[..20]), Err(Full));
    }

    #[test]
    fn as_the_page_words_it() {
        let stats = Stats { bytes_in: 300, check_failures: 7, ..Stats::default() };
        let rtt = RttStats { samples: 1, min: Duration::from_micros(128), ..RttStats::default() };
        let report = Report { stats, rtt, undelivered: 2, unsent: 0 };
        let mut out = [0; REPORT_MAX];
        assert_eq!(
            report.emit(&mut out),
            Ok(&[0x01, 0xAC, 0x02, 0x05, 0x07, 0x0F, 0x01, 0x10, 0x80, 0x01, 0x15, 0x02][..])
        );
    }

    #[test]
    fn what_is_not_known_is_skipped_and_what_is_none_is_none() {
        assert_eq!(Report::parse(&[0x00, 0x05, 0x7F, 0x05, 0xFF, 0xFF, 0x03, 0x01]), Some(Report::default()));
        assert_eq!(Report::parse(&[0x01]), None);
        assert_eq!(Report::parse(&[0x01, 0x80]), None);
    }
}
