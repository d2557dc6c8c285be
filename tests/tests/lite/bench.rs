//! A board with the small machine, a PC with the complete one, the line between them, and a clock that a test moves.

use std::collections::VecDeque;
use std::time::Duration;

use tieline::{
    Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, RouteId, RouteName,
    Select, lite,
};
use tieline_tests::Rng;
use tieline_tests::names::{CHAT, COMMAND, IMU};

/// The board publishes IMU and CHAT, and reads COMMAND and CHAT.
#[derive(Debug)]
pub(crate) struct Robot;

impl lite::Device<2, 2> for Robot {
    const NAME: &'static str = "robot";
    const PUBLISHES: [RouteName; 2] = [IMU, CHAT];
    const READS: [RouteName; 2] = [COMMAND, CHAT];
    const BITS_PER_SECOND: u32 = BAUD;
    // Often, so that a session outlives a bad line.
    const PING_MS: u32 = 100;
}

pub(crate) type Board = lite::Endpoint<Robot, 80, 2, 2>;
pub(crate) type Pc = Endpoint<Inline<256, 2048, 2048, 8>>;

pub(crate) const OUT_IMU: RouteId = lite::published(0);
pub(crate) const OUT_CHAT: RouteId = lite::published(1);
pub(crate) const IN_COMMAND: RouteId = lite::read(0);
pub(crate) const IN_CHAT: RouteId = lite::read(1);

const BAUD: u32 = 921_600;
const STEP_US: u64 = 500;

/// What a line does to frames: probabilities.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost: f64,
    pub(crate) damaged: f64,
    pub(crate) twice: f64,
    /// Bytes that nobody sent, before a frame.
    pub(crate) noise: f64,
    /// It comes up to that much later, in pieces.
    pub(crate) late_us: u64,
}

impl Faults {
    pub(crate) const BAD: Self = Self { lost: 0.1, damaged: 0.1, twice: 0.1, noise: 0.05, late_us: 3_000 };
}

/// One direction: what is under way, and when it is there.
#[derive(Debug, Default)]
struct Wire {
    bytes: VecDeque<(u64, Vec<u8>)>,
    free_at: u64,
}

