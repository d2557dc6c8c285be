//! The two sides, the two directions of the line, and the clock.

use std::ops::{Index, IndexMut};

use tieline::{CallId, CallOptions, Config, Link, RequestError, RouteName};

use crate::line::{Line, LineConfig};
use crate::memory::Sizes;
use crate::rng::Rng;
use crate::side::Side;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// The first.
    A,
    /// The second.
    B,
}

pub use Who::{A, B};

impl Who {
    /// Both.
    pub const BOTH: [Self; 2] = [A, B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            A => B,
            B => A,
        }
    }
}

/// What the ends of the line are joined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// Each side hears the other.
    Crossed,
    /// Each side hears itself only.
    Loopback,
    /// Each side hears the other and itself, as on a bus that echoes.
    Echo,
}

/// What a simulation begins with.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// All chance comes from it.
    pub seed: u64,
    /// Storage of each side.
    pub sizes: [Sizes; 2],
    /// Names and timers of each side.
    pub config: [Config; 2],
    /// What each side's clock shows at its start, µs.
    pub clock_us: [u64; 2],
    /// Both directions of the line.
    pub line: LineConfig,
    /// What the endpoints are told of the line.
    pub link: Link,
}

impl Setup {
    /// Two small boards on a clean line of 115200 bit/s.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            sizes: [Sizes::BOARD; 2],
            config: [Config::new("a"), Config::new("b")],
            clock_us: [0, 0],
            line: LineConfig::clean(115_200),
            link: Link::serial(115_200),
        }
    }

    /// With this rate, on the line and as told.
    #[must_use]
    pub const fn baud(self, baud: u32) -> Self {
        Self { line: LineConfig { baud, ..self.line }, link: Link::serial(baud), ..self }
    }

    /// With this line.
    #[must_use]
    pub const fn line(self, line: LineConfig) -> Self {
        Self { line, link: Link::serial(line.baud), ..self }
    }

    /// With these sizes on both sides.
    #[must_use]
    pub const fn sizes(self, sizes: Sizes) -> Self {
        Self { sizes: [sizes; 2], ..self }
    }

    /// With a stream instead of a serial line.
    #[must_use]
    pub const fn stream(self) -> Self {
        Self { link: Link::stream(), ..self }
    }

    /// The simulation.
    #[must_use]
    pub fn build(self) -> Sim {
        Sim::with(self)
    }
}

/// A simulation. Times are in µs since its start; spans that are given are in ms.
#[derive(Debug)]
pub struct Sim {
    /// What time it is, µs.
    pub now: u64,
    /// Towards B, towards A.
    pub lines: [Line; 2],
    /// How the line is joined.
    pub wiring: Wiring,
    sides: [Side; 2],
    rng: Rng,
    /// Steps without time passing, to notice a loop that does not end.
    standing: u32,
}

/// More things than this do not happen at one moment.
const STANDING_MAX: u32 = 20_000;

