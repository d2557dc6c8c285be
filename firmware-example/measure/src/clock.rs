//! Microseconds of SysTick, which every Cortex-M has (Armv7-M Architecture Reference Manual, B3.3).
//!
//! It counts 24 bits down at 12.5 MHz, the LM3S6965's clock after reset: somebody must look every 1.3 s.

use tieline::Instant;
use tieline::time::TickExtender;

const CONTROL: usize = 0xE000_E010;
const RELOAD: usize = 0xE000_E014;
const CURRENT: usize = 0xE000_E018;

/// Microseconds per tick, in 1/65536: 0.08.
const MICROS_PER_TICK: u64 = 5243;

/// The clock.
#[derive(Debug)]
pub struct Clock {
    ticks: TickExtender,
}

impl Clock {
    /// A clock that stands until it is [started](Self::start).
    #[must_use]
    pub const fn new() -> Self {
        Self { ticks: TickExtender::new() }
    }

    /// Starts the counter.
    pub fn start(&mut self) {
        // SAFETY: registers of the core's own timer; it is used by nobody else and interrupts nobody.
        unsafe {
            (RELOAD as *mut u32).write_volatile(0x00FF_FFFF);
            (CURRENT as *mut u32).write_volatile(0);
            (CONTROL as *mut u32).write_volatile(5);
        }
    }

    /// What time it is.
    pub fn now(&mut self) -> Instant {
        // SAFETY: reading the counter has no effect.
        let left = unsafe { (CURRENT as *const u32).read_volatile() };
        // The upper 24 of 32 bits: the extender sees a turn of the counter as one of its own.
        let ticks = self.ticks.extend(!left << 8) >> 8;
        Instant::from_micros((ticks * MICROS_PER_TICK) >> 16)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
