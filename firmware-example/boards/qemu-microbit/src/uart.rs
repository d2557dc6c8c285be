//! The UART (manual, chapter 29): six bytes deep for what comes, one for what goes.

use core::sync::atomic::{AtomicBool, Ordering};

use tieline::driver::Handler;
use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of the UART, which does not access memory.
    unsafe { Register::at(0x4000_2000 + offset) }
}

const START_RECEIVER: Register = register(0x000);
const START_TRANSMITTER: Register = register(0x008);
const RECEIVED: Register = register(0x108);
const TRANSMITTED: Register = register(0x11C);
const ERROR: Register = register(0x124);
const ENABLE_INTERRUPTS: Register = register(0x304);
const DISABLE_INTERRUPTS: Register = register(0x308);
const ERROR_SOURCE: Register = register(0x480);
const ENABLE: Register = register(0x500);
const TRANSMIT_PIN: Register = register(0x50C);
const RECEIVE_PIN: Register = register(0x514);
const RECEIVE_DATA: Register = register(0x518);
const TRANSMIT_DATA: Register = register(0x51C);
const BAUD_RATE: Register = register(0x524);
// SAFETY: registers of the pins and of the clock.
const SET_OUTPUT: Register = unsafe { Register::at(0x5000_0508) };
// SAFETY: as above.
const SET_DIRECTION_OUT: Register = unsafe { Register::at(0x5000_0518) };
// SAFETY: as above.
const START_CRYSTAL: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const CRYSTAL_STARTED: Register = unsafe { Register::at(0x4000_0100) };

/// Interrupts, by the events that make them.
const ON_RECEIVED: u32 = 1 << 2;
const ON_TRANSMITTED: u32 = 1 << 7;
const ON_ERROR: u32 = 1 << 9;
/// In ERROR_SOURCE: a byte was lost.
const OVERRUN: u32 = 1;

/// The pins that lead to the micro:bit's USB chip.
const TXD: u32 = 24;
const RXD: u32 = 25;

/// Whether a byte is on its way: the event that says that it has left comes once.
static IS_SENDING: AtomicBool = AtomicBool::new(false);

/// 115200 bit/s, 8N1.
pub(crate) fn start() {
    // The oscillator that runs after reset is not exact enough for a UART.
    START_CRYSTAL.write(1);
    while CRYSTAL_STARTED.read() == 0 {}
    SET_OUTPUT.write(1 << TXD);
    SET_DIRECTION_OUT.write(1 << TXD);
    TRANSMIT_PIN.write(TXD);
    RECEIVE_PIN.write(RXD);
    BAUD_RATE.write(0x01D7_E000);
    ENABLE.write(4);
    ENABLE_INTERRUPTS.write(ON_RECEIVED | ON_TRANSMITTED | ON_ERROR);
    START_RECEIVER.write(1);
    START_TRANSMITTER.write(1);
}

/// What an interrupt does, whatever it is for.
pub(crate) fn serve(handler: &mut Handler<'_>) {
    if ERROR.read() != 0 {
        ERROR.write(0);
        let source = ERROR_SOURCE.read();
        ERROR_SOURCE.write(source);
        handler.count_overruns(source & OVERRUN);
    }
    while RECEIVED.read() != 0 && handler.can_receive() {
        // In this order: reading a byte announces the next one.
        RECEIVED.write(0);
        handler.receive(RECEIVE_DATA.read() as u8);
    }
    if handler.can_receive() {
        ENABLE_INTERRUPTS.write(ON_RECEIVED);
    } else {
        DISABLE_INTERRUPTS.write(ON_RECEIVED);
    }
    if TRANSMITTED.read() != 0 {
        TRANSMITTED.write(0);
        IS_SENDING.store(false, Ordering::Relaxed);
    }
    if !IS_SENDING.load(Ordering::Relaxed)
        && let Some(byte) = handler.transmit()
    {
        IS_SENDING.store(true, Ordering::Relaxed);
        TRANSMIT_DATA.write(byte.into());
    }
}
