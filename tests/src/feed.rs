//! Numbered messages: an application publishes them by itself, and whoever reads them can tell what came.

use tieline::{FailReason, PublishOptions};

use crate::app::Handle;

/// Publishes numbered messages by itself, as long as there is an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// The intent.
    pub handle: Handle,
    /// Number of the next message; all below were taken by the endpoint.
    pub next: u32,
    /// Ends here.
    pub count: u32,
    /// Shortest and longest payload, in bytes; at least 4. One that is longer than the route can carry at the moment
    /// is cut to that.
    pub size: (usize, usize),
    /// Time between two messages, ms; 0: whenever there is room.
    pub every_ms: u64,
    /// How it publishes; None: without telling the endpoint the time.
    pub options: Option<PublishOptions>,
    /// Not before this, µs.
    pub(crate) due: u64,
}

impl Feed {
    /// `count` messages of these sizes, as fast as they go.
    #[must_use]
    pub const fn new(handle: Handle, count: u32, size: (usize, usize)) -> Self {
        Self { handle, next: 0, count, size, every_ms: 0, options: None, due: 0 }
    }

    /// One every so many ms.
    #[must_use]
    pub const fn every(self, ms: u64) -> Self {
        Self { every_ms: ms, ..self }
    }

    /// With these options.
    #[must_use]
    pub const fn with(self, options: PublishOptions) -> Self {
        Self { options: Some(options), ..self }
    }
}

/// How a numbered message ended for its publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is under way, or there is nothing to end: best effort, or published without tickets.
    Open,
    /// The peer's application has taken it.
    Delivered,
    /// It failed.
    Failed(FailReason),
    /// The publisher's program ended first, and its knowledge with it.
    Forgotten,
    /// Reliable, but published while nobody listened: kept for whoever comes, without a ticket.
    Untold,
}

/// What became of one message of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The intent that it was published on.
    pub handle: Handle,
    /// Its number.
    pub number: u32,
    /// In which session of its publisher it was published; counts over restarts.
    pub session: u32,
    /// When it was published, µs.
    pub at: u64,
    /// Bytes of its payload.
    pub len: usize,
    /// How it ended.
    pub end: End,
}

/// The payload of a numbered message.
#[must_use]
pub fn numbered(number: u32, len: usize) -> Vec<u8> {
    let filler = (4..len).map(|i| (number as usize * 7 + i) as u8);
    number.to_le_bytes().into_iter().chain(filler).collect()
}

/// The number of a numbered message.
///
/// # Panics
/// When the payload is not one, so when it was damaged.
#[must_use]
pub fn number_of(payload: &[u8]) -> u32 {
    let head = payload.first_chunk().expect("a numbered message has 4 bytes at least");
    let number = u32::from_le_bytes(*head);
    assert_eq!(payload, numbered(number, payload.len()), "the message was damaged");
    number
}
