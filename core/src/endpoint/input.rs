//! The way in: bytes → frames → packets → the machines. Whatever comes, the worst that happens is a counter.

use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::event::{CloseReason, FailReason, LostReason};
use crate::framing::{Deframed, DropReason};
use crate::handshake::{Outcome, State};
use crate::limits::{CLOSE_RETRY_MS, VERSION_MAJOR};
use crate::log::log;
use crate::outbox::{CONTROL, DEAD, NO_SLOT};
use crate::packet::control::{Control, Intent, Interest, InterestBody, NotifyStatus};
use crate::packet::{Hello, HelloBody, Packet, SeqWidth, kind};
use crate::results::{CallState, ServedState, code};
use crate::routes::{self, Declared, Known, due, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};
use crate::wire::Reader;

impl Core {
    pub(super) fn handle_input(
        &mut self,
        t: &mut Tables<'_>,
        frame: &mut [u8],
        now: Instant,
        bytes: &[u8],
    ) -> usize {
        let now = self.advance(now);
        if matches!(self.phase, Phase::New | Phase::NoLink) {
            return bytes.len();
        }
        let content = frame.len().min(self.frame_max);
        let mut rest = bytes;
        while !rest.is_empty() {
            let buffer = frame.get_mut(..content).unwrap_or_default();
            let (taken, deframed) = self.deframer.push(rest, buffer, self.seed_in);
            let news = match deframed {
                Deframed::Nothing => false,
                Deframed::Packets(packets) => self.on_frame(t, packets, now),
                Deframed::Dropped(reason) => {
                    self.on_dropped(reason, now);
                    false
                }
                Deframed::Broken => {
                    self.on_broken_link(t);
                    self.count_in(bytes.len(), now);
                    return bytes.len();
                }
            };
            rest = rest.get(taken.max(1)..).unwrap_or_default();
            if news {
                break;
            }
        }
        let taken = bytes.len() - rest.len();
        self.count_in(taken, now);
        taken
    }

    fn count_in(&mut self, bytes: usize, now: Instant) {
        self.counters.bytes_in = self.counters.bytes_in.wrapping_add(bytes as u32);
        if !self.framed {
            self.on_unframed(bytes, now);
        }
    }

    fn on_dropped(&mut self, reason: DropReason, now: Instant) {
        match reason {
            DropReason::Check => self.counters.check_failures = self.counters.check_failures.wrapping_add(1),
            DropReason::TooLong | DropReason::Encoding | DropReason::TooShort => {
                self.counters.framing_errors = self.counters.framing_errors.wrapping_add(1);
            }
        }
        // The peer may still be in the session that a challenge replaced on our side only: ask again.
        if self.handshake.is_challenging() {
            self.on_challenge(now);
        }
    }

    /// An intact frame. Returns whether it brought something to look at.
    fn on_frame(&mut self, t: &mut Tables<'_>, packets: &[u8], now: Instant) -> bool {
        self.framed = true;
        self.timers.stop(Timer::Diagnosis);
        self.counters.frames_in = self.counters.frames_in.wrapping_add(1);
        if packets.first() == Some(&kind::HELLO) {
            return self.on_hello_frame(t, packets, now);
        }
        match self.phase {
            Phase::Established => {}
            Phase::Closed => {
                // The peer has not heard our CLOSE, unless this is its own.
                if !ends_with_close(packets)
                    && now.micros_since(self.close_sent) >= u64::from(CLOSE_RETRY_MS) * 1000
                {
                    self.close_due = true;
                }
                return false;
            }
            Phase::New | Phase::NoLink | Phase::Connecting => return false,
        }
        self.timers.set(Timer::Silence, now.plus_millis(self.silence_ms));
        let width = self.link.framing.seq_width();
        let mut reader = Reader::new(packets);
        let mut news = false;
        while !reader.is_empty() {
            let Ok(packet) = Packet::parse(&mut reader, width) else {
                self.on_malformed();
                break;
            };
            news |= self.on_packet(t, &packet, now);
            if self.phase != Phase::Established {
                break;
            }
        }
        news || self.events_due
    }

    fn on_malformed(&mut self) {
        self.counters.malformed = self.counters.malformed.wrapping_add(1);
    }

    fn on_unknown(&mut self) {
        self.counters.dropped_unknown = self.counters.dropped_unknown.wrapping_add(1);
    }

