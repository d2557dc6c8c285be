//! The retransmission time-out: RFC 6298 with Karn's rule, kept apart from the machine that uses it.
//!
//! Times are in microseconds. One packet at a time is measured.

use crate::capability;
use crate::time::Instant;

/// Before the first measurement (docs/protocol.md, section 5).
const INITIAL_US: u32 = 250_000;
/// Never below this: an operating system's timer tick, and then some.
const FLOOR_US: u32 = 20_000;
/// Back-off ends here: between two peers there is no congestion to yield to, and a line that comes back is used soon.
const CEILING_US: u32 = 500_000;
/// A round trip that takes longer is not worth following.
const LONGEST_US: u32 = 60_000_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rto {
    /// Smoothed round-trip time; 0: not measured yet.
    srtt: u32,
    variation: u32,
    /// How many times in a row it has ended: each doubles it.
    backoff: u8,
    /// Time of the largest frame on the line.
    frame: u32,
    /// The packet that is being measured, and when it left.
    timed: Option<(u32, Instant)>,
}

impl Rto {
    pub(crate) const fn new() -> Self {
        Self { srtt: 0, variation: 0, backoff: 0, frame: 0, timed: None }
    }

    /// For a line on which the largest frame takes `frame_us`.
    pub(crate) fn start(frame_us: u32) -> Self {
        Self { frame: frame_us, ..Self::new() }
    }

    /// A packet was transmitted.
    pub(crate) fn on_transmit(&mut self, seq: u32, new: bool, now: Instant) {
        if !new {
            // Karn: one cannot know which transmission an acknowledgement answers.
            self.timed = None;
        } else if self.timed.is_none() {
            self.timed = Some((seq, now));
        }
    }

    /// All packets before `acked` are acknowledged now, and some newly.
    pub(crate) fn on_ack(&mut self, acked: u32, now: Instant) {
        self.backoff = 0;
        if let Some((seq, sent)) = self.timed
            && acked.wrapping_sub(seq) as i32 > 0
        {
            self.timed = None;
            self.sample(u32::try_from(now.micros_since(sent)).unwrap_or(u32::MAX));
        }
    }

    /// The peer is heard: the line is not dead. True if that is news.
    pub(crate) const fn on_heard(&mut self) -> bool {
        let news = self.backoff > 0;
        self.backoff = 0;
        news
    }

    /// How many times in a row it has ended.
    pub(crate) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// It has ended.
    pub(crate) fn on_timeout(&mut self) {
        self.backoff = (self.backoff + 1).min(10);
        self.timed = None;
    }

    /// What a round trip hardly ever exceeds, in microseconds.
    #[inline(never)]
    pub(crate) fn round_trip(&self) -> u32 {
        let base = match self.srtt {
            0 => INITIAL_US.max(self.frame.saturating_mul(4)),
            // The granularity (RFC 6298, 2.3): our frame, the one in the way, and the one that brings the answer may each
            // be the largest, or hardly anything.
            srtt => srtt.saturating_add(self.variation.saturating_mul(4).max(self.frame.saturating_mul(3))),
        };
        // Our frame, the one that the peer is sending meanwhile, and the one that brings the acknowledgement.
        base.max(self.frame.saturating_mul(3))
    }

    /// Whether it is worth while to ask before it ends: the answer is here in half the time.
    pub(crate) fn asks_first(&self) -> bool {
        let round_trip = self.round_trip();
        self.is_soon(round_trip, self.time_out(round_trip))
    }

    const fn is_soon(&self, round_trip: u32, time_out: u32) -> bool {
        capability::RELIABLE && self.srtt > 0 && round_trip <= time_out / 2
    }

    /// The time-out in microseconds.
    pub(crate) fn micros(&self) -> u32 {
        self.time_out(self.round_trip())
    }

    /// How long to wait for an acknowledgement, µs: until the time-out, or until it is worth while to ask where that can be.
    pub(crate) fn patience(&self, may_ask: bool) -> u32 {
        let round_trip = self.round_trip();
        let time_out = self.time_out(round_trip);
        if may_ask && self.is_soon(round_trip, time_out) { round_trip } else { time_out }
    }

    #[inline(never)]
    fn time_out(&self, round_trip: u32) -> u32 {
        let floor = self.frame.saturating_mul(3).max(FLOOR_US);
        let base = round_trip.max(floor);
        let ceiling = CEILING_US.max(base);
        let doubled =
            if base.leading_zeros() < u32::from(self.backoff) { u32::MAX } else { base << self.backoff };
        doubled.min(ceiling)
    }

    fn sample(&mut self, rtt: u32) {
        let rtt = rtt.clamp(1, LONGEST_US);
        if self.srtt == 0 {
            self.srtt = rtt;
            self.variation = rtt / 2;
        } else {
            // RFC 6298, 2.3: alpha 1/8, beta 1/4.
            self.variation = self.variation - self.variation / 4 + self.srtt.abs_diff(rtt) / 4;
            self.srtt = (self.srtt - self.srtt / 8 + rtt / 8).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_it_measures_and_backs_off() {
        let mut rto = Rto::start(1000);
        assert_eq!(rto.micros(), INITIAL_US);
        for seq in 0..50 {
            rto.on_transmit(seq, true, Instant::from_millis(100 * u64::from(seq)));
            rto.on_ack(seq + 1, Instant::from_millis(100 * u64::from(seq) + 50));
        }
        assert!((50_000..60_000).contains(&rto.micros()), "{}", rto.micros());
        rto.on_timeout();
        assert!(rto.micros() >= 100_000);
        for _ in 0..20 {
            rto.on_timeout();
        }
        assert_eq!(rto.micros(), CEILING_US);
    }

    #[test]
    fn a_repeated_packet_is_not_measured() {
        let mut rto = Rto::start(0);
        rto.on_transmit(0, true, Instant::ZERO);
        rto.on_transmit(0, false, Instant::from_millis(400));
        rto.on_ack(1, Instant::from_millis(401));
        assert_eq!(rto.micros(), INITIAL_US);
    }
}
