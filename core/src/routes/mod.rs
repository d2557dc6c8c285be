//! The table of routes: what is declared here, what the peer has declared on the same routes, the window of each, and
//! how each reliable message ended.
//!
//! Invariant: a place is free exactly when nothing is declared here, nothing about it is still to be sent or
//! acknowledged, and no message of it is in doubt. What the peer declares on other routes is stored nowhere.
//! What to send is not queued but derived: each place knows what is *due*.

mod bits;
mod table;

pub(crate) use bits::{due, local, news, peer};
pub(crate) use table::{Known, find, find_hash, get, number_of, numbered, place};

use crate::blocks::Id;
use crate::event::{Event, FailReason, RouteId, Ticket};
use crate::inbox::Region;
use crate::limits::{MESSAGE_COST, WINDOW_MAX};
use crate::log::log;
use crate::outbox::Queue;
use crate::packet::control::{Expired, Intent};
use crate::route::RouteName;
use crate::tickets::Tickets;
use crate::time::Instant;
use crate::timers::Lapse;

/// One place in the table of routes. Applications only make empty ones, for a [`Storage`](crate::Storage).
// Aligned as an endpoint is, so that on Arm one function zeroes both; it costs no room.
#[derive(Debug, Clone, Copy)]
#[repr(align(8))]
pub struct Slot {
    /// Set while the place is in use.
    pub(crate) name: Option<&'static RouteName>,
    pub(crate) generation: u8,
    /// How many numbers the place has used up, modulo 256: see [`number_of`].
    pub(crate) turn: u8,
    pub(crate) local: u8,
    pub(crate) due: u16,
    pub(crate) peer: u8,
    pub(crate) news: u8,
    pub(crate) priority: u8,
    /// Best-effort messages published in this session, modulo 256.
    pub(crate) count: u8,
    /// Time to live to state in our declarations, ms; 0: the session's.
    pub(crate) ttl_ms: u32,

    // As the reader (our interest or service).
    pub(crate) inbox: Region,
    /// Cost of messages of earlier sessions that are still in the inbox.
    pub(crate) old: u32,
    /// Cost and number of what the application has taken since the interest was declared; cost at the last TAKEN.
    pub(crate) taken: u32,
    pub(crate) reported: u32,
    pub(crate) messages: u16,
    /// Messages that were discarded since the peer was last told, and `messages` when that was.
    pub(crate) expired: u16,
    pub(crate) expired_at: u16,

    // As the writer (the peer's interest).
    /// The number by which the peer knows the route.
    pub(crate) number: u16,
    pub(crate) window: u32,
    /// Cost of what was published since the peer's interest came, and how much of it the peer has taken.
    pub(crate) sent: u32,
    pub(crate) credited: u32,
    /// Number of the route's last reliable packet.
    pub(crate) last_seq: u32,
    pub(crate) tickets: Tickets,
    /// Messages that wait to be sent.
    pub(crate) queue: Queue,
    /// The newest message of a route that keeps it; 0: none.
    pub(crate) sample: Id,
    /// How many blocks of TX it takes.
    pub(crate) kept: u16,
    /// Reliable packets of it that are not acknowledged.
    pub(crate) under_way: u16,

    /// When the peer's declarations end, if they do before the session.
    pub(crate) intent_lapse: Lapse,
    pub(crate) interest_lapse: Lapse,
    /// The peer's type hash, when in conflict.
    pub(crate) theirs: u32,
}

impl Slot {
    /// A place that is not in use.
    pub const EMPTY: Self = Self {
        name: None,
        generation: 0,
        turn: 0,
        local: 0,
        due: 0,
        peer: 0,
        news: 0,
        priority: 0,
        count: 0,
        ttl_ms: 0,
        inbox: Region::NONE,
        old: 0,
        taken: 0,
        reported: 0,
        messages: 0,
        expired: 0,
        expired_at: 0,
        number: 0,
        window: 0,
        sent: 0,
        credited: 0,
        last_seq: 0,
        tickets: Tickets::NONE,
        queue: Queue::EMPTY,
        sample: 0,
        kept: 0,
        under_way: 0,
        intent_lapse: Lapse::NEVER,
        interest_lapse: Lapse::NEVER,
        theirs: 0,
    };

    pub(crate) const fn has(&self, bits: u8) -> bool {
        self.local & bits & local::POSSIBLE != 0
    }

