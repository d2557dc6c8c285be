//! UART0 of the LM3S6965, an Arm PL011, asked for each byte (LM3S6965 data sheet, chapter 12).

use core::convert::Infallible;

use tieline::driver::Port;
use tieline::nb;

const UART: usize = 0x4000_C000;
const DATA: usize = UART;
const FLAGS: usize = UART + 0x18;
const INTEGER_DIVISOR: usize = UART + 0x24;
const FRACTION_DIVISOR: usize = UART + 0x28;
const LINE_CONTROL: usize = UART + 0x2C;
const CONTROL: usize = UART + 0x30;
/// Clock gates of the UARTs and of the pins.
const CLOCK_UART: usize = 0x400F_E104;
const CLOCK_PINS: usize = 0x400F_E108;

const RECEIVE_EMPTY: u32 = 0x10;
const TRANSMIT_FULL: u32 = 0x20;

fn read(register: usize) -> u32 {
    // SAFETY: a register of a peripheral, aligned; reading it has no effect on memory.
    unsafe { (register as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of a peripheral that does not access memory by itself.
    unsafe { (register as *mut u32).write_volatile(value) }
}

/// The UART. There is one; whoever calls [`start`](Self::start) owns it.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    /// 115200 bit/s of a clock of 12.5 MHz, 8N1, with its FIFOs.
    pub fn start() {
        write(CLOCK_UART, 1);
        write(CLOCK_PINS, 1);
        write(CONTROL, 0);
        write(INTEGER_DIVISOR, 6);
        write(FRACTION_DIVISOR, 50);
        write(LINE_CONTROL, 0x70);
        write(CONTROL, 0x301);
    }
}

impl Port for Uart {
    type Error = Infallible;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Infallible> {
        let mut count = 0;
        for place in buffer {
            if read(FLAGS) & RECEIVE_EMPTY != 0 {
                break;
            }
            *place = read(DATA) as u8;
            count += 1;
        }
        if count == 0 { Err(nb::Error::WouldBlock) } else { Ok(count) }
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Infallible> {
        let mut count = 0;
        for byte in bytes {
            if read(FLAGS) & TRANSMIT_FULL != 0 {
                break;
            }
            write(DATA, u32::from(*byte));
            count += 1;
        }
        if count == 0 { Err(nb::Error::WouldBlock) } else { Ok(count) }
    }
}
