//! What the boards that are programmed register by register share: a way to say "register", a boot nonce for boards
//! without a random number generator, SysTick as the clock, a logger whose
//! records become messages, and what a panic does.
//!
//! It knows no board. Boards with a HAL need none of it.

#![no_std]

#[cfg(feature = "route-logs")]
pub mod logs;
pub mod nonce;
mod panic;
mod register;
pub mod system_tick;

pub use register::Register;

#[cfg(feature = "semihosting-logs")]
use defmt_semihosting as _;

#[cfg(all(feature = "semihosting-logs", feature = "route-logs"))]
compile_error!("logs go one way: build without default features, or without `route-logs`");
