//! What the application sees: events, messages, answers, and the small names that go with them.

use crate::message::{DecodeError, Message};

/// A route that is declared here: where it stands in the table, and which of its declarations it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RouteId {
    pub(crate) index: u16,
    pub(crate) generation: u8,
}

/// Names one reliable message: it ends in exactly one [`Event::Delivered`] or [`Event::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket {
    /// The route it was published on.
    pub route: RouteId,
    /// Counts the reliable messages of that route, from 0, modulo 2^16.
    pub number: u16,
}

/// A request of ours that awaits its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CallId(pub(crate) u16);

/// A request of the peer's that awaits our answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId {
    pub(crate) id: u16,
    pub(crate) session: u16,
}

/// What happened. Events are derived from state: none is lost for lack of room, and what is not read is
/// merged (two losses in a row that nobody looked at are one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// A link is there and the handshake has begun.
    Connecting,
    /// A session has begun; [`Endpoint::peer`](crate::Endpoint::peer) tells with whom.
    Established {
        /// Whether an earlier session goes on: nothing reliable was lost or doubled.
        resumed: bool,
    },
    /// Nothing comes over the link any more, but the session is kept for a while
    /// ([`Config::resume_for`](crate::Config::resume_for)): it goes on when the link, or another one, reaches the peer, and
    /// ends as [`Lost`](Self::Lost) if none does. Meanwhile
    /// [`is_established`](crate::Endpoint::is_established) is false, reliable messages and requests are taken as far as
    /// there is room, and best-effort ones are refused as disconnected. If the reason is [`LostReason::Framing`] or [`LostReason::LinkDown`] a new
    /// link is needed.
    Degraded(LostReason),
    /// The session, or the hope for one, is lost. While a link is there the endpoint tries again by itself,
    /// unless the reason is [`LostReason::Framing`] or [`LostReason::LinkDown`], which need a new link.
    Lost(LostReason),
    /// The session was ended on purpose; a new one needs a new link, or a peer that asks for one.
    Closed(CloseReason),
    /// The peer's interest in a route of ours has come or gone.
    Audience {
        /// The route.
        route: RouteId,
        /// Whether messages on it are wanted now.
        present: bool,
    },
    /// The peer's intent (or service) on a route of ours has come or gone.
    Publisher {
        /// The route.
        route: RouteId,
        /// Whether somebody says that it publishes (or answers) there now.
        present: bool,
    },
    /// Same path, but another type or schema: nothing is delivered on this route until one side changes.
    RouteConflict {
        /// The route.
        route: RouteId,
        /// Hash of our type.
        ours: u32,
        /// Hash of the peer's type; equal to ours if it is the schema that differs.
        theirs: u32,
    },
    /// The peer's application has taken the message.
    Delivered(Ticket),
    /// The message will not be delivered, or nobody can say whether it was.
    Failed(Ticket, FailReason),
    /// The line behaves in a way that has a likely cause.
    Diagnosis(Diagnosis),
}

/// Why a session is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LostReason {
    /// Nothing intact was received for the agreed time.
    Silence,
    /// The peer has started anew.
    PeerRestarted,
    /// The peer gave the session up and has begun a new one.
    SessionLost,
    /// We hear ourselves: transmit and receive are joined, or both sides use the same boot nonce.
    Loopback,
    /// What came over a stream is not this protocol, or lost its frame boundaries. The link must be given up.
    Framing,
    /// [`handle_disconnect`](crate::Endpoint::handle_disconnect) was called.
    LinkDown,
}

/// Why a session was ended on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// By us.
    Local,
    /// By the peer, with its code: 0 done, 1 shutting down, 16 and above the application's own.
    Peer(u32),
    /// The two sides speak no common version.
    VersionMismatch {
        /// Our major version.
        ours: u8,
        /// The peer's major version.
        theirs: u8,
    },
}

/// Why a reliable message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FailReason {
    /// The session ended before the peer's application said that it took it: in doubt.
    SessionLost,
    /// The peer started anew before it said that it took it: in doubt.
    PeerRestarted,
    /// The session ended before it was sent: certainly not delivered.
    NotSent,
    /// The peer's interest ended before its application took it.
    NoAudience,
    /// Its time was over before it was sent, or before the peer's application took it: certainly not delivered.
    Expired,
    /// A newer sample took its place before it was sent ([`History::Latest`](crate::History::Latest)).
    Superseded,
}

/// A likely cause for what the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Diagnosis {
    /// Bytes have come for a second and not one intact frame: wrong baud rate, or not a Tieline peer?
    NoFrames {
        /// How many bytes.
        bytes: u32,
    },
}

/// Which route or call a poll is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select<T> {
    /// The next of any.
    Any,
    /// Only this one.
    Only(T),
}

/// A message or a request that the application has just taken. The payload lies in the receive store.
#[derive(Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// The route it came on.
    pub route: RouteId,
    /// Set if it is a request: answer it with [`Endpoint::respond`](crate::Endpoint::respond).
    pub request: Option<RequestId>,
    /// The bytes.
    pub payload: &'a [u8],
}

impl Incoming<'_> {
    /// The payload as a message of type `T`.
    ///
    /// # Errors
    /// [`DecodeError`] when it is none.
    pub fn decode<T: Message>(&self) -> Result<T, DecodeError> {
        T::decode(self.payload)
    }
}

/// How a request of ours ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The request.
    pub call: CallId,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How a request ended: each ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The answer.
    Ok(&'a [u8]),
    /// The handler refused with a code of its own (16 and above) and usually a text.
    Refused {
        /// The handler's code.
        code: u32,
        /// The handler's payload, usually text.
        payload: &'a [u8],
    },
    /// Nobody answers requests on that route.
    NoIntent,
    /// The peer had no room for the request; it was not handled.
    Busy,
    /// No answer came in time; the request may have been handled.
    TimedOut,
    /// The answer was larger than the room kept for it.
    TooLarge,
    /// The handler could not decode the request.
    Malformed,
    /// The session ended first; the request may have been handled.
    Lost,
}
