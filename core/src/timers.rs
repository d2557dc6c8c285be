//! All deadlines of an endpoint in one table, so that there is one answer to "when must I wake up?".
//!
//! Does not know what a timer does: the endpoint asks [`Timers::expired`] for each, when [`Timers::may_be_over`] says so.

use crate::time::Instant;

/// A timer, named by the question that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// When do we ask again who is there, or repeat a challenge?
    Greeting,
    /// When does an open challenge lapse?
    Challenge,
    /// When is the next PING due?
    Ping,
    /// When has the peer been silent for too long?
    Silence,
    /// When do we repeat what is not acknowledged?
    Retransmit,
    /// When do we ask for lost reports, because somebody waits for them?
    Probe,
    /// When are bytes without a frame worth a diagnosis?
    Diagnosis,
    /// When does the next time to live, request or message end? Reckoned anew after each change.
    Lapse,
    /// When is a session without a link given up?
    Resume,
    /// When may a message pass that a rate limit holds back?
    Rate,
}

const COUNT: usize = 10;

/// The table. Zero is "off", so that an endpoint is all zero before it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    at: [u64; COUNT],
    /// No deadline is before this: what a busy loop asks in vain most of the time.
    none_before: u64,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { at: [0; COUNT], none_before: 0 }
    }

    #[inline(never)]
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(slot) = self.at.get_mut(timer as usize) {
            *slot = at.as_micros().max(1);
            self.none_before = self.none_before.min(*slot);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.at.get_mut(timer as usize) {
            *slot = 0;
        }
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.at.get(timer as usize).is_some_and(|at| *at != 0)
    }

    /// Stops all that is about a session or its link. What an application waits for goes on.
    pub(crate) fn stop_all(&mut self) {
        self.stop_link();
        self.stop(Timer::Lapse);
        self.stop(Timer::Resume);
    }

    /// Stops all that is about the link; what a session needs without one goes on.
    pub(crate) fn stop_link(&mut self) {
        for timer in [
            Timer::Greeting,
            Timer::Challenge,
            Timer::Ping,
            Timer::Silence,
            Timer::Retransmit,
            Timer::Probe,
            Timer::Diagnosis,
        ] {
            self.stop(timer);
        }
    }

    /// Sets the timer, unless it ends earlier anyway.
    #[inline(never)]
    pub(crate) fn advance(&mut self, timer: Timer, at: Instant) {
        if let Some(slot) = self.at.get_mut(timer as usize)
            && (*slot == 0 || *slot > at.as_micros())
        {
            *slot = at.as_micros().max(1);
            self.none_before = self.none_before.min(*slot);
        }
    }

    /// Whether some timer may have ended by `now`.
    pub(crate) const fn may_be_over(&self, now: Instant) -> bool {
        self.none_before <= now.as_micros()
    }

    /// All timers have been asked: finds out when that is worth it again.
    pub(crate) fn on_asked(&mut self) {
        self.none_before = self.next().map_or(u64::MAX, Instant::as_micros);
    }

    /// Whether the timer has ended by `now`; stops it if so.
    #[inline(never)]
    pub(crate) fn expired(&mut self, timer: Timer, now: Instant) -> bool {
        match self.at.get_mut(timer as usize) {
            Some(at) if *at != 0 && *at <= now.as_micros() => {
                *at = 0;
                true
            }
            _ => false,
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.iter().copied().filter(|at| *at != 0).min().map(Instant::from_micros)
    }
}

/// A deadline in 32 bits of milliseconds, for tables where 64 bits would cost too much. 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lapse(u32);

impl Lapse {
    pub(crate) const NEVER: Self = Self(0);

    /// `ms` from `now`; spans above 24 days count as 24 days, 0 as never.
    pub(crate) fn after(now: Instant, ms: u32) -> Self {
        if ms == 0 {
            return Self::NEVER;
        }
        // One less than half of the clock's turn, since the beginning is rounded up.
        Self(Self::clock_up(now).wrapping_add(ms.min(i32::MAX as u32 - 1)).max(1))
    }

