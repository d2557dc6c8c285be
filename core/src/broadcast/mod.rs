//! Broadcast and multicast: messages to whoever listens, without a handshake (docs/protocol.md, section 12).
//!
//! A [`Publisher`] makes a datagram of each message, a [`Subscriber`] reads those of one route. There is no session, so
//! nothing is said by anybody but the publisher: no interest, no acknowledgement, no repetition; a message fits a datagram.
//! Invariant: a datagram of another route is dropped by its first 12 bytes, and nothing behind them is read. Sockets, groups
//! and the size of a datagram that goes unfragmented are not known here.
//!
//! ```
//! use tieline::RouteName;
//! use tieline::broadcast::{Publisher, Reading, Subscriber};
//!
//! let name = RouteName::new("Celsius", "roof.temperature")?;
//! // A device id, and a number that is new at each start.
//! let mut roof = Publisher::new(&name, 0x0102_0304_0506_0708, 0x9ABC_DEF0);
//! let mut listener = Subscriber::<8>::new(&name);
//!
//! let mut out = [0; 64];
//! let datagram = roof.emit(b"21.5", &mut out)?;
//! let Reading::Message(message) = listener.read(datagram) else { panic!("dropped") };
//! assert_eq!((message.payload, message.lost), (&b"21.5"[..], 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod datagram;
mod senders;

pub use datagram::{Header, OVERHEAD, route_hash};
pub use senders::WINDOW;

use datagram::{Foreign, body, foreign};
use senders::{Order, Sender};

use crate::message::{EncodeError, Message};
use crate::queue::Sink;
use crate::route::RouteName;
use crate::wire::Full;

/// Makes the datagrams of one route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Publisher {
    /// Of the next datagram.
    header: Header,
}

impl Publisher {
    /// A publisher of `route`. `sender` is this device or program among all that may be heard together, and stays the same
    /// (a serial number, or random where nobody cares who it is); `nonce` is another number at each start, as for
    /// [`Endpoint::start`](crate::Endpoint::start). Publishers of several routes may share both.
    #[must_use]
    pub const fn new(route: &RouteName, sender: u64, nonce: u32) -> Self {
        Self { header: Header { route: route.hash(), sender, nonce, sequence: 0 } }
    }

    /// The datagram with `payload`, in `out`, of which it takes [`OVERHEAD`] bytes more than the payload has.
    ///
    /// # Errors
    /// [`Full`] if `out` is too small; the next datagram has the same number then.
    pub fn emit<'o>(&mut self, payload: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Full> {
        let datagram = self.header.emit(payload, out)?;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        Ok(datagram)
    }

    /// The datagram with `message`, in `out`.
    ///
    /// # Errors
    /// [`EmitError`]; the next datagram has the same number then.
    pub fn emit_message<'o, M: Message>(
        &mut self,
        message: &M,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], EmitError> {
        let room = out.len().saturating_sub(OVERHEAD);
        let payload = out.get_mut(Header::LEN..).and_then(|rest| rest.get_mut(..room)).unwrap_or_default();
        let mut sink = Sink::new(payload);
        let encoded = message.encode(&mut sink);
        let len = sink.len();
        if len > room {
            return Err(EmitError::TooLarge { limit: room });
        }
        encoded.map_err(|EncodeError| EmitError::Encode)?;
        let datagram = self.header.seal(len, out).map_err(|Full| EmitError::TooLarge { limit: room })?;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        Ok(datagram)
    }

    /// How many datagrams were made, modulo 2^32.
    #[must_use]
    pub const fn emitted(&self) -> u32 {
        self.header.sequence
    }
}

/// Why [`Publisher::emit_message`] made no datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EmitError {
    /// The payload is longer than `limit` bytes, what the buffer has room for.
    TooLarge {
        /// Largest payload in bytes.
        limit: usize,
    },
    /// [`Message::encode`] failed.
    Encode,
}

impl core::fmt::Display for EmitError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "message too large for a datagram: the limit is {limit} bytes")
            }
            Self::Encode => f.write_str("the value could not be encoded"),
        }
    }
}

impl core::error::Error for EmitError {}

/// Reads the datagrams of one route, of up to `SENDERS` senders at a time (40 bytes of RAM each, its last two starts among
/// them).
///
/// Whom it has heard longest ago gives way to one more; if that one comes back, what it lost meanwhile is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber<const SENDERS: usize> {
    route: u64,
    senders: [Sender; SENDERS],
    /// Counts the intact datagrams of this route: by it a sender's age is told.
    now: u32,
    stats: BroadcastStats,
}

/// What a datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading<'d> {
    /// A message.
    Message(Received<'d>),
    /// Nothing, for this reason, and counted.
    Dropped(DropReason),
}

/// A message that came by broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'d> {
    /// Who has sent it.
    pub sender: u64,
    /// The number that it chose at its start.
    pub nonce: u32,
    /// Counts its messages on this route, modulo 2^32.
    pub sequence: u32,
    /// The sender has started anew since its last message, or an earlier start of it is heard again: again and again, if
    /// two devices have the same id.
    pub restarted: bool,
    /// How many of its messages between the last one of this start and this have not come; all that are before it, of a
    /// start that is new or was heard longer ago than the one before. Late ones are among them.
    pub lost: u32,
    /// The message.
    pub payload: &'d [u8],
}

