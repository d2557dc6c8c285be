//! Typed, named messages between programs and microcontrollers over a line they already have: a UART, TCP, UDP.
//!
//! This crate is the heart of Tieline: one synchronous state machine per line, [`Endpoint`], that does no I/O. Bytes and
//! the time go in, events, messages and frames to send come out. No heap, no `unsafe`, no thread, no clock; the memory is
//! known when you compile. Adapters drive it: [`driver`] on microcontrollers, the crate `tieline-std` on PCs.
//!
//! For the smallest boards there is a second one, [`lite::Endpoint`], with a third of the code: best effort, serial lines, routes that
//! are fixed when compiling.
//!
//! An example is at [`Endpoint`]. Features that add something: `postcard` makes messages of serde types (with a trait `Named`),
//! `defmt` logs what the endpoint decides, `crc-table` (1 KiB of flash instead of 64 bytes) and
//! `crc-table16` (16 KiB, for PCs) make the checksum faster.
//!
//! Capabilities are features as well, all of them on by default (`full`). A board that needs less says
//! `default-features = false` and names what it needs; the rest then costs neither flash nor RAM, and the peer, which may be
//! complete, is told in the handshake. With none of them an endpoint publishes best-effort messages on a serial line.
//!
//! | capability | what it brings |
//! |---|---|
//! | `receive` | interests: messages of the peer are stored and handed out, reliable ones in any case exactly once |
//! | `reliable` | reliable messages published here, and selective repeat both ways |
//! | `fragments` | messages larger than a frame, both ways |
//! | `requests` | requests and answers, both ways; brings `receive` |
//! | `expiry` | messages that expire, routes that keep their newest sample |
//! | `rates` | rate limits of routes |
//! | `resume` | sessions that outlive their link and go on over another one |
//! | `links` | streams and datagrams besides serial lines |
//! | `stats` | counters, round-trip times, the peer's name, the diagnosis of a line on which no frames come |
//!
//! The modules in floors; each uses only what is below it:
//!
//! | floor | modules | |
//! |---|---|---|
//! | 6 | [`driver`] `report` | ports on one side, the endpoint on the other |
//! | 5 | `endpoint`, [`lite`] | where the machines meet |
//! | 4 | [`broadcast`] [`framing`] [`handshake`] [`reliable`] `routes` `results` `ping` `rto` `sizing` `limiter` `inbox` `outbox` `tickets` | one small machine each |
//! | 3 | [`packet`] `event` `message` | what travels, what the application sees |
//! | 2 | `route` `error` `queue` `blocks` `timers` | names, small enums, a byte ring, a block store, deadlines |
//! | 1 | [`wire`] | the only code that touches offsets |
//! | 0 | [`time`] [`limits`] `capability` | microseconds, constants, what this build can do |

#![no_std]
#![forbid(unsafe_code)]
// What a capability that is left out would have called stands there all the same.
#![cfg_attr(not(feature = "full"), allow(dead_code, unused_imports))]
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable
    )
)]

#[cfg(test)]
extern crate std;

mod blocks;
pub mod broadcast;
mod capability;
pub mod driver;
mod endpoint;
mod error;
mod event;
pub mod framing;
pub mod handshake;
mod inbox;
mod limiter;
pub mod limits;
pub mod lite;
mod log;
mod message;
mod outbox;
pub mod packet;
mod ping;
mod queue;
pub mod reliable;
#[cfg(feature = "stats")]
pub mod report;
mod results;
mod route;
mod routes;
mod rto;
mod sizing;
mod tickets;
pub mod time;
mod timers;
pub mod wire;

pub use endpoint::{
    CallOptions, Config, Endpoint, History, Inline, IntentOptions, InterestOptions, Link, Parts, Peeked,
    Peer, PublishOptions, Quality, ServiceOptions, Stats, Storage, Tables,
};
pub use error::{ConnectError, DeclareError, PublishError, RequestError, RespondError};
pub use event::{
    Answer, CallId, CloseReason, Diagnosis, Event, FailReason, Incoming, LostReason, Outcome, RequestId,
    RouteId, Select, Ticket,
};
pub use framing::Framing;
pub use limiter::{Limiter, Rate};
#[cfg(feature = "postcard")]
pub use message::Named;
pub use message::{DecodeError, EncodeError, Message};
pub use nb;
pub use packet::control::Priority;
pub use ping::{Loss, RttStats};
pub use queue::Sink;
pub use results::{Call, Served, code};
pub use route::{ROUTE_TEXT_MAX, Route, RouteError, RouteName, hash, hash32};
pub use routes::Slot;
pub use time::Instant;
