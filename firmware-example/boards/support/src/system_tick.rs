//! The clock that most Cortex-M have: SysTick, which runs free and interrupts nobody (Armv7-M Architecture Reference Manual,
//! B3.3).
//!
//! It has 24 bits: whoever sleeps wakes before it has turned, which is what [`SystemTick::ticks_until`] is for.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use tieline::Instant;
use tieline::time::Clock;

/// The clock; `HERTZ` is that of the processor.
#[derive(Debug)]
pub struct SystemTick<const HERTZ: u32>(Clock<HERTZ, 24>);

impl<const HERTZ: u32> SystemTick<HERTZ> {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        // SAFETY: nobody else uses SysTick.
        let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00FF_FFFF);
        timer.clear_current();
        timer.enable_counter();
        Self(Clock::new())
    }

    /// What time it is.
    pub fn now(&mut self) -> Instant {
        self.0.count_down(ticks())
    }

    /// How many ticks of the processor an alarm is to wait: half a turn if there is nothing to wake for.
    #[must_use]
    pub fn ticks_until(&self, until: Option<Instant>) -> u32 {
        self.0.ticks_until(until.unwrap_or(Instant::from_micros(u64::MAX)))
    }
}

/// What it stands at.
#[must_use]
pub fn ticks() -> u32 {
    SYST::get_current()
}