    fn on_hello_frame(&mut self, t: &mut Tables<'_>, packets: &[u8], now: Instant) -> bool {
        let parsed = Packet::parse(&mut Reader::new(packets), self.link.framing.seq_width());
        let Ok(Packet::Hello(hello)) = parsed else {
            self.on_malformed();
            return false;
        };
        let before = self.handshake.state();
        let outcome = self.handshake.on_hello(&hello.head);
        match outcome {
            Outcome::Nothing => {
                // Who was at rest or refused is greeting again, because somebody asked.
                if before != State::Greeting && self.handshake.state() == State::Greeting {
                    self.on_greeting(now);
                }
                self.on_challenge(now);
                return false;
            }
            Outcome::Loopback if self.is_loopback => return false,
            Outcome::Loopback => self.on_loopback(now),
            Outcome::VersionMismatch { theirs } => self.on_version_mismatch(t, theirs),
            Outcome::Established => self.on_established(t, &hello, now),
            Outcome::Replaced { restarted } => {
                self.lose_session(
                    t,
                    if restarted { LostReason::PeerRestarted } else { LostReason::SessionLost },
                );
                self.on_established(t, &hello, now);
            }
        }
        true
    }

    fn on_loopback(&mut self, now: Instant) {
        log!("loopback");
        self.is_loopback = true;
        self.notice = Notice::Lost(LostReason::Loopback);
        self.greeting_ms = crate::limits::GREETING_SLOWEST_MS;
        self.timers.set(Timer::Greeting, now.plus_millis(self.greeting_ms));
    }

    fn on_version_mismatch(&mut self, t: &mut Tables<'_>, theirs: u8) {
        log!("peer speaks version {=u8}", theirs);
        if self.phase == Phase::Established {
            self.end_session(t, FailReason::SessionLost);
        }
        self.timers.stop_all();
        self.seed_in = None;
        self.phase = Phase::Closed;
        self.notice = Notice::Closed(CloseReason::VersionMismatch { ours: VERSION_MAJOR, theirs });
    }

    fn on_established(&mut self, t: &mut Tables<'_>, hello: &Hello, now: Instant) {
        // A HELLO of our major version always has a body.
        let body: Option<&HelloBody> = hello.body.as_ref();
        if let Some(body) = body {
            self.begin_session(t, body, now);
        }
    }

    fn on_packet(&mut self, t: &mut Tables<'_>, packet: &Packet<'_>, now: Instant) -> bool {
        match *packet {
            // HELLO is alone in its frame.
            Packet::Hello(_) => self.on_malformed(),
            Packet::Skipped => {}
            Packet::Ack { next, selective: _ } => self.on_ack(t, next, now),
            Packet::Ping { id, sent } => {
                self.ping.on_ping(id, sent, now);
                self.receiver.want_ack();
                let taken = t.routes.iter_mut().filter(|slot| slot.has(local::INTEREST) && slot.taken != 0);
                taken.for_each(|slot| slot.due |= due::TAKEN);
                self.tables_due = true;
            }
            Packet::Pong { id, held, clock, dropped } => {
                self.ping.on_pong(id, held, clock, now);
                self.counters.peer_dropped_no_room = dropped;
            }
            Packet::Taken { route, messages, bytes } => {
                let slot =
                    t.routes.iter_mut().find(|slot| slot.peer_has(peer::COUNTED) && slot.number == route);
                if let Some(slot) = slot
                    && slot.on_credit(messages, bytes)
                {
                    self.probes = 0;
                    self.events_due |= slot.has(local::TICKETS);
                    Self::settle_number(t, route);
                }
            }
            Packet::Close { code } => {
                log!("closed by the peer, code {=u32}", code);
                self.end_session(t, FailReason::SessionLost);
                self.handshake.rest();
                self.seed_in = None;
                self.phase = Phase::Closed;
                self.notice = Notice::Closed(CloseReason::Peer(code));
                return true;
            }
            Packet::Skip { seq, .. } => {
                self.receiver.on_packet(seq);
            }
            Packet::BestEffort { route, payload, .. } => return self.on_best_effort(t, route, payload),
            Packet::Reliable { route, seq, payload, .. } => {
                return self.receiver.on_packet(seq) && self.on_reliable(t, route, payload, now);
            }
        }
        false
    }

    /// A place whose last message was taken may be free now.
    fn settle_number(t: &mut Tables<'_>, number: u16) {
        let draining = |slot: &routes::Slot| slot.number == number && !slot.has(local::DECLARED);
        if let Some(index) = t.routes.iter().position(draining) {
            Self::settle(t, index);
        }
    }

    fn on_ack(&mut self, t: &mut Tables<'_>, next: u32, now: Instant) {
        let count = self.sender.on_ack(next);
        if count == 0 {
            return;
        }
        for _ in 0..count {
            let Some(record) = self.outbox.pop_reliable(t.tx) else { break };
            if record.number == CONTROL && record.slot != NO_SLOT {
                self.on_number_rested(t, usize::from(record.slot));
            }
        }
        self.rto.on_ack(self.sender.acked(), now);
        if self.sender.in_flight() == 0 || self.link.lossless {
            self.timers.stop(Timer::Retransmit);
        } else {
            self.timers.set(Timer::Retransmit, now.plus_micros(self.rto.micros().into()));
        }
    }

