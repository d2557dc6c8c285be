//! BBC micro:bit version 1 (nRF51822, Cortex-M0), QEMU's machine `microbit`: the example application over the UART, at
//! 115200 bit/s.
//!
//! The UART interrupts; in between the processor sleeps. Names and numbers of registers are those of the "nRF51 Series
//! Reference Manual".

#![no_std]
#![no_main]

use tieline::driver::{Board as _, Driver, Queues};
use tieline::{Inline, Link};
use tieline_app::App;
use tieline_qemu_microbit::{BAUD, random};

/// The largest frame, the stores for what comes and what goes (bytes), and the number of routes.
type Storage = Inline<256, 512, 512, 8>;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut QUEUES: Queues<256, 128> = Queues::new();
    static mut APP: App<Storage> = App::new(Storage::new());

    let (port, mut timers) = tieline_qemu_microbit::start(QUEUES);
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