    pub(crate) const fn is_due(&self, bits: u16) -> bool {
        self.due & bits & due::POSSIBLE != 0
    }

    pub(crate) const fn peer_has(&self, bits: u8) -> bool {
        self.peer & bits & peer::POSSIBLE != 0
    }

    /// Whether the peer wants messages on this route.
    pub(crate) const fn has_audience(&self) -> bool {
        self.peer & (peer::INTEREST | peer::CONFLICT) == peer::INTEREST
    }

    /// Whether messages that come with our number are for the interest that stands now.
    pub(crate) const fn is_reading(&self) -> bool {
        self.has(local::INTEREST)
            && self.is_due(due::ADVERTISED)
            && !self.is_due(due::INTEREST_GONE | due::RESTING)
            && !self.peer_has(peer::CONFLICT)
    }

    /// Room in the peer's window, as cost.
    pub(crate) const fn credit(&self) -> u32 {
        self.window.saturating_sub(self.sent.wrapping_sub(self.credited))
    }

    /// Largest payload that the peer's window allows at all.
    pub(crate) const fn largest_payload(&self) -> usize {
        (self.window as usize).saturating_sub(MESSAGE_COST)
    }

    /// A session has begun: nothing is known of the peer, everything is to be declared.
    pub(crate) fn on_session(&mut self) {
        self.forget_peer();
        self.local &= !local::ASK;
        self.due = 0;
        if self.has(local::INTENT | local::SERVICE) {
            self.due |= due::INTENT;
        }
        if self.has(local::INTEREST) {
            self.due |= due::INTEREST;
        }
        self.count = 0;
        self.inbox.drop_waiting();
        self.old = self.inbox.ready() as u32;
        self.reset_counts();
    }

    /// The session is over; the newest `unsent` messages never left.
    pub(crate) fn on_session_end(&mut self, reason: FailReason, unsent: u16) {
        self.fail(reason, unsent);
        self.forget_peer();
        self.due = 0;
        self.under_way = 0;
        self.inbox.drop_waiting();
    }

    fn fail(&mut self, reason: FailReason, unsent: u16) {
        self.tickets.fail(reason, unsent);
        self.forget_tickets();
    }

    /// If nobody wants to be told of messages that have ended, nobody waits for it.
    pub(crate) const fn forget_tickets(&mut self) {
        if !self.has(local::TICKETS) {
            self.tickets.forget();
        }
    }

    fn forget_peer(&mut self) {
        if self.has_audience() {
            self.news |= news::AUDIENCE;
        }
        if self.peer_has(peer::INTENT) {
            self.news |= news::PUBLISHER;
        }
        self.peer = 0;
        self.intent_lapse = Lapse::NEVER;
        self.interest_lapse = Lapse::NEVER;
    }

    pub(crate) fn reset_counts(&mut self) {
        self.taken = 0;
        self.reported = 0;
        self.messages = 0;
        self.expired = 0;
        self.expired_at = 0;
    }

    /// The application has taken a record out of the inbox.
    pub(crate) fn on_taken(&mut self, cost: u32, reliable: bool) {
        if self.old > 0 {
            self.old = self.old.saturating_sub(cost);
            self.taken = self.taken.wrapping_add(cost);
        } else if reliable {
            self.taken = self.taken.wrapping_add(cost);
            self.messages = self.messages.wrapping_add(1);
        }
        self.consider_report();
    }

    /// The application did not take a record in its time. Only while [`may_discard`](Self::may_discard).
    pub(crate) fn on_discarded(&mut self, cost: u32, reliable: bool) {
        if self.old == 0 && reliable {
            self.expired = self.expired.wrapping_add(1);
            self.expired_at = self.messages.wrapping_add(1);
            self.due |= due::EXPIRED;
        }
        self.on_taken(cost, reliable);
    }

    /// Whether another message may be discarded unread: what can be told of them is one run without a gap.
    pub(crate) const fn may_discard(&self) -> bool {
        !self.is_due(due::TOLD) && (!self.is_due(due::EXPIRED) || self.expired_at == self.messages)
    }

    /// What is to be told of those that were discarded.
    pub(crate) const fn expired_report(&self, number: u16) -> Expired {
        Expired {
            route: number,
            messages: self.messages,
            bytes: self.taken,
            expired: self.expired,
            after: self.messages.wrapping_sub(self.expired_at),
        }
    }