impl Received<'_> {
    /// The message as a value.
    ///
    /// # Errors
    /// [`DecodeError`](crate::DecodeError) when it is not of that type.
    pub fn decode<M: Message>(&self) -> Result<M, crate::DecodeError> {
        M::decode(self.payload)
    }
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DropReason {
    /// Of another route.
    OtherRoute,
    /// Another type on this path: the two sides disagree.
    OtherType,
    /// No broadcast of a version that is known here, or too short for one.
    NotBroadcast,
    /// Its check failed.
    Damaged,
    /// A newer one of this start of the sender was there before.
    Late,
    /// It was there before.
    Duplicate,
}

/// What a [`Subscriber`] has counted since it was made, modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BroadcastStats {
    /// Messages handed out.
    pub received: u32,
    /// Messages that have not come, of senders that were heard before and after them.
    pub lost: u32,
    /// Messages that came after a newer one and were dropped; they are no longer counted as lost, but for those that came
    /// more than [`WINDOW`] messages late, or after a restart.
    pub late: u32,
    /// Datagrams that had come before.
    pub duplicates: u32,
    /// Starts of senders that were noticed, and those that were heard again after another. A number that goes on rising tells
    /// of two devices with the same id; both are heard.
    pub restarts: u32,
    /// Senders that gave way to others, since there are more than places.
    pub forgotten: u32,
    /// Datagrams whose check failed.
    pub damaged: u32,
    /// Datagrams of other routes.
    pub other_route: u32,
    /// Datagrams with another type on this path.
    pub other_type: u32,
    /// Datagrams that are no broadcast of a known version.
    pub not_broadcast: u32,
}

fn count(counter: &mut u32, n: u32) {
    *counter = counter.wrapping_add(n);
}

impl<const SENDERS: usize> Subscriber<SENDERS> {
    /// A reader of `route`.
    #[must_use]
    pub const fn new(route: &RouteName) -> Self {
        Self {
            route: route.hash(),
            senders: [Sender::NOBODY; SENDERS],
            now: 0,
            stats: BroadcastStats {
                received: 0,
                lost: 0,
                late: 0,
                duplicates: 0,
                restarts: 0,
                forgotten: 0,
                damaged: 0,
                other_route: 0,
                other_type: 0,
                not_broadcast: 0,
            },
        }
    }

    /// Reads a datagram.
    #[inline]
    pub fn read<'d>(&mut self, datagram: &'d [u8]) -> Reading<'d> {
        match foreign(datagram, self.route) {
            None => self.read_ours(datagram),
            Some(foreign) => self.reject(foreign),
        }
    }

    fn reject(&mut self, foreign: Foreign) -> Reading<'static> {
        let (counter, reason) = match foreign {
            Foreign::Route => (&mut self.stats.other_route, DropReason::OtherRoute),
            Foreign::Type => (&mut self.stats.other_type, DropReason::OtherType),
            Foreign::Kind => (&mut self.stats.not_broadcast, DropReason::NotBroadcast),
        };
        count(counter, 1);
        Reading::Dropped(reason)
    }

    fn read_ours<'d>(&mut self, datagram: &'d [u8]) -> Reading<'d> {
        let Some((header, payload)) = body(datagram) else {
            count(&mut self.stats.damaged, 1);
            return Reading::Dropped(DropReason::Damaged);
        };
        match self.order(header) {
            Order::Next { lost, restarted } => {
                count(&mut self.stats.received, 1);
                count(&mut self.stats.lost, lost);
                count(&mut self.stats.restarts, restarted.into());
                let Header { sender, nonce, sequence, .. } = header;
                Reading::Message(Received { sender, nonce, sequence, restarted, lost, payload })
            }
            Order::Late { missed } => {
                count(&mut self.stats.late, 1);
                self.stats.lost = self.stats.lost.wrapping_sub(missed.into());
                Reading::Dropped(DropReason::Late)
            }
            Order::Again => {
                count(&mut self.stats.duplicates, 1);
                Reading::Dropped(DropReason::Duplicate)
            }
        }
    }

    fn order(&mut self, header: Header) -> Order {
        self.now = self.now.wrapping_add(1);
        let now = self.now;
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.is(header.sender)) {
            return sender.hear(header, now);
        }
        // Whoever was never heard is older than anybody.
        if let Some(oldest) = self.senders.iter_mut().max_by_key(|sender| sender.age(now)) {
            count(&mut self.stats.forgotten, oldest.is_somebody().into());
            *oldest = Sender::first(header, now);
        }
        Order::Next { lost: 0, restarted: false }
    }

    /// What has come and what has not.
    #[must_use]
    pub const fn stats(&self) -> BroadcastStats {
        self.stats
    }

    /// Who is in the table, with the number of the newest message; in no order.
    pub fn senders(&self) -> impl Iterator<Item = Header> {
        self.senders.iter().filter(|sender| sender.is_somebody()).map(|sender| sender.newest(self.route))
    }
}

#[cfg(test)]
mod tests;
