//! Cells at fixed addresses, behind the RAM that the firmware is linked to use.
//!
//! The compiler knows nothing of them: what is read there is not known when compiling and what is written there is not
//! left out. An emulator or a debugger sets the inputs before the start.

use crate::Pair;

/// Input: what the firmware shall do now, one bit each. See [`wants`].
const ORDERS: usize = 0x2000_FC00;
/// Input: the boot nonce, two words.
const NONCE: usize = 0x2000_FC08;
/// Output: the last pair that came.
const SINK: usize = 0x2000_FC10;

/// An order: publish a pair.
pub const PAIR: u32 = 1;
/// An order: publish a message that does not fit a frame.
pub const LARGE: u32 = 2;
/// An order: send a request.
pub const REQUEST: u32 = 4;

fn load(address: usize) -> u32 {
    // SAFETY: an aligned word of RAM that the linker gives to nobody, so no reference to it exists.
    unsafe { (address as *const u32).read_volatile() }
}

fn store(address: usize, word: u32) {
    // SAFETY: as in `load`.
    unsafe { (address as *mut u32).write_volatile(word) }
}

/// Whether an order is given.
pub fn wants(order: u32) -> bool {
    load(ORDERS) & order != 0
}

/// The boot nonce.
pub fn nonce() -> u64 {
    u64::from(load(NONCE)) | u64::from(load(NONCE + 4)) << 32
}

/// A pair to publish.
pub fn pair() -> Pair {
    Pair { first: load(SINK), second: load(SINK + 4) }
}

/// A pair came.
pub fn keep(pair: Pair) {
    store(SINK, pair.first);
    store(SINK + 4, pair.second);
}
