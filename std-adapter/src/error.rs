//! What can go wrong, said so that a person knows what to do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tieline::{
    CloseReason, ConnectError, DeclareError, DecodeError, LostReason, PublishError, RequestError,
    RespondError, RouteError, RouteName,
};

use crate::address::{Address, AddressError, Carrier, To, Udp};
use crate::printable::printable;

/// Why an operation on a connection failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address.
    Address(AddressError),
    /// The text is not a route name.
    Route(RouteError),
    /// The address could not be opened.
    Open {
        /// What was opened.
        address: Address,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// No peer was there in time.
    NoPeer {
        /// Where it was expected.
        address: Option<Address>,
        /// How long it was waited for.
        waited: Duration,
        /// What was last seen of it.
        last: String,
    },
    /// Nobody wants the messages of a route, so far.
    NoAudience {
        /// The route.
        route: &'static RouteName,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The options make an endpoint that cannot work.
    Options(ConnectError),
    /// The system refused something that the connection needs besides its line.
    System(Arc<io::Error>),
    /// The connection is over.
    Ended(Ended),
    /// The time given for the operation is over.
    TimedOut,
    /// The route could not be declared.
    Declare(DeclareError),
    /// The message could not be published.
    Publish(PublishError),
    /// A message to all that listen could not be sent.
    Send {
        /// Where to.
        address: Address,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// Reliable messages that are not delivered.
    Undelivered {
        /// So many.
        messages: u64,
    },
    /// The answer could not be sent.
    Respond(RespondError),
    /// A message came that is not of the route's type.
    Decode(DecodeError),
}

impl Error {
    /// Whether the same may work when it is tried again, without anybody changing anything but the other side.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { cause, .. } | Self::Send { cause, .. } => is_transient(cause),
            Self::NoPeer { .. } | Self::NoAudience { .. } | Self::TimedOut | Self::Undelivered { .. } => true,
            Self::Ended(ended) => ended.is_transient(),
            Self::Publish(error) => matches!(error, PublishError::NoAudience | PublishError::Disconnected),
            Self::Address(_) | Self::Route(_) | Self::Options(_) | Self::System(_) => false,
            Self::Declare(_) | Self::Respond(_) | Self::Decode(_) => false,
        }
    }
}

/// Refusals that will not change by themselves.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported
    )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Route(error) => error.fmt(f),
            Self::Open { address, cause } => cannot_open(f, address, cause),
            Self::Send { address, cause } => write!(f, "cannot send to {address}: {cause}"),
            Self::NoPeer { address, waited, last } => {
                write!(f, "no peer answered")?;
                if let Some(address) = address {
                    write!(f, " at {address}")?;
                }
                write!(f, " within {:.1} s", waited.as_secs_f64())?;
                if last.is_empty() { Ok(()) } else { write!(f, ": {last}") }
            }
            Self::NoAudience { route, waited } => {
                let waited = waited.as_secs_f64();
                write!(f, "the peer has not asked for {route} within {waited:.1} s: does it read that route?")
            }
            Self::Options(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refused what a connection needs: {error}"),
            Self::Ended(ended) => ended.fmt(f),
            Self::TimedOut => f.write_str("the time given for it is over"),
            Self::Declare(error) => write!(f, "the route cannot be declared: {error}"),
            Self::Publish(error) => write!(f, "the message cannot be published: {error}"),
            Self::Undelivered { messages } => write!(f, "{messages} reliable messages were not delivered"),
            Self::Respond(error) => write!(f, "the answer cannot be sent: {error}"),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

fn cannot_open(f: &mut fmt::Formatter<'_>, address: &Address, cause: &io::Error) -> fmt::Result {
    write!(f, "cannot open {address}: {cause}")?;
    match cause.kind() {
        io::ErrorKind::PermissionDenied => f.write_str(why_denied(address)),
        io::ErrorKind::AddrInUse => {
            f.write_str(": another program is there; end it, or choose another address")
        }
        _ => Ok(()),
    }
}

/// What to do about a permission that is missing.
fn why_denied(address: &Address) -> &'static str {
    match &address.carrier {
        Carrier::Serial { .. } => {
            ": this user may not; on Linux join the group of the device (dialout or uucp, usually): `sudo usermod -aG GROUP USER`, and log in anew"
        }
        Carrier::Unix { .. } => {
            ": this user may not write to that file or its directory: choose another path, or change their permissions"
        }
        // Port 0 is the system's choice.
        Carrier::Tcp { port: 1..1024, listen: true, .. }
        | Carrier::Udp(Udp { port: 1..1024, to: To::Anybody, .. }) => {
            ": ports below 1024 are root's: choose a higher one"
        }
        Carrier::Udp(Udp { to: To::Peer, .. }) => {
            ": a firewall may forbid it; an address that reaches a whole network takes `?broadcast`"
        }
        Carrier::Tcp { .. } | Carrier::Udp(_) => ": a firewall, or a rule of the system, may forbid it",
    }
}

