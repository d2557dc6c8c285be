//! Schedules: everything that happens in one run of the property tests, as a plain value.
//!
//! Invariant: a schedule and nothing else decides a run. [`Schedule::draw`] makes one from a seed, [`crate::shrink`]
//! makes smaller ones, and [`Schedule::literal`] is the text that goes into a list of regressions. What happens in a
//! run, and what must hold, is in [`crate::property`].

use tieline::{Link, Priority};

use crate::app::Reading;
use crate::line::{Chunking, LineConfig};
use crate::memory::Sizes;
use crate::rng::Rng;
use crate::sim::{A, B, Who};

/// Highest rate of flipped bits, in parts per million. With more of them frames of 256 bytes hardly pass.
pub const BIT_ERROR_PPM: u32 = 1_000;

/// Names that routes may have: those of [`crate::names::EIGHT`].
pub const NAMES: usize = 8;

/// What the link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UART: loses and damages bytes.
    Serial,
    /// A connection: loses nothing but itself.
    Stream,
    /// Frames that come whole or not at all, in any order.
    Datagram,
}

impl Kind {
    /// What the endpoints are told.
    #[must_use]
    pub const fn link(self, baud: u32) -> Link {
        match self {
            Self::Serial => Link::serial(baud),
            Self::Stream => Link::stream(),
            Self::Datagram => Link { bits_per_second: baud, ..Link::datagram(usize::MAX) },
        }
    }

    /// Whether frames may overtake each other on it.
    #[must_use]
    pub const fn may_reorder(self) -> bool {
        match self {
            Self::Serial | Self::Stream => false,
            Self::Datagram => true,
        }
    }

    /// Whether bytes may be lost or damaged on it.
    #[must_use]
    pub const fn may_lose(self) -> bool {
        matches!(self, Self::Serial | Self::Datagram)
    }
}

/// One kind of fault of a line. Its amount is in parts per million, but where it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A bit is flipped.
    BitError,
    /// A byte is lost.
    ByteLoss,
    /// A burst of loss begins with a byte.
    Burst,
    /// A byte is inserted.
    Insertion,
    /// A frame is lost.
    FrameLoss,
    /// A frame comes twice.
    FrameRepeat,
    /// A piece comes twice.
    PieceRepeat,
    /// A frame is overtaken.
    Reorder,
    /// Everything comes this much later, µs.
    Delay,
    /// Frames come in pieces of up to so many bytes.
    Pieces,
}

/// What a line does to what it carries: kinds of faults with their amounts.
pub type Faults = Vec<(Fault, u32)>;

/// The line that has these faults.
#[must_use]
pub fn line_with(baud: u32, faults: &Faults) -> LineConfig {
    let mut line = LineConfig::clean(baud);
    for (fault, amount) in faults {
        let rate = f64::from(*amount) / 1e6;
        match fault {
            Fault::BitError => line.bit_error = rate,
            Fault::ByteLoss => line.byte_loss = rate,
            Fault::Burst => line.burst = rate,
            Fault::Insertion => line.insertion = rate,
            Fault::FrameLoss => line.frame_loss = rate,
            Fault::FrameRepeat => line.frame_duplication = rate,
            Fault::PieceRepeat => line.chunk_duplication = rate,
            Fault::Reorder => line.reorder = rate,
            Fault::Delay => line.delay_us = (*amount).into(),
            Fault::Pieces => line.chunking = Chunking::Random((*amount).into()),
        }
    }
    line
}

/// A route: who publishes on it and how, and how it is read at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which of [`NAMES`].
    pub name: usize,
    /// Who publishes.
    pub from: Who,
    /// Reliable or best effort.
    pub reliable: bool,
    /// How urgent it is.
    pub priority: Priority,
    /// The reader's window.
    pub window: usize,
    /// How many messages.
    pub count: u32,
    /// Shortest and longest payload; cut to what the route can carry.
    pub size: (usize, usize),
    /// Time between two, ms; 0: as fast as they go.
    pub every_ms: u64,
    /// How it is read at first.
    pub reading: Reading,
}

/// Something that happens once. Spans are in ms; on a stream what breaks one side's link breaks both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// What this side sends does not get through (on a stream: it comes later).
    Outage(Who, u64),
    /// This side's link is gone, and comes back.
    Disconnect(Who, u64),
    /// Both sides' link is gone, and comes back.
    Unplug(u64),
    /// This side loses its power, and gets it back.
    Restart(Who, u64),
    /// This side's application hangs.
    Sleep(Who, u64),
    /// A route (by its place in the list) is read like that from now on.
    Read(usize, Reading),
    /// Bytes that nobody sent arrive at this side. Not on a stream.
    Noise(Who, u64),
    /// This side asks the other one's service: length of the question, time-out.
    Ask(Who, usize, u64),
    /// The line on which this side sends has these faults from now on.
    Line(Who, Faults),
}

