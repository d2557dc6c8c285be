//! The way in: bytes → frames → packets → the machines. Whatever comes, the worst that happens is a counter.

use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::event::{CloseReason, FailReason, LostReason};
use crate::framing::{Deframed, DropReason, Framing};
use crate::handshake::{Outcome, State};
use crate::inbox::Record;
use crate::limiter::{self, Direction};
use crate::limits::{CAPABILITY_SELECTIVE, CLOSE_RETRY_MS, VERSION_MAJOR};
use crate::log::log;
use crate::outbox::flag;
use crate::packet::control::{Control, Intent, Interest, InterestBody, NotifyStatus};
use crate::packet::{Extended, Hello, Packet, SeqWidth, kind};
use crate::reliable::{Acknowledged, Arrival, Receiver};
use crate::results::{CallState, ServedState, code};
use crate::routes::{self, Declared, Known, due, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};
use crate::wire::Reader;

/// The route number of the control channel.
const CONTROL_ROUTE: u16 = 0;

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
                    self.on_broken_link(t, now);
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
                    self.close_due = self.close_due.max(1);
                }
                return false;
            }
            Phase::New | Phase::NoLink | Phase::Connecting => return false,
        }
        self.timers.set(Timer::Silence, now.plus_millis(self.silence_ms));
        if self.rto.on_heard() && self.timers.is_set(Timer::Retransmit) {
            // The line is not dead: no need to be patient.
            self.timers.advance(Timer::Retransmit, now.plus_micros(self.rto.micros().into()));
        }
        let late = self.is_late();
        let width = self.link.framing.seq_width();
        let mut reader = Reader::new(packets);
        let mut news = false;
        while !reader.is_empty() {
            let Ok(packet) = Packet::parse(&mut reader, width) else {
                self.on_malformed();
                break;
            };
            let best_effort = matches!(
                packet,
                Packet::BestEffort { .. } | Packet::Extended { header: Extended { reliable: None, .. }, .. }
            );
            if late && best_effort {
                continue;
            }
            news |= self.on_packet(t, &packet, now);
            if self.phase != Phase::Established {
                break;
            }
        }
        news || self.events_due
    }

    /// Whether a frame of the session is a repetition, or was overtaken: its best-effort messages are not wanted.
    fn is_late(&mut self) -> bool {
        let mark = self.deframer.mark();
        let late = match (self.link.framing, self.last_mark) {
            (Framing::Stream, _) | (_, None) => false,
            // Two frames in a row are never the same: messages and pings are counted.
            (Framing::Serial, Some(last)) => mark == last,
            (Framing::Datagram, Some(last)) => (mark.wrapping_sub(last) as i32) <= 0,
        };
        if !late {
            self.last_mark = Some(mark);
        }
        late
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
            Outcome::Replaced { .. } if hello.body.as_ref().is_some_and(|body| self.resumes(body)) => {
                self.on_established(t, &hello, now);
            }
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
        if self.has_session() {
            self.end_session(t, FailReason::SessionLost);
        }
        self.timers.stop_all();
        self.seed_in = None;
        self.phase = Phase::Closed;
        self.notice = Notice::Closed(CloseReason::VersionMismatch { ours: VERSION_MAJOR, theirs });
    }

    fn on_established(&mut self, t: &mut Tables<'_>, hello: &Hello, now: Instant) {
        // A HELLO of our major version always has a body.
        let Some(body) = hello.body.as_ref() else { return };
        if self.resumes(body) {
            self.resume(t, body, now);
            return;
        }
        if self.suspended.is_some() {
            // The peer does not know the session any more.
            let restarted = hello.head.nonce >> 16 != self.peer.boot;
            let reason = if restarted { LostReason::PeerRestarted } else { LostReason::SessionLost };
            self.lose_session(t, reason);
        }
        self.begin_session(t, body, now);
    }

    fn on_packet(&mut self, t: &mut Tables<'_>, packet: &Packet<'_>, now: Instant) -> bool {
        match *packet {
            // HELLO is alone in its frame.
            Packet::Hello(_) => self.on_malformed(),
            Packet::Skipped => {}
            Packet::Ack { next, selective } => self.on_ack(t, next, selective, now),
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
                if let Some((_, next)) = self.proof.take_if(|proof| proof.0 == id)
                    && self.link.ordered
                {
                    // The acknowledgement stands before the PONG.
                    let lost = self.sender.on_proof(next);
                    self.count_lost(t, lost);
                }
            }
            Packet::Taken { route, messages, bytes } => {
                let slot =
                    t.routes.iter_mut().find(|slot| slot.peer_has(peer::COUNTED) && slot.number == route);
                if let Some(slot) = slot
                    && slot.on_credit(messages, bytes)
                {
                    self.probes = 0;
                    self.timers.stop(Timer::Probe);
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
            Packet::Skip { seq, distance } => {
                if let Arrival::New { seq, .. } = self.receiver.on_packet(seq, distance) {
                    return self.receiver.store(seq, distance) && self.hand_on(t);
                }
            }
            Packet::BestEffort { route, payload, .. } => {
                let whole = Extended { route, reliable: None, number: 0, life: None, part: None };
                return self.on_best_effort(t, &whole, payload, now);
            }
            Packet::Reliable { route: CONTROL_ROUTE, seq, distance, payload } => {
                // Out of turn there is no room for it: it comes again.
                if let Arrival::New { seq, in_turn: true } = self.receiver.on_packet(seq, distance) {
                    let turns = self.receiver.store(seq, distance);
                    return self.on_control(t, payload, now) | (turns && self.hand_on(t));
                }
            }
            Packet::Reliable { route, seq, distance, payload } => {
                let reliable = Some((seq, distance));
                let whole = Extended { route, reliable, number: 0, life: None, part: None };
                return self.on_reliable(t, &whole, payload, now);
            }
            Packet::Extended { ref header, payload } => {
                return match header.reliable {
                    Some(_) => self.on_reliable(t, header, payload, now),
                    None => self.on_best_effort(t, header, payload, now),
                };
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

    fn on_ack(&mut self, t: &mut Tables<'_>, next: u32, selective: u32, now: Instant) {
        let selective = if self.has(CAPABILITY_SELECTIVE) { selective } else { 0 };
        let Acknowledged { count, news, lost } = self.sender.on_ack(next, selective);
        if !news {
            return;
        }
        self.land(t, count);
        self.count_lost(t, lost);
        self.rto.on_ack(self.sender.acked(), now);
        if self.sender.in_flight() == 0 || self.link.lossless {
            self.timers.stop(Timer::Retransmit);
        } else {
            let at = self.patience(now);
            self.timers.set(Timer::Retransmit, at);
        }
    }

    /// These packets under way are lost: one stands for its frame.
    fn count_lost(&mut self, t: &Tables<'_>, lost: u64) {
        for offset in (0..u64::BITS).filter(|offset| lost >> offset & 1 == 1) {
            if self.outbox.nth(t.tx, offset).is_some_and(|(_, record)| record.is(flag::LEADS)) {
                self.sizing.on_lost();
            }
        }
    }

    /// The oldest packets under way are acknowledged.
    pub(super) fn land(&mut self, t: &mut Tables<'_>, count: u32) {
        for _ in 0..count {
            let Some(record) = self.outbox.land(t.tx) else { break };
            let index = usize::from(record.slot);
            let Some(slot) = t.routes.get_mut(index) else { continue };
            if record.is(flag::CONTROL) {
                // A withdrawal: our number may be used again. Else what was discarded is known now.
                slot.due &= !if record.offset == 0 { due::RESTING } else { due::TOLD };
                slot.due |= due::TAKEN;
                self.tables_due = true;
            } else {
                slot.under_way = slot.under_way.saturating_sub(1);
                self.tables_due |= slot.has(local::GIVE);
            }
            if !slot.has(local::DECLARED) {
                Self::settle(t, index);
            }
        }
    }

    /// What waited for a packet that was missing may have its turn now.
    fn hand_on(&self, t: &mut Tables<'_>) -> bool {
        let mut news = false;
        for slot in t.routes.iter_mut().filter(|slot| slot.inbox.has_waiting()) {
            news |= slot.inbox.advance(t.rx, |key| is_in_turn(&self.receiver, key));
        }
        news
    }

    fn on_best_effort(
        &mut self,
        t: &mut Tables<'_>,
        header: &Extended,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        let Some((index, slot)) = reading(t.routes, header.route) else {
            // Counted once: with its last fragment.
            if header.part.is_none_or(|(offset, total)| offset as usize + payload.len() == total as usize) {
                self.ping.on_best_effort();
            }
            self.on_unknown();
            return false;
        };
        let begins = header.part.is_none_or(|(offset, _)| offset == 0);
        if !begins {
            let (offset, total) = header.part.unwrap_or_default();
            let expected = slot.inbox.last_waiting(t.rx).is_some_and(|record| {
                !record.reliable
                    && record.number == header.number & 0x7F
                    && record.len == total
                    && record.len - record.missing == offset
            });
            if !expected {
                return false;
            }
            let stored = slot.inbox.push_waiting(
                t.rx,
                record_of(header, payload.len(), now),
                offset as usize,
                payload,
            );
            let whole = stored && slot.inbox.advance(t.rx, |_| true);
            if whole {
                self.ping.on_best_effort();
            }
            return whole;
        }
        // The room of a reliable route is promised to its reliable messages.
        let mut allowed = !slot.peer_has(peer::RELIABLE);
        if allowed && limiter::wait(t.limiters, index, Direction::In, now).is_some() {
            self.counters.dropped_too_fast = self.counters.dropped_too_fast.wrapping_add(1);
            self.ping.on_best_effort();
            return false;
        }
        if allowed {
            // What is missing of an earlier one will not come.
            slot.inbox.drop_waiting();
            let record = record_of(header, payload.len(), now);
            allowed = match header.part {
                None => slot.inbox.push(t.rx, record, payload),
                Some(_) => slot.inbox.push_waiting(t.rx, record, 0, payload),
            };
        }
        if !allowed {
            self.counters.dropped_no_room = self.counters.dropped_no_room.wrapping_add(1);
            self.ping.on_best_effort();
            return false;
        }
        limiter::pass(t.limiters, index, Direction::In, now);
        self.note_deadline(record_of(header, 0, now).deadline, now);
        if header.part.is_none() {
            self.ping.on_best_effort();
        }
        header.part.is_none()
    }

    fn on_reliable(&mut self, t: &mut Tables<'_>, header: &Extended, payload: &[u8], now: Instant) -> bool {
        let Some((seq, distance)) = header.reliable else { return false };
        let Arrival::New { seq, in_turn } = self.receiver.on_packet(seq, distance) else { return false };
        let mut news = false;
        match reading(t.routes, header.route) {
            None => self.on_unknown(),
            Some((_, slot)) => {
                let before = slot.inbox.ready();
                slot.peer |= peer::RELIABLE;
                let record = record_of(header, payload.len(), now).keyed(seq as u16);
                let offset = header.part.map_or(0, |(offset, _)| offset as usize);
                let at_once = in_turn && header.part.is_none() && !slot.inbox.has_waiting();
                let stored = loop {
                    let stored = match at_once {
                        true => slot.inbox.push(t.rx, record, payload),
                        false => slot.inbox.push_waiting(t.rx, record, offset, payload),
                    };
                    if stored {
                        break true;
                    }
                    // Best-effort messages that came before it was known that the route is reliable make room.
                    let Some((before, cost)) = slot.inbox.drop_best_effort(t.rx) else { break false };
                    if (before as u32) < slot.old {
                        // Of an earlier session: it was stated as backlog.
                        slot.on_taken(cost, false);
                        self.tables_due = true;
                    }
                    self.counters.dropped_no_room = self.counters.dropped_no_room.wrapping_add(1);
                };
                if !stored {
                    // More than the window that we stated: the peer broke a rule, and holding all up would not mend it.
                    log!("message beyond the window of route {=u16} dropped", header.route);
                    self.on_malformed();
                }
                self.note_deadline(record.deadline, now);
                let turns = self.receiver.store(seq, distance);
                let Some((_, slot)) = reading(t.routes, header.route) else {
                    return turns && self.hand_on(t);
                };
                if slot.inbox.has_waiting() {
                    slot.inbox.advance(t.rx, |key| is_in_turn(&self.receiver, key));
                }
                news |= slot.inbox.ready() != before;
                return (turns && self.hand_on(t)) | news;
            }
        }
        news |= self.receiver.store(seq, distance) && self.hand_on(t);
        news
    }

    /// A message that came must be looked at when its time is over.
    fn note_deadline(&mut self, deadline: u32, now: Instant) {
        if let Some(at) = Lapse::from_bits(deadline).instant(now) {
            self.timers.advance(Timer::Lapse, at);
        }
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
            Control::Expired(report) => {
                let stands =
                    |slot: &&mut routes::Slot| slot.peer_has(peer::COUNTED) && slot.number == report.route;
                if t.routes.iter_mut().find(stands).is_some_and(|slot| slot.on_expired(&report)) {
                    self.probes = 0;
                    self.events_due = true;
                    Self::settle_number(t, report.route);
                } else {
                    self.on_unknown();
                }
            }
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
                None => self.on_unknown(),
            },
            // No number, and the one of control records.
            InterestBody::Declared { .. } if matches!(number, CONTROL_ROUTE | u16::MAX) => {
                self.on_malformed();
            }
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
            Some(slot) => match slot.inbox.push(t.rx, Record::whole(id, true, payload.len()), payload) {
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
        let stored = call.region.push(t.rx, Record::whole(id, true, payload.len()), payload);
        call.code = if stored || code != code::OK { code } else { code::TOO_LARGE };
        call.state = CallState::Answered;
        self.set_lapse(t, now);
        true
    }
}

/// Our place that a number of ours names, if messages with it are wanted.
fn reading(routes: &mut [routes::Slot], number: u16) -> Option<(usize, &mut routes::Slot)> {
    let index = usize::from(number).checked_sub(1)?;
    routes.get_mut(index).filter(|slot| slot.is_reading()).map(|slot| (index, slot))
}

/// What is stored of a message, or of the message that this is a part of.
fn record_of(header: &Extended, len: usize, now: Instant) -> Record {
    let reliable = header.reliable.is_some();
    let record = match header.part {
        None => Record::whole(0, reliable, len),
        Some((_, total)) => Record::large(0, reliable, total, header.number),
    };
    match header.life {
        None => record,
        // A life of 0 is over at once, but it is one.
        Some(ms) => record.until(Lapse::after(now, ms.max(1)).to_bits()),
    }
}

/// Whether the packet with these low bits has its turn, or has had it.
fn is_in_turn(receiver: &Receiver, key: u16) -> bool {
    let expected = receiver.expected();
    let ahead = key.wrapping_sub(expected as u16) as i16;
    receiver.is_in_turn(expected.wrapping_add_signed(ahead.into()))
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
