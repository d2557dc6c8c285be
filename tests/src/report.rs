//! What a run of the property tests comes to: a report, or why it failed.

use std::fmt;

use crate::sim::{Sim, Who};

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which property: a word of the table above.
    pub property: &'static str,
    /// What was seen.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.message)
    }
}

/// What a run was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Virtual time, ms.
    pub virtual_ms: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were read.
    pub read: u64,
    /// Reliable messages that failed, or whose publisher did not live to hear of their end.
    pub failed: u64,
    /// Of those, messages whose time was over.
    pub expired: u64,
    /// Of those that failed, messages that a newer one replaced.
    pub superseded: u64,
    /// Sessions of both sides.
    pub sessions: u64,
    /// How often one of them went on over a link that came back.
    pub resumed: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Frames that were sent.
    pub frames: u64,
    /// What chance did to frames and bytes, one by one.
    pub faults: u64,
    /// Actions of the schedule.
    pub actions: u64,
    /// From the end of the faults until everything was delivered, ms.
    pub settled_ms: u64,
}

impl Report {
    /// Both together; of `settled_ms` the larger one.
    pub fn add(&mut self, other: &Self) {
        self.virtual_ms += other.virtual_ms;
        self.published += other.published;
        self.read += other.read;
        self.failed += other.failed;
        self.expired += other.expired;
        self.superseded += other.superseded;
        self.sessions += other.sessions;
        self.resumed += other.resumed;
        self.requests += other.requests;
        self.frames += other.frames;
        self.faults += other.faults;
        self.actions += other.actions;
        self.settled_ms = self.settled_ms.max(other.settled_ms);
    }
}

pub(crate) fn fail<T>(property: &'static str, message: String) -> Result<T, Failure> {
    Err(Failure { property, message })
}

/// Makes of "it does not hold" a failure.
pub(crate) fn hold(
    holds: bool,
    property: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if holds { Ok(()) } else { fail(property, message()) }
}

/// What keeps a run from being done.
pub(crate) fn what_is_open(sim: &Sim) -> String {
    let mut text = String::new();
    for who in Who::BOTH {
        let (app, endpoint) = (&sim[who].app, &sim[who].endpoint);
        let feeds: Vec<_> = app.feeds.iter().map(|feed| (feed.next, feed.count)).collect();
        text += &format!(
            "{who:?} established {}, fed {feeds:?}, undelivered {}, unacknowledged {}, unsent {}, tickets {:?}; ",
            endpoint.is_established(),
            endpoint.undelivered_total(),
            endpoint.unacknowledged(),
            endpoint.unsent_best_effort(),
            app.ends().2,
        );
    }
    text
}
