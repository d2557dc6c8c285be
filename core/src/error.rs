//! What the caller can do wrong: one small enum per operation, with the limit that was met.
//!
//! What the peer or the line does is never in here: that is an [`Event`](crate::Event) or a counter.

use core::fmt;

/// Why a declaration was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DeclareError {
    /// All `limit` places of the route table are taken. Withdraw a route, or give the endpoint more ROUTES.
    TableFull {
        /// Places in the table.
        limit: usize,
    },
    /// The window asked for does not fit: `limit` bytes of RX are free. Ask for less, or give more RX.
    NoRoom {
        /// Bytes of RX that are free.
        limit: usize,
    },
    /// This side already has an intent, interest or service of that kind on this route.
    Declared,
    /// The route is a service here and cannot be a topic as well, or the other way round.
    ServiceAndTopic,
    /// Another route that is declared here has the same path: one path has one type.
    OtherType,
    /// All `limit` places for rate limits are taken.
    NoLimiter {
        /// Places for rate limits.
        limit: usize,
    },
    /// The options ask for what this build leaves out: turn on the cargo feature.
    LeftOut {
        /// The feature of `tieline`.
        feature: &'static str,
    },
}

fn left_out(f: &mut fmt::Formatter<'_>, feature: &str) -> fmt::Result {
    write!(f, "this build of tieline leaves that out: turn on its cargo feature `{feature}`")
}

impl fmt::Display for DeclareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFull { limit } => {
                write!(
                    f,
                    "all {limit} places of the route table are taken: withdraw a route or use an endpoint with more"
                )
            }
            Self::NoRoom { limit } => {
                write!(f, "no room for that window: {limit} bytes of the receive store are free")
            }
            Self::Declared => f.write_str("the route is already declared here"),
            Self::ServiceAndTopic => {
                f.write_str("a route is a topic or a service, not both: use another path")
            }
            Self::OtherType => {
                f.write_str("another type is declared here on the same path: one path has one type")
            }
            Self::LeftOut { feature } => left_out(f, feature),
            Self::NoLimiter { limit } => write!(
                f,
                "all {limit} places for rate limits are taken: declare without a rate or use an endpoint with more"
            ),
        }
    }
}

impl core::error::Error for DeclareError {}

/// Why a message was not taken for sending. Nothing was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PublishError {
    /// The route id is not (or no longer) one of ours with an intent.
    NotDeclared,
    /// There is no session with a peer; or it has no link now, and the message is of best effort.
    Disconnected,
    /// Nobody is interested; see [`Endpoint::has_audience`](crate::Endpoint::has_audience).
    NoAudience,
    /// The two sides disagree about the type or the schema of this route.
    RouteConflict,
    /// The payload is longer than `limit` bytes, the most that this route can carry now: the least of what the reader's window,
    /// our TX (a quarter of it for kept samples) and the peer's largest message allow. Send less at once, or give more.
    TooLarge {
        /// Largest payload in bytes.
        limit: usize,
    },
    /// [`Message::encode`](crate::Message::encode) failed.
    Encode,
    /// The peer cannot discard messages whose time is over. Send it without.
    ExpiryNotSupported,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDeclared => f.write_str("no intent is declared on that route"),
            Self::Disconnected => f.write_str("not connected to a peer"),
            Self::NoAudience => f.write_str("nobody is interested in that route"),
            Self::RouteConflict => f.write_str("the peer has another type or schema on that path"),
            Self::TooLarge { limit } => write!(f, "message too large: the limit is {limit} bytes"),
            Self::Encode => f.write_str("the value could not be encoded"),
            Self::ExpiryNotSupported => {
                f.write_str("the peer cannot discard messages whose time is over: send it without")
            }
        }
    }
}

impl core::error::Error for PublishError {}

/// Why a request was not sent. Nothing was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RequestError {
    /// There is no session with a peer.
    Disconnected,
    /// The peer answers no requests at all.
    NotSupported,
    /// The request is longer than `limit` bytes.
    TooLarge {
        /// Largest request payload in bytes.
        limit: usize,
    },
    /// The room asked for the answer does not fit: `limit` bytes of RX are free.
    NoRoom {
        /// Bytes of RX that are free.
        limit: usize,
    },
    /// [`Message::encode`](crate::Message::encode) failed.
    Encode,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("not connected to a peer"),
            Self::NotSupported => f.write_str("the peer answers no requests"),
            Self::TooLarge { limit } => write!(f, "request too large: the limit is {limit} bytes"),
            Self::NoRoom { limit } => {
                write!(f, "no room for the answer: {limit} bytes of the receive store are free")
            }
            Self::Encode => f.write_str("the value could not be encoded"),
        }
    }
}

impl core::error::Error for RequestError {}

/// Why an answer was not taken for sending. Unless `Unknown`, the request is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RespondError {
    /// The request is not open: answered already, timed out, or its session is over.
    Unknown,
    /// The answer is longer than `limit` bytes, the room that the caller keeps (or a frame, if that is less).
    TooLarge {
        /// Largest answer in bytes.
        limit: usize,
    },
    /// [`Message::encode`](crate::Message::encode) failed.
    Encode,
}

impl fmt::Display for RespondError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("that request is no longer open"),
            Self::TooLarge { limit } => write!(f, "answer too large: the limit is {limit} bytes"),
            Self::Encode => f.write_str("the value could not be encoded"),
        }
    }
}

impl core::error::Error for RespondError {}

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConnectError {
    /// [`Endpoint::start`](crate::Endpoint::start) has not been called.
    NotStarted,
    /// The frame buffer is smaller than `limit` bytes, the smallest that the protocol allows.
    FrameTooSmall {
        /// Smallest frame in bytes.
        limit: usize,
    },
    /// This build knows serial lines only: turn on the cargo feature.
    LeftOut {
        /// The feature of `tieline`.
        feature: &'static str,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("the endpoint has not been started"),
            Self::FrameTooSmall { limit } => write!(f, "the frame buffer is smaller than {limit} bytes"),
            Self::LeftOut { feature } => left_out(f, feature),
        }
    }
}

impl core::error::Error for ConnectError {}
