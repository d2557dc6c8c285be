//! TIMER0, clock and alarm in one (manual, chapter 18): 32 bits that count up at 1 MHz, one register that compares and one
//! that captures. The nRF51 has no SysTick.

use cortex_m::asm::wfi;
use tieline::Instant;
use tieline::driver::{Board, Ready, Wait};
use tieline::time::Clock;
use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of TIMER0, which does not access memory.
    unsafe { Register::at(0x4000_8000 + offset) }
}

const START: Register = register(0x000);
const CAPTURE_1: Register = register(0x044);
const REACHED_0: Register = register(0x140);
const ENABLE_INTERRUPTS: Register = register(0x304);
const BITS: Register = register(0x508);
const PRESCALER: Register = register(0x510);
const VALUE_0: Register = register(0x540);
const VALUE_1: Register = register(0x544);

/// The alarm has been heard.
pub(crate) fn silence() {
    REACHED_0.write(0);
}

fn ticks() -> u32 {
    CAPTURE_1.write(1);
    VALUE_1.read()
}

/// Clock and alarm.
#[derive(Debug)]
pub struct Timers {
    clock: Clock<1_000_000>,
}

impl Timers {
    pub(crate) fn start() -> Self {
        BITS.write(3); // 32
        PRESCALER.write(4); // 16 MHz / 2^4
        ENABLE_INTERRUPTS.write(1 << 16);
        START.write(1);
        Self { clock: Clock::new() }
    }
}

impl Board for Timers {
    fn now(&mut self) -> Instant {
        self.clock.count_up(ticks())
    }

    fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
        cortex_m::interrupt::free(|_| {
            wait.sleep(|until| {
                let begin = ticks();
                let span = self.clock.ticks_until(until.unwrap_or(Instant::from_micros(u64::MAX)));
                VALUE_0.write(begin.wrapping_add(span));
                // It compares for equal: a time that has passed meanwhile would be a turn of 71 minutes away.
                if ticks().wrapping_sub(begin) < span {
                    wfi();
                }
            });
        });
    }
}
