//! A board that publishes a sample, best effort, with the smallest frames, and wants nothing.

#![no_std]
#![no_main]

use tieline::driver::Driver;
use tieline::{Route, RouteName, lite};
use tieline_measure::clock::Clock;
use tieline_measure::uart::Uart;
use tieline_measure::{Pair, watch};

const OUT: Route<Pair> = Route::new("measure.out");

struct Publisher;

impl lite::Device<1, 0> for Publisher {
    const NAME: &'static str = "publisher";
    const PUBLISHES: [RouteName; 1] = [*OUT.name()];
    const READS: [RouteName; 0] = [];
}

type Endpoint = lite::Endpoint<Publisher, 80, 1, 0>;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ENDPOINT: Endpoint = Endpoint::new();
    static mut DRIVER: Driver<Uart, { Endpoint::TRANSMIT_MAX }> = Driver::new(Uart);
    static mut CLOCK: Clock = Clock::new();

    Uart::start();
    CLOCK.start();
    ENDPOINT.start(watch::nonce());
    let _ = ENDPOINT.handle_connect(CLOCK.now());
    loop {
        let _ = DRIVER.poll(ENDPOINT, CLOCK.now());
        if watch::wants(watch::PAIR) && ENDPOINT.has_audience(lite::published(0)) {
            let _ = ENDPOINT.publish_message(lite::published(0), &watch::pair());
        }
    }
}