/// Everything that happens in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What chance decides in the run (which bit, which frame) comes from it.
    pub seed: u64,
    /// The link.
    pub kind: Kind,
    /// Its rate, bit/s.
    pub baud: u32,
    /// Storage of A and of B.
    pub sizes: (Sizes, Sizes),
    /// Ping interval of A and of B, ms.
    pub ping_ms: (u64, u64),
    /// How long A and B wait for a silent peer, ms.
    pub silence_ms: (u64, u64),
    /// Faults of the line on which A and on which B sends, from the start.
    pub faults: (Faults, Faults),
    /// The routes.
    pub routes: Vec<Plan>,
    /// How long the services wait before they answer, ms; None: there are none.
    pub answers: Option<u64>,
    /// What happens at which time, in ms since the start.
    pub actions: Vec<(u64, Action)>,
    /// When all faults end and all readers read, ms.
    pub faulty_ms: u64,
}

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let kind = [Kind::Serial, Kind::Serial, Kind::Serial, Kind::Datagram, Kind::Stream][rng.index(5)];
        let baud = [19_200, 57_600, 115_200, 115_200, 921_600, 3_000_000][rng.index(6)];
        let sizes = (draw_sizes(rng), draw_sizes(rng));
        let ping_ms = (draw_ping(rng), draw_ping(rng));
        // Two pings, and four of the largest frames: a full line is no silence.
        let frame_ms = sizes.0.frame.min(sizes.1.frame) as u64 * 10_000 / u64::from(baud);
        let patience = ping_ms.0.max(ping_ms.1).max(2 * frame_ms);
        let silence_ms = (patience * rng.between(2, 4), patience * rng.between(2, 4));
        let answers = rng.chance(0.5).then(|| if rng.chance(0.5) { 0 } else { rng.between(1, 800) });
        let faulty_ms = rng.between(2_000, 15_000);
        let delay_us = [1_000, 15_000, 100_000][rng.index(3)];
        // There, and back with the acknowledgement.
        let round_ms = 2 * (u64::from(delay_us) / 1_000 + frame_ms) + 4;
        let limits = Limits { bytes: u64::from(baud) / 10 * 8 / 3, messages: 12_000 / round_ms, faulty_ms };
        let routes = draw_routes(rng, sizes, limits, answers.is_some());
        let mut faults = |rng: &mut Rng| draw_faults(rng, kind, delay_us);
        // Most lines are faulty from the start, the other ones only when an action says so.
        let on_line = if rng.chance(0.7) { (faults(rng), faults(rng)) } else { (vec![], vec![]) };
        let mut actions: Vec<_> = (0..rng.below(13))
            .map(|_| {
                let action = draw_action(rng, kind, routes.len(), answers.is_some(), &mut faults);
                (rng.below(faulty_ms), action)
            })
            .collect();
        actions.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            kind,
            baud,
            sizes,
            ping_ms,
            silence_ms,
            faults: on_line,
            routes,
            answers,
            actions,
            faulty_ms,
        }
    }

    /// It as Rust text, in one line.
    #[must_use]
    pub fn literal(&self) -> String {
        // All lists in it are vectors, so this is all that keeps Debug's text from being Rust.
        format!("{self:?}").replace('[', "vec![")
    }

    /// Whether nothing in it can cost a session.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let gentle = |faults: &Faults| {
            faults.iter().all(|(fault, _)| matches!(fault, Fault::Delay | Fault::Pieces | Fault::Reorder))
        };
        let harmless = |action: &Action| match action {
            Action::Sleep(..) | Action::Read(..) | Action::Ask(..) => true,
            Action::Line(_, faults) => gentle(faults),
            Action::Outage(..)
            | Action::Disconnect(..)
            | Action::Unplug(_)
            | Action::Restart(..)
            | Action::Noise(..) => false,
        };
        gentle(&self.faults.0)
            && gentle(&self.faults.1)
            && self.actions.iter().all(|(_, action)| harmless(action))
    }
}

fn draw_ping(rng: &mut Rng) -> u64 {
    if rng.chance(0.6) { 1_000 } else { rng.between(300, 2_000) }
}

fn draw_sizes(rng: &mut Rng) -> Sizes {
    match rng.below(5) {
        0 => Sizes::SMALLEST,
        1 | 2 => Sizes::BOARD,
        3 => Sizes::PC,
        _ => Sizes {
            frame: rng.between(80, 700) as usize,
            rx: rng.between(128, 3_000) as usize,
            tx: rng.between(192, 3_000) as usize,
            routes: rng.between(2, 12) as usize,
            requests: rng.between(1, 6) as usize,
        },
    }
}

