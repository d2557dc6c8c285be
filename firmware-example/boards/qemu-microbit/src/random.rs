//! The random number generator (manual, chapter 21): what a boot nonce is best made of.

use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of the generator, which does not access memory.
    unsafe { Register::at(0x4000_D000 + offset) }
}

const START: Register = register(0x000);
const STOP: Register = register(0x004);
const VALUE_READY: Register = register(0x100);
const CONFIGURATION: Register = register(0x504);
const VALUE: Register = register(0x508);

/// 64 bits, bias corrected.
pub fn number() -> u64 {
    CONFIGURATION.write(1);
    START.write(1);
    let number = (0..8).fold(0, |number, _| {
        while VALUE_READY.read() == 0 {}
        VALUE_READY.write(0);
        number << 8 | u64::from(VALUE.read() & 0xFF)
    });
    STOP.write(1);
    number
}
