//! UART0, an Arm PL011 (data sheet, chapter 12).

use core::sync::atomic::{AtomicU32, Ordering};

use tieline::driver::Handler;
use tieline_board_support::Register;

const fn register(offset: usize) -> Register {
    // SAFETY: a register of UART0, which does not access memory by itself.
    unsafe { Register::at(0x4000_C000 + offset) }
}

const fn system_control(offset: usize) -> Register {
    // SAFETY: a register of the clocks' gates.
    unsafe { Register::at(0x400F_E000 + offset) }
}

const DATA: Register = register(0x000);
const FLAGS: Register = register(0x018);
const INTEGER_DIVISOR: Register = register(0x024);
const FRACTION_DIVISOR: Register = register(0x028);
const LINE_CONTROL: Register = register(0x02C);
const CONTROL: Register = register(0x030);
const FIFO_LEVELS: Register = register(0x034);
const INTERRUPT_MASK: Register = register(0x038);
const INTERRUPT_CLEAR: Register = register(0x044);
const CLOCK_UARTS: Register = system_control(0x104);
const CLOCK_PINS: Register = system_control(0x108);

/// In DATA: a byte was lost before this one.
const OVERRUN: u32 = 1 << 11;
/// In FLAGS.
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;
/// Interrupts.
const RECEIVE: u32 = 1 << 4;
const TRANSMIT: u32 = 1 << 5;
const RECEIVE_TIMEOUT: u32 = 1 << 6;

/// Bytes that each FIFO holds: at most so many are moved in one interrupt. QEMU refills the FIFO while it is emptied.
const FIFO: usize = 16;

/// How many interrupts UART0 has made since the start, modulo 2^32: for who measures, by this name in the image.
#[unsafe(no_mangle)]
static TIELINE_UART_INTERRUPTS: AtomicU32 = AtomicU32::new(0);

/// 115200 bit/s of a clock of 12.5 MHz, 8N1; interrupts when the FIFO for what comes is half full, or not empty for 32 bits'
/// time, and when the FIFO for what goes is a quarter full.
pub(crate) fn start() {
    CLOCK_UARTS.write(CLOCK_UARTS.read() | 1);
    CLOCK_PINS.write(CLOCK_PINS.read() | 1);
    // 12.5 MHz / 16 / 115200 is 6 and 50 / 64.
    INTEGER_DIVISOR.write(6);
    FRACTION_DIVISOR.write(50);
    LINE_CONTROL.write(0x70);
    FIFO_LEVELS.write(0b010_001);
    INTERRUPT_MASK.write(RECEIVE | RECEIVE_TIMEOUT | TRANSMIT);
    CONTROL.write(0x301);
}

/// What an interrupt does, whatever it is for.
pub(crate) fn serve(handler: &mut Handler<'_>) {
    TIELINE_UART_INTERRUPTS.store(TIELINE_UART_INTERRUPTS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    // That of receiving ends when the FIFO is emptied. In QEMU 7.2 it never comes again if it is cleared before.
    INTERRUPT_CLEAR.write(TRANSMIT);
    for _ in 0..FIFO {
        if FLAGS.read() & RECEIVE_EMPTY != 0 || !handler.can_receive() {
            break;
        }
        let data = DATA.read();
        if data & OVERRUN != 0 {
            handler.count_overruns(1);
        }
        // A byte with a wrong parity or stop bit is a wrong byte: the frame's check finds it.
        handler.receive(data as u8);
    }
    let receive = if handler.can_receive() { RECEIVE | RECEIVE_TIMEOUT } else { 0 };
    INTERRUPT_MASK.write(receive | TRANSMIT);
    for _ in 0..FIFO {
        if FLAGS.read() & TRANSMIT_FULL != 0 {
            break;
        }
        let Some(byte) = handler.transmit() else { break };
        DATA.write(byte.into());
    }
}
