//! The endpoint: where the machines meet. Only glue: dispatch in ([`input`]), frames out ([`output`]), messages and
//! control records to be sent ([`stored`]).
//!
//! [`Endpoint`] has four kinds of methods, in this order: `handle_*` (the world tells us), commands (the application
//! wants something), `poll_*` (we tell the world), and questions.
//!
//! It has no clock, no thread, no buffer but its own, and does no I/O: an adapter or [`crate::driver`] does.

mod commands;
mod config;
mod control;
mod declaration;
mod input;
mod messages;
mod output;
mod polls;
mod session;
mod state;
mod stats;
mod storage;
mod stored;
mod timeouts;

use core::fmt;

pub use config::{
    CallOptions, Config, History, IntentOptions, InterestOptions, Link, PublishOptions, Quality,
    ServiceOptions,
};
pub use polls::Peeked;
pub use stats::{Peer, Stats};
pub use storage::{Inline, Parts, Storage, Tables};

use crate::error::{ConnectError, DeclareError, PublishError, RequestError, RespondError};
use crate::event::{Answer, CallId, Event, Incoming, RequestId, RouteId, Select, Ticket};
use crate::framing::Framing;
use crate::message::Message;
use crate::ping::RttStats;
use crate::route::RouteName;
use crate::time::Instant;
use state::{Core, Phase};
use stored::Outbox;

/// One side of a line: everything that is known of one peer over one byte path.
///
/// Contract: calls may come in any order; time may stand still, and a smaller `now` counts as equal; every call does
/// bounded work; any bytes at all may come in. Receiving never needs room to send, so two applications that only
/// publish and never read still answer each other's pings.
///
/// ```
/// use tieline::{Config, Endpoint, Event, Inline, Instant, IntentOptions, InterestOptions, Link, RouteName, Select};
///
/// static NAME: RouteName = match RouteName::new("Text", "demo.greeting") { Ok(name) => name, Err(_) => panic!() };
///
/// let mut board = Endpoint::new(Inline::<256, 512, 512, 8>::new());
/// let mut pc = Endpoint::new(Inline::<256, 512, 512, 8>::new());
/// board.start(Config::new("board"), 1); // boot nonces: random, or a stored counter
/// pc.start(Config::new("pc"), 2);
/// let publisher = board.declare_intent(&NAME, IntentOptions::reliable())?;
/// let reader = pc.declare_interest(&NAME, InterestOptions::default())?;
///
/// let now = Instant::ZERO;
/// board.handle_connect(now, Link::serial(115_200))?;
/// pc.handle_connect(now, Link::serial(115_200))?;
/// let mut line = [0; 300]; // a line without delay: what one side sends, the other gets at once
/// for _ in 0..10 {
///     while let Some(frame) = board.poll_transmit(now, &mut line) { pc.handle_input(now, frame); }
///     while let Some(frame) = pc.poll_transmit(now, &mut line) { board.handle_input(now, frame); }
/// }
/// assert!(board.has_audience(publisher));
/// board.publish(publisher, b"hello").map_err(|_| "no room now")?;
/// while let Some(frame) = board.poll_transmit(now, &mut line) { pc.handle_input(now, frame); }
/// let message = pc.poll_message(Select::Only(reader)).ok_or("nothing came")?;
/// assert_eq!(message.payload, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Endpoint<S> {
    core: Core,
    storage: S,
}

impl<S> Endpoint<S> {
    /// An endpoint that has not been [started](Self::start).
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self { core: Core::new(), storage }
    }
}

/// The world tells us.
impl<S: Storage> Endpoint<S> {
    /// Begins, or begins anew: forgets everything, declarations included.
    ///
    /// `boot_nonce` must differ at each start, by as many of its 64 bits as can be had: a random number, or a stored
    /// boot counter mixed with a device id. It is how the peer notices a restart, and must differ from the peer's.
    pub fn start(&mut self, config: Config, boot_nonce: u64) {
        self.core.start(&mut self.storage.parts().tables, config, boot_nonce);
    }

    /// A byte path is there: the handshake starts. A path that was there before is given up.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing was changed.
    pub fn handle_connect(&mut self, now: Instant, link: Link) -> Result<(), ConnectError> {
        let frame_len = self.storage.frame_len();
        self.core.handle_connect(&mut self.storage.parts().tables, now, link, frame_len)
    }