impl Sim {
    /// Two small boards on a clean line of 115200 bit/s. Nothing is connected yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Setup::new(seed).build()
    }

    /// A simulation that begins with `setup`.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let mut rng = Rng::new(setup.seed);
        let mut side = |who: usize| {
            let mut side = Side::new(setup.sizes[who], setup.config[who], setup.link, setup.clock_us[who]);
            side.start(0, rng.next());
            side
        };
        let sides = [side(0), side(1)];
        let lines = [Line::new(setup.line, rng.fork()), Line::new(setup.line, rng.fork())];
        Self { now: 0, lines, wiring: Wiring::Crossed, sides, rng, standing: 0 }
    }

    /// The line on which `who` sends.
    pub const fn line_from(&mut self, who: Who) -> &mut Line {
        &mut self.lines[who as usize]
    }

    /// Changes both directions.
    pub fn set_line(&mut self, change: impl Fn(&mut LineConfig)) {
        self.lines.iter_mut().for_each(|line| change(&mut line.config));
    }

    /// From now on nothing is damaged.
    pub fn end_faults(&mut self) {
        self.set_line(|config| *config = config.without_faults());
    }

    /// Keeps all frames from now on.
    pub fn record(&mut self) {
        self.lines.iter_mut().for_each(|line| line.record = true);
    }

    /// Tells both sides that there is a link.
    pub fn connect(&mut self) {
        Who::BOTH.into_iter().for_each(|who| self.connect_side(who));
    }

    /// Tells one side that there is a link.
    pub fn connect_side(&mut self, who: Who) {
        let now = self.now;
        self[who].connect(now);
    }

    /// Tells one side that its link is gone.
    pub fn disconnect_side(&mut self, who: Who) {
        let now = self.now;
        self[who].disconnect(now);
    }

    /// The cable is pulled, or plugged again; nobody is told. What is under way is lost when it is pulled.
    pub fn cut(&mut self, cut: bool) {
        for line in &mut self.lines {
            line.cut = cut;
            if cut {
                line.clear();
            }
        }
    }

    /// A side loses its power and starts anew: its application declares again what it had declared.
    pub fn restart(&mut self, who: Who) {
        self.kill(who);
        self.power(who);
        self.connect_side(who);
    }

    /// Power returns to a side that had lost it. It has no link yet.
    pub fn power(&mut self, who: Who) {
        let (now, boot) = (self.now, self.rng.next());
        self[who].start(now, boot);
    }

    /// A side loses its power. [`restart`](Self::restart) or [`power`](Self::power) brings it back.
    pub fn kill(&mut self, who: Who) {
        let now = self.now;
        self.line_from(who).abort(now);
        self[who].kill();
    }

    /// Bytes that `to` hears and nobody sent.
    pub fn inject(&mut self, to: Who, bytes: &[u8]) {
        let now = self.now;
        self.line_from(to.other()).inject(now, bytes);
    }

    /// Asks the other side's service; the application keeps the answer.
    ///
    /// # Errors
    /// As [`tieline::Endpoint::request`].
    pub fn request(
        &mut self,
        who: Who,
        service: &RouteName,
        payload: &[u8],
        options: CallOptions,
    ) -> nb::Result<CallId, RequestError> {
        let now = self.now;
        let side = &mut self[who];
        let at = side.clock(now);
        side.endpoint.request(at, service, payload, options)
    }

    /// Lets `ms` pass.
    pub fn run(&mut self, ms: u64) {
        self.run_us(ms * 1000);
    }

    /// Lets `us` pass: for what is to happen at any phase of a frame.
    pub fn run_us(&mut self, us: u64) {
        let end = self.now + us;
        self.drive(end, |_| false);
    }

    /// Lets time pass until `done`, for `ms` at the most; false if it did not come to that.
    pub fn run_until(&mut self, ms: u64, done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + ms * 1000;
        self.drive(end, done)
    }

    /// Lets both sides find each other and tell what they declare.
    ///
    /// # Panics
    /// When they do not within 5 s.
    pub fn establish(&mut self) {
        self.connect();
        let both = |sim: &Self| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established());
        assert!(self.run_until(5_000, both), "no session");
        self.run(200);
    }

    fn drive(&mut self, end: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        self.settle();
        loop {
            if done(self) {
                return true;
            }
            let Some(next) = self.next_time().filter(|next| *next <= end) else {
                self.now = self.now.max(end);
                return false;
            };
            self.standing = if next > self.now { 0 } else { self.standing + 1 };
            assert!(self.standing < STANDING_MAX, "time stands still at {} µs", self.now);
            self.now = self.now.max(next);
            self.arrive();
            self.settle();
        }
    }

    /// When something happens next.
    fn next_time(&self) -> Option<u64> {
        let arrivals = self.lines.iter().filter_map(Line::next_arrival);
        let wakes = Who::BOTH.iter().filter_map(|who| {
            let side = &self[*who];
            let free =
                side.wants_line().then(|| self.lines[*who as usize].free_at()).filter(|at| *at > self.now);
            free.into_iter().chain(side.next_wake(self.now)).min()
        });
        arrivals.chain(wakes).min()
    }

    /// Hands on what has arrived and tells whose time has come.
    fn arrive(&mut self) {
        let now = self.now;
        for from in Who::BOTH {
            // One piece of each direction a step, so that neither side starves.
            if let Some(bytes) = self.line_from(from).receive(now) {
                if self.wiring != Wiring::Loopback {
                    self.sides[from.other() as usize].input(now, &bytes);
                }
                if self.wiring != Wiring::Crossed {
                    self.sides[from as usize].input(now, &bytes);
                }
            }
        }
        self.sides.iter_mut().for_each(|side| side.tick(now));
    }

    /// Lets the applications do what they want, and gives free lines their next frame.
    fn settle(&mut self) {
        let now = self.now;
        for (side, line) in self.sides.iter_mut().zip(&mut self.lines) {
            side.run_app(now);
            while line.free_at() <= now {
                let Some(frame) = side.transmit(now) else { break };
                line.send(now, frame);
                side.run_app(now);
            }
        }
    }
}

impl Index<Who> for Sim {
    type Output = Side;

    fn index(&self, who: Who) -> &Side {
        &self.sides[who as usize]
    }
}

impl IndexMut<Who> for Sim {
    fn index_mut(&mut self, who: Who) -> &mut Side {
        let side = &mut self.sides[who as usize];
        // Whoever asks for it may change it.
        side.stir();
        side
    }
}
