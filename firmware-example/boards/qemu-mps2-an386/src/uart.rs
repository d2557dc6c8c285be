//! UART 0, one byte deep each way.

use tieline::driver::Handler;
use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of UART 0, which does not access memory.
    unsafe { Register::at(0x4000_4000 + offset) }
}

const DATA: Register = register(0x000);
const STATE: Register = register(0x004);
const CONTROL: Register = register(0x008);
const INTERRUPT_CLEAR: Register = register(0x00C);
const DIVISOR: Register = register(0x010);

/// In STATE.
const TRANSMIT_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
const RECEIVE_OVERRUN: u32 = 1 << 3;
/// In CONTROL: both ways on, the transmit interrupt on; the receive interrupt.
const ENABLE: u32 = 0b0111;
const RECEIVE_INTERRUPT: u32 = 0b1000;
/// In INTERRUPT_CLEAR: a byte has left, a byte has come.
const INTERRUPTS: u32 = 0b11;

/// 115200 bit/s of a clock of 25 MHz, 8N1.
pub(crate) fn start() {
    DIVISOR.write(217);
    CONTROL.write(ENABLE | RECEIVE_INTERRUPT);
}

/// What an interrupt does, whatever it is for.
pub(crate) fn serve(handler: &mut Handler<'_>) {
    // First: what comes from here on interrupts once more.
    INTERRUPT_CLEAR.write(INTERRUPTS);
    if STATE.read() & RECEIVE_OVERRUN != 0 {
        STATE.write(RECEIVE_OVERRUN);
        handler.count_overruns(1);
    }
    while STATE.read() & RECEIVE_FULL != 0 && handler.can_receive() {
        handler.receive(DATA.read() as u8);
    }
    let receive = if handler.can_receive() { RECEIVE_INTERRUPT } else { 0 };
    CONTROL.write(ENABLE | receive);
    while STATE.read() & TRANSMIT_FULL == 0 {
        let Some(byte) = handler.transmit() else { break };
        DATA.write(byte.into());
    }
}
