//! A board that uses all of it: reliable messages both ways, small ones and such that need fragments, requests both
//! ways, frames of 256 bytes, 8 routes.

#![no_std]
#![no_main]

use tieline::driver::Driver;
use tieline::{
    CallOptions, Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, Outcome,
    RequestId, Route, RouteId, RouteName, Select, ServiceOptions, code,
};
use tieline_measure::clock::Clock;
use tieline_measure::uart::Uart;
use tieline_measure::{Pair, watch};

type Storage = Inline<256, 512, 512, 8>;

const OUT: Route<Pair> = Route::new("measure.out");
const IN: Route<Pair> = Route::new("measure.in");
const SERVICE: Route<Pair> = Route::new("measure.answer");
const ASKED: Route<Pair> = Route::new("measure.ask");
static LARGE_OUT: RouteName = name("measure.large-out");
static LARGE_IN: RouteName = name("measure.large-in");

/// More than a frame holds beside its check and its header, and as much as TX takes.
const LARGE: [u8; 256] = [0x5A; 256];

/// Pairs that are published before a large message has its turn.
const PAIRS_PER_LARGE: u32 = 8;

const fn name(path: &'static str) -> RouteName {
    match RouteName::new("Bytes", path) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

#[derive(Clone, Copy)]
struct Routes {
    out: RouteId,
    large_out: RouteId,
    commands: RouteId,
    large_in: RouteId,
    service: RouteId,
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ENDPOINT: Endpoint<Storage> = Endpoint::new(Storage::new());
    static mut DRIVER: Driver<Uart, { Storage::TRANSMIT_MAX }> = Driver::new(Uart);
    static mut CLOCK: Clock = Clock::new();

    Uart::start();
    CLOCK.start();
    ENDPOINT.start(Config::new("reliable"), watch::nonce());
    let Some(routes) = declare(ENDPOINT) else { loop {} };
    let _ = ENDPOINT.handle_connect(CLOCK.now(), Link::serial(115_200));
    let mut owed = None;
    let mut asking = false;
    let mut pairs = 0;
    loop {
        let now = CLOCK.now();
        let _ = DRIVER.poll(ENDPOINT, now);
        while let Some(event) = ENDPOINT.poll_event() {
            if let Event::Failed(ticket, _) = event {
                watch::keep(Pair { first: 0, second: ticket.number.into() });
            }
        }
        receive(ENDPOINT, routes, &mut owed);
        asking = hear(ENDPOINT, asking);
        if pairs < PAIRS_PER_LARGE {
            asking = ask(ENDPOINT, asking, now);
        }
        send(ENDPOINT, routes, &mut pairs);
    }
}

fn declare(endpoint: &mut Endpoint<Storage>) -> Option<Routes> {
    let window = |window| InterestOptions { window: Some(window), ..InterestOptions::default() };
    Some(Routes {
        out: endpoint.declare_intent(OUT.name(), IntentOptions::reliable()).ok()?,
        large_out: endpoint.declare_intent(&LARGE_OUT, IntentOptions::reliable()).ok()?,
        commands: endpoint.declare_interest(IN.name(), window(64)).ok()?,
        large_in: endpoint.declare_interest(&LARGE_IN, window(300)).ok()?,
        service: endpoint
            .declare_service(SERVICE.name(), ServiceOptions { room: Some(64), ttl: None })
            .ok()?,
    })
}

/// Takes what came; a request that cannot be answered at once is owed its answer.
fn receive(endpoint: &mut Endpoint<Storage>, routes: Routes, owed: &mut Option<(RequestId, Pair)>) {
    if let Some(message) = endpoint.poll_message(Select::Only(routes.commands))
        && let Ok(pair) = message.decode()
    {
        watch::keep(pair);
    }
    if let Some(message) = endpoint.poll_message(Select::Only(routes.large_in)) {
        let sum = message.payload.iter().fold(0, |sum: u32, byte| sum.wrapping_add(u32::from(*byte)));
        watch::keep(Pair { first: message.payload.len() as u32, second: sum });
    }
    if owed.is_none()
        && let Some(message) = endpoint.poll_message(Select::Only(routes.service))
        && let Some(request) = message.request
    {
        match message.decode() {
            Ok(pair) => *owed = Some((request, pair)),
            Err(_) => drop(endpoint.respond(request, code::MALFORMED, &[])),
        }
    }
    if let Some((request, pair)) = *owed
        && !matches!(endpoint.respond_message(request, &pair), Err(tieline::nb::Error::WouldBlock))
    {
        *owed = None;
    }
}

/// Takes the answer to our request. Returns whether it is still open.
fn hear(endpoint: &mut Endpoint<Storage>, asking: bool) -> bool {
    let Some(answer) = endpoint.poll_answer(Select::Any) else { return asking };
    if let Outcome::Ok(payload) = answer.outcome
        && let Ok(pair) = tieline::Message::decode(payload)
    {
        watch::keep(pair);
    }
    false
}

/// Keeps one request of ours open.
fn ask(endpoint: &mut Endpoint<Storage>, asking: bool, now: Instant) -> bool {
    asking
        || watch::wants(watch::REQUEST)
            && endpoint.request_message(now, ASKED.name(), &watch::pair(), CallOptions::default()).is_ok()
}

/// Publishes in turn: a large message needs all of TX, which pairs and requests would never leave to it.
fn send(endpoint: &mut Endpoint<Storage>, routes: Routes, pairs: &mut u32) {
    if *pairs >= PAIRS_PER_LARGE && watch::wants(watch::LARGE) {
        if endpoint.publish(routes.large_out, &LARGE).is_ok() {
            *pairs = 0;
        }
    } else if watch::wants(watch::PAIR) && endpoint.publish_message(routes.out, &watch::pair()).is_ok() {
        *pairs += 1;
    }
}