    /// Bytes have come. Returns how many were taken: at least one of a non-empty `bytes`, and no more than up to the
    /// end of a frame that brought something. Look for messages and events, then call again with the rest.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        // Where it is: taken apart the tables would be moved, by the only `memcpy` of a small build.
        let mut parts = self.storage.parts();
        self.core.handle_input(&mut parts.tables, parts.frame, now, bytes)
    }

    /// Time has passed. Spurious calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(&mut self.storage.parts().tables, now);
    }

    /// The byte path is gone. Declarations and messages that were not taken stay, and so does the session for a while
    /// ([`Config::resume_for`]).
    pub fn handle_disconnect(&mut self, now: Instant) {
        self.core.handle_disconnect(&mut self.storage.parts().tables, now);
    }
}

/// The application wants something.
impl<S: Storage> Endpoint<S> {
    /// Declares that messages will be published on a route. Declared again, it changes the options and renews the time
    /// to live.
    ///
    /// # Errors
    /// [`DeclareError`]
    pub fn declare_intent(
        &mut self,
        route: &'static RouteName,
        options: IntentOptions,
    ) -> Result<RouteId, DeclareError> {
        self.core.declare_intent(&mut self.storage.parts().tables, route, options)
    }

    /// Declares that messages of a route are wanted. Declared again, it renews the time to live; the window stays.
    ///
    /// # Errors
    /// [`DeclareError`]
    #[cfg(feature = "receive")]
    pub fn declare_interest(
        &mut self,
        route: &'static RouteName,
        options: InterestOptions,
    ) -> Result<RouteId, DeclareError> {
        self.core.declare_interest(&mut self.storage.parts().tables, route, options)
    }

    /// Declares that requests on a route are answered.
    ///
    /// # Errors
    /// [`DeclareError`]
    #[cfg(feature = "requests")]
    pub fn declare_service(
        &mut self,
        route: &'static RouteName,
        options: ServiceOptions,
    ) -> Result<RouteId, DeclareError> {
        self.core.declare_service(&mut self.storage.parts().tables, route, options)
    }

    /// Takes an intent back. What was published goes on its way.
    pub fn withdraw_intent(&mut self, route: RouteId) {
        self.core.withdraw_intent(&mut self.storage.parts().tables, route);
    }

    /// Takes an interest back. Messages that were not taken are dropped; the peer is told how many were.
    #[cfg(feature = "receive")]
    pub fn withdraw_interest(&mut self, route: RouteId) {
        self.core.withdraw_interest(&mut self.storage.parts().tables, route);
    }

    /// Takes a service back. Requests that were not taken are answered *no intent*.
    #[cfg(feature = "requests")]
    pub fn withdraw_service(&mut self, route: RouteId) {
        self.core.withdraw_service(&mut self.storage.parts().tables, route);
    }

    /// Sends a message; a ticket names it if it is reliable. One that is only kept for whoever comes
    /// ([`History::Latest`]) has none.
    ///
    /// # Errors
    /// `WouldBlock`: no room now, here or at the reader, or too early for the route's rate; nothing was kept. Do not
    /// `block!` on it: there is room only when the endpoint has been driven on. Else [`PublishError`].
    pub fn publish(&mut self, route: RouteId, payload: &[u8]) -> nb::Result<Option<Ticket>, PublishError> {
        self.core.publish(&mut self.storage.parts().tables, route, PublishOptions::default(), &mut |sink| {
            sink.write(payload);
            Ok(())
        })
    }

    /// Sends a message, as of `now`, with options: it may expire.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    #[cfg(feature = "expiry")]
    pub fn publish_with(
        &mut self,
        now: Instant,
        route: RouteId,
        payload: &[u8],
        options: PublishOptions,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        self.core.advance(now);
        self.core.publish(&mut self.storage.parts().tables, route, options, &mut |sink| {
            sink.write(payload);
            Ok(())
        })
    }