    /// The withdrawal of an interest is acknowledged: our number may be used again.
    fn on_number_rested(&mut self, t: &mut Tables<'_>, index: usize) {
        if let Some(slot) = t.routes.get_mut(index) {
            slot.due &= !due::RESTING;
            self.tables_due = true;
            Self::settle(t, index);
        }
    }

    fn on_best_effort(&mut self, t: &mut Tables<'_>, route: u16, payload: &[u8]) -> bool {
        self.ping.on_best_effort();
        let Some(slot) = reading(t.routes, route) else {
            self.on_unknown();
            return false;
        };
        // The room of a reliable route is promised to its reliable messages.
        let stored = !slot.peer_has(peer::RELIABLE) && slot.inbox.push(t.rx, 0, false, payload);
        if !stored {
            self.counters.dropped_no_room = self.counters.dropped_no_room.wrapping_add(1);
        }
        stored
    }

    fn on_reliable(&mut self, t: &mut Tables<'_>, route: u16, payload: &[u8], now: Instant) -> bool {
        if route == CONTROL {
            return self.on_control(t, payload, now);
        }
        let Some(slot) = reading(t.routes, route) else {
            self.on_unknown();
            return false;
        };
        slot.peer |= peer::RELIABLE;
        loop {
            if slot.inbox.push(t.rx, 0, true, payload) {
                return true;
            }
            // Best-effort messages that came before it was known that the route is reliable make room.
            let Some((before, cost)) = slot.inbox.drop_best_effort(t.rx) else { break };
            if (before as u32) < slot.old {
                // Of an earlier session: it was stated as backlog.
                slot.on_taken(cost, false);
                self.tables_due = true;
            }
            self.counters.dropped_no_room = self.counters.dropped_no_room.wrapping_add(1);
        }
        // More than the window that we stated: the peer broke a rule, and holding all up would not mend it.
        log!("message beyond the window of route {=u16} dropped", route);
        self.on_malformed();
        false
    }

    fn on_control(&mut self, t: &mut Tables<'_>, record: &[u8], now: Instant) -> bool {
        let Ok(control) = Control::parse(record) else {
            self.on_malformed();
            return false;
        };
        match control {
            Control::Intents(intents) => {
                for intent in intents {
                    let Ok(intent) = intent else { return self.malformed_news() };
                    self.on_intent(t, &intent, now);
                }
            }
            Control::Interests(interests) => {
                for interest in interests {
                    let Ok(interest) = interest else { return self.malformed_news() };
                    self.on_interest(t, &interest, now);
                }
            }
            Control::NotifyIntent { hash, status } => {
                match (routes::find_hash(t.routes, hash), status) {
                    (None, _) => self.on_unknown(),
                    (Some(index), NotifyStatus::Conflict { hash: theirs, .. }) => {
                        self.begin_conflict(t, index, theirs as u32, false);
                    }
                    (Some(index), NotifyStatus::Audience(0)) => {
                        t.routes.get_mut(index).into_iter().for_each(routes::Slot::on_no_audience);
                    }
                    // Somebody: its INTEREST says the same, and more.
                    (Some(_), NotifyStatus::Audience(_)) => {}
                }
                self.events_due = true;
            }
            Control::Request { id, hash, room, timeout_ms, payload } => {
                return self.on_request(t, id, hash, room, timeout_ms, payload, now);
            }
            Control::Result { id, code, payload } => return self.on_result(t, id, code, payload, now),
            Control::Unknown => self.on_unknown(),
        }
        self.events_due
    }

    fn malformed_news(&mut self) -> bool {
        self.on_malformed();
        self.events_due
    }

    fn on_intent(&mut self, t: &mut Tables<'_>, intent: &Intent<'_>, now: Instant) {
        match routes::find(t.routes, &intent.name, intent.schema) {
            Known::Unknown => self.on_unknown(),
            Known::Conflict(index) => {
                let theirs = intent.name.hash() as u32;
                if !intent.withdrawn {
                    self.begin_conflict(t, index, theirs, true);
                } else if let Some(slot) = t.routes.get_mut(index) {
                    slot.end_conflict(theirs);
                }
            }
            Known::Same(index) => {
                if let Some(slot) = t.routes.get_mut(index) {
                    slot.on_intent(intent, now);
                }
                self.set_lapse(t, now);
            }
        }
        self.events_due = true;
        self.tables_due = true;
    }

