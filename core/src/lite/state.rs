//! What the machine is made of, its timers, and the beginning and the end of a session.
//!
//! Time is kept in *ticks* of 1024 µs, 32 bits of them: 24 days before and behind now can be told apart, and a tick is a shift
//! and no division. Invariant: a span is rounded up, so nothing is early.

use core::marker::PhantomData;

use super::Device;
use super::inbox::Reading;
use crate::error::{ConnectError, PublishError};
use crate::event::{CloseReason, Event, Incoming, LostReason, RouteId, Select};
use crate::framing::seed;
use crate::handshake::{Handshake, State};
use crate::limits::{CHALLENGE_LIFE_MS, CHALLENGE_RETRY_MS, GREETING_FIRST_MS, GREETING_SLOWEST_MS};
use crate::message::EncodeError;
use crate::queue::Sink;
use crate::route::RouteName;
use crate::time::Instant;

/// Ticks that are at least `ms`, for spans up to 24 days; longer ones count as that.
pub(super) const fn ticks(ms: u32) -> u32 {
    let ms = if ms > i32::MAX as u32 { i32::MAX as u32 } else { ms };
    // A tick is 1.024 ms: 3 of 128 less, and the one that has begun.
    ms - (ms >> 7) * 3 + 1
}

/// Timers, by their place in [`Core::timers`].
pub(super) mod timer {
    /// When do we ask again who is there, or repeat a challenge?
    pub(crate) const GREETING: usize = 0;
    /// When does an open challenge lapse?
    pub(crate) const CHALLENGE: usize = 1;
    /// When is the next PING due?
    pub(crate) const PING: usize = 2;
    /// When has the peer been silent for too long?
    pub(crate) const SILENCE: usize = 3;
    /// When is a record that is not acknowledged sent again?
    pub(crate) const REPEAT: usize = 4;
    pub(super) const COUNT: usize = 5;
}

/// Bits of [`Core::due`]: what is to be sent besides messages.
pub(super) mod due {
    pub(crate) const ACK: u8 = 1;
    pub(crate) const PONG: u8 = 1 << 1;
    pub(crate) const PING: u8 = 1 << 2;
    /// Of some route that is read: its own flag says of which.
    pub(crate) const TAKEN: u8 = 1 << 3;
    /// Of some route: its own bits say of which.
    pub(crate) const RECORDS: u8 = 1 << 4;
    /// The record that is under way, or is to be, is to be sent.
    pub(crate) const REPEAT: u8 = 1 << 5;
    pub(crate) const REPORTS: u8 = ACK | PONG | PING;
}

/// Bits of [`Entry::bits`].
pub(super) mod entry {
    /// To send: the declaration.
    pub(crate) const DECLARE: u8 = 1;
    /// To send: what became of a declaration of the peer.
    pub(crate) const NOTIFY: u8 = 1 << 1;
    /// To send: what was taken. Needs no record.
    pub(crate) const TAKEN: u8 = 1 << 2;
    /// Types or schemas differ.
    pub(crate) const CONFLICT: u8 = 1 << 3;
    /// The application has not been told of that.
    pub(crate) const NEWS: u8 = 1 << 4;
    pub(crate) const RECORDS: u8 = DECLARE | NOTIFY;
}

/// What is known of any route of ours.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) bits: u8,
    /// The peer's type, in a conflict.
    pub(super) theirs: u32,
}

impl Entry {
    pub(super) const EMPTY: Self = Self { bits: 0, theirs: 0 };
    /// As a session begins.
    pub(super) const DECLARE: Self = Self { bits: entry::DECLARE, theirs: 0 };

    pub(super) const fn has(&self, bits: u8) -> bool {
        self.bits & bits != 0
    }
}