/// How a connection came to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Ended {
    /// An address cannot be opened, for a reason that will not pass by itself.
    Unreachable {
        /// What was opened.
        address: Address,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// The link or the session was lost.
    Lost {
        /// What the endpoint noticed.
        reason: LostReason,
        /// What the system said, if it did.
        cause: Option<Arc<io::Error>>,
    },
    /// It was closed on purpose.
    Closed(CloseReason),
}

impl Ended {
    /// Whether another connection may work.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } => is_transient(cause),
            Self::Lost { reason, .. } => !matches!(reason, LostReason::Framing | LostReason::Loopback),
            Self::Closed(reason) => matches!(reason, CloseReason::Peer(1)),
        }
    }

    /// Whether one side said that it is done: an end that is no error for a reader.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Closed(CloseReason::Local | CloseReason::Peer(0)))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, cause) = match self {
            Self::Unreachable { address, cause } => return cannot_open(f, address, cause),
            Self::Closed(CloseReason::Local) => return f.write_str("the connection is closed"),
            Self::Closed(CloseReason::Peer(0)) => return f.write_str("the peer has closed the connection"),
            Self::Closed(CloseReason::Peer(1)) => return f.write_str("the peer is shutting down"),
            Self::Closed(CloseReason::Peer(code)) => {
                return write!(f, "the peer has closed the connection with code {code}");
            }
            Self::Closed(CloseReason::VersionMismatch { ours, theirs }) => {
                return write!(
                    f,
                    "the peer speaks protocol version {theirs} and this side {ours}: update the older one"
                );
            }
            Self::Lost { reason, cause } => (reason, cause),
        };
        f.write_str(match reason {
            LostReason::Silence => "connection lost: the peer has fallen silent",
            LostReason::PeerRestarted => "connection lost: the peer has started anew",
            LostReason::SessionLost => "connection lost: the peer has given the session up",
            LostReason::Loopback => {
                "we hear ourselves: transmit and receive are joined, or the line echoes what it is sent"
            }
            LostReason::Framing => {
                "what comes is not Tieline: is there another service on that address, or is framing=serial missing?"
            }
            LostReason::LinkDown => "connection lost: the line is down",
        })?;
        match cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Ended {}

/// How a request failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CallError {
    /// The handler refused.
    Refused {
        /// Its code, 16 or above.
        code: u32,
        /// Its words.
        text: String,
    },
    /// The peer answers no requests on that route.
    NoService,
    /// The peer had no room for the request; it was not handled.
    Busy,
    /// No answer came in time; the request may have been handled.
    TimedOut,
    /// The answer is larger than the room kept for it.
    AnswerTooLarge {
        /// That room, in bytes.
        room: usize,
    },
    /// The handler could not read the request: do both sides use the same definition?
    Malformed,
    /// The answer could not be read.
    Decode(DecodeError),
    /// The session was lost (the peer has started anew, or was away for too long); the request may have been handled.
    Lost,
    /// The request could not be made.
    Request(RequestError),
    /// The connection is over; if it ended while we waited, the request may have been handled.
    Ended(Ended),
}

impl CallError {
    /// Whether the same request may work when it is made again. It may have been handled the first time.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::TimedOut | Self::NoService | Self::Lost => true,
            Self::Request(RequestError::Disconnected) => true,
            Self::Ended(ended) => ended.is_transient(),
            _ => false,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, text } if text.is_empty() => write!(f, "the peer refused with code {code}"),
            Self::Refused { code, text } => {
                write!(f, "the peer refused with code {code}: {}", printable(text))
            }
            Self::NoService => f.write_str("the peer answers no requests on that route"),
            Self::Busy => f.write_str("the peer is busy: the request was not handled"),
            Self::TimedOut => f.write_str("no answer came in time; the request may have been handled"),
            Self::AnswerTooLarge { room } => {
                write!(f, "the answer is larger than the {room} bytes kept for it")
            }
            Self::Malformed => {
                f.write_str("the peer could not read the request: do both sides use the same definition?")
            }
            Self::Decode(error) => write!(f, "the answer cannot be read: {error}"),
            Self::Lost => f.write_str("the session was lost; the request may have been handled"),
            Self::Request(error) => write!(f, "the request cannot be made: {error}"),
            Self::Ended(ended) => write!(f, "{ended}; a request under way may have been handled"),
        }
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advised_when_a_permission_is_missing_suits_the_address() {
        for (address, advice) in [
            ("serial:///dev/ttyUSB0", "join the group of the device"),
            ("tcp://127.0.0.1:81?listen", "ports below 1024 are root's"),
            ("udp://127.0.0.1:81?listen", "ports below 1024 are root's"),
            ("tcp://192.168.0.7:81", "a firewall"),
            ("udp://192.168.0.255:4100", "takes `?broadcast`"),
            ("unix:///run/a.sock?listen", "or change their permissions"),
        ] {
            let cause = Arc::new(io::Error::from(io::ErrorKind::PermissionDenied));
            let text = Error::Open { address: address.parse().unwrap(), cause }.to_string();
            assert!(text.contains(advice), "{text}");
            assert_eq!(text.contains("group"), address.starts_with("serial"), "{text}");
        }
    }
}