    /// The same, but 0 is over at once.
    pub(crate) fn at(now: Instant, ms: u32) -> Self {
        Self(Self::clock(now).wrapping_add(ms.min(i32::MAX as u32)).max(1))
    }

    /// As it is kept in a store, and back.
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// How many ms are left; 0 when it is over.
    #[inline(never)]
    pub(crate) fn left_ms(self, now: Instant) -> u32 {
        (self.0.wrapping_sub(Self::clock(now)) as i32).max(0) as u32
    }

    #[inline(never)]
    pub(crate) fn is_over(self, now: Instant) -> bool {
        self != Self::NEVER && Self::clock(now).wrapping_sub(self.0) as i32 >= 0
    }

    /// When it is over.
    pub(crate) fn instant(self, now: Instant) -> Option<Instant> {
        (self != Self::NEVER).then(|| now.plus_millis(self.left_ms(now)))
    }

    fn clock(now: Instant) -> u32 {
        now.millis().0
    }

    // A span that begins within a millisecond is not over early.
    fn clock_up(now: Instant) -> u32 {
        let (millis, more) = now.millis();
        millis.wrapping_add(more as u32)
    }
}

/// The earliest of some deadlines.
#[derive(Debug)]
pub(crate) struct Soonest {
    now: Instant,
    /// In ms from now, if there is one.
    left: Option<u32>,
}

impl Soonest {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { now, left: None }
    }

    #[inline(never)]
    pub(crate) fn consider(&mut self, lapse: Lapse) {
        if lapse != Lapse::NEVER {
            let left = lapse.left_ms(self.now);
            self.left = Some(self.left.map_or(left, |least| least.min(left)));
        }
    }

    /// When the earliest is over.
    pub(crate) fn instant(&self) -> Option<Instant> {
        self.left.map(|left| self.now.plus_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next_and_ends_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Ping, Instant::from_millis(20));
        timers.set(Timer::Silence, Instant::from_millis(10));
        assert_eq!(timers.next(), Some(Instant::from_millis(10)));
        assert!(!timers.expired(Timer::Ping, Instant::from_millis(19)));
        assert!(timers.expired(Timer::Ping, Instant::from_millis(20)));
        assert!(!timers.expired(Timer::Ping, Instant::from_millis(30)));
    }

    #[test]
    fn a_deadline_is_never_overlooked() {
        let mut noise = crate::wire::Noise(5);
        let mut timers = Timers::new();
        for now in (0..20_000).map(Instant::from_micros) {
            let at = now.plus_micros(noise.below(40) as u64);
            match noise.below(8) {
                0 => timers.set(Timer::Ping, at),
                1 => timers.advance(Timer::Silence, at),
                2 => timers.set(Timer::Probe, at),
                3 => timers.stop(Timer::Ping),
                _ => {}
            }
            let due = timers.next().is_some_and(|at| at <= now);
            assert!(timers.may_be_over(now) || !due, "{now:?}");
            if timers.may_be_over(now) {
                for timer in [Timer::Ping, Timer::Silence, Timer::Probe] {
                    let _ = timers.expired(timer, now);
                }
                timers.on_asked();
                assert!(!timers.may_be_over(now));
            }
        }
    }

    #[test]
    fn a_lapse_survives_the_wrap_of_its_clock() {
        let now = Instant::from_millis(u64::from(u32::MAX) - 5);
        let lapse = Lapse::after(now, 10);
        assert!(!lapse.is_over(now));
        assert!(!lapse.is_over(now.plus_millis(9)));
        assert!(lapse.is_over(now.plus_millis(11)));
        assert_eq!(Lapse::after(now, 0), Lapse::NEVER);
        let odd = Instant::from_micros(1);
        assert!(!Lapse::after(odd, u32::MAX).is_over(odd));
        assert!(Lapse::at(odd, 0).is_over(odd.plus_millis(1)));
    }
}
