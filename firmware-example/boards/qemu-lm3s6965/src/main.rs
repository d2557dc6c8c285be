//! TI LM3S6965 (Cortex-M3), QEMU's machine `lm3s6965evb`: the example application over UART0, at 115200 bit/s.
//!
//! The UART interrupts; in between the processor sleeps. Names and numbers of registers are those of the data sheet
//! ("Stellaris LM3S6965 Microcontroller").

#![no_std]
#![no_main]

mod timers;
mod uart;

use core::cell::Cell;

use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use lm3s6965::{Interrupt, interrupt};
use tieline::driver::{Board as _, Driver, Handler, Queues};
use tieline::{Inline, Link};
use tieline_app::App;
use tieline_board_support::nonce::boot_nonce;
use tieline_board_support::system_tick;
use timers::Timers;

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

const BAUD: u32 = 115_200;

/// On its way from `main` to the interrupt.
static HANDLER: Mutex<Cell<Option<Handler<'static>>>> = Mutex::new(Cell::new(None));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut QUEUES: Queues<256, 128> = Queues::new();
    static mut APP: App<Storage> = App::new(Storage::new());

    let (handler, port) = QUEUES.split(|| NVIC::pend(Interrupt::UART0));
    critical_section::with(|cs| HANDLER.borrow(cs).set(Some(handler)));
    let mut timers = Timers::start();
    uart::start();
    // SAFETY: no code relies on these interrupts being masked.
    unsafe {
        NVIC::unmask(Interrupt::UART0);
        NVIC::unmask(Interrupt::TIMER_0A);
    }

    let boot_nonce = boot_nonce(system_tick::ticks);
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

#[interrupt]
fn UART0() {
    static mut UART: Option<Handler<'static>> = None;

    if UART.is_none() {
        *UART = critical_section::with(|cs| HANDLER.borrow(cs).take());
    }
    if let Some(handler) = UART {
        uart::serve(handler);
    }
}

#[interrupt]
fn TIMER_0A() {
    timers::silence();
}
