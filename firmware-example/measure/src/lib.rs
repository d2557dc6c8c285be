//! Firmware that is built to be measured: how much flash and RAM the core takes, how deep its stack gets.
//!
//! One program per question in `src/bin`; this library is what they share: a UART that is asked and never interrupts,
//! a clock, and the memory cells by which somebody outside watches and steers. Invariant: nothing in here allocates,
//! panics or formats, so that what is measured is the core. It is no example of a board: those are in `boards`.

#![no_std]

pub mod clock;
pub mod uart;
pub mod watch;

mod pair;
#[cfg(feature = "no-panic")]
mod panics;

pub use pair::Pair;
#[cfg(not(feature = "no-panic"))]
use panic_halt as _;