    /// Sends a typed message: it is encoded straight into the transmit store.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_message<T: Message>(
        &mut self,
        route: RouteId,
        message: &T,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        let tables = &mut self.storage.parts().tables;
        self.core.publish(tables, route, PublishOptions::default(), &mut |sink| message.encode(sink))
    }

    /// Sends a typed message, as of `now`, with options: it may expire.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    #[cfg(feature = "expiry")]
    pub fn publish_message_with<T: Message>(
        &mut self,
        now: Instant,
        route: RouteId,
        message: &T,
        options: PublishOptions,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        self.core.advance(now);
        let tables = &mut self.storage.parts().tables;
        self.core.publish(tables, route, options, &mut |sink| message.encode(sink))
    }

    /// Asks the peer's service on a route; [`poll_answer`](Self::poll_answer) tells the outcome.
    ///
    /// # Errors
    /// `WouldBlock`: no room now, or too many requests are open; nothing was kept. Else [`RequestError`].
    #[cfg(feature = "requests")]
    pub fn request(
        &mut self,
        now: Instant,
        service: &RouteName,
        payload: &[u8],
        options: CallOptions,
    ) -> nb::Result<CallId, RequestError> {
        self.core.request(&mut self.storage.parts().tables, now, service, options, &mut |sink| {
            sink.write(payload);
            Ok(())
        })
    }

    /// Asks with a typed request.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    #[cfg(feature = "requests")]
    pub fn request_message<T: Message>(
        &mut self,
        now: Instant,
        service: &RouteName,
        request: &T,
        options: CallOptions,
    ) -> nb::Result<CallId, RequestError> {
        self.core.request(&mut self.storage.parts().tables, now, service, options, &mut |sink| {
            request.encode(sink)
        })
    }

    /// The answer to a request is not wanted any more.
    #[cfg(feature = "requests")]
    pub fn forget_call(&mut self, call: CallId) {
        self.core.forget_call(&mut self.storage.parts().tables, call);
    }

    /// Answers a request, now or later: `code` 0 with the answer, 16 and above with the application's own meaning
    /// (see [`code`](crate::code)).
    ///
    /// # Errors
    /// `WouldBlock`: no room now; the request stays open. Else [`RespondError`].
    #[cfg(feature = "requests")]
    pub fn respond(&mut self, request: RequestId, code: u32, payload: &[u8]) -> nb::Result<(), RespondError> {
        self.core.respond(&mut self.storage.parts().tables, request, code, &mut |sink| {
            sink.write(payload);
            Ok(())
        })
    }

    /// Answers a request with a typed message.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    #[cfg(feature = "requests")]
    pub fn respond_message<T: Message>(
        &mut self,
        request: RequestId,
        answer: &T,
    ) -> nb::Result<(), RespondError> {
        let tables = &mut self.storage.parts().tables;
        self.core.respond(tables, request, crate::results::code::OK, &mut |sink| answer.encode(sink))
    }

    /// Ends the session: `code` 0 done, 1 shutting down, 16 and above the application's own. What is under way is not
    /// waited for: see [`undelivered`](Self::undelivered).
    pub fn close(&mut self, code: u32) {
        self.core.close(&mut self.storage.parts().tables, code);
    }
}

/// We tell the world.
impl<S: Storage> Endpoint<S> {
    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.poll_event(&mut self.storage.parts().tables)
    }

    /// Takes the next message or request; that it is returned is what the sender hears as "delivered". Lives and rate limits
    /// are judged by the newest time that the endpoint was told.
    #[must_use]
    #[cfg(feature = "receive")]
    pub fn poll_message(&mut self, which: Select<RouteId>) -> Option<Incoming<'_>> {
        self.core.poll_message(self.storage.parts().tables, which)
    }

    /// The next message of an interest, which is not taken: its sender does not hear that it was until
    /// [`take_peeked`](Self::take_peeked). None for services.
    #[must_use]
    #[cfg(feature = "receive")]
    pub fn peek_message(&mut self, route: RouteId) -> Option<(Incoming<'_>, Peeked)> {
        self.core.peek_message(self.storage.parts().tables, route)
    }

    /// Takes the message that was peeked; its sender hears "delivered". False if it is not the next one any more: it was taken
    /// or discarded meanwhile (its time was over, or a best-effort one had to make room), or a session has begun since, in
    /// which it is handed out once more.
    #[cfg(feature = "receive")]
    pub fn take_peeked(&mut self, peeked: Peeked) -> bool {
        self.core.take_peeked(self.storage.parts().tables, peeked)
    }

    /// Takes the outcome of a request.
    #[must_use]
    #[cfg(feature = "requests")]
    pub fn poll_answer(&mut self, which: Select<CallId>) -> Option<Answer<'_>> {
        self.core.poll_answer(self.storage.parts().tables, which)
    }

    /// The next frame to send: a part of `out`, which need not be its beginning. `out` needs
    /// [`transmit_max`](Self::transmit_max) bytes: with less nothing is returned. Ask when the line can take a frame, and again until there is none.
    #[must_use]
    pub fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.core.poll_transmit(&mut self.storage.parts().tables, now, out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next()
    }
}

