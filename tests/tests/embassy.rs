//! The async line of the nRF52840's firmware, off the board: embassy's clock stands still until the test moves it.
//!
//! The firmware's future is polled only when it was woken, as its executor does; so a wake-up that is missed shows as a board
//! that says nothing, and one that comes for nothing as too many polls.

#[path = "../../firmware-example/boards/nrf52840/src/line.rs"]
mod line;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::pipe::Pipe;
use embassy_time::MockDriver;
use line::{Line, now};
use tieline::{
    CallOptions, Config, Endpoint, Inline, IntentOptions, InterestOptions, Link, Message, Outcome, RouteName,
    Select,
};
use tieline_app::{App, COMMAND, GetStatus, IMU, ImuSample, STATUS, SetRate, Status};

type Storage = Inline<256, 512, 512, 8>;
/// The buffers of a UART, smaller than a frame.
type Wire = Pipe<NoopRawMutex, 24>;

const BAUD: u32 = 115_200;
/// What such a line moves in a ms.
const BYTES_PER_MS: usize = 12;

static PRESSED: RouteName = match RouteName::new("Pressed", "board.button") {
    Ok(name) => name,
    Err(_) => panic!(),
};

/// Whether the firmware is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The firmware's main, without registers: counts `presses`, which interrupt the line at any await.
async fn firmware(rx: &Wire, tx: &Wire, presses: &Channel<NoopRawMutex, u8, 4>) {
    let mut app = App::new(Storage::new());
    app.start(1);
    let button = app.endpoint().declare_intent(&PRESSED, IntentOptions::reliable()).unwrap();
    app.endpoint().handle_connect(now(), Link::serial(BAUD)).unwrap();
    let mut line = Line::<_, _, { Storage::TRANSMIT_MAX }>::new(rx, tx);
    loop {
        match select(line.turn(&mut app), presses.receive()).await {
            Either::First(done) => done.unwrap(),
            Either::Second(press) => drop(app.endpoint().publish(button, &[press])),
        }
    }
}

/// The PC at the other end.
struct Pc<'w> {
    endpoint: Endpoint<Storage>,
    rx: &'w Wire,
    tx: &'w Wire,
    output: Vec<u8>,
}

impl<'w> Pc<'w> {
    fn new(rx: &'w Wire, tx: &'w Wire) -> Self {
        let mut endpoint = Endpoint::new(Storage::new());
        endpoint.start(Config::new("pc"), 2);
        endpoint.handle_connect(now(), Link::serial(BAUD)).unwrap();
        Self { endpoint, rx, tx, output: Vec::new() }
    }

    /// One ms of line in each direction.
    fn step(&mut self) {
        let mut input = [0; BYTES_PER_MS];
        let count = self.rx.try_read(&mut input).unwrap_or(0);
        let mut bytes = &input[..count];
        while !bytes.is_empty() {
            bytes = &bytes[self.endpoint.handle_input(now(), bytes)..];
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now()) {
            self.endpoint.handle_timeout(now());
        }
        let mut frame = [0; Storage::TRANSMIT_MAX];
        while self.output.is_empty()
            && let Some(frame) = self.endpoint.poll_transmit(now(), &mut frame)
        {
            self.output.extend(frame);
        }
        let count = self.output.len().min(BYTES_PER_MS);
        // A pipe wakes its reader even for nothing.
        if count > 0 {
            let sent = self.tx.try_write(&self.output[..count]).unwrap_or(0);
            self.output.drain(..sent);
        }
    }
}

#[test]
fn async_firmware_samples_obeys_answers_and_is_woken_when_it_must() {
    let (to_board, to_pc, presses) = (Wire::new(), Wire::new(), Channel::new());
    let mut pc = Pc::new(&to_pc, &to_board);
    let imu = pc.endpoint.declare_interest(IMU.name(), InterestOptions::default()).unwrap();
    let button = pc.endpoint.declare_interest(&PRESSED, InterestOptions::default()).unwrap();
    let command = pc.endpoint.declare_intent(COMMAND.name(), IntentOptions::reliable()).unwrap();

    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut firmware = pin!(firmware(&to_board, &to_pc, &presses));
    let mut polls = 0;
    let mut run = |pc: &mut Pc<'_>| {
        MockDriver::get().advance(embassy_time::Duration::from_micros(1000));
        pc.step();
        while woken.0.swap(false, Ordering::Relaxed) {
            polls += 1;
            assert!(firmware.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    };

    let (mut samples, mut pressed, mut came, mut call, mut status) = (0, 0, 0, None, None);
    for ms in 0..4000 {
        // At first nothing but bytes and deadlines wakes it.
        if ms % 7 == 0 && (2000..3900).contains(&ms) && presses.try_send(pressed).is_ok() {
            pressed = (pressed + 1) % 251;
        }
        run(&mut pc);
        while let Some(message) = pc.endpoint.poll_message(Select::Only(imu)) {
            assert_eq!(message.decode::<ImuSample>().unwrap().number, samples);
            samples += 1;
        }
        while let Some(message) = pc.endpoint.poll_message(Select::Only(button)) {
            came = message.payload[0];
        }
        match ms {
            1000 => {
                assert!((8..=11).contains(&samples), "{samples} samples in a second");
                pc.endpoint.publish_message(command, &SetRate { hertz: 50 }).unwrap();
            }
            3500 => {
                let asked =
                    pc.endpoint.request_message(now(), STATUS.name(), &GetStatus, CallOptions::default());
                call = Some(asked.unwrap());
            }
            _ => {}
        }
        if let Some(asked) = call
            && let Some(answer) = pc.endpoint.poll_answer(Select::Only(asked))
        {
            let Outcome::Ok(payload) = answer.outcome else { panic!("{answer:?}") };
            status = Some(Status::decode(payload).unwrap());
        }
    }
    let status = status.expect("an answer");
    assert_eq!((status.rate, status.commands, status.errors), (50, 1, 0), "{status:?}");
    assert!((150..=165).contains(&samples), "{samples} samples");
    assert_eq!(came, pressed.checked_sub(1).unwrap_or(250), "the last press came");
    println!("{polls} polls in 4000 ms, {samples} samples");
    assert!(polls < 2000, "{polls} polls in 4000 ms");
}
