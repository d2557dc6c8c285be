//! Time as the caller gives it: [`Instant`] is microseconds since any fixed point.
//!
//! Nothing in here counts. Boards make of a free-running timer of 32 bits or fewer a [`Clock`], or 64 bits of ticks
//! ([`TickExtender`]).

use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A point in time, in microseconds since a fixed point that the caller chooses (its start, usually).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The fixed point itself.
    pub const ZERO: Self = Self(0);

    /// `micros` microseconds after the fixed point.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// `millis` milliseconds after the fixed point.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the fixed point.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    #[inline(never)]
    pub(crate) const fn plus_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    pub(crate) const fn plus_millis(self, millis: u32) -> Self {
        self.plus_micros(millis as u64 * 1000)
    }

    /// Milliseconds since the fixed point, modulo 2^32, and whether some µs are left.
    ///
    /// Without a division of 64 bits, which a Cortex-M has not, and which costs 0.9 KB of flash: 2^32 is 1000 times 4294967,
    /// and 296.
    #[inline(never)]
    pub(crate) const fn millis(self) -> (u32, bool) {
        let (high, low) = ((self.0 >> 32) as u32, self.0 as u32);
        let rest = high % 1000 * 296 + low % 1000;
        let millis = high.wrapping_mul(4_294_967).wrapping_add(high / 1000 * 296);
        (millis.wrapping_add(low / 1000).wrapping_add(rest / 1000), rest % 1000 != 0)
    }

    pub(crate) const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.plus_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Extends a free-running tick counter of `BITS` bits (1 to 32) to 64 bits.
///
/// Look at it at least once per turn of the counter: 71 minutes at 1 MHz and 32 bits, 1 s at 16 MHz and 24 bits.
///
/// ```
/// use tieline::time::TickExtender;
///
/// let mut ticks = TickExtender::<32>::new();
/// assert_eq!(ticks.extend(0xFFFF_FFFF), 0xFFFF_FFFF);
/// assert_eq!(ticks.extend(1), 0x1_0000_0001);
///
/// let mut system_tick = TickExtender::<24>::new(); // a Cortex-M's SysTick, reloaded with 0xFF_FFFF, counts down
/// assert_eq!(system_tick.extend_down(0xFF_FFFE), 1);
/// assert_eq!(system_tick.extend_down(0xFF_FFFF), 0x100_0000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickExtender<const BITS: u32 = 32> {
    last: u64,
}

impl<const BITS: u32> TickExtender<BITS> {
    const MASK: u32 = {
        assert!(BITS >= 1 && BITS <= 32, "a counter has 1 to 32 bits");
        u32::MAX >> (32 - BITS)
    };

    /// An extender that has seen nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: 0 }
    }

    /// The 64-bit count that goes with `ticks` now. Bits above the counter's are ignored.
    pub const fn extend(&mut self, ticks: u32) -> u64 {
        let ahead = self.ahead(ticks);
        self.last = self.last.wrapping_add(ahead as u64);
        self.last
    }

    /// The same of a counter that counts down, and goes on with all bits set behind 0.
    pub const fn extend_down(&mut self, left: u32) -> u64 {
        self.extend(!left)
    }

    /// How many ticks have passed since the last look.
    const fn ahead(&self, ticks: u32) -> u32 {
        ticks.wrapping_sub(self.last as u32) & Self::MASK
    }
}

/// A clock of a free-running counter of `BITS` bits (1 to 32) that counts `HERTZ` times a second: ticks in, [`Instant`] out.
///
/// As for [`TickExtender`], look at least once per turn. What is less than a microsecond is carried on, so the clock is as
/// exact as the counter, for ever. There is no division of 64 bits in it for all common rates: those whose `HERTZ` times a
/// million, both without their common divisor, is less than 2^32 (any full kHz up to 4.29 GHz, and 32768 Hz).
///
/// ```
/// use tieline::Instant;
/// use tieline::time::Clock;
///
/// let mut clock = Clock::<12_500_000, 24>::new();
/// assert_eq!(clock.count_down(0xFF_FFFF - 125), Instant::from_micros(10));
/// assert_eq!(clock.ticks_until(Instant::from_micros(11)), 13); // an alarm is never early
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock<const HERTZ: u32, const BITS: u32 = 32> {
    ticks: TickExtender<BITS>,
    micros: u64,
    /// Less than a microsecond, in 1 / DIVISOR of one.
    rest: u32,
}

impl<const HERTZ: u32, const BITS: u32> Clock<HERTZ, BITS> {
    /// A tick is FACTOR / DIVISOR microseconds.
    const FACTOR: u32 = 1_000_000 / common_divisor(1_000_000, HERTZ);
    const DIVISOR: u32 = HERTZ / common_divisor(1_000_000, HERTZ);
    /// Whether less than DIVISOR ticks, and a rest, in parts of a microsecond, fit 32 bits.
    const IS_SIMPLE: bool = (Self::FACTOR as u64 + 1) * Self::DIVISOR as u64 <= u32::MAX as u64;