impl Wire {
    fn send(&mut self, now: u64, frame: &[u8], faults: Faults, rng: &mut Rng) {
        self.free_at = now + frame.len() as u64 * 10_000_000 / u64::from(BAUD);
        let mut bytes = frame.to_vec();
        if rng.chance(faults.lost) {
            bytes.clear();
        } else if rng.chance(faults.damaged) {
            let at = rng.index(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        if rng.chance(faults.twice) {
            bytes.extend_from_within(..);
        }
        if rng.chance(faults.noise) {
            let len = rng.between(1, 100) as usize;
            bytes.splice(..0, rng.bytes(len));
        }
        let last = self.bytes.back().map_or(0, |(at, _)| *at);
        let mut at = self.free_at.max(last);
        for piece in bytes.chunks(1 + rng.index(40)) {
            at += rng.below(faults.late_us + 1);
            self.bytes.push_back((at, piece.to_vec()));
        }
    }

    fn receive(&mut self, now: u64) -> Option<Vec<u8>> {
        self.bytes.pop_front_if(|(at, _)| *at <= now).map(|(_, bytes)| bytes)
    }
}

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) board: Board,
    pub(crate) pc: Pc,
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    up: Wire,
    down: Wire,
    /// What each application was given, and was told.
    pub(crate) at_board: Vec<(RouteId, Vec<u8>)>,
    pub(crate) at_pc: Vec<(RouteId, Vec<u8>)>,
    pub(crate) board_events: Vec<Event>,
    pub(crate) pc_events: Vec<Event>,
    /// What the board has sent.
    pub(crate) sent: Vec<Vec<u8>>,
    /// Whether the board's application reads.
    pub(crate) reads: bool,
    /// Routes of the PC.
    pub(crate) imu: Option<RouteId>,
    pub(crate) command: Option<RouteId>,
    pub(crate) chat: Option<RouteId>,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bench = Self {
            board: Board::new(),
            pc: Pc::new(Inline::new()),
            now: 0,
            rng: Rng::new(seed),
            faults: Faults::default(),
            up: Wire::default(),
            down: Wire::default(),
            at_board: Vec::new(),
            at_pc: Vec::new(),
            board_events: Vec::new(),
            pc_events: Vec::new(),
            sent: Vec::new(),
            reads: true,
            imu: None,
            command: None,
            chat: None,
        };
        bench.start_board();
        bench.start_pc();
        bench
    }

    /// Power comes to the board.
    pub(crate) fn start_board(&mut self) {
        self.board = Board::new();
        self.board.start(self.rng.next());
    }

    pub(crate) fn connect_board(&mut self) {
        self.board.handle_connect(Instant::from_micros(self.now)).unwrap();
    }

    /// The PC's program starts. It declares nothing.
    pub(crate) fn start_pc(&mut self) {
        self.pc = Pc::new(Inline::new());
        let ping_interval = Duration::from_millis(100);
        self.pc.start(Config { ping_interval, ..Config::new("pc") }, self.rng.next());
        (self.imu, self.command, self.chat) = (None, None, None);
    }

    pub(crate) fn connect_pc(&mut self) {
        self.pc.handle_connect(Instant::from_micros(self.now), Link::serial(BAUD)).unwrap();
    }

    /// The PC reads IMU and CHAT, and publishes COMMAND (reliable) and CHAT.
    pub(crate) fn declare_all(&mut self) {
        self.imu = self.pc.declare_interest(&IMU, InterestOptions::default()).ok();
        self.command = self.pc.declare_intent(&COMMAND, IntentOptions::reliable()).ok();
        self.chat = self.pc.declare_intent(&CHAT, IntentOptions::best_effort()).ok();
        self.pc.declare_interest(&CHAT, InterestOptions::default()).unwrap();
    }

    /// Both are connected and know of each other.
    pub(crate) fn connected(seed: u64) -> Self {
        let mut bench = Self::new(seed);
        bench.declare_all();
        bench.connect_board();
        bench.connect_pc();
        bench.until(2_000, "everything is declared", Self::is_ready);
        bench
    }

    pub(crate) fn is_ready(&self) -> bool {
        let wanted = |route: Option<RouteId>| route.is_some_and(|route| self.pc.has_audience(route));
        self.board.has_audience(OUT_IMU)
            && self.board.has_audience(OUT_CHAT)
            && wanted(self.command)
            && wanted(self.chat)
    }

    pub(crate) fn clock(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// Half a millisecond passes.
    pub(crate) fn step(&mut self) {
        self.now += STEP_US;
        let now = self.clock();
        if self.board.poll_timeout().is_some_and(|at| at <= now) {
            self.board.handle_timeout(now);
            let next = self.board.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "a deadline of {next:?} is not met at {now:?}");
        }
        if self.pc.poll_timeout().is_some_and(|at| at <= now) {
            self.pc.handle_timeout(now);
        }
        while let Some(bytes) = self.up.receive(self.now) {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[self.pc.handle_input(now, rest)..];
                self.run_pc();
            }
        }
        while let Some(bytes) = self.down.receive(self.now) {
            self.feed(&bytes);
        }
        self.run_board();
        self.run_pc();
        let mut out = [0; 400];
        while self.up.free_at <= self.now {
            let wanted = self.board.wants_transmit();
            let Some(frame) = self.board.poll_transmit(now, &mut out[..Board::TRANSMIT_MAX]) else { break };
            assert!(wanted, "a frame that nobody announced");
            self.up.send(self.now, frame, self.faults, &mut self.rng);
            self.sent.push(frame.to_vec());
        }
        while self.down.free_at <= self.now
            && let Some(frame) = self.pc.poll_transmit(now, &mut out)
        {
            self.down.send(self.now, frame, self.faults, &mut self.rng);
        }
    }

    /// The board hears these bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.board.handle_input(self.clock(), rest);
            assert!(taken > 0 && taken <= rest.len(), "{taken} of {} bytes were taken", rest.len());
            rest = &rest[taken..];
            self.run_board();
        }
    }

    fn run_board(&mut self) {
        while let Some(event) = self.board.poll_event() {
            self.board_events.push(event);
        }
        while self.reads
            && let Some(message) = self.board.poll_message(Select::Any)
        {
            self.at_board.push((message.route, message.payload.to_vec()));
        }
    }

    fn run_pc(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            self.pc_events.push(event);
        }
        while let Some(message) = self.pc.poll_message(Select::Any) {
            self.at_pc.push((message.route, message.payload.to_vec()));
        }
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + ms * 1000;
        while self.now < end {
            self.step();
        }
    }

    /// Runs until something holds, for `ms` at the most.
    pub(crate) fn until(&mut self, ms: u64, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + ms * 1000;
        while !done(self) {
            assert!(
                self.now < end,
                "not within {ms} ms: {what}; {:?} {:?}",
                self.board_events,
                self.pc_events
            );
            self.step();
        }
    }

    /// What the board's application was given of a route.
    pub(crate) fn board_heard(&self, route: RouteId) -> Vec<&[u8]> {
        self.at_board.iter().filter(|(on, _)| *on == route).map(|(_, payload)| &payload[..]).collect()
    }
}

/// Without their routes.
pub(crate) fn payloads(heard: &[(RouteId, Vec<u8>)]) -> Vec<&[u8]> {
    heard.iter().map(|(_, payload)| &payload[..]).collect()
}
