//! Keeps the operating system's buffer of a slow line short, so that an urgent message waits for one frame
//! and not for all that was written before it.
//!
//! Invariant: when [`Pace::delay`] is zero, at most [`AHEAD`] of line time is waiting behind what the line
//! is sending now, as far as the baud rate tells.

use std::time::{Duration, Instant};

/// Line time that may wait in the operating system's buffer when the next frame is written: bridges the
/// time that a thread needs to wake up.
const AHEAD: Duration = Duration::from_millis(1);

/// 8 data bits, a start and a stop bit.
const BITS_PER_BYTE: u64 = 10;

/// Where a serial line is with what was written to it.
#[derive(Debug)]
pub(crate) struct Pace {
    bits_per_second: u64,
    /// When the line will have sent all that was written.
    idle_at: Instant,
}

impl Pace {
    pub(crate) fn new(bits_per_second: u32, now: Instant) -> Self {
        Self { bits_per_second: u64::from(bits_per_second.max(1)), idle_at: now }
    }

    /// Notes that `bytes` were written.
    pub(crate) fn wrote(&mut self, now: Instant, bytes: usize) {
        self.idle_at = self.idle_at.max(now) + self.time(bytes);
    }

    /// How long to wait before the next frame is written, when the system says that it holds `queued` bytes.
    pub(crate) fn delay(&self, now: Instant, queued: usize) -> Duration {
        // The system knows about flow control and slow clocks, the calculation about the adapter's own buffer.
        let idle_at = self.idle_at.max(now + self.time(queued));
        idle_at.saturating_duration_since(now).saturating_sub(AHEAD)
    }

    fn time(&self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(BITS_PER_BYTE);
        Duration::from_nanos(bits.saturating_mul(1_000_000_000) / self.bits_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_waits_for_the_one_before_it_but_for_a_millisecond() {
        let start = Instant::now();
        let mut pace = Pace::new(100_000, start);
        assert_eq!(pace.delay(start, 0), Duration::ZERO);
        pace.wrote(start, 100);
        assert_eq!(pace.delay(start, 0), Duration::from_millis(9));
        assert_eq!(pace.delay(start + Duration::from_millis(9), 0), Duration::ZERO);
        // An idle line does not save time up.
        let later = start + Duration::from_secs(5);
        pace.wrote(later, 100);
        assert_eq!(pace.delay(later, 0), Duration::from_millis(9));
    }

    #[test]
    fn a_line_that_is_held_up_is_believed() {
        let start = Instant::now();
        let mut pace = Pace::new(100_000, start);
        pace.wrote(start, 10);
        assert_eq!(pace.delay(start, 200), Duration::from_millis(19));
    }
}
