//! Time as the caller gives it: [`Instant`] is microseconds since any fixed point.
//!
//! There is no clock in here. Boards whose timer has 32 bits extend it with [`TickExtender`].

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

/// Extends a free-running 32-bit tick counter to 64 bits.
///
/// Call [`extend`](Self::extend) at least once per turn of the counter (71 minutes at 1 MHz).
///
/// ```
/// let mut ticks = tieline::time::TickExtender::new();
/// assert_eq!(ticks.extend(0xFFFF_FFFF), 0xFFFF_FFFF);
/// assert_eq!(ticks.extend(1), 0x1_0000_0001);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickExtender {
    last: u64,
}

impl TickExtender {
    /// An extender that has seen nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: 0 }
    }

    /// The 64-bit count that goes with `ticks` now.
    pub const fn extend(&mut self, ticks: u32) -> u64 {
        let ahead = ticks.wrapping_sub(self.last as u32);
        self.last = self.last.wrapping_add(ahead as u64);
        self.last
    }
}
