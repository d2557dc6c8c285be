//! A second, small state machine for the smallest boards: what it publishes and reads is fixed when compiling, and its
//! messages are of best effort.
//!
//! It speaks the same protocol as [`crate::Endpoint`], on serial lines, and any peer can talk to it. What it leaves out it
//! does not offer in its HELLO, or never declares: reliable messages of its own, requests, fragments, expiry, sessions that
//! outlive their link. A *reliable* publisher at the other side is served all the same: its messages are taken exactly once
//! and in order, and it is told when they were. Take the complete endpoint when one of that is needed, when routes come and
//! go, or when a frame of 253 bytes is too small.
//!
//! ```
//! use tieline::{DecodeError, EncodeError, Instant, Message, Route, RouteName, Select, Sink, lite};
//!
//! struct Level(u8);
//!
//! impl Message for Level { // or serde and the feature `postcard`
//!     const TYPE: &'static str = "Level";
//!     fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> { out.write(&[self.0]); Ok(()) }
//!     fn decode(bytes: &[u8]) -> Result<Self, DecodeError> { bytes.first().copied().map(Level).ok_or(DecodeError) }
//! }
//!
//! const LEVEL: Route<Level> = Route::new("tank.level");
//! const WANTED: Route<Level> = Route::new("tank.wanted");
//!
//! struct Tank;
//!
//! impl lite::Device<1, 1> for Tank {
//!     const NAME: &'static str = "tank";
//!     const PUBLISHES: [RouteName; 1] = [*LEVEL.name()];
//!     const READS: [RouteName; 1] = [*WANTED.name()];
//! }
//!
//! /// Frames of 80 bytes, one route out, one in.
//! type Endpoint = lite::Endpoint<Tank, 80, 1, 1>;
//!
//! let mut endpoint = Endpoint::new(); // in a `static`: it is all zero
//! endpoint.start(4711); // a number that is another one at each start
//! endpoint.handle_connect(Instant::ZERO).unwrap();
//! // From here on a `driver::Driver` moves the bytes; the application does this:
//! if let Some(message) = endpoint.poll_message(Select::Any) {
//!     let _ = message.decode::<Level>();
//! }
//! if endpoint.has_audience(lite::published(0)) {
//!     let _ = endpoint.publish_message(lite::published(0), &Level(7));
//! }
//! ```
//!
//! A whole program is `firmware-example/boards/qemu-microbit/src/bin/small.rs`, with its application in
//! `firmware-example/app/src/small.rs`.
//!
//! | file | |
//! |---|---|
//! | `mod` | what an application sees |
//! | `state` | what it is made of; time; the beginning and the end of a session |
//! | `input` | bytes, frames, packets |
//! | `control` | what the peer declares |
//! | `inbox` | messages that wait for the application |
//! | `output` | frames to send |

mod control;
mod inbox;
mod input;
mod output;
mod state;

use crate::error::{ConnectError, PublishError};
use crate::event::{Event, Incoming, RouteId, Select};
use crate::message::Message;
use crate::route::RouteName;
use crate::time::Instant;
use state::Core;

/// What a board is: its name, what it publishes (`OUT` routes) and what it reads (`IN` routes).
pub trait Device<const OUT: usize, const IN: usize> {
    /// The name that the peer is told, at most 16 bytes; not unique, for people.
    const NAME: &'static str;
    /// The routes that it publishes.
    const PUBLISHES: [RouteName; OUT];
    /// The routes that it reads.
    const READS: [RouteName; IN];
    /// The rate of its line, bits per second, for how long an acknowledgement is waited for; 0 for USB.
    const BITS_PER_SECOND: u32 = 115_200;
    /// A PING is sent that often, ms.
    const PING_MS: u32 = 1000;
    /// The session is given up when nothing has come for so long, ms.
    const SILENCE_MS: u32 = 3000;
}

/// The id of the route at `index` of [`Device::PUBLISHES`].
#[must_use]
pub const fn published(index: usize) -> RouteId {
    RouteId { index: index as u16, generation: 0 }
}

/// The id of the route at `index` of [`Device::READS`].
#[must_use]
pub const fn read(index: usize) -> RouteId {
    RouteId { index: index as u16, generation: 1 }
}

