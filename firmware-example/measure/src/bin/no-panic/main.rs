//! A program that does not link if anything in it can panic.
//!
//! It uses every method of both endpoints, of the driver, of its queues and of the broadcast codec, in any order and with any
//! argument: what to do next is read from
//! a memory cell that the compiler knows nothing of. A panic calls a function that nobody has written, so one that cannot
//! be ruled out when compiling is an undefined symbol. With the feature `plant-panic` there is one, to see that it is found;
//! with `panic-tells` the function exists and keeps the places of the panics in the image, where `cargo xtask size` reads
//! them.

#![no_std]
#![no_main]

mod any;
mod listen;
mod lite;
mod loops;
mod orders;
#[cfg(not(feature = "typed"))]
mod plain;
#[cfg(feature = "typed")]
mod typed;

use any::any;
use tieline::driver::{Driver, Io, LogRing, Logged, Queues};
use tieline::time::TickExtender;
use tieline::{Endpoint, Inline, Instant};
use tieline_measure as _;

type Storage = Inline<256, 512, 512, 8>;

const OUT: usize = Storage::TRANSMIT_MAX;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut ENDPOINT: Endpoint<Storage> = Endpoint::new(Storage::new());
    static mut FRAME: [u8; OUT] = [0; OUT];
    static mut PAYLOAD: [u8; 600] = [0; 600];
    static mut DRIVER: Driver<Io<any::Bytes>, OUT> = Driver::new(Io(any::Bytes));
    static mut QUEUES: Queues<64, 32> = Queues::new();
    static mut OTHERS: (lite::Endpoint, listen::Listener) = (lite::Endpoint::new(), listen::Listener::new());
    static LOGS: LogRing<256> = LogRing::new();
    static mut TICKS: TickExtender = TickExtender::new();

    let (lite, listener) = OTHERS;
    let mut other = Driver::<_, OUT>::new(any::functions());
    let (mut handler, port) = QUEUES.split(|| any::tell(true));
    let mut queued = Driver::<_, OUT>::new(port);
    let mut known = orders::Known::default();
    loop {
        let now = Instant::from_micros(TICKS.extend(any()));
        // As much of the payload as somebody says, none if that is too much.
        let payload = PAYLOAD.get(..any() as usize).unwrap_or_default();
        match any() % 13 {
            0 => orders::world(ENDPOINT, now, payload),
            1 => orders::declare(ENDPOINT, &mut known),
            2 => orders::send(ENDPOINT, &mut known, now, payload),
            3 => orders::take(ENDPOINT, &mut known, now, FRAME),
            4 => orders::ask(ENDPOINT, &known),
            5 => listener.go_on(payload, FRAME),
            6 => loops::interrupt(&mut handler),
            7 => loops::port(queued.port(), FRAME),
            8 => loops::turn(core::hint::black_box(&mut queued), ENDPOINT),
            10 => {
                let application = loops::Anything(ENDPOINT);
                loops::logs(&mut Logged::new(application, &LOGS), core::hint::black_box(&LOGS), payload);
            }
            9 => loops::ready(ENDPOINT, &mut other, DRIVER),
            11 => {
                lite::go_on(lite, now, payload, FRAME);
                any::tell(other.poll(lite, now).is_ok());
            }
            _ => {
                any::tell(DRIVER.poll(ENDPOINT, now).is_ok());
                any::tell(other.poll(ENDPOINT, now).is_ok());
                any::tell(DRIVER.is_blocked());
                let _ = DRIVER.port();
            }
        }
        #[cfg(feature = "plant-panic")]
        any::tell(PAYLOAD[any() as usize] == 0);
    }
}
