//! The clock, SysTick, and the alarm, Timer 0 (data sheet, chapters 3.2.1 and 10).
//!
//! SysTick runs free: 24 bits that count down at 12.5 MHz, the clock after reset, a turn in 1.3 s. It does not interrupt; the
//! alarm comes in time before it has turned.

use cortex_m::asm::wfi;
use cortex_m::peripheral::SYST;
use tieline::Instant;
use tieline::driver::{Board, Ready, Wait};
use tieline::time::Clock;
use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of Timer 0, which does not access memory.
    unsafe { Register::at(0x4003_0000 + offset) }
}

const CONFIGURATION: Register = register(0x000);
const MODE: Register = register(0x004);
const CONTROL: Register = register(0x00C);
const INTERRUPT_MASK: Register = register(0x018);
const INTERRUPT_CLEAR: Register = register(0x024);
const LOAD: Register = register(0x028);
// SAFETY: a register of the clocks' gates.
const CLOCK_TIMERS: Register = unsafe { Register::at(0x400F_E104) };

/// Of timer A: its bit in CONTROL, and its interrupt of time-out.
const TIMER_A: u32 = 1;

/// What SysTick says.
pub(crate) fn ticks() -> u32 {
    SYST::get_current()
}

/// The alarm has been heard.
pub(crate) fn silence() {
    INTERRUPT_CLEAR.write(TIMER_A);
}

/// Both.
pub(crate) struct Timers {
    clock: Clock<12_500_000, 24>,
}

impl Timers {
    pub(crate) fn start() -> Self {
        // SAFETY: nobody else uses SysTick.
        let mut system_tick = unsafe { cortex_m::Peripherals::steal() }.SYST;
        system_tick.set_reload(0x00FF_FFFF);
        system_tick.clear_current();
        system_tick.enable_counter();
        CLOCK_TIMERS.write(CLOCK_TIMERS.read() | 1 << 16);
        CONFIGURATION.write(0); // one timer of 32 bits
        MODE.write(1); // once
        INTERRUPT_MASK.write(TIMER_A);
        Self { clock: Clock::new() }
    }
}

impl Board for Timers {
    fn now(&mut self) -> Instant {
        self.clock.count_down(ticks())
    }

    fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
        cortex_m::interrupt::free(|_| {
            wait.sleep(|until| {
                CONTROL.write(0);
                LOAD.write(self.clock.ticks_until(until.unwrap_or(Instant::from_micros(u64::MAX))));
                CONTROL.write(TIMER_A);
                wfi();
            });
        });
    }
}