    /// A clock that begins at [`Instant::ZERO`], when the counter was 0, or full if it counts down.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(HERTZ > 0, "a counter counts") }
        Self { ticks: TickExtender::new(), micros: 0, rest: 0 }
    }

    /// What time it is when the counter, which counts up, stands at `ticks`.
    pub const fn count_up(&mut self, ticks: u32) -> Instant {
        let ahead = self.ticks.ahead(ticks);
        self.ticks.extend(ticks);
        // By ticks = whole * DIVISOR + part it is whole * FACTOR + (part * FACTOR + rest) / DIVISOR.
        let whole = ahead / Self::DIVISOR;
        let part = ahead % Self::DIVISOR;
        self.micros = self.micros.wrapping_add(whole as u64 * Self::FACTOR as u64);
        if Self::IS_SIMPLE {
            let parts = part * Self::FACTOR + self.rest;
            self.micros = self.micros.wrapping_add((parts / Self::DIVISOR) as u64);
            self.rest = parts % Self::DIVISOR;
        } else {
            let parts = part as u64 * Self::FACTOR as u64 + self.rest as u64;
            self.micros = self.micros.wrapping_add(parts / Self::DIVISOR as u64);
            self.rest = (parts % Self::DIVISOR as u64) as u32;
        }
        Instant(self.micros)
    }

    /// What time it is when the counter, which counts down and goes on with all bits set behind 0, stands at `left`.
    pub const fn count_down(&mut self, left: u32) -> Instant {
        self.count_up(!left)
    }

    /// How many ticks an alarm is to wait for `at`, from the last look: rounded up, at least 1, and half a turn of the counter
    /// at most, so that who sleeps until the alarm looks often enough.
    #[must_use]
    pub const fn ticks_until(&self, at: Instant) -> u32 {
        let most = TickExtender::<BITS>::MASK / 2 + 1;
        let micros = at.0.saturating_sub(self.micros);
        // Beyond that it is more than a turn anyway; and the products below stay in their range.
        if micros > u32::MAX as u64 {
            return most;
        }
        let (whole, part) = (micros as u32 / Self::FACTOR, micros as u32 % Self::FACTOR);
        let parts = if Self::IS_SIMPLE {
            (part * Self::DIVISOR).div_ceil(Self::FACTOR)
        } else {
            (part as u64 * Self::DIVISOR as u64).div_ceil(Self::FACTOR as u64) as u32
        };
        let ticks = whole as u64 * Self::DIVISOR as u64 + parts as u64;
        if ticks >= most as u64 {
            most
        } else if ticks == 0 {
            1
        } else {
            ticks as u32
        }
    }
}

/// Euclid's.
const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_counters_turn_in_both_directions() {
        let mut up = TickExtender::<16>::new();
        let mut down = TickExtender::<16>::new();
        let mut exact = 0_u64;
        for step in [0, 1, 0xFFFF, 0x8000, 3, 0xFFFE, 7, 0, 0x1234] {
            exact += step;
            // What is above the counter's bits is none of its business.
            assert_eq!(up.extend(exact as u16 as u32 | 0xABCD_0000), exact);
            assert_eq!(down.extend_down(!exact as u16 as u32), exact);
        }
    }

    /// Steps of all sizes up to a turn, against 128 bits.
    fn is_exact<const HERTZ: u32, const BITS: u32>() {
        let mut clock = Clock::<HERTZ, BITS>::new();
        let mut down = Clock::<HERTZ, BITS>::new();
        let mut ticks = 0_u64;
        let mut step = 1_u32;
        for _ in 0..20_000 {
            step = step.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            ticks += u64::from(step & TickExtender::<BITS>::MASK) >> (step >> 16 & 15);
            let exact = u128::from(ticks) * 1_000_000 / u128::from(HERTZ);
            assert_eq!(
                u128::from(clock.count_up(ticks as u32).as_micros()),
                exact,
                "{HERTZ} Hz, {ticks} ticks"
            );
            assert_eq!(down.count_down(!ticks as u32).as_micros(), clock.micros);
            alarm_is_exact(&clock, u64::from(step) >> (step & 31));
        }
    }

    fn alarm_is_exact<const HERTZ: u32, const BITS: u32>(clock: &Clock<HERTZ, BITS>, micros: u64) {
        let exact = (u128::from(micros) * u128::from(HERTZ)).div_ceil(1_000_000);
        let most = (1_u128 << BITS) / 2;
        let ticks = clock.ticks_until(Instant(clock.micros + micros));
        assert_eq!(u128::from(ticks), exact.clamp(1, most), "{HERTZ} Hz, {micros} µs");
    }

    #[test]
    fn ticks_of_any_rate_are_exact_microseconds() {
        is_exact::<1, 32>();
        is_exact::<32_768, 24>();
        is_exact::<1_000_000, 16>();
        is_exact::<11_059_200, 32>();
        is_exact::<12_500_000, 24>();
        is_exact::<16_000_000, 32>();
        is_exact::<84_000_000, 32>();
        is_exact::<133_000_000, 24>();
        // No common divisor: this one takes a division of 64 bits.
        is_exact::<7_372_801, 32>();
        is_exact::<4_294_967_295, 32>();
        const { assert!(Clock::<11_059_200>::IS_SIMPLE && Clock::<12_500_000>::IS_SIMPLE) };
        const { assert!(Clock::<32_768>::IS_SIMPLE && Clock::<133_000_000>::IS_SIMPLE) };
        const { assert!(Clock::<4_290_000_000>::IS_SIMPLE && !Clock::<7_372_801>::IS_SIMPLE) };
    }

    #[test]
    fn an_alarm_is_never_early_and_never_beyond_half_a_turn() {
        let mut clock = Clock::<12_500_000, 24>::new();
        let now = clock.count_down(0x00FF_FFFF - 1);
        assert_eq!(now, Instant::ZERO);
        assert_eq!(clock.ticks_until(now), 1);
        assert_eq!(clock.ticks_until(Instant::from_micros(u64::MAX)), 0x0080_0000);
        // A tick of the 25 of 2 µs is gone, unnoticed: the alarm comes a tick late.
        assert_eq!(clock.ticks_until(Instant::from_micros(2)), 25);
    }
}
