//! The same board with the small application: best effort only, in a fraction of the flash, without logs.

#![no_std]
#![no_main]

use tieline::driver::{Application as _, Board as _, Driver, Queues};
use tieline_app::SmallApp;
use tieline_qemu_microbit::random;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut QUEUES: Queues<128, 64> = Queues::new();
    static mut APP: SmallApp = SmallApp::new();

    let (port, mut timers) = tieline_qemu_microbit::start(QUEUES);
    APP.start(random::number());
    APP.endpoint().handle_connect(timers.now()).unwrap();
    let mut driver = Driver::<_, { SmallApp::TRANSMIT_MAX }>::new(port);
    match driver.run(APP, &mut timers) {}
}
