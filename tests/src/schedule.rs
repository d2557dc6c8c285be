//! Schedules: everything that happens in one run of the property tests, as a plain value.
//!
//! Invariant: a schedule and nothing else decides a run. [`Schedule::draw`] makes one from a seed, [`crate::shrink`]
//! makes smaller ones, and [`Schedule::literal`] is the text that goes into a list of regressions. What happens in a
//! run, and what must hold, is in [`crate::property`].

use tieline::{Link, Priority, Rate};

use crate::app::Reading;
use crate::line::{Chunking, LineConfig};
use crate::memory::Sizes;
use crate::sim::Who;

/// Highest rate of flipped bits, in parts per million. With more of them frames of 256 bytes hardly pass.
pub const BIT_ERROR_PPM: u32 = 1_000;

/// Names that routes may have: those of [`crate::names::EIGHT`].
pub const NAMES: usize = 8;

/// A handshake takes no longer than this on a line that loses nothing, ms.
const HANDSHAKE_MS: u64 = 3_000;
/// Before this the first session may not have begun, ms.
pub const FIRST_GAP_MS: u64 = 2_000;

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

impl Fault {
    /// Whether everything comes all the same, once and intact.
    #[must_use]
    pub const fn is_gentle(self) -> bool {
        matches!(self, Self::Delay | Self::Pieces | Self::Reorder)
    }
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
    /// How long a message is worth delivering, ms; 0: for ever.
    pub life_ms: u64,
    /// Whether the newest message is kept for whoever comes.
    pub latest: bool,
    /// How often may be published, and how often is read.
    pub rates: (Option<Rate>, Option<Rate>),
}

impl Plan {
    /// Whether some of its messages may be left out without any fault.
    #[must_use]
    pub const fn may_skip(&self) -> bool {
        self.life_ms > 0 || self.latest
    }
}

/// One of the two declarations of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The publisher's.
    Intent,
    /// The reader's.
    Interest,
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
    /// A declaration of a route is taken back, and declared again later.
    Withdraw(usize, Half, u64),
    /// A declaration of a route is declared again and has this time to live, until the faults end.
    Lapse(usize, Half, u64),
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
    /// How long A and B keep a session without a link, ms.
    pub resume_ms: (u64, u64),
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
    /// It as Rust text, in one line.
    #[must_use]
    pub fn literal(&self) -> String {
        // All lists in it are vectors, so this is all that keeps Debug's text from being Rust.
        format!("{self:?}").replace('[', "vec![")
    }

    /// Whether nothing in it can cost a session: the lines lose nothing, nobody restarts, and where the peers do not hear
    /// each other that is soon over.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let gentle = |faults: &Faults| faults.iter().all(|(fault, _)| fault.is_gentle());
        let harmless = |action: &Action| match action {
            Action::Restart(..) | Action::Noise(..) => false,
            Action::Line(_, faults) => gentle(faults),
            _ => true,
        };
        gentle(&self.faults.0)
            && gentle(&self.faults.1)
            && self.actions.iter().all(|(_, action)| harmless(action))
            && self.are_gaps_short()
    }

    /// Whether both sides keep their session through all times without a link.
    fn are_gaps_short(&self) -> bool {
        let most = self.resume_ms.0.min(self.resume_ms.1);
        // Gaps that are close to each other may be one.
        let mut gap: Option<(u64, u64)> = None;
        let breaks = |action: &Action| match action {
            Action::Outage(_, ms) | Action::Disconnect(_, ms) | Action::Unplug(ms) => Some(*ms),
            _ => None,
        };
        self.actions.iter().filter_map(|(at, action)| Some((*at, breaks(action)?))).all(|(at, ms)| {
            let (begin, before) = gap.filter(|(_, end)| at <= *end).unwrap_or((at, 0));
            let end = before.max(at + ms + HANDSHAKE_MS);
            gap = Some((begin, end));
            begin >= FIRST_GAP_MS && end - begin <= most
        })
    }

    /// Whether a declaration of a route is taken back in it, or may end by itself.
    #[must_use]
    pub fn ends_declaration(&self, route: usize, half: Half) -> bool {
        let ends = |action: &Action| match action {
            Action::Withdraw(of, which, _) | Action::Lapse(of, which, _) => (*of, *which) == (route, half),
            _ => false,
        };
        self.actions.iter().any(|(_, action)| ends(action))
    }

    /// Whether a side loses its power in it.
    #[must_use]
    pub fn restarts(&self, who: Who) -> bool {
        let restart = |action: &Action| matches!(action, Action::Restart(of, _) if *of == who);
        self.actions.iter().any(|(_, action)| restart(action))
    }
}