/// A route that is published.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) entry: Entry,
    /// The peer wants messages.
    pub(super) audience: bool,
    /// Largest payload that fits a frame and that the peer takes.
    pub(super) limit: u8,
    /// The peer's number of the route; 0: none stands.
    pub(super) number: u16,
    /// Messages sent in this session, modulo 256.
    pub(super) count: u8,
    /// When the peer's interest ends; 0: with the session.
    pub(super) lapse: u32,
}

impl Publishing {
    const EMPTY: Self =
        Self { entry: Entry::EMPTY, audience: false, limit: 0, number: 0, count: 0, lapse: 0 };

    /// The peer's interest has ended.
    pub(super) const fn end(&mut self) {
        self.audience = false;
        self.number = 0;
        self.lapse = 0;
    }
}

/// What the application has not been told. Nothing is zero: an endpoint is all zero before it starts.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Notice {
    Nothing,
    Lost(LostReason),
    Closed(CloseReason),
}

/// All but the buffer for the frame that comes in.
///
/// In this order, bytes first: what is near the beginning takes half as much code to reach on Arm (0.3 KB).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Core<D, const FRAME: usize, const OUT: usize, const IN: usize> {
    device: PhantomData<fn() -> D>,
    /// What is to be sent besides messages.
    pub(super) due: u8,
    /// The record that is under way: its bit of [`entry`], 0 if none is, and its route.
    pub(super) record: u8,
    pub(super) place: u8,
    /// Number of the reliable packet that comes next, and of the record that is under way or next.
    pub(super) expected: u8,
    pub(super) number: u8,
    /// The next frame goes without reports: a message needs all of it.
    pub(super) squeezed: bool,
    /// Largest content of a frame, and largest message that the peer takes, if that is less than a frame.
    pub(super) content: u8,
    pub(super) message_max: u8,
    pub(super) ping_id: u8,
    /// The PING that is to be answered.
    pub(super) pong_id: u8,
    /// Bytes of the frame that comes in, and where it stands within COBS: see `input`.
    pub(super) stored: u8,
    pub(super) left: u8,
    pub(super) zero: bool,
    /// A bit for each of the timers that run.
    pub(super) running: u8,
    /// Which bytes of `tx` wait.
    pub(super) tx_from: u8,
    pub(super) tx_to: u8,
    /// Which route that is read is asked next.
    next_read: u8,
    pub(super) is_loopback: bool,
    /// A session has begun, and the application was not told.
    pub(super) begun: bool,
    pub(super) notice: Notice,
    /// Messages dropped for lack of room in this session, and messages sent.
    pub(super) dropped: u16,
    pub(super) sent: u32,
    pub(super) seed_in: u32,
    pub(super) seed_out: u32,
    /// The check of the newest frame of the session, at first 0.
    pub(super) last_check: u32,
    /// When a frame was sent last, in ticks.
    pub(super) last_sent: u32,
    /// When the PING that is to be answered came, in µs.
    pub(super) pong_at: u32,
    /// Ticks between two PINGs, and to the next HELLO.
    pub(super) ping_every: u32,
    pub(super) greeting: u32,
    /// Deadlines, in ticks.
    pub(super) timers: [u32; timer::COUNT],
    pub(super) now: Instant,
    tick: u32,
    pub(super) handshake: Handshake,
    pub(super) publishing: [Publishing; OUT],
    pub(super) reading: [Reading<FRAME>; IN],
    /// Messages that wait for the line, each behind its route and length.
    pub(super) tx: [u8; FRAME],
}

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Core<D, FRAME, OUT, IN> {
    pub(super) const ROUTES: usize = OUT + IN;
    /// Whether a route of ours states a schema.
    #[expect(clippy::indexing_slicing, reason = "in a constant a panic is a compile error")]
    const SCHEMAS: bool = {
        let (mut any, mut at) = (false, 0);
        while at < OUT + IN {
            any |= if at < OUT { D::PUBLISHES[at].schema() } else { D::READS[at - OUT].schema() } != 0;
            at += 1;
        }
        any
    };

    pub(super) const fn new() -> Self {
        Self {
            device: PhantomData,
            due: 0,
            record: 0,
            place: 0,
            expected: 0,
            number: 0,
            squeezed: false,
            content: 0,
            message_max: 0,
            ping_id: 0,
            pong_id: 0,
            stored: 0,
            left: 0,
            zero: false,
            running: 0,
            tx_from: 0,
            tx_to: 0,
            next_read: 0,
            is_loopback: false,
            begun: false,
            notice: Notice::Nothing,
            dropped: 0,
            sent: 0,
            seed_in: 0,
            seed_out: 0,
            last_check: 0,
            last_sent: 0,
            pong_at: 0,
            ping_every: 0,
            greeting: 0,
            timers: [0; timer::COUNT],
            now: Instant::ZERO,
            tick: 0,
            handshake: Handshake::new(),
            publishing: [const { Publishing::EMPTY }; OUT],
            reading: [const { Reading::EMPTY }; IN],
            tx: [0; FRAME],
        }
    }

    pub(super) fn start(&mut self, boot_nonce: u64) {
        self.end();
        self.handshake.stop();
        self.handshake.set_boot(boot_nonce);
    }

    pub(super) fn handle_connect(&mut self, now: Instant) -> Result<(), ConnectError> {
        if self.handshake.nonces().0 == 0 {
            return Err(ConnectError::NotStarted);
        }
        self.handle_disconnect(now);
        self.stored = 0;
        self.left = 0;
        self.zero = false;
        self.greet();
        Ok(())
    }

    pub(super) fn handle_disconnect(&mut self, now: Instant) {
        self.advance(now);
        if self.in_session() {
            self.notice = Notice::Lost(LostReason::LinkDown);
        }
        self.end();
        self.handshake.stop();
    }

    #[inline(never)]
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = now;
        self.tick = (now.as_micros() >> 10) as u32;
    }

    pub(super) const fn tick(&self) -> u32 {
        self.tick
    }

    pub(super) fn in_session(&self) -> bool {
        self.handshake.state() == State::Session
    }

    /// A deadline in so many ticks.
    pub(super) const fn after(&self, ticks: u32) -> u32 {
        self.tick().wrapping_add(ticks)
    }

    pub(super) fn set(&mut self, timer: usize, ticks: u32) {
        let at = self.after(ticks);
        if let Some(slot) = self.timers.get_mut(timer) {
            *slot = at;
            self.running |= 1 << timer;
        }
    }

    pub(super) const fn stop(&mut self, timer: usize) {
        self.running &= !(1 << timer);
    }

    pub(super) const fn is_running(&self, timer: usize) -> bool {
        self.running >> timer & 1 != 0
    }

    /// Ticks to a deadline; not more than 0: it is over.
    const fn left(&self, at: u32) -> i32 {
        at.wrapping_sub(self.tick()) as i32
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let timers =
            self.timers.iter().zip(0..).filter(|(_, timer)| self.is_running(*timer)).map(|(at, _)| *at);
        let lapses = self.publishing.iter().map(|route| route.lapse).filter(|at| *at != 0);
        let left = timers.chain(lapses).map(|at| self.left(at)).min()?;
        Some(Instant::from_micros(((self.now.as_micros() >> 10) + left.max(0) as u64) << 10))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        for timer in 0..timer::COUNT {
            if self.is_running(timer) && self.timers.get(timer).is_some_and(|at| self.left(*at) <= 0) {
                self.stop(timer);
                self.on_timer(timer);
            }
        }
        for at in 0..OUT {
            if let Some(lapse) = self.publishing.get(at).map(|route| route.lapse)
                && lapse != 0
                && self.left(lapse) <= 0
                && let Some(route) = self.publishing.get_mut(at)
            {
                // Its number stays: a repetition of the interest goes on.
                route.audience = false;
                route.lapse = 0;
            }
        }
    }

    fn on_timer(&mut self, timer: usize) {
        match timer {
            timer::GREETING => {
                self.handshake.on_retry();
                match self.handshake.state() {
                    State::Greeting => {
                        self.greeting = (self.greeting * 2).min(ticks(GREETING_SLOWEST_MS));
                        self.set(timer::GREETING, self.greeting);
                    }
                    State::Session if self.handshake.is_challenging() => {
                        self.set(timer::GREETING, ticks(CHALLENGE_RETRY_MS));
                    }
                    _ => {}
                }
            }
            timer::CHALLENGE => {
                self.handshake.on_challenge_timeout();
                self.stop(timer::GREETING);
            }
            timer::PING => self.due |= due::PING,
            timer::SILENCE => {
                self.lose(LostReason::Silence);
                self.greet();
            }
            _ => self.due |= due::REPEAT,
        }
    }

    /// Asks who is there.
    fn greet(&mut self) {
        self.handshake.greet(false);
        self.on_greeting();
    }

    /// The handshake is greeting: repeat it on a timer.
    pub(super) fn on_greeting(&mut self) {
        self.is_loopback = false;
        self.greeting = ticks(GREETING_FIRST_MS);
        self.set(timer::GREETING, self.greeting);
    }

    /// A challenge was opened, or goes on.
    pub(super) fn on_challenge(&mut self) {
        if self.handshake.is_challenging() && !self.is_running(timer::CHALLENGE) {
            self.set(timer::CHALLENGE, ticks(CHALLENGE_LIFE_MS));
            self.set(timer::GREETING, ticks(CHALLENGE_RETRY_MS));
        }
    }

    /// The handshake has found a peer, who takes frames and messages of so many bytes, and is silent for so long at the most.
    pub(super) fn begin(&mut self, frame_max: u32, message_max: u32, silence_ms: u32) {
        self.end();
        let (ours, theirs) = self.handshake.nonces();
        self.seed_out = seed(ours, theirs);
        self.seed_in = seed(theirs, ours);
        self.content = frame_max.min(FRAME as u32) as u8;
        self.message_max = message_max.min(FRAME as u32) as u8;
        // A third of it, or a little less, since a quarter is no division.
        let every = if silence_ms < D::PING_MS.saturating_mul(3) { silence_ms / 4 } else { D::PING_MS };
        self.ping_every = ticks(every);
        self.last_check = 0;
        self.squeezed = false;
        self.expected = 0;
        self.number = 0;
        self.sent = 0;
        self.dropped = 0;
        self.due = due::PING | due::RECORDS;
        self.begun = true;
        self.set(timer::SILENCE, ticks(D::SILENCE_MS));
    }

    /// The session is over.
    pub(super) fn lose(&mut self, reason: LostReason) {
        self.notice = Notice::Lost(reason);
        self.end();
    }

    /// There is no session any more, nor anything that waits for its frames; all is as the next one begins with it.
    pub(super) fn end(&mut self) {
        self.running = 0;
        self.begun = false;
        self.due = 0;
        self.record = 0;
        self.tx_from = 0;
        self.tx_to = 0;
        for route in &mut self.publishing {
            route.end();
            route.entry = Entry::DECLARE;
            route.count = 0;
        }
        self.reading.iter_mut().for_each(Reading::on_session);
    }

    /// The name of a route: those that are published stand before those that are read.
    pub(super) fn name(at: usize) -> Option<&'static RouteName> {
        let (published, read) = const { (&D::PUBLISHES, &D::READS) };
        if at < OUT { published.get(at) } else { read.get(at - OUT) }
    }

    /// What it states as its schema; 0: nothing.
    pub(super) const fn schema(name: &RouteName) -> u32 {
        if Self::SCHEMAS { name.schema() } else { 0 }
    }

    pub(super) fn entry(&mut self, at: usize) -> Option<&mut Entry> {
        if at < OUT {
            self.publishing.get_mut(at).map(|route| &mut route.entry)
        } else {
            self.reading.get_mut(at - OUT).map(|route| &mut route.entry)
        }
    }

    fn id(at: usize) -> RouteId {
        if at < OUT { super::published(at) } else { super::read(at - OUT) }
    }

    pub(super) fn is_conflicting(&self, route: RouteId) -> bool {
        let at = usize::from(route.index);
        let entry = match route.generation {
            0 => self.publishing.get(at).map(|route| &route.entry),
            _ => self.reading.get(at).map(|route| &route.entry),
        };
        entry.is_some_and(|entry| entry.has(entry::CONFLICT))
    }

    /// Largest payload that may be published on a route now.
    pub(super) fn limit(&self, route: RouteId) -> Result<usize, PublishError> {
        let found = self.publishing.get(usize::from(route.index)).filter(|_| route.generation == 0);
        let found = found.ok_or(PublishError::NotDeclared)?;
        if !self.in_session() {
            return Err(PublishError::Disconnected);
        }
        if found.entry.has(entry::CONFLICT) {
            return Err(PublishError::RouteConflict);
        }
        if found.audience { Ok(found.limit.into()) } else { Err(PublishError::NoAudience) }
    }

    pub(super) fn publish(
        &mut self,
        route: RouteId,
        write: impl FnOnce(&mut Sink<'_>) -> Result<(), EncodeError>,
    ) -> nb::Result<(), PublishError> {
        let limit = self.limit(route)?;
        let rest = self.tx.get_mut(usize::from(self.tx_to)..).unwrap_or_default();
        let [place, length, room @ ..] = rest else { return Err(nb::Error::WouldBlock) };
        let mut sink = Sink::new(room);
        write(&mut sink).map_err(|EncodeError| PublishError::Encode)?;
        let (len, overflowed) = (sink.len(), sink.overflowed());
        if len > limit {
            return Err(PublishError::TooLarge { limit }.into());
        }
        if overflowed {
            return Err(nb::Error::WouldBlock);
        }
        *place = route.index as u8;
        *length = len as u8;
        self.tx_to += 2 + len as u8;
        Ok(())
    }

    pub(super) fn poll_message(&mut self, which: Select<RouteId>) -> Option<Incoming<'_>> {
        let mut found = None;
        for at in 0..IN {
            // In turn, so that none starves.
            let at = if at < IN - self.turn() { at + self.turn() } else { at + self.turn() - IN };
            let wanted = match which {
                Select::Any => true,
                Select::Only(route) => route == super::read(at),
            };
            if wanted
                && let Some(route) = self.reading.get_mut(at)
                && let Some(tell) = route.pop()
            {
                if tell {
                    route.entry.bits |= entry::TAKEN;
                    self.due |= due::TAKEN;
                }
                found = Some(at);
                break;
            }
        }
        let at = found?;
        self.next_read = if at + 1 < IN { at as u8 + 1 } else { 0 };
        let payload = self.reading.get(at)?.taken();
        Some(Incoming { route: super::read(at), request: None, payload })
    }

    /// Where the next look at all that are read begins.
    fn turn(&self) -> usize {
        if IN > 1 { self.next_read.into() } else { 0 }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        match core::mem::replace(&mut self.notice, Notice::Nothing) {
            Notice::Lost(reason) => return Some(Event::Lost(reason)),
            Notice::Closed(reason) => return Some(Event::Closed(reason)),
            Notice::Nothing => {}
        }
        if core::mem::take(&mut self.begun) {
            return Some(Event::Established { resumed: false });
        }
        for at in 0..Self::ROUTES {
            if let Some(entry) = self.entry(at).filter(|entry| entry.has(entry::NEWS)) {
                entry.bits &= !entry::NEWS;
                let theirs = entry.theirs;
                let ours = Self::name(at).map_or(0, |name| name.hash() as u32);
                return Some(Event::RouteConflict { route: Self::id(at), ours, theirs });
            }
        }
        None
    }
}
