//! BBC micro:bit version 1 (nRF51822, Cortex-M0), QEMU's machine `microbit`: the example application over the UART, at
//! 115200 bit/s.
//!
//! The UART interrupts; in between the processor sleeps. Names and numbers of registers are those of the "nRF51 Series
//! Reference Manual".

#![no_std]
#![no_main]

mod random;
mod timers;
mod uart;

use core::cell::RefCell;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::exception;
use critical_section::Mutex;
use tieline::driver::{Board as _, Driver, Handler, Queues};
use tieline::{Inline, Link};
use tieline_app::App;
use timers::Timers;

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

const BAUD: u32 = 115_200;

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

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut QUEUES: Queues<256, 128> = Queues::new();
    static mut APP: App<Storage> = App::new(Storage::new());

    let (handler, port) = QUEUES.split(|| NVIC::pend(Interrupt::Uart));
    critical_section::with(|cs| HANDLER.borrow(cs).replace(Some(handler)));
    let mut timers = Timers::start();
    uart::start();
    // SAFETY: no code relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(Interrupt::Uart);
        NVIC::unmask(Interrupt::Timer0);
    }

    let boot_nonce = random::number();
    #[cfg(feature = "logs")]
    defmt::info!("start, boot nonce {=u64:x}", boot_nonce);
    APP.start(boot_nonce);
    APP.endpoint().handle_connect(timers.now(), Link::serial(BAUD)).unwrap();
    let mut driver = Driver::<_, { Storage::TRANSMIT_MAX }>::new(port);
    let application = APP;
    #[cfg(feature = "route-logs")]
    let application = &mut tieline_board_support::logs::logged(application);
    match driver.run(application, &mut timers) {}
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