    /// What is due was said.
    pub(crate) fn on_said(&mut self, record: u16) {
        self.due &= !record;
        match record {
            due::INTENT | due::INTEREST => {
                self.local &= !local::ASK;
                if record == due::INTEREST {
                    self.due |= due::ADVERTISED;
                }
            }
            due::INTEREST_GONE => {
                self.due = self.due & !(due::ADVERTISED | due::TAKEN) | due::RESTING;
                self.reset_counts();
            }
            due::EXPIRED => {
                self.due = self.due & !due::TAKEN | due::TOLD;
                self.expired = 0;
                self.reported = self.taken;
            }
            _ => {}
        }
    }

    /// Tells the sender when it may be waiting: the reader has caught up, or a quarter of the window is free again.
    fn consider_report(&mut self) {
        let unreported = self.taken.wrapping_sub(self.reported);
        if unreported > 0 && (self.inbox.is_empty() || unreported as usize >= self.inbox.capacity() / 4) {
            self.due |= due::TAKEN;
        }
    }

    /// The peer declares or withdraws its intent on this route.
    pub(crate) fn on_intent(&mut self, intent: &Intent<'_>, now: Instant) {
        let before = self.peer_has(peer::INTENT);
        self.peer &= !(peer::INTENT | peer::RELIABLE | peer::CONFLICT);
        if !intent.withdrawn {
            self.peer |= peer::INTENT;
            if intent.reliable {
                self.peer |= peer::RELIABLE;
            }
            self.intent_lapse = Lapse::after(now, intent.ttl_ms);
            if !self.has(local::INTEREST) && !intent.service {
                // Known here, and nobody listens: the owner would wait for an INTEREST in vain.
                self.due |= due::NOTIFY;
            }
        }
        if before == intent.withdrawn {
            self.news |= news::PUBLISHER;
        }
        self.on_ask(intent.ask);
    }

    /// The peer's intent has lapsed or conflicts.
    pub(crate) fn on_intent_gone(&mut self) {
        if self.peer_has(peer::INTENT) {
            self.news |= news::PUBLISHER;
        }
        self.peer &= !peer::INTENT;
        self.intent_lapse = Lapse::NEVER;
    }

    /// The peer declares its interest in this route.
    pub(crate) fn on_interest(&mut self, declared: &Declared, now: Instant) {
        let repeated = self.peer_has(peer::COUNTED) && self.number == declared.number;
        if self.peer_has(peer::LAPSED) {
            self.news |= news::AUDIENCE;
        }
        if !self.peer_has(peer::INTEREST) && self.sample != 0 {
            self.local |= local::GIVE;
        }
        self.peer = self.peer & !(peer::CONFLICT | peer::LAPSED) | peer::INTEREST;
        self.interest_lapse = Lapse::after(now, declared.ttl_ms);
        if !repeated {
            self.number = declared.number;
            self.window = declared.window.min(WINDOW_MAX);
            // The reader may have counted before we knew (or knew again) of its interest.
            self.credited = declared.bytes;
            self.sent = declared.bytes.wrapping_add(declared.backlog);
            self.tickets.begin(declared.messages);
            self.peer &= !peer::SENT;
            self.news |= news::AUDIENCE;
        }
        self.on_ask(declared.ask);
    }

    /// The peer's interest has ended; `taken`: what it had taken last. The newest `unsent` messages never left.
    pub(crate) fn on_interest_gone(&mut self, taken: Option<(u16, u32)>, unsent: u16) {
        if let Some((messages, bytes)) = taken {
            self.on_credit(messages, bytes);
        }
        self.fail(FailReason::NoAudience, unsent);
        self.peer &= !peer::COUNTED;
        self.interest_lapse = Lapse::NEVER;
        self.news |= news::AUDIENCE;
    }

    /// The peer did not renew its interest in time.
    pub(crate) fn on_interest_lapse(&mut self) {
        self.peer = self.peer & !peer::INTEREST | peer::LAPSED;
        self.interest_lapse = Lapse::NEVER;
        self.news |= news::AUDIENCE;
    }

    /// The peer reports what it has taken; false if that cannot be.
    pub(crate) fn on_credit(&mut self, messages: u16, bytes: u32) -> bool {
        if bytes.wrapping_sub(self.credited) > self.sent.wrapping_sub(self.credited)
            || !self.tickets.take(messages)
        {
            return false;
        }
        self.credited = bytes;
        self.forget_tickets();
        true
    }

