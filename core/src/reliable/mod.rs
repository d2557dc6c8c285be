//! Which reliable packet is sent next, and which is taken: sequence numbers, window, selective repeat.
//!
//! Two plain values without time, bytes or statistics, so that a model checker can explore the code that ships;
//! window and width of the number on the wire are parameters. Inside, numbers are 32 bits wide and wrap.
//!
//! Invariant of the sender: `acked <= cursor <= next` (modulo 2^32), and nothing is sent beyond `acked + window`. Of the receiver: all before
//! `expected` are stored, `expected` itself is not. Where the packets are, and which route they belong to, is not known
//! here; the receiver only knows how far back the previous packet of the same route is.
//!
//! A build without reliable messages has only declarations to deliver: it follows no packet of its own, but goes back to the
//! oldest, and takes packets in their turn only.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use receiver::{Arrival, Receiver};
pub use sender::{Acknowledged, Sender};

/// The largest number of unacknowledged packets where numbers have one byte on the wire.
pub const WINDOW_NARROW: u32 = 128;
/// The same where they have four bytes.
pub const WINDOW_WIDE: u32 = 32768;
/// What a sender keeps under way on a link of datagrams, though it might more: only what it follows one by one. Behind that
/// it would repeat whole rounds, and more of them than the peer's system has room for at once, which loses most of them again.
pub const WINDOW_FOLLOWED: u32 = sender::FOLLOWED;
/// How far ahead of a missing packet a receiver stores others: as many as an acknowledgement has bits for.
pub const AHEAD_MAX: u32 = 32;