/// The state machine: frames of `FRAME` bytes (80 to 253), `OUT` routes that are published and `IN` that are read.
///
/// The messages of each route that is read have `FRAME` bytes of room, of which each takes 8 besides its own; what is
/// published has `FRAME` bytes as well until it is sent.
#[derive(Debug)]
#[repr(C)]
pub struct Endpoint<D, const FRAME: usize, const OUT: usize, const IN: usize> {
    core: Core<D, FRAME, OUT, IN>,
    /// The frame that comes in.
    frame: [u8; FRAME],
}

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Default
    for Endpoint<D, FRAME, OUT, IN>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Endpoint<D, FRAME, OUT, IN> {
    /// Bytes that a frame takes on the wire at most: how large the buffer of a [`Driver`](crate::driver::Driver) must be.
    pub const TRANSMIT_MAX: usize = FRAME + 3;

    /// An endpoint that has not been started. It is all zero.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(FRAME >= 80 && FRAME <= 253, "frames of 80 to 253 bytes");
            assert!(OUT + IN < 128, "at most 127 routes");
        }
        Self { core: Core::new(), frame: [0; FRAME] }
    }

    /// Starts it. `boot_nonce` must be another one at each start of the board: of a random number generator, or a counter
    /// in flash mixed with the chip's own number. 48 bits of it are used.
    pub fn start(&mut self, boot_nonce: u64) {
        self.core.start(boot_nonce);
    }

    /// The line is there: begins to look for a peer.
    ///
    /// # Errors
    /// [`ConnectError::NotStarted`].
    pub fn handle_connect(&mut self, now: Instant) -> Result<(), ConnectError> {
        self.core.handle_connect(now)
    }

    /// The line is gone.
    pub fn handle_disconnect(&mut self, now: Instant) {
        self.core.handle_disconnect(now);
    }

    /// Takes bytes that came, and says how many: it stops behind a frame that brought something to look at.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.core.handle_input(&mut self.frame, now, bytes)
    }

    /// Tells it the time: at [`poll_timeout`](Self::poll_timeout) at the latest.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    /// Publishes bytes on one of [`Device::PUBLISHES`].
    ///
    /// # Errors
    /// [`PublishError`]. `WouldBlock`: what was published before waits for the line; the message was not taken.
    pub fn publish(&mut self, route: RouteId, payload: &[u8]) -> nb::Result<(), PublishError> {
        self.core.publish(route, |out| {
            out.write(payload);
            Ok(())
        })
    }

    /// Publishes a message on one of [`Device::PUBLISHES`]. That it is of the route's type is the caller's business.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_message<T: Message>(
        &mut self,
        route: RouteId,
        message: &T,
    ) -> nb::Result<(), PublishError> {
        self.core.publish(route, |out| message.encode(out))
    }

    /// The next frame to send, framed in `out`, which has room for [`TRANSMIT_MAX`](Self::TRANSMIT_MAX) bytes.
    pub fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.core.poll_transmit(now, out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// The next message of one of [`Device::READS`], which is taken by that.
    pub fn poll_message(&mut self, which: Select<RouteId>) -> Option<Incoming<'_>> {
        self.core.poll_message(which)
    }

    /// What happened: [`Event::Established`], [`Event::Lost`], [`Event::Closed`] and [`Event::RouteConflict`]. What is not
    /// read is merged.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.poll_event()
    }

    /// Whether something is to be sent.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.core.wants_transmit()
    }

    /// Whether there is a session.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.core.in_session()
    }

    /// Whether the peer wants messages of one of [`Device::PUBLISHES`].
    #[must_use]
    pub fn has_audience(&self, route: RouteId) -> bool {
        self.core.limit(route).is_ok()
    }

    /// Whether the peer has another type or schema on the path of a route: nothing is delivered on it.
    #[must_use]
    pub fn is_conflicting(&self, route: RouteId) -> bool {
        self.core.is_conflicting(route)
    }

    /// Largest payload, in bytes, that can be published on one of [`Device::PUBLISHES`] now; none without an audience.
    #[must_use]
    pub fn payload_limit(&self, route: RouteId) -> Option<usize> {
        self.core.limit(route).ok()
    }
}
