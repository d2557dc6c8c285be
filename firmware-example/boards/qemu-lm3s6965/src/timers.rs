//! The clock, SysTick, and the alarm, Timer 0 (data sheet, chapters 3.2.1 and 10).
//!
//! Both run at 12.5 MHz, the clock after reset.

use cortex_m::asm::wfi;
use tieline::Instant;
use tieline::driver::{Board, Ready, Wait};
use tieline_board_support::Register;
use tieline_board_support::system_tick::SystemTick;

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

/// The alarm has been heard.
pub(crate) fn silence() {
    INTERRUPT_CLEAR.write(TIMER_A);
}

/// Both.
pub(crate) struct Timers {
    clock: SystemTick<12_500_000>,
}

impl Timers {
    pub(crate) fn start() -> Self {
        CLOCK_TIMERS.write(CLOCK_TIMERS.read() | 1 << 16);
        CONFIGURATION.write(0); // one timer of 32 bits
        MODE.write(1); // once
        INTERRUPT_MASK.write(TIMER_A);
        Self { clock: SystemTick::start() }
    }
}

impl Board for Timers {
    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
        cortex_m::interrupt::free(|_| {
            wait.sleep(|until| {
                CONTROL.write(0);
                LOAD.write(self.clock.ticks_until(until));
                CONTROL.write(TIMER_A);
                wfi();
            });
        });
    }
}
