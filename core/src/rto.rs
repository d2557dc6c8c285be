//! The retransmission time-out: RFC 6298 with Karn's rule, kept apart from the machine that uses it.
//!
//! Times are in microseconds. One packet at a time is measured, or one PING: its PONG says which transmission it answers,
//! whatever was repeated meanwhile. So a round trip that is longer than the time-out is found out by the PING that goes with the
//! first repetition.

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
    /// What is being measured: which number, and when it left.
    timed: Timed,
    number: u32,
    since: Instant,
}

/// The first is zero, or the endpoint would not be all zero before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timed {
    Nothing,
    Packet,
    Ping,
}

impl Rto {
    pub(crate) const fn new() -> Self {
        Self {
            srtt: 0,
            variation: 0,
            backoff: 0,
            frame: 0,
            timed: Timed::Nothing,
            number: 0,
            since: Instant::ZERO,
        }
    }

    /// For a line on which the largest frame takes `frame_us`.
    pub(crate) fn start(frame_us: u32) -> Self {
        Self { frame: frame_us, ..Self::new() }
    }

    /// A packet was transmitted.
    pub(crate) fn on_transmit(&mut self, seq: u32, new: bool, now: Instant) {
        if new {
            self.time(Timed::Packet, seq, now);
        } else {
            self.forget_packet();
        }
    }

    /// A PING leaves.
    pub(crate) fn on_ping(&mut self, id: u8, now: Instant) {
        self.time(Timed::Ping, id.into(), now);
    }

    fn time(&mut self, what: Timed, number: u32, now: Instant) {
        if self.timed == Timed::Nothing {
            self.timed = what;
            self.number = number;
            self.since = now;
        }
    }

    /// Karn: one cannot know which transmission an acknowledgement answers.
    fn forget_packet(&mut self) {
        if self.timed == Timed::Packet {
            self.timed = Timed::Nothing;
        }
    }

    /// All packets before `acked` are acknowledged now, and some newly.
    pub(crate) fn on_ack(&mut self, acked: u32, now: Instant) {
        self.backoff = 0;
        if self.timed == Timed::Packet && acked.wrapping_sub(self.number) as i32 > 0 {
            self.sample(now);
        }
    }

    /// A PONG came. How long the peer held the PING counts: it holds an acknowledgement as long.
    pub(crate) fn on_pong(&mut self, id: u8, now: Instant) {
        if self.timed != Timed::Ping {
            return;
        }
        match id.wrapping_sub(self.number as u8) {
            0 => self.sample(now),
            // The answer to a later one: this one, or its answer, was lost.
            1..0x80 => self.timed = Timed::Nothing,
            _ => {}
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
        self.forget_packet();
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

    /// What was measured has come back.
    fn sample(&mut self, now: Instant) {
        self.timed = Timed::Nothing;
        let rtt = u32::try_from(now.micros_since(self.since)).unwrap_or(u32::MAX).clamp(1, LONGEST_US);
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
    fn a_ping_measures_what_is_repeated_meanwhile() {
        let mut rto = Rto::start(0);
        rto.on_transmit(0, true, Instant::ZERO);
        rto.on_ack(1, Instant::from_millis(1));
        assert_eq!(rto.micros(), FLOOR_US);
        rto.on_transmit(1, true, Instant::from_millis(100));
        rto.on_timeout();
        rto.on_ping(255, Instant::from_millis(120));
        rto.on_transmit(1, false, Instant::from_millis(120));
        rto.on_pong(254, Instant::from_millis(130));
        rto.on_ack(2, Instant::from_millis(200));
        assert_eq!(rto.micros(), FLOOR_US);
        rto.on_pong(255, Instant::from_millis(220));
        assert!((100_000..130_000).contains(&rto.micros()), "{}", rto.micros());
        // One that is lost does not stand in the way for ever.
        rto.on_ping(0, Instant::from_millis(300));
        rto.on_pong(1, Instant::from_millis(900));
        rto.on_transmit(2, true, Instant::from_millis(1_000));
        rto.on_ack(3, Instant::from_millis(1_100));
        assert!(rto.micros() < 300_000, "{}", rto.micros());
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
