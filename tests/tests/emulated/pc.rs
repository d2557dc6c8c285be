//! A PC that sees everything: an endpoint of the core on the board's UART, without threads, so that a test knows of each
//! message what became of it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant as Clock};

use tieline::{
    CallOptions, Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link,
    Message as _, Outcome, RouteId, Select,
};
use tieline_app::{COMMAND, GetStatus, IMU, ImuSample, RATE_CHANGED, RateChanged, STATUS, SetRate, Status};

use tieline_tests::forge;

type Storage = Inline<512, 4096, 4096, 8>;

/// How long to wait for bytes when there is nothing to do.
const TURN: Duration = Duration::from_millis(1);
/// What takes longer does not happen any more.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A busy host may stop the board for longer than the usual silence.
const SILENCE: Duration = Duration::from_secs(20);

pub(crate) struct Pc {
    pub(crate) endpoint: Box<Endpoint<Storage>>,
    line: TcpStream,
    began: Clock,
    pub(crate) command: RouteId,
    changed: RouteId,
    imu: Option<RouteId>,
    /// The last greeting: its nonce and that of the peer.
    greeted: (u64, u64),
    /// What came, for the test to take.
    pub(crate) events: VecDeque<Event>,
    pub(crate) reports: VecDeque<RateChanged>,
    pub(crate) samples: VecDeque<ImuSample>,
}

impl Pc {
    /// Begins to talk at `uart`. Each call within a test has a boot nonce of its own.
    pub(crate) fn connect(uart: SocketAddr, boot_nonce: u64) -> Self {
        let line = TcpStream::connect(uart).expect("the board's UART");
        line.set_nodelay(true).unwrap();
        line.set_read_timeout(Some(TURN)).unwrap();
        line.set_write_timeout(Some(LIMIT)).unwrap();
        let mut endpoint = Box::new(Endpoint::new(Storage::new()));
        endpoint.start(Config { silence: SILENCE, ..Config::new("test") }, boot_nonce);
        let command = endpoint.declare_intent(COMMAND.name(), IntentOptions::reliable()).unwrap();
        let window = InterestOptions { window: Some(1024), ..InterestOptions::default() };
        let changed = endpoint.declare_interest(RATE_CHANGED.name(), window).unwrap();
        endpoint.handle_connect(Instant::ZERO, Link::serial(115_200)).unwrap();
        Self {
            endpoint,
            line,
            began: Clock::now(),
            command,
            changed,
            imu: None,
            greeted: (0, 0),
            events: VecDeque::new(),
            reports: VecDeque::new(),
            samples: VecDeque::new(),
        }
    }

    /// Wants samples.
    pub(crate) fn subscribe(&mut self) {
        let window = InterestOptions { window: Some(512), ..InterestOptions::default() };
        self.imu = Some(self.endpoint.declare_interest(IMU.name(), window).unwrap());
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }

    /// Takes what came and sends what is to go; waits a millisecond for something to come.
    pub(crate) fn turn(&mut self) {
        let mut buffer = [0; 1024];
        let count = match self.line.read(&mut buffer) {
            Ok(0) => panic!("the board's UART is closed"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) => panic!("the board's UART: {error}"),
        };
        let now = self.now();
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let taken = self.endpoint.handle_input(now, rest);
            rest = &rest[taken..];
            self.take();
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        self.take();
        self.send();
    }

    fn send(&mut self) {
        let mut out = [0; Storage::TRANSMIT_MAX];
        while let Some(frame) = self.endpoint.poll_transmit(self.now(), &mut out) {
            if let Some(hello) = forge::hello_of(frame) {
                self.greeted = (hello.head.nonce, hello.head.echo);
            }
            self.line.write_all(frame).expect("the board's UART takes no bytes");
        }
    }

    fn take(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.endpoint.poll_event()));
        while let Some(message) = self.endpoint.poll_message(Select::Any) {
            if message.route == self.changed {
                self.reports.push_back(message.decode().expect("a report"));
            } else {
                self.samples.push_back(message.decode().expect("a sample"));
            }
        }
    }

    /// Goes on until `done`; returns how long that took.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let begin = Clock::now();
        loop {
            self.turn();
            if done(self) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < LIMIT, "waited for {what}: {:?}", self.endpoint.stats());
        }
    }

    /// Goes on for a while.
    pub(crate) fn run(&mut self, span: Duration) {
        let begin = Clock::now();
        while begin.elapsed() < span {
            self.turn();
        }
    }

    /// Waits until the board takes commands.
    pub(crate) fn ready(&mut self) -> Duration {
        self.until("the board", |pc| pc.endpoint.has_audience(pc.command))
    }

    /// Publishes a command if there is room.
    pub(crate) fn publish(&mut self, hertz: u32) -> bool {
        let published = self.endpoint.publish_message(self.command, &SetRate { hertz }).is_ok();
        if published {
            self.send();
        }
        published
    }

    /// Asks the board how it is.
    pub(crate) fn status(&mut self) -> Status {
        let options = CallOptions { timeout: LIMIT, room: 64 };
        let mut call = None;
        let mut status = None;
        self.until("an answer", |pc| {
            let Some(asked) = call else {
                call = pc.endpoint.request_message(pc.now(), STATUS.name(), &GetStatus, options).ok();
                pc.send();
                return false;
            };
            match pc.endpoint.poll_answer(Select::Only(asked)).map(|answer| answer.outcome) {
                Some(Outcome::Ok(payload)) => status = Some(Status::decode(payload).expect("a status")),
                // Its service is not declared yet, or it was reset meanwhile.
                Some(Outcome::NoIntent | Outcome::Lost | Outcome::Busy) => call = None,
                Some(other) => panic!("no status: {other:?}"),
                None => {}
            }
            status.is_some()
        });
        status.unwrap()
    }

    /// The nonces of the session: ours and the board's.
    pub(crate) const fn nonces(&self) -> (u64, u64) {
        self.greeted
    }

    /// The line, without whoever has spoken on it.
    pub(crate) fn into_line(self) -> TcpStream {
        self.line
    }

    /// Sends bytes that are none of the endpoint's. The board may be too busy to take them at once: what it says meanwhile
    /// is heard.
    pub(crate) fn inject(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(256) {
            self.line.write_all(piece).expect("the board's UART takes no bytes");
            self.turn();
        }
    }
}
