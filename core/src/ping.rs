//! PING and PONG: round-trip time, the peer's clock, and exactly how many best-effort messages were lost.
//!
//! Knows nothing of when a PING is due: that is the endpoint's timer. Memory is fixed: a histogram of half
//! octaves that forgets slowly.

use core::time::Duration;

use crate::capability;
use crate::time::Instant;

/// Buckets of the histogram: half octaves from 16 µs to 1 s.
const BUCKETS: usize = 32;
/// Shortest time that the histogram tells apart, in µs.
const SHORTEST_US: u32 = 16;
/// The unit of PONG's `held`, in µs.
const HELD_UNIT_US: u64 = 4;
/// PONG's `held` when it was longer than can be said.
const HELD_UNKNOWN: u16 = u16::MAX;

/// Round-trip times as measured by PING and PONG, without the time that the peer held the PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RttStats {
    /// How many were measured in this session.
    pub samples: u32,
    /// The newest.
    pub last: Duration,
    /// The shortest.
    pub min: Duration,
    /// The arithmetic mean.
    pub mean: Duration,
    /// The median, rounded up to a half octave.
    pub p50: Duration,
    /// The 99th percentile, rounded up to a half octave.
    pub p99: Duration,
    /// Mean deviation between one and the next (RFC 3550, section 6.4.1).
    pub jitter: Duration,
    /// The peer's clock minus ours, in µs, from the fastest recent round trip.
    pub clock_offset_us: i64,
}

/// Best-effort messages that came and that got lost on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loss {
    /// Messages that arrived.
    pub received: u32,
    /// Messages that were sent and did not arrive.
    pub lost: u32,
}

/// The measuring part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ping {
    /// When the PING that is under way left; its id is `id`.
    sent_at: Option<Instant>,
    id: u8,
    /// The newest PING of the peer that is not answered: id and arrival.
    to_answer: Option<(u8, Instant)>,
    samples: u32,
    last_us: u32,
    min_us: u32,
    sum_us: u64,
    jitter_us: u32,
    histogram: [u8; BUCKETS],
    /// Round-trip time of the sample that `offset_us` comes from; ages, so that drift is followed.
    best_us: u32,
    offset_us: i64,
    /// Best-effort messages that came in this session.
    received: u32,
    /// At the newest PING: what had come, and what was lost.
    at_ping: Loss,
    /// Between the newest two PINGs.
    interval: Loss,
}

impl Ping {
    pub(crate) const fn new() -> Self {
        Self {
            sent_at: None,
            id: 0,
            to_answer: None,
            samples: 0,
            last_us: 0,
            min_us: 0,
            sum_us: 0,
            jitter_us: 0,
            histogram: [0; BUCKETS],
            best_us: 0,
            offset_us: 0,
            received: 0,
            at_ping: Loss { received: 0, lost: 0 },
            interval: Loss { received: 0, lost: 0 },
        }
    }

    /// A session has begun; the peer's HELLO showed `clock`, in µs.
    pub(crate) fn start(&mut self, now: Instant, clock: u64) {
        if capability::STATS {
            *self = const { Self::new() };
            self.offset_us = clock.wrapping_sub(now.as_micros()) as i64;
        }
        self.id = 0;
        self.to_answer = None;
    }

    /// The session goes on over another link: what is under way on the old one says nothing any more.
    pub(crate) const fn on_resume(&mut self) {
        self.sent_at = None;
        self.to_answer = None;
    }

    /// A PING leaves now: its id.
    pub(crate) fn on_send(&mut self, now: Instant) -> u8 {
        self.id = self.id.wrapping_add(1);
        if capability::STATS {
            self.sent_at = Some(now);
        }
        self.id
    }

    /// A best-effort message came, whether or not there was room for it.
    pub(crate) fn on_best_effort(&mut self) {
        if !capability::STATS {
            return;
        }
        self.received = self.received.wrapping_add(1);
    }

    /// A PING came.
    pub(crate) fn on_ping(&mut self, id: u8, sent: u32, now: Instant) {
        self.to_answer = Some((id, now));
        if !capability::STATS {
            return;
        }
        let lost = sent.wrapping_sub(self.received);
        // More arrived than was sent, or an absurd number: the peer counts differently; keep what we know.
        let lost = if lost > u32::MAX / 2 { self.at_ping.lost } else { lost };
        self.interval = Loss {
            received: self.received.wrapping_sub(self.at_ping.received),
            lost: lost.wrapping_sub(self.at_ping.lost),
        };
        self.at_ping = Loss { received: self.received, lost };
    }

    pub(crate) const fn wants_pong(&self) -> bool {
        self.to_answer.is_some()
    }

    /// The PONG to send now: id and time held.
    pub(crate) fn pong(&mut self, now: Instant) -> Option<(u8, u16)> {
        let (id, came) = self.to_answer.take()?;
        let held = now.micros_since(came) / HELD_UNIT_US;
        Some((id, u16::try_from(held).unwrap_or(HELD_UNKNOWN)))
    }

    /// A PONG came.
    pub(crate) fn on_pong(&mut self, id: u8, held: u16, clock: u32, now: Instant) {
        if !capability::STATS || id != self.id || held == HELD_UNKNOWN {
            return;
        }
        let Some(sent) = self.sent_at.take() else { return };
        let held = u64::from(held) * HELD_UNIT_US;
        let rtt = u32::try_from(now.micros_since(sent).saturating_sub(held)).unwrap_or(u32::MAX);
        self.sample(rtt);
        self.best_us = self.best_us.saturating_add(self.best_us / 16).saturating_add(1);
        if self.samples == 1 || rtt <= self.best_us {
            self.best_us = rtt;
            let low = clock.wrapping_add(rtt / 2).wrapping_sub(now.as_micros() as u32);
            let correction = low.wrapping_sub(self.offset_us as u32) as i32;
            self.offset_us = self.offset_us.wrapping_add(i64::from(correction));
        }
    }

