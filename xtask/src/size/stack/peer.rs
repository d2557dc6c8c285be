//! The other side of the measured firmware: asks for and sends all that the firmware can, over a line that damages bytes.
//!
//! It is done when enough came and went, and then once more after a new start of its own: what a session's end takes of the
//! stack is then seen as well. It knows the routes of the firmware by their names only.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail};
use tieline::{
    CallId, CallOptions, Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link,
    RouteId, RouteName, Select, ServiceOptions, code,
};

/// What is to happen in each of the two sessions, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::size) struct Traffic {
    /// Small messages of the board's that come.
    pub(in crate::size) small_in: u32,
    /// Small messages that go to the board.
    pub(in crate::size) small_out: u32,
    /// Messages in fragments that come.
    pub(in crate::size) large_in: u32,
    /// Messages in fragments that the board's application has taken.
    pub(in crate::size) large_out: u32,
    /// The board's requests that are answered.
    pub(in crate::size) answered: u32,
    /// Requests that the board has answered.
    pub(in crate::size) asked: u32,
}

impl Traffic {
    /// Nothing.
    pub(in crate::size) const NONE: Self =
        Self { small_in: 0, small_out: 0, large_in: 0, large_out: 0, answered: 0, asked: 0 };

    fn has(&self, wanted: &Self) -> bool {
        self.small_in >= wanted.small_in
            && self.small_out >= wanted.small_out
            && self.large_in >= wanted.large_in
            && self.large_out >= wanted.large_out
            && self.answered >= wanted.answered
            && self.asked >= wanted.asked
    }
}

type Storage = Inline<512, 4096, 4096, 8>;

static SMALL_IN: RouteName = name("Pair", "measure.out");
static SMALL_OUT: RouteName = name("Pair", "measure.in");
static LARGE_IN: RouteName = name("Bytes", "measure.large-out");
static LARGE_OUT: RouteName = name("Bytes", "measure.large-in");
static ANSWERED: RouteName = name("Pair", "measure.ask");
static ASKED: RouteName = name("Pair", "measure.answer");

const fn name(type_name: &'static str, path: &'static str) -> RouteName {
    match RouteName::new(type_name, path) {
        Ok(name) => name,
        Err(_) => panic!("not a route"),
    }
}

const PAIR: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// Longer than what the firmware takes in one frame of 256 bytes.
const LARGE: [u8; 280] = [0xA5; 280];

/// One of so many bytes is damaged, each way.
const DAMAGE: u64 = 1500;

/// For one session; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for bytes when there is nothing to do.
const TURN: Duration = Duration::from_millis(1);

/// Talks until enough has happened.
pub(super) fn talk(mut line: TcpStream, wanted: Traffic) -> Result<()> {
    line.set_read_timeout(Some(TURN))?;
    let mut noise = Noise { state: 0x9E37_79B9_7F4A_7C15, damaged: 0 };
    let began = Clock::now();
    for boot_nonce in [0xC0FF_EE01, 0xC0FF_EE02] {
        let mut peer = Peer::new(boot_nonce).context("the peer's storage is too small")?;
        let deadline = Clock::now() + PATIENCE;
        while !peer.done.has(&wanted) {
            if Clock::now() >= deadline {
                bail!(
                    "after {} s only {:?} of {wanted:?}: {:?}",
                    PATIENCE.as_secs(),
                    peer.done,
                    peer.endpoint.stats()
                );
            }
            let now = Instant::ZERO + began.elapsed();
            peer.turn(now, &wanted, &mut line, &mut noise)?;
        }
    }
    if noise.damaged == 0 {
        bail!("nothing was damaged: more has to happen");
    }
    Ok(())
}

struct Peer {
    endpoint: Endpoint<Storage>,
    small_in: RouteId,
    small_out: RouteId,
    large_in: RouteId,
    large_out: RouteId,
    service: RouteId,
    call: Option<CallId>,
    done: Traffic,
    out: [u8; Storage::TRANSMIT_MAX],
}

impl Peer {
    fn new(boot_nonce: u64) -> Option<Box<Self>> {
        let mut endpoint = Endpoint::new(Storage::new());
        endpoint.start(Config::new("stack meter"), boot_nonce);
        let window = |window| InterestOptions { window: Some(window), ..InterestOptions::default() };
        let small_in = endpoint.declare_interest(&SMALL_IN, window(256)).ok()?;
        let small_out = endpoint.declare_intent(&SMALL_OUT, IntentOptions::reliable()).ok()?;
        let large_in = endpoint.declare_interest(&LARGE_IN, window(1024)).ok()?;
        let large_out = endpoint.declare_intent(&LARGE_OUT, IntentOptions::reliable()).ok()?;
        let service =
            endpoint.declare_service(&ANSWERED, ServiceOptions { room: Some(256), ttl: None }).ok()?;
        endpoint.handle_connect(Instant::ZERO, Link::serial(115_200)).ok()?;
        Some(Box::new(Self {
            endpoint,
            small_in,
            small_out,
            large_in,
            large_out,
            service,
            call: None,
            done: Traffic::NONE,
            out: [0; Storage::TRANSMIT_MAX],
        }))
    }

    fn turn(
        &mut self,
        now: Instant,
        wanted: &Traffic,
        line: &mut TcpStream,
        noise: &mut Noise,
    ) -> Result<()> {
        let mut buffer = [0; 256];
        let count = match line.read(&mut buffer) {
            Ok(0) => bail!("the board has hung up"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error.into()),
        };
        let came = &mut buffer[..count];
        noise.damage(came);
        let mut rest = &*came;
        while !rest.is_empty() {
            let taken = self.endpoint.handle_input(now, rest);
            rest = &rest[taken..];
            self.take();
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        self.take();
        self.send(now, wanted);
        while let Some(frame) = self.endpoint.poll_transmit(now, &mut self.out) {
            let mut frame = frame.to_vec();
            noise.damage(&mut frame);
            line.write_all(&frame)?;
        }
        Ok(())
    }

    /// Everything that came.
    fn take(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Delivered(ticket) = event {
                self.done.small_out += u32::from(ticket.route == self.small_out);
                self.done.large_out += u32::from(ticket.route == self.large_out);
            }
        }
        while let Some(message) = self.endpoint.poll_message(Select::Any) {
            self.done.small_in += u32::from(message.route == self.small_in);
            self.done.large_in += u32::from(message.route == self.large_in);
            if message.route == self.service
                && let Some(request) = message.request
                && self.endpoint.respond(request, code::OK, &PAIR).is_ok()
            {
                self.done.answered += 1;
            }
        }
        if let Some(answer) = self.endpoint.poll_answer(Select::Any) {
            self.done.asked += u32::from(answer.outcome == tieline::Outcome::Ok(&PAIR));
            self.call = None;
        }
    }

    /// As many messages as there is room for; requests as many as are wanted: their answers take the room of the board's
    /// large messages.
    fn send(&mut self, now: Instant, wanted: &Traffic) {
        while self.endpoint.publish(self.small_out, &PAIR).is_ok() {}
        while self.endpoint.publish(self.large_out, &LARGE).is_ok() {}
        if self.call.is_none() && self.done.asked < wanted.asked {
            self.call = self.endpoint.request(now, &ASKED, &PAIR, CallOptions::default()).ok();
        }
    }
}

/// Damages bytes: xorshift64, so that each run damages the same ones of the same bytes.
struct Noise {
    state: u64,
    damaged: u32,
}

impl Noise {
    fn damage(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            if (self.state >> 16).is_multiple_of(DAMAGE) {
                *byte ^= 1 << (self.state & 7);
                self.damaged += 1;
            }
        }
    }
}
