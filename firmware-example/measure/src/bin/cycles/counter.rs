//! Counts instructions with SysTick, in QEMU on the LM3S6965 with `-icount shift=4`.
//!
//! An instruction takes 16 ns of the emulator's time then, and a tick of the timer 5 ns with the system clock at its
//! fastest. Invariant: what is counted takes less than 5 million instructions, or the timer of 24 bits turns unseen. On real
//! hardware these would be clock cycles of something else.

const CLOCK_CONFIGURATION: usize = 0x400F_E060;
/// The PLL's output undivided (LM3S6965 data sheet, register RCC): QEMU makes that a tick of 5 ns.
const FASTEST: u32 = 0x0040_3AC0;

const CONTROL: usize = 0xE000_E010;
const RELOAD: usize = 0xE000_E014;
const CURRENT: usize = 0xE000_E018;

const NANOSECONDS_PER_TICK: u32 = 5;
const NANOSECONDS_PER_INSTRUCTION: u32 = 16;

fn write(register: usize, value: u32) {
    // SAFETY: a register of the clock or of the core's own timer, which nobody else uses.
    unsafe { (register as *mut u32).write_volatile(value) }
}

fn ticks_left() -> u32 {
    // SAFETY: reading the timer has no effect.
    unsafe { (CURRENT as *const u32).read_volatile() }
}

/// The counter.
pub(crate) struct Counter {
    /// What counting nothing counts.
    empty: u32,
}

impl Counter {
    /// Starts the timer, and finds out what counting itself takes.
    pub(crate) fn start() -> Self {
        write(CLOCK_CONFIGURATION, FASTEST);
        write(RELOAD, 0x00FF_FFFF);
        write(CURRENT, 0);
        write(CONTROL, 5);
        let mut counter = Self { empty: 0 };
        counter.empty = counter.count(|| ()).1;
        counter
    }

    /// Runs `work`; returns its result and how many instructions it took.
    pub(crate) fn count<T>(&self, work: impl FnOnce() -> T) -> (T, u32) {
        let before = ticks_left();
        let result = work();
        let ticks = before.wrapping_sub(ticks_left()) & 0x00FF_FFFF;
        // To the nearest: a tick is less than an instruction.
        let half = NANOSECONDS_PER_INSTRUCTION / 2;
        let instructions = (ticks * NANOSECONDS_PER_TICK + half) / NANOSECONDS_PER_INSTRUCTION;
        (result, instructions.saturating_sub(self.empty))
    }
}
