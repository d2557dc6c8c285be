//! What a connection is told when it is opened.

use std::time::Duration;

/// How patient a connection is and how much memory it takes. The defaults suit a PC.
///
/// ```
/// use std::time::Duration;
/// use tieline_std::Options;
///
/// let options = Options { name: "bench", timeout: Some(Duration::from_secs(2)), ..Options::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Shown to the peer's people; cut to 16 bytes. Need not be unique.
    pub name: &'static str,
    /// How long to wait for the peer. None: 10 s for an address that is dialled, without end for one that listens.
    /// `Some(Duration::MAX)`: without end.
    pub timeout: Option<Duration>,
    /// What happens when the line or the peer is lost.
    pub policy: Policy,
    /// How often the line is measured and proven alive.
    pub ping_interval: Duration,
    /// How long the peer may be silent before it counts as lost. At least twice both sides' ping interval.
    pub silence: Duration,
    /// For how long a session is kept after that, or after its line was lost: within it the session goes on when the
    /// line does, or over a new one. Zero: not at all. Both sides must keep it. With [`Policy::Once`] it is kept on serial
    /// lines only.
    pub resume_for: Duration,
    /// Largest frame taken and sent, in bytes, which also limits requests and answers. What is sent on a serial line has 4096
    /// at the most: nothing urgent can overtake a frame that is on its way.
    pub frame: usize,
    /// Bytes for what has come and was not taken yet, divided among subscribers, responders and awaited answers.
    pub receive: usize,
    /// Bytes for what is to be sent or is not acknowledged yet; neither reliable nor best-effort messages use more than
    /// three quarters.
    pub transmit: usize,
    /// Routes that this side may declare at once.
    pub routes: usize,
    /// Requests under way at once, each way. At most 255.
    pub requests: usize,
    /// Bytes of `receive` that a subscriber keeps unless it is told otherwise: how far its publisher may be ahead.
    pub window: usize,
    /// Bytes of `receive` that a responder keeps for requests that wait.
    pub request_room: usize,
    /// Largest answer to a request, in bytes, unless the caller is told otherwise.
    pub answer_room: usize,
    /// Whether it is noted what the peer declares, for [`Connection::peer_routes`](crate::Connection::peer_routes): everything
    /// that comes is then looked at twice.
    pub observe: bool,
}

impl Options {
    /// How long a dialled peer is waited for unless [`timeout`](Self::timeout) says otherwise.
    pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "",
            timeout: None,
            policy: Policy::default(),
            ping_interval: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            resume_for: Duration::from_secs(10),
            // The length of a stream's frame fits 3 bytes, and a frame and more fits the 64 KiB that go out at once.
            frame: 60 * 1024,
            receive: 1024 * 1024,
            transmit: 512 * 1024,
            routes: 64,
            requests: 64,
            window: 128 * 1024,
            request_room: 64 * 1024,
            answer_room: 4 * 1024,
            observe: false,
        }
    }
}

/// What happens when the line or the peer of a connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The connection comes back by itself, for as long as it takes: an address is dialled again, a port that was unplugged
    /// is opened again, a listener waits for the peer. Handles go on working and blocked calls go on waiting. It ends when it
    /// is closed on either side, or for a reason that will not pass.
    Reconnect {
        /// Before the first try. Each further one in a row takes twice as long, and each a random part, up to a half, less: many
        /// that have lost the same peer do not all come at once.
        first: Duration,
        /// Longest time between two tries.
        most: Duration,
    },
    /// One line: when it is lost every blocked call returns [`Error::Ended`](crate::Error::Ended), and so do later ones.
    Once,
}

impl Policy {
    /// Before the first try: as the protocol repeats its greeting (docs/protocol.md, section 4); nobody notices it.
    pub const FIRST: Duration = Duration::from_millis(100);
    /// Longest time between two tries: the protocol's slowest greeting, and a tenth of how long a session is kept, so that it
    /// is found again in time; one packet a second burdens no network.
    pub const MOST: Duration = Duration::from_secs(1);
}

impl Default for Policy {
    fn default() -> Self {
        Self::Reconnect { first: Self::FIRST, most: Self::MOST }
    }
}
