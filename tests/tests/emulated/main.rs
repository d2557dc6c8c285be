//! The example application on boards that QEMU emulates: real images, a real UART as far as an emulator has one.
//!
//! `cargo xtask test --only emulated` builds the images, says where they are and runs this; anything else skips it. A test
//! has a board of its own, which is gone when the test ends, however that is.

mod bad_line;
mod basic;
mod boards;
mod hostile;
mod logs;
mod pc;
mod program;
mod restarts;
mod small;