    fn sample(&mut self, rtt: u32) {
        if self.samples == 0 {
            self.min_us = rtt;
        } else {
            let change = self.last_us.abs_diff(rtt);
            self.jitter_us = self.jitter_us - self.jitter_us / 16 + change / 16;
            self.min_us = self.min_us.min(rtt);
        }
        self.samples = self.samples.saturating_add(1);
        self.last_us = rtt;
        self.sum_us = self.sum_us.saturating_add(u64::from(rtt));
        if let Some(count) = self.histogram.get_mut(bucket(rtt)) {
            *count += 1;
            if *count == u8::MAX {
                self.histogram.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }

    /// What was measured in this session.
    pub(crate) fn rtt(&self) -> RttStats {
        let micros = |us: u32| Duration::from_micros(u64::from(us));
        RttStats {
            samples: self.samples,
            last: micros(self.last_us),
            min: micros(self.min_us),
            mean: Duration::from_micros(self.sum_us.checked_div(u64::from(self.samples)).unwrap_or(0)),
            p50: micros(self.percentile(50)),
            p99: micros(self.percentile(99)),
            jitter: micros(self.jitter_us),
            clock_offset_us: self.offset_us,
        }
    }

    /// Best-effort messages from the peer in this session, exact as of its newest PING.
    pub(crate) const fn loss(&self) -> Loss {
        self.at_ping
    }

    /// The same between its newest two PINGs.
    pub(crate) const fn loss_interval(&self) -> Loss {
        self.interval
    }

    fn percentile(&self, percent: u32) -> u32 {
        let total: u32 = self.histogram.iter().map(|count| u32::from(*count)).sum();
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        for (i, count) in self.histogram.iter().enumerate() {
            seen += u32::from(*count);
            if seen >= rank && seen > 0 {
                return bucket_end(i);
            }
        }
        0
    }
}

/// The half octave that `us` falls into.
fn bucket(us: u32) -> usize {
    let scaled = us.max(SHORTEST_US) / SHORTEST_US;
    let octave = scaled.ilog2();
    // The bit below the leading one of the full-resolution value halves the octave.
    let half = us.max(SHORTEST_US) >> (octave + SHORTEST_US.ilog2() - 1) & 1;
    ((octave * 2 + half) as usize).min(BUCKETS - 1)
}

/// The first time, in µs, that is beyond a bucket.
const fn bucket_end(index: usize) -> u32 {
    let next = index as u32 + 1;
    let base = SHORTEST_US << (next / 2);
    base + (next % 2) * (base / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_half_octaves() {
        for us in [0, 15, 16, 23, 24, 31, 32, 100, 1000, 65_000, 900_000] {
            let index = bucket(us);
            assert!(us < bucket_end(index), "{us} in bucket {index}");
            assert!(index == 0 || us >= bucket_end(index - 1), "{us} in bucket {index}");
        }
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
    }

    #[test]
    fn round_trip_without_the_time_held_and_the_clock_offset() {
        let mut ping = Ping::new();
        ping.start(Instant::from_millis(1), 5_001_000);
        for i in 0..100u64 {
            let sent = Instant::from_millis(1000 * i + 10);
            let id = ping.on_send(sent);
            // 1 ms there, held 2 ms, 1 ms back; the peer's clock is 5 s ahead.
            let clock = sent.as_micros() + 5_000_000 + 3000;
            ping.on_pong(id, 500, clock as u32, sent + Duration::from_millis(4));
        }
        let rtt = ping.rtt();
        assert_eq!(rtt.samples, 100);
        assert_eq!(rtt.mean, Duration::from_millis(2));
        assert!(rtt.p50 >= rtt.min && rtt.p99 < Duration::from_millis(4));
        assert_eq!(rtt.jitter, Duration::ZERO);
        assert_eq!(rtt.clock_offset_us, 5_000_000);
    }

    #[test]
    fn loss_is_exact_per_interval() {
        let mut ping = Ping::new();
        for _ in 0..7 {
            ping.on_best_effort();
        }
        ping.on_ping(1, 10, Instant::ZERO);
        assert_eq!(ping.loss(), Loss { received: 7, lost: 3 });
        for _ in 0..5 {
            ping.on_best_effort();
        }
        ping.on_ping(2, 15, Instant::ZERO);
        assert_eq!(ping.loss_interval(), Loss { received: 5, lost: 0 });
        assert_eq!(ping.loss(), Loss { received: 12, lost: 3 });
    }

    #[test]
    fn late_and_foreign_pongs_are_ignored() {
        let mut ping = Ping::new();
        let id = ping.on_send(Instant::ZERO);
        ping.on_pong(id.wrapping_add(1), 0, 0, Instant::from_millis(1));
        ping.on_pong(id, HELD_UNKNOWN, 0, Instant::from_millis(1));
        assert_eq!(ping.rtt().samples, 0);
        ping.on_pong(id, 0, 0, Instant::from_millis(1));
        ping.on_pong(id, 0, 0, Instant::from_millis(9));
        assert_eq!(ping.rtt().samples, 1);
    }
}
