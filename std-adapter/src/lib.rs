//! Tieline on a PC: connections over TCP, UDP, Unix sockets and serial ports, with blocking handles for typed messages.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use tieline_std::{Connection, IntentOptions, Named, Options, Refusal, Route};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Sample { celsius: f32 }
//! impl Named for Sample { const TYPE: &'static str = "Sample"; }
//!
//! #[derive(Serialize, Deserialize)]
//! struct SetRate { hertz: u32 }
//! impl Named for SetRate { const TYPE: &'static str = "SetRate"; }
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Rate { hertz: u32 }
//! impl Named for Rate { const TYPE: &'static str = "Rate"; }
//!
//! const SAMPLES: Route<Sample> = Route::new("sensors.temperature");
//! const RATE: Route<SetRate> = Route::new("sensors.rate");
//!
//! // Usually `Connection::open(&"serial:///dev/ttyUSB0?baud=921600".parse()?, Options::default())`.
//! let (pc, board) = Connection::pair(Options::default(), Options::default())?;
//!
//! let publisher = board.publisher(&SAMPLES, IntentOptions::reliable())?;
//! let service = board.responder::<SetRate, Rate>(&RATE)?;
//! let board = std::thread::spawn(move || -> Result<(), tieline_std::Error> {
//!     publisher.wait_audience(Duration::from_secs(5))?;
//!     publisher.publish(&Sample { celsius: 21.5 })?;
//!     service.serve(|request| match request.hertz {
//!         1..=1000 => Ok(Rate { hertz: request.hertz }),
//!         _ => Err(Refusal::new(16, "1 to 1000")),
//!     })
//! });
//!
//! let samples = pc.subscriber(&SAMPLES)?;
//! assert_eq!(samples.recv()?, Sample { celsius: 21.5 });
//!
//! let rate = pc.caller::<SetRate, Rate>(&RATE);
//! assert_eq!(rate.call(&SetRate { hertz: 50 }, Duration::from_secs(5))?, Rate { hertz: 50 });
//! assert!(rate.call(&SetRate { hertz: 0 }, Duration::from_secs(5)).is_err());
//!
//! pc.close(Duration::from_secs(5))?; // everything that was sent is there, and the board's thread ends
//! board.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Threads
//! A thread that waits for a message or an answer reads the line itself, and one that publishes writes it itself:
//! nothing is handed from thread to thread. One more thread for each connection answers pings and keeps time while no
//! other does. All handles may be used from any thread.
//!
//! # When the line is lost
//! It comes back by itself ([`Policy::Reconnect`], the default). An address is dialled again, with capped exponential backoff and
//! jitter; a port that was unplugged is opened again, under whatever number (`serial://?usb=VID:PID`); a connection that is
//! half-open is left for a new one; whoever waits for a peer waits again. Meanwhile:
//!
//! | | while the line is away | when it is back in time | after a restart of the peer, or [`resume_for`](Options::resume_for) |
//! |---|---|---|---|
//! | [`Connection::events`] | [`Degraded`](Event::Degraded) | [`Established { resumed: true }`](Event::Established) | [`Lost`](Event::Lost), then `Established { resumed: false }` |
//! | reliable `publish` | is taken while there is room, then waits | goes on | what was under way has [`Failed`](Event::Failed): [in doubt](Progress::in_doubt), or not sent; new ones wait for the reader |
//! | best-effort `publish` | `Disconnected` | goes on | `Disconnected`, then `NoAudience` until there is a reader |
//! | `recv`, `flush`, `wait_audience` | wait, with their own time-outs | go on | go on; `flush` tells of what has failed |
//! | `call` | waits, with its own time-out | goes on | one under way is [`CallError::Lost`]; a new one waits |
//!
//! What is declared here is declared again in a new session. The connection ends, and every blocked call returns
//! [`Error::Ended`], when either side closes it, or when trying again makes no sense: another protocol version, no
//! permission, an address that is none, a service that is not Tieline. [`Error::is_transient`] tells such reasons from others.
//!
//! A [`Listener`] returns each new peer once; one that comes back, known by its name, is given to the connection that it had, for
//! as long as that waits: `resume_for`.
//!
//! [`Connection::open_any`] has several ways to one peer: the session goes on over the next one, and comes back to a better one
//! when that answers again.
//!
//! With [`Policy::Once`] there is one line: when it is lost every blocked call returns [`Error::Ended`].
//! # Logs
//! What happens on connections is told by the crate `tracing` as well: sessions as information, what is lost as warnings, how
//! lines are looked for as debug events, bytes read and written as traces. Nothing is said for a message but at that level.
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!(
    "tieline-std runs on Unix systems only for now: waiting for a line and a wake-up at once is done there"
);

mod address;
mod bell;
mod broadcast;
mod connection;
mod dialer;
mod digest;
mod driver;
mod engine;
mod error;
mod event;
mod events;
mod handles;
mod lines;
mod link;
mod listener;
mod observer;
mod opening;
mod options;
mod ports;
mod printable;
mod probe;
mod reception;
mod route;
mod stats;
mod storage;
mod waker;
mod writer;

pub use address::{Address, AddressError, BAUD_DEFAULT, Framing};
pub use broadcast::{
    Broadcast, BroadcastPublisher, BroadcastSubscriber, Heard, RawBroadcastPublisher, RawBroadcastSubscriber,
};
pub use connection::Connection;
pub use error::{CallError, Ended, Error};
pub use event::Event;
pub use events::Events;
pub use handles::{
    Caller, Peeked, Progress, Publisher, RawCaller, RawPublisher, RawRequest, RawResponder, RawSubscriber,
    Refusal, Request, Responder, Subscriber,
};
pub use listener::Listener;
pub use observer::PeerRoute;
pub use options::{Options, Policy};
pub use ports::{PortInfo, UsbInfo, ports};
pub use printable::{Printable, printable};
pub use route::route;
pub use stats::{Report, RouteStats, Traffic};
pub use tieline::broadcast::{BroadcastStats, Header as BroadcastHeader};
pub use tieline::{
    self, CloseReason, FailReason, History, IntentOptions, InterestOptions, LostReason, Message, Named, Peer,
    Priority, PublishOptions, Quality, Rate, Route, RouteName, RttStats, Stats,
};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
