//! A board that publishes samples and obeys commands, both best effort: one route each way, frames of 128 bytes.

#![no_std]
#![no_main]

use tieline::driver::Driver;
use tieline::{Config, Endpoint, Inline, IntentOptions, InterestOptions, Link, Route, Select};
use tieline_measure::clock::Clock;
use tieline_measure::uart::Uart;
use tieline_measure::{Pair, watch};

type Storage = Inline<128, 128, 192, 2>;

const OUT: Route<Pair> = Route::new("measure.out");
const IN: Route<Pair> = Route::new("measure.in");

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ENDPOINT: Endpoint<Storage> = Endpoint::new(Storage::new());
    static mut DRIVER: Driver<Uart, { Storage::TRANSMIT_MAX }> = Driver::new(Uart);
    static mut CLOCK: Clock = Clock::new();

    Uart::start();
    CLOCK.start();
    ENDPOINT.start(Config::new("best effort"), watch::nonce());
    let (Ok(out), Ok(commands)) = (
        ENDPOINT.declare_intent(OUT.name(), IntentOptions::best_effort()),
        ENDPOINT.declare_interest(IN.name(), InterestOptions::default()),
    ) else {
        loop {}
    };
    let _ = ENDPOINT.handle_connect(CLOCK.now(), Link::serial(115_200));
    loop {
        let _ = DRIVER.poll(ENDPOINT, CLOCK.now());
        if let Some(message) = ENDPOINT.poll_message(Select::Only(commands))
            && let Ok(pair) = message.decode()
        {
            watch::keep(pair);
        }
        if watch::wants(watch::PAIR) && ENDPOINT.has_audience(out) {
            let _ = ENDPOINT.publish_message(out, &watch::pair());
        }
    }
}