/// How much is sent, so that what waits when the faults end comes in time.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes of all routes: a third of what the line carries in 8 s.
    bytes: u64,
    /// Messages of one side: as many as can be sent one after the other, each acknowledged, in 12 s.
    messages: u64,
    faulty_ms: u64,
}

/// Routes that fit both sides.
fn draw_routes(rng: &mut Rng, sizes: (Sizes, Sizes), limits: Limits, services: bool) -> Vec<Plan> {
    let places = sizes.0.routes.min(sizes.1.routes).min(NAMES) - usize::from(services);
    let mut ends: Vec<(usize, Who)> = Vec::new();
    for name in 0..rng.between(1, places as u64) as usize {
        let from = if rng.chance(0.5) { A } else { B };
        ends.push((name, from));
        if rng.chance(0.2) {
            ends.push((name, from.other()));
        }
    }
    let mut routes = Vec::new();
    for (name, from) in &ends {
        let readers = ends.iter().filter(|(_, other)| other == from).count();
        let rx = if *from == A { sizes.1.rx } else { sizes.0.rx };
        // What is left is for a service and for answers.
        let share = (rx * 3 / 5 / readers) as u64;
        let window = if share > 12 { rng.between(12, share.min(6_000)) } else { 12 };
        let most = window - 8;
        let longest = if rng.chance(0.4) { most } else { rng.between(4, most.min(60)) };
        let shortest = if rng.chance(0.2) { longest } else { 4 };
        let cost = (shortest + longest) / 2 + 30;
        let most = (limits.bytes / ends.len() as u64 / cost).min(limits.messages / readers as u64);
        let count = rng.between(1, most.clamp(1, 400));
        let every_ms = if rng.chance(0.4) { 0 } else { rng.between(1, (limits.faulty_ms / count).max(1)) };
        routes.push(Plan {
            name: *name,
            from: *from,
            reliable: rng.chance(0.65),
            priority: [Priority::Background, Priority::Normal, Priority::High, Priority::Urgent]
                [rng.index(4)],
            window: window as usize,
            count: count as u32,
            size: (shortest as usize, longest as usize),
            every_ms,
            reading: if rng.chance(0.7) { Reading::Always } else { Reading::Every(rng.between(1, 60)) },
        });
    }
    routes
}

/// `delay_us`: the longest delay.
fn draw_faults(rng: &mut Rng, kind: Kind, delay_us: u32) -> Faults {
    // Small amounts are as likely as large ones.
    let mut amount = |most: u32| (u64::from(most) * (1 + rng.below(1_000)).pow(2) / 1_000_000) as u32;
    let all = [
        (Fault::BitError, amount(BIT_ERROR_PPM)),
        (Fault::ByteLoss, amount(3_000)),
        (Fault::Burst, amount(500)),
        (Fault::Insertion, amount(3_000)),
        (Fault::FrameLoss, amount(400_000)),
        (Fault::FrameRepeat, amount(150_000)),
        (Fault::PieceRepeat, amount(20_000)),
        (Fault::Reorder, amount(300_000)),
        (Fault::Delay, amount(delay_us)),
        (Fault::Pieces, amount(60).max(1)),
    ];
    let mut faults = all.to_vec();
    faults.retain(|(fault, _)| {
        let may = match fault {
            Fault::Delay => true,
            // A datagram comes whole.
            Fault::Pieces => kind != Kind::Datagram,
            Fault::PieceRepeat => kind == Kind::Serial,
            Fault::FrameRepeat => kind.may_lose(),
            Fault::Reorder => kind.may_reorder(),
            Fault::BitError | Fault::ByteLoss | Fault::Burst | Fault::Insertion | Fault::FrameLoss => {
                kind.may_lose()
            }
        };
        rng.chance(0.5) && may
    });
    faults
}

fn draw_action(
    rng: &mut Rng,
    kind: Kind,
    routes: usize,
    services: bool,
    faults: &mut impl FnMut(&mut Rng) -> Faults,
) -> Action {
    let who = if rng.chance(0.5) { A } else { B };
    // Short and long spans: below and above the time after which a session is lost.
    let span = if rng.chance(0.6) { rng.between(1, 300) } else { rng.between(300, 6_000) };
    match rng.below(12) {
        0 => Action::Outage(who, span),
        1 => Action::Disconnect(who, span),
        2 => Action::Unplug(span),
        3 => Action::Restart(who, span),
        4 => Action::Sleep(who, span),
        5 | 6 => {
            let reading = [Reading::Never, Reading::Always, Reading::Every(span.min(1_000))][rng.index(3)];
            Action::Read(rng.index(routes), reading)
        }
        7 if kind.may_lose() => Action::Noise(who, rng.between(1, 400)),
        8 | 9 => Action::Line(who, faults(rng)),
        _ if services => Action::Ask(who, rng.between(4, 40) as usize, rng.between(50, 2_000)),
        _ => Action::Outage(who, span),
    }
}