    fn on_interest(&mut self, t: &mut Tables<'_>, interest: &Interest<'_>, now: Instant) {
        self.events_due = true;
        self.tables_due = true;
        let number = interest.number;
        let stands = |slot: &routes::Slot| slot.peer_has(peer::COUNTED) && slot.number == number;
        match interest.body {
            InterestBody::Withdrawn => match t.routes.iter().position(stands) {
                Some(index) => self.end_audience(t, index, Some((interest.messages, interest.bytes))),
                None => {
                    // Our place is gone, but messages that carry the number may still wait.
                    if number != CONTROL && number != DEAD {
                        self.outbox.kill(t.tx, number);
                    }
                    self.on_unknown();
                }
            },
            // The number of a record that is dead here, and of control records.
            InterestBody::Declared { .. } if number == DEAD || number == CONTROL => self.on_malformed(),
            InterestBody::Declared { window, backlog, name, ttl_ms, schema } => {
                let found = routes::find(t.routes, &name, schema);
                if let Some(index) = t.routes.iter().position(stands)
                    && found != Known::Same(index)
                {
                    // The number means another route now, without a withdrawal: the peer broke a rule.
                    self.end_audience(t, index, None);
                }
                let (messages, bytes) = (interest.messages, interest.bytes);
                let declared =
                    Declared { number, window, backlog, messages, bytes, ttl_ms, ask: interest.ask };
                self.on_declared(t, found, &declared, name.hash(), now);
            }
        }
    }

    fn on_declared(
        &mut self,
        t: &mut Tables<'_>,
        found: Known,
        declared: &Declared,
        hash: u64,
        now: Instant,
    ) {
        match found {
            Known::Unknown => self.on_unknown(),
            Known::Conflict(index) => {
                self.begin_conflict(t, index, hash as u32, true);
            }
            Known::Same(index) => {
                let moved =
                    |slot: &routes::Slot| slot.peer_has(peer::COUNTED) && slot.number != declared.number;
                if t.routes.get(index).is_some_and(moved) {
                    self.end_audience(t, index, None);
                }
                if let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) {
                    slot.on_interest(declared, now);
                }
                self.set_lapse(t, now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    fn on_request(
        &mut self,
        t: &mut Tables<'_>,
        id: u16,
        hash: u64,
        room: u32,
        timeout_ms: u32,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        // We said how many we hold; more, or an id that is open, is against the rules.
        let open = t.served.iter().any(|place| place.id == id && place.state != ServedState::Free);
        let Some(place) =
            t.served.iter_mut().find(|place| place.state == ServedState::Free).filter(|_| !open)
        else {
            self.on_malformed();
            return false;
        };
        place.id = id;
        place.room = room;
        place.lapse = Lapse::after(now, timeout_ms);
        let service = t
            .routes
            .iter_mut()
            .find(|slot| slot.has(local::SERVICE) && slot.name.is_some_and(|name| name.hash() == hash));
        place.state = match service {
            None => ServedState::Refuse(code::NO_INTENT as u8),
            Some(slot) => match slot.inbox.push(t.rx, id, true, payload) {
                true => ServedState::Open,
                false => ServedState::Refuse(code::BUSY as u8),
            },
        };
        let stored = place.state == ServedState::Open;
        log!("request {=u16}: {=str}", id, if stored { "stored" } else { "refused" });
        if !stored {
            place.lapse = Lapse::NEVER;
            self.tables_due = true;
        }
        self.set_lapse(t, now);
        stored
    }

    fn on_result(&mut self, t: &mut Tables<'_>, id: u16, code: u32, payload: &[u8], now: Instant) -> bool {
        let Some(call) = t.calls.iter_mut().find(|call| call.id == id && call.is_open()) else {
            self.on_unknown();
            return false;
        };
        call.lapse = Lapse::NEVER;
        if call.state == CallState::Forgotten {
            call.state = CallState::Free;
            return false;
        }
        let stored = call.region.push(t.rx, id, true, payload);
        call.code = if stored || code != code::OK { code } else { code::TOO_LARGE };
        call.state = CallState::Answered;
        self.set_lapse(t, now);
        true
    }
}

/// Our place that a number of ours names, if messages with it are wanted.
fn reading(routes: &mut [routes::Slot], number: u16) -> Option<&mut routes::Slot> {
    let index = usize::from(number).checked_sub(1)?;
    routes.get_mut(index).filter(|slot| slot.is_reading())
}

/// Whether a frame of a session says CLOSE: alone, or behind a PING.
fn ends_with_close(packets: &[u8]) -> bool {
    let mut reader = Reader::new(packets);
    while let Ok(packet) = Packet::parse(&mut reader, SeqWidth::One) {
        match packet {
            Packet::Close { .. } => return true,
            Packet::Ping { .. } => {}
            _ => return false,
        }
    }
    false
}
