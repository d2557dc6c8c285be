//! What the programs of the micro:bit share: clock, UART, random numbers, and the interrupts that join them to the queues.

#![no_std]

pub mod random;
mod timers;
mod uart;

use core::cell::RefCell;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::exception;
use critical_section::Mutex;
use tieline::driver::{Handler, QueuedPort, Queues};
pub use timers::Timers;

/// Bits per second of the UART.
pub const BAUD: u32 = 115_200;

/// The interrupts that are used.
#[derive(Clone, Copy)]
#[repr(u16)]
enum Interrupt {
    Uart = 2,
    Timer0 = 8,
}

// SAFETY: these are their numbers, and they do not change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// The interrupt's side of the queues.
static HANDLER: Mutex<RefCell<Option<Handler<'static>>>> = Mutex::new(RefCell::new(None));

/// Starts clock, UART and interrupts; the port is the program's side of the queues.
pub fn start<const IN: usize, const OUT: usize>(
    queues: &'static mut Queues<IN, OUT>,
) -> (QueuedPort<'static, fn()>, Timers) {
    let kick: fn() = || NVIC::pend(Interrupt::Uart);
    let (handler, port) = queues.split(kick);
    critical_section::with(|cs| HANDLER.borrow(cs).replace(Some(handler)));
    let timers = Timers::start();
    uart::start();
    // SAFETY: no code relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(Interrupt::Uart);
        NVIC::unmask(Interrupt::Timer0);
    }
    (port, timers)
}

/// All interrupts: a table for so few is not worth its code.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        2 => critical_section::with(|cs| {
            if let Some(handler) = &mut *HANDLER.borrow(cs).borrow_mut() {
                uart::serve(handler);
            }
        }),
        8 => timers::silence(),
        _ => SCB::sys_reset(),
    }
}