    /// The peer reports what it has discarded unread, and taken since; false if that cannot be.
    pub(crate) fn on_expired(&mut self, report: &Expired) -> bool {
        if report.bytes.wrapping_sub(self.credited) > self.sent.wrapping_sub(self.credited) {
            return false;
        }
        let discarded = report.messages.wrapping_sub(report.after);
        self.tickets.discard(discarded, report.expired) && self.on_credit(report.messages, report.bytes)
    }

    /// The peer knows the route and says that nobody there wants it.
    pub(crate) fn on_no_audience(&mut self) {
        if !self.peer_has(peer::INTEREST) {
            self.news |= news::AUDIENCE;
        }
    }

    /// The peer has another type or schema here.
    pub(crate) fn on_conflict(&mut self, theirs: u32) {
        log!("conflict: the peer's type is {=u32:x}", theirs);
        self.theirs = theirs;
        if !self.peer_has(peer::CONFLICT) {
            self.news |= news::CONFLICT;
        }
        self.peer |= peer::CONFLICT;
    }

    /// The peer has withdrawn what was in conflict: what is declared here counts again, so it is declared anew.
    pub(crate) fn end_conflict(&mut self, theirs: u32) {
        if self.peer_has(peer::CONFLICT) && self.theirs == theirs {
            self.peer &= !peer::CONFLICT;
            self.on_ask(true);
        }
    }

    fn on_ask(&mut self, ask: bool) {
        if ask {
            if self.has(local::INTENT | local::SERVICE) {
                self.due |= due::INTENT;
            }
            if self.has(local::INTEREST) {
                self.due |= due::INTEREST;
            }
        }
    }

    /// The next event about this route.
    pub(crate) fn poll_event(&mut self, route: RouteId) -> Option<Event> {
        // Nearly always there is none but of tickets.
        if self.news != 0 {
            if self.take_news(news::CONFLICT) && self.peer_has(peer::CONFLICT) {
                let ours = self.name.map_or(0, |name| name.hash() as u32);
                return Some(Event::RouteConflict { route, ours, theirs: self.theirs });
            }
            if self.take_news(news::AUDIENCE) && self.has(local::INTENT) {
                return Some(Event::Audience { route, present: self.has_audience() });
            }
            if self.take_news(news::PUBLISHER) && self.has(local::INTEREST) {
                return Some(Event::Publisher { route, present: self.peer_has(peer::INTENT) });
            }
        }
        if !self.has(local::TICKETS) {
            return None;
        }
        let (number, failed) = self.tickets.next()?;
        let ticket = Ticket { route, number };
        Some(failed.map_or(Event::Delivered(ticket), |reason| Event::Failed(ticket, reason)))
    }

    const fn take_news(&mut self, bit: u8) -> bool {
        let had = self.news & bit != 0;
        self.news &= !bit;
        had
    }

    /// Whether the application must read its tickets before it gets more: their numbers would be ambiguous.
    pub(crate) const fn owes_tickets(&self) -> bool {
        self.has(local::TICKETS) && self.tickets.untold() > u16::MAX / 2
    }

    /// Whether nothing holds this place any more.
    const fn is_done(&self) -> bool {
        self.local & local::DECLARED == 0
            && self.due & (due::RECORDS | due::RESTING | due::TOLD) == 0
            && self.queue.is_empty()
            && self.sample == 0
            && self.under_way == 0
            && self.tickets.open() == 0
            && (self.local & local::TICKETS == 0 || !self.tickets.has_news())
    }

    /// Forgets all but how often it was used.
    #[inline(never)]
    pub(crate) fn clear(&mut self) {
        let (generation, turn) = (self.generation, self.turn);
        *self = const { Self::EMPTY };
        self.generation = generation;
        self.turn = turn;
    }

    /// Frees the place if nothing holds it. The inbox must have been given back.
    pub(crate) fn settle(&mut self) {
        if self.name.is_some() && self.is_done() {
            self.clear();
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

/// What an INTEREST that is not a withdrawal says besides the name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) number: u16,
    pub(crate) window: u32,
    pub(crate) backlog: u32,
    pub(crate) messages: u16,
    pub(crate) bytes: u32,
    pub(crate) ttl_ms: u32,
    pub(crate) ask: bool,
}
