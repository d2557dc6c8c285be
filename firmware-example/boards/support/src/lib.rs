//! What the boards that are programmed register by register share: a way to say "register", a boot nonce for boards
//! without a random number generator, SysTick as the clock, and what a panic does.
//!
//! It knows no board. Boards with a HAL need none of it.

#![no_std]

pub mod nonce;
mod panic;
mod register;
pub mod system_tick;

pub use register::Register;

#[cfg(feature = "semihosting-logs")]
use defmt_semihosting as _;