/// Questions.
impl<S: Storage> Endpoint<S> {
    /// Whether [`poll_transmit`](Self::poll_transmit) may have something to send.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.core.wants_transmit()
    }

    /// Whether there is a session, and a link that carries it.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.core.phase == Phase::Established
    }

    /// Whether somebody wants messages of a route of ours now.
    #[must_use]
    pub fn has_audience(&self, route: RouteId) -> bool {
        self.core.has_session() && self.slot(route).is_some_and(crate::routes::Slot::has_audience)
    }

    /// Whether the two sides disagree about the type or the schema of a route.
    #[must_use]
    pub fn is_conflicting(&self, route: RouteId) -> bool {
        self.slot(route).is_some_and(|slot| slot.peer_has(crate::routes::peer::CONFLICT))
    }

    /// How many reliable messages of a route were published and are neither taken by the peer's application nor failed.
    #[must_use]
    pub fn undelivered(&self, route: RouteId) -> usize {
        self.slot(route).map_or(0, |slot| slot.tickets.open().into())
    }

    /// The same for all routes, withdrawn ones included.
    #[must_use]
    pub fn undelivered_total(&self) -> usize {
        self.storage.routes().iter().map(|slot| usize::from(slot.tickets.open())).sum()
    }

    /// How many reliable packets (messages, declarations, answers) wait or are under way: 0 when the peer has stored all.
    /// Who closes a line that loses waits for that, so that the peer knows all that it is to know.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        if !self.core.has_session() {
            return 0;
        }
        self.core.unacknowledged()
    }

    /// How many best-effort messages wait for the line.
    #[must_use]
    pub fn unsent_best_effort(&self) -> usize {
        self.core.unsent_best_effort()
    }

    /// Largest payload that a route of ours can carry now; None without an audience.
    #[must_use]
    pub fn payload_limit(&self, route: RouteId) -> Option<usize> {
        self.payload_limit_with(route, PublishOptions::default())
    }

    /// The same for a message that is published with options: one that expires takes a little more room.
    #[must_use]
    pub fn payload_limit_with(&self, route: RouteId, options: PublishOptions) -> Option<usize> {
        let slot = self.slot(route).filter(|_| self.has_audience(route))?;
        let expires = options.expires.is_some();
        Some(self.core.limit_now(self.storage.routes(), slot, route, self.storage.tx_len(), expires))
    }

    /// Who is on the other side, while there is a session.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.core.has_session().then_some(&self.core.peer)
    }

    /// The newest nonce of the peer that this side has accepted (docs/protocol.md, section 4), remembered across sessions and
    /// links; None before the first. What comes on another link with an older one of the same boot part was said before.
    #[must_use]
    pub fn peer_nonce(&self) -> Option<u64> {
        let (_, theirs) = self.core.handshake.nonces();
        (theirs != 0).then_some(theirs)
    }

    /// Round-trip times of this session.
    #[must_use]
    #[cfg(feature = "stats")]
    pub fn rtt(&self) -> RttStats {
        self.core.ping.rtt()
    }

    /// Counters since the start.
    #[must_use]
    #[cfg(feature = "stats")]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Where the check of the peer's frames starts in this session ([`framing::Deframer`](crate::framing::Deframer)), for
    /// whoever reads along; None without a session on this link.
    #[must_use]
    pub const fn check_start(&self) -> Option<u32> {
        self.core.seed_in
    }

    /// Bytes that a buffer for [`poll_transmit`](Self::poll_transmit) needs.
    #[must_use]
    pub fn transmit_max(&self) -> usize {
        Framing::wire_max(self.storage.frame_len())
    }

    /// The storage.
    #[must_use]
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// Whether [`handle_timeout`](Self::handle_timeout) may have something to do: cheaper than to ask when.
    pub(crate) const fn may_be_due(&self, now: Instant) -> bool {
        self.core.timers.may_be_over(now)
    }

    fn slot(&self, route: RouteId) -> Option<&crate::routes::Slot> {
        let slot = self.storage.routes().get(usize::from(route.index))?;
        (slot.name.is_some() && slot.generation == route.generation).then_some(slot)
    }
}

impl<S: Storage + Default> Default for Endpoint<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.framing, self.bits_per_second) {
            (Framing::Serial, 0) => f.write_str("serial"),
            (Framing::Serial, rate) => write!(f, "serial, {rate} bit/s"),
            (Framing::Stream, _) => f.write_str("stream"),
            (Framing::Datagram, _) => f.write_str("datagrams"),
        }
    }
}
