//! A board that publishes a sample, best effort, with the smallest frames and stores, and wants nothing.

#![no_std]
#![no_main]

use tieline::driver::Driver;
use tieline::{Config, Endpoint, Inline, IntentOptions, Link, Route};
use tieline_measure::clock::Clock;
use tieline_measure::uart::Uart;
use tieline_measure::{Pair, watch};

type Storage = Inline<80, 0, 192, 1>;

const OUT: Route<Pair> = Route::new("measure.out");

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ENDPOINT: Endpoint<Storage> = Endpoint::new(Storage::new());
    static mut DRIVER: Driver<Uart, { Storage::TRANSMIT_MAX }> = Driver::new(Uart);
    static mut CLOCK: Clock = Clock::new();

    Uart::start();
    CLOCK.start();
    ENDPOINT.start(Config::new("publisher"), watch::nonce());
    let Ok(out) = ENDPOINT.declare_intent(OUT.name(), IntentOptions::best_effort()) else { loop {} };
    let _ = ENDPOINT.handle_connect(CLOCK.now(), Link::serial(115_200));
    loop {
        let _ = DRIVER.poll(ENDPOINT, CLOCK.now());
        if watch::wants(watch::PAIR) && ENDPOINT.has_audience(out) {
            let _ = ENDPOINT.publish_message(out, &watch::pair());
        }
    }
}
