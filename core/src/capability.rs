//! What this build of the library can do: a cargo feature each, all of them on unless `default-features = false`.
//!
//! A capability that is off is a constant, so everything that only it needs is compiled, checked and then dropped: bits that
//! are never set are masked where they are asked for ([`Slot`](crate::Slot), [`Record`](crate::outbox::Record)), and the few
//! places where a machine begins ask here. The wire stays the same: what a side cannot do, its HELLO does not offer, or it
//! is never declared. Whether the *peer* can is not known here.

use crate::limits::{
    CAPABILITY_EXPIRY, CAPABILITY_FRAGMENTS, CAPABILITY_RESUME, CAPABILITY_SELECTIVE, CAPABILITY_SERVICES,
};

/// Interests and services: messages and requests of the peer are stored.
pub(crate) const RECEIVE: bool = cfg!(feature = "receive");
/// Reliable messages, both ways. Declarations are reliable without it.
pub(crate) const RELIABLE: bool = cfg!(feature = "reliable");
/// Messages larger than a frame.
pub(crate) const FRAGMENTS: bool = cfg!(feature = "fragments");
/// Requests and answers, both ways.
pub(crate) const REQUESTS: bool = cfg!(feature = "requests");
/// Messages that expire, and samples that are kept for whoever comes.
pub(crate) const EXPIRY: bool = cfg!(feature = "expiry");
/// Rate limits.
pub(crate) const RATES: bool = cfg!(feature = "rates");
/// Sessions that outlive their link.
pub(crate) const RESUME: bool = cfg!(feature = "resume");
/// Links that are no serial lines: streams and datagrams.
pub(crate) const LINKS: bool = cfg!(feature = "links");

/// Counters, round-trip times, the peer's name, and the diagnosis of a line on which no frames come.
pub(crate) const STATS: bool = cfg!(feature = "stats");

/// Whether messages travel with the extended header: only of peers that were offered what needs it.
pub(crate) const EXTENDED: bool = FRAGMENTS || EXPIRY;
/// Whether a message may wait in the receive store for something that is missing.
pub(crate) const WAITING: bool = RELIABLE || FRAGMENTS;

/// The capability bits of our HELLO (docs/protocol.md, section 4), but for those that the configuration decides.
pub(crate) const OFFERED: u32 = when(RELIABLE, CAPABILITY_SELECTIVE)
    | when(FRAGMENTS, CAPABILITY_FRAGMENTS)
    | when(REQUESTS, CAPABILITY_SERVICES)
    | when(EXPIRY, CAPABILITY_EXPIRY);
/// Those of the peer's HELLO that mean anything to us.
pub(crate) const UNDERSTOOD: u32 =
    OFFERED | when(REQUESTS, CAPABILITY_SERVICES) | when(RESUME, CAPABILITY_RESUME);

const fn when(on: bool, bit: u32) -> u32 {
    if on { bit } else { 0 }
}
