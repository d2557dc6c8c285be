//! The clock, SysTick, and the alarm, timer 0. Both run at 25 MHz.

use cortex_m::asm::wfi;
use tieline::Instant;
use tieline::driver::{Board, Ready, Wait};
use tieline_board_support::Register;
use tieline_board_support::system_tick::SystemTick;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of timer 0, which does not access memory.
    unsafe { Register::at(0x4000_0000 + offset) }
}

const CONTROL: Register = register(0x000);
const VALUE: Register = register(0x004);
const RELOAD: Register = register(0x008);
const INTERRUPT_CLEAR: Register = register(0x00C);

/// In CONTROL: counts down, and interrupts at 0.
const ON: u32 = 0b1001;

/// The alarm has been heard. It would ring again.
pub(crate) fn silence() {
    CONTROL.write(0);
    INTERRUPT_CLEAR.write(1);
}

/// Both.
pub(crate) struct Timers {
    clock: SystemTick<25_000_000>,
}

impl Timers {
    pub(crate) fn start() -> Self {
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
                let ticks = self.clock.ticks_until(until);
                CONTROL.write(0);
                RELOAD.write(ticks);
                VALUE.write(ticks);
                CONTROL.write(ON);
                wfi();
            });
        });
    }
}
