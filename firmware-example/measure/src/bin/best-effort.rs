//! A board that publishes samples and obeys commands, both best effort: one route each way, frames of 128 bytes.

#![no_std]
#![no_main]

use tieline::driver::Driver;
use tieline::{Route, RouteName, Select, lite};
use tieline_measure::clock::Clock;
use tieline_measure::uart::Uart;
use tieline_measure::{Pair, watch};

const OUT: Route<Pair> = Route::new("measure.out");
const IN: Route<Pair> = Route::new("measure.in");

struct BestEffort;

impl lite::Device<1, 1> for BestEffort {
    const NAME: &'static str = "best effort";
    const PUBLISHES: [RouteName; 1] = [*OUT.name()];
    const READS: [RouteName; 1] = [*IN.name()];
}

type Endpoint = lite::Endpoint<BestEffort, 128, 1, 1>;

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
        if let Some(message) = ENDPOINT.poll_message(Select::Only(lite::read(0)))
            && let Ok(pair) = message.decode()
        {
            watch::keep(pair);
        }
        if watch::wants(watch::PAIR) && ENDPOINT.has_audience(lite::published(0)) {
            let _ = ENDPOINT.publish_message(lite::published(0), &watch::pair());
        }
    }
}
