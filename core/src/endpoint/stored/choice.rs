//! Which message is sent next.
//!
//! Order: the route's priority; within one, whole reliable messages, whole best-effort ones, then fragments in the same
//! order; routes of one rank take turns; what is sent again goes with its message, first among its equals. Each of the two
//! classes gets every eighth frame at least. On a line whose rate matters nothing of a lower rank shares a frame with
//! something of a higher one, which would arrive later for it.

use crate::blocks::Id;
use crate::capability;
use crate::endpoint::state::Core;
use crate::endpoint::stats::count;
use crate::endpoint::storage::Tables;
use crate::framing::Framing;
use crate::limits::{CAPABILITY_FRAGMENTS, FRAGMENT_MIN, FRAME_MIN, LIFE_COST};
use crate::outbox::{Class, DEADLINE, Outbox, Record, flag};
use crate::packet::{
    Extended, Packet, SeqWidth, best_effort_len, emit_best_effort_header, emit_reliable_header, reliable_len,
};
use crate::routes::{Slot, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};
use crate::wire::{Full, Writer, varint_len};

/// A class is passed over in at most this many frames in a row: its share of the line is 1/8.
const PASSED_OVER_MAX: u8 = 7;
/// The rank of the control channel: above all priorities.
const CONTROL_RANK: u8 = 16;
/// What a reliable packet needs besides its payload, and then some: kind, route, number, distance.
pub(super) const RELIABLE_OVERHEAD: usize = 12;

/// A packet that was chosen for the frame. It counts as sent.
pub(super) struct Chosen {
    header: Header,
    /// The record that holds its payload, and where that begins.
    pub(super) payload: Id,
    pub(super) offset: usize,
    len: usize,
    /// Whether the record is done with when the packet is written.
    done: bool,
}

enum Header {
    BestEffort { number: u16, count: u8 },
    Reliable { number: u16, seq: u32, distance: u32 },
    Extended(Extended),
    Skip { seq: u32, distance: u32 },
}

impl Chosen {
    pub(super) const fn payload_len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes in a frame.
    pub(super) const fn len(&self, width: SeqWidth, last: bool) -> usize {
        match &self.header {
            Header::BestEffort { number, .. } => best_effort_len(*number, self.len, last),
            Header::Reliable { number, distance, .. } => {
                reliable_len(*number, *distance, self.len, width, last)
            }
            Header::Extended(extended) if capability::EXTENDED => extended.len(self.len, width, last),
            Header::Extended(_) => 0,
            Header::Skip { distance, .. } => 1 + width.bytes() + varint_len(*distance),
        }
    }

    pub(super) fn emit_header(&self, w: &mut Writer<'_>, width: SeqWidth, last: bool) -> Result<(), Full> {
        match self.header {
            Header::BestEffort { number, count } => emit_best_effort_header(w, count, number, self.len, last),
            Header::Reliable { number, seq, distance } => {
                emit_reliable_header(w, number, seq & width.mask(), distance, self.len, width, last)
            }
            Header::Extended(extended) if capability::EXTENDED => {
                extended.emit_header(w, self.len, width, last)
            }
            Header::Extended(_) => Err(Full),
            Header::Skip { seq, distance } => {
                Packet::Skip { seq: seq & width.mask(), distance }.emit_report(w, width)
            }
        }
    }
}

/// What there is to send.
pub(super) enum Choice {
    Nothing,
    /// There is something, but not for the room that is left.
    NoRoom,
    Next(Chosen),
}

/// How far a frame is filled.
pub(super) struct Fill {
    /// Bytes of packets that the largest frame takes.
    area: usize,
    /// Nothing new goes beyond this many, unless it is alone.
    limit: usize,
    /// Packets that are not messages stand in it.
    pub(super) has_reports: bool,
    /// The rank of what was chosen last.
    rank: Option<u8>,
    /// A reliable packet is its first one.
    pub(super) leads: bool,
    sent: [bool; 2],
}

impl Fill {
    pub(super) const fn new(area: usize, limit: usize, has_reports: bool) -> Self {
        Self { area, limit, has_reports, rank: None, leads: false, sent: [false; 2] }
    }

    /// Whether a packet fits into the `room` that is left. One that is more than a frame should have goes alone.
    fn fits(&self, need: usize, room: usize) -> bool {
        let alone = self.rank.is_none() && !self.has_reports;
        need <= if alone { room } else { self.room(room) }
    }

    /// How much of the `room` that is left may be used without making the frame larger than it should be.
    fn room(&self, room: usize) -> usize {
        self.limit.saturating_sub(self.area.saturating_sub(room)).min(room)
    }
}

/// Something that might be sent.
#[derive(Clone, Copy)]
enum Candidate {
    /// Again: the packet under way at this offset.
    Repeat(u32),
    Control,
    /// The next message of a place.
    Route(usize),
}

const fn rank(priority: u8, record: &Record, whole: bool) -> u8 {
    let class = match (record.is_reliable_message(), whole) {
        (true, true) => 3,
        (false, true) => 2,
        (true, false) => 1,
        (false, false) => 0,
    };
    priority * 4 + class
}

impl Core {
    /// How many bytes of packets a frame should have on this line, at the most.
    pub(super) fn frame_limit(&self) -> usize {
        let framing = self.link.framing;
        let most = self.content_max().saturating_sub(framing.check_len());
        // A datagram is lost because there was no room for one more, not because one of its bytes was damaged.
        let damages = matches!(framing.known(), Framing::Serial);
        if !capability::RELIABLE || !damages || !self.adaptive {
            return most;
        }
        // Check, code byte and delimiter are part of what is damaged.
        let wanted = self.sizing.frame().saturating_sub(framing.check_len() + 2);
        wanted.max(FRAME_MIN - framing.check_len()).min(most)
    }

    /// Largest payload of a message, by its route and kind, that goes whole into a frame, whatever its numbers are.
    fn whole_max(&self, slot: &Slot, reliable: bool, expires: bool) -> usize {
        let width = self.link.framing.seq_width();
        let farthest = self.sender.window();
        let overhead = match (expires, reliable) {
            (true, _) => {
                let (reliable, life) = (reliable.then_some((0, farthest)), Some(u32::MAX));
                Extended { route: slot.number, reliable, number: 0, life, part: None }.len(0, width, true)
            }
            (false, true) => reliable_len(slot.number, farthest, 0, width, true),
            (false, false) => best_effort_len(slot.number, 0, true),
        };
        self.content_max().saturating_sub(self.link.framing.check_len() + overhead)
    }

    /// Largest payload of a route with an audience: that the reader's room and our store can hold.
    pub(super) fn payload_limit(&self, slot: &Slot, tx_len: usize, expires: bool) -> usize {
        let class = if slot.has(local::RELIABLE) { Class::Reliable } else { Class::BestEffort };
        let whole = self.whole_max(slot, class == Class::Reliable, expires);
        let deadline = if expires { DEADLINE } else { 0 };
        let store = |large| Outbox::limit(tx_len, class, large).saturating_sub(deadline);
        let frames = match self.has(CAPABILITY_FRAGMENTS) {
            true => store(true).max(store(false).min(whole)),
            false => store(false).min(whole),
        };
        let window = slot.largest_payload().saturating_sub(if expires { LIFE_COST } else { 0 });
        frames.min(window).min(self.peer.message_max as usize)
    }

    /// Whether a message of this length is sent in fragments, whatever the line is like.
    pub(super) fn needs_fragments(&self, slot: &Slot, record: &Record) -> bool {
        record.len as usize > self.whole_max(slot, record.is(flag::RELIABLE), record.is(flag::EXPIRES))
    }

    /// The next packet that fits into `room` bytes as the frame's last.
    pub(super) fn choose(
        &mut self,
        t: &mut Tables<'_>,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Choice {
        let forced = match fill.rank {
            None if capability::RELIABLE => [Class::Reliable, Class::BestEffort]
                .into_iter()
                .find(|class| self.passed_over.get(*class as usize).is_some_and(|n| *n >= PASSED_OVER_MAX)),
            _ => None,
        };
        let best = forced.and_then(|class| self.best(t, Some(class))).or_else(|| self.best(t, None));
        let Some((candidate, rank)) = best else { return Choice::Nothing };
        if self.link.bits_per_second > 0 && fill.rank.is_some_and(|before| rank < before) {
            return Choice::Nothing;
        }
        let chosen = match candidate {
            Candidate::Repeat(offset) => self.repeat(t, offset, room, fill, now),
            Candidate::Control => self.send_control(t, room, fill, now),
            Candidate::Route(index) => self.send_message(t, index, room, fill, now),
        };
        match chosen {
            None => Choice::NoRoom,
            Some(chosen) => {
                fill.rank = Some(rank);
                let class = usize::from(
                    matches!(chosen.header, Header::BestEffort { .. })
                        || matches!(chosen.header, Header::Extended(Extended { reliable: None, .. })),
                );
                fill.sent.iter_mut().skip(class).take(1).for_each(|sent| *sent = true);
                Choice::Next(chosen)
            }
        }
    }

    /// What has the highest rank of all, or of one class.
    fn best(&mut self, t: &Tables<'_>, class: Option<Class>) -> Option<(Candidate, u8)> {
        let mut best: Option<(Candidate, u8)> = None;
        let mut consider = |candidate, rank| {
            if best.is_none_or(|(_, highest)| rank > highest) {
                best = Some((candidate, rank));
            }
        };
        let may_send = self.sender.may_send();
        if class != Some(Class::BestEffort) {
            if self.sender.must_repeat() {
                for offset in self.sender.lost().chain(self.sender.behind()) {
                    let Some((_, record)) = self.outbox.nth(t.tx, offset) else { break };
                    consider(Candidate::Repeat(offset), self.rank_under_way(t, &record));
                }
            }
            if may_send && !self.outbox.control().is_empty() {
                consider(Candidate::Control, CONTROL_RANK);
            }
        }
        if self.outbox.waiting(Class::Reliable) + self.outbox.waiting(Class::BestEffort) == 0 {
            return best;
        }
        let (count, first) = (t.routes.len(), usize::from(self.next_route));
        for index in (first..count).chain(0..first.min(count)) {
            let Some(slot) = t.routes.get(index).filter(|slot| !slot.queue.is_empty()) else { continue };
            let Some((id, record)) =
                Outbox::front(t.tx, &slot.queue).filter(|_| slot.peer_has(peer::COUNTED))
            else {
                continue;
            };
            let reliable = record.is_reliable_message();
            let wanted = class.is_none_or(|class| (class == Class::Reliable) == reliable);
            let large = record.is(flag::LARGE) || self.needs_fragments(slot, &record);
            let possible = !reliable || (may_send && (!large || self.outbox.can_launch_fragment(t.tx, id)));
            if wanted && possible {
                consider(Candidate::Route(index), rank(slot.priority, &record, !large));
            }
        }
        best
    }

    fn rank_under_way(&self, t: &Tables<'_>, record: &Record) -> u8 {
        if !capability::RELIABLE || record.is(flag::CONTROL | flag::DEAD) {
            return CONTROL_RANK;
        }
        let priority = t.routes.get(usize::from(record.slot)).map_or(0, |slot| slot.priority);
        rank(priority, record, !record.is(flag::FRAGMENT))
    }

    /// Sends a packet that is under way once more. None: it does not fit.
    fn repeat(
        &mut self,
        t: &mut Tables<'_>,
        offset: u32,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let (id, record) = self.outbox.nth(t.tx, offset)?;
        let seq = self.sender.acked().wrapping_add(offset);
        let distance = u32::from(record.distance());
        let payload = if record.is(flag::FRAGMENT) { Outbox::message_of(t.tx, id) } else { id };
        let message = Outbox::record(t.tx, payload).waiting();
        let slot = t.routes.get(usize::from(record.slot)).filter(|slot| slot.peer_has(peer::COUNTED));
        let header = match slot {
            _ if !capability::RELIABLE || record.is(flag::CONTROL) => {
                Header::Reliable { number: 0, seq, distance }
            }
            Some(slot) if !record.is(flag::DEAD) => {
                let part = record.is(flag::FRAGMENT).then_some((record.offset, message.len));
                message_header(
                    slot,
                    t.tx,
                    payload,
                    &message,
                    (seq, distance),
                    part,
                    self.link.framing.seq_width(),
                    now,
                )
            }
            _ => Header::Skip { seq, distance },
        };
        let skipped = matches!(header, Header::Skip { .. });
        let (start, len) = match (skipped, record.is(flag::FRAGMENT)) {
            (true, _) => (0, 0),
            (false, true) => (record.offset as usize, record.len as usize),
            (false, false) => (0, record.len as usize),
        };
        let chosen = Chosen { header, payload, offset: start, len, done: false };
        // What was sent in a frame that was too large for the line goes alone, the others share smaller ones.
        if !fill.fits(chosen.len(self.link.framing.seq_width(), true), room) {
            return None;
        }
        self.sender.repeat(offset);
        self.proof = None;
        self.wants_proof = self.link.is_ordered() && !self.link.is_lossless();
        count(&mut self.counters.retransmitted, 1);
        self.on_reliable_sent(t, id, seq, false, fill, now);
        Some(chosen)
    }

    fn send_control(
        &mut self,
        t: &mut Tables<'_>,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let (id, record) = Outbox::front(t.tx, self.outbox.control())?;
        let distance = self.distance(self.last_control);
        let seq = self.sender.next();
        let header = Header::Reliable { number: 0, seq, distance };
        let chosen = Chosen { header, payload: id, offset: 0, len: record.len as usize, done: false };
        if chosen.len(self.link.framing.seq_width(), true) > room {
            return None;
        }
        self.sender.send();
        self.outbox.dequeue_control(t.tx);
        self.outbox.launch(t.tx, id, distance as u16);
        self.last_control = Some(seq);
        self.on_reliable_sent(t, id, seq, true, fill, now);
        Some(chosen)
    }

    fn send_message(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let width = self.link.framing.seq_width();
        let slot = t.routes.get(index)?;
        let (id, record) = Outbox::front(t.tx, &slot.queue)?;
        let reliable = record.is_reliable_message();
        let last = slot.peer_has(peer::SENT).then_some(slot.last_seq);
        let (seq, distance) = (self.sender.next(), self.distance(last));
        let whole = Chosen {
            header: message_header(slot, t.tx, id, &record, (seq, distance), None, width, now),
            payload: id,
            offset: 0,
            len: record.len as usize,
            done: !reliable,
        };
        let need = whole.len(width, true);
        let fits = fill.fits(need, room);
        if fits && record.is(flag::LARGE) && record.offset == 0 {
            // The frames of this link are larger than those of the one before.
            self.outbox.set_large(t.tx, id, false);
        }
        let record = Outbox::record(t.tx, id);
        let splits = self.has(CAPABILITY_FRAGMENTS)
            && (record.is(flag::LARGE)
                || need > fill.limit
                    && (!reliable
                        || self.outbox.can_launch_fragment(t.tx, id)
                        || self.needs_fragments(slot, &record)));
        if !splits {
            // It goes alone if it is more than a frame should have.
            if !fits {
                return None;
            }
            self.on_message_sent(t, index, &record, reliable.then_some((id, seq, distance)), true, fill, now);
            return Some(whole);
        }
        let room = fill.room(room);
        let left = record.len.saturating_sub(record.offset);
        let extended = Extended {
            route: slot.number,
            reliable: reliable.then_some((seq & width.mask(), distance)),
            number: record.number(),
            life: life(t.tx, id, &record, now),
            part: Some((record.offset, record.len)),
        };
        let most = room.saturating_sub(extended.len(0, width, true));
        let len = most.min(left as usize);
        if len < FRAGMENT_MIN.min(left as usize) || len == 0 || len == record.len as usize {
            return None;
        }
        if reliable && !self.outbox.can_launch_fragment(t.tx, id) {
            return None;
        }
        self.outbox.set_large(t.tx, id, true);
        let end = len == left as usize;
        let fragment = match reliable {
            true => {
                Some((self.outbox.launch_fragment(t.tx, id, len as u32, distance as u16)?, seq, distance))
            }
            false => {
                Outbox::progress(t.tx, id, len as u32);
                None
            }
        };
        self.on_message_sent(t, index, &record, fragment, end, fill, now);
        let header = Header::Extended(extended);
        Some(Chosen { header, payload: id, offset: record.offset as usize, len, done: end && !reliable })
    }

    /// A message of a place, or a part of it, is sent for the first time; `end`: nothing of it is left to send.
    #[expect(clippy::too_many_arguments, reason = "what is known of one packet")]
    fn on_message_sent(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        record: &Record,
        packet: Option<(Id, u32, u32)>,
        end: bool,
        fill: &mut Fill,
        now: Instant,
    ) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        self.next_route = (index + 1) as u16;
        if end {
            self.outbox.dequeue(t.tx, &mut slot.queue);
        }
        match packet {
            None => self.sent_best_effort = self.sent_best_effort.wrapping_add(u32::from(end)),
            Some((id, seq, distance)) => {
                self.sender.send();
                self.wants_proof = false;
                slot.last_seq = seq;
                slot.peer |= peer::SENT;
                slot.under_way = slot.under_way.saturating_add(1);
                // A fragment has its own record, which is under way already.
                if !Outbox::record(t.tx, id).is(flag::FRAGMENT) {
                    debug_assert!(end && !record.is(flag::LARGE), "a whole message");
                    self.outbox.launch(t.tx, id, distance as u16);
                }
                self.on_reliable_sent(t, id, seq, true, fill, now);
            }
        }
    }

    fn on_reliable_sent(
        &mut self,
        t: &mut Tables<'_>,
        id: Id,
        seq: u32,
        new: bool,
        fill: &mut Fill,
        now: Instant,
    ) {
        if capability::RELIABLE {
            let leads = if fill.leads { 0 } else { flag::LEADS };
            Outbox::set_flags(t.tx, id, flag::LEADS, leads);
            fill.leads = true;
        }
        self.rto.on_transmit(seq, new, now);
        if !self.link.is_lossless() && !self.timers.is_set(Timer::Retransmit) {
            let at = self.patience(now);
            self.timers.set(Timer::Retransmit, at);
        }
    }

    /// The packet is written: what is done with gives its room back.
    pub(super) fn on_emitted(&mut self, t: &mut Tables<'_>, chosen: &Chosen) {
        if !chosen.done {
            return;
        }
        let record = Outbox::record(t.tx, chosen.payload);
        let index = usize::from(record.slot);
        self.outbox.finish_best_effort(t.tx, chosen.payload);
        // A route that was withdrawn may have waited for this.
        if t.routes.get(index).is_some_and(|slot| !slot.has(local::DECLARED)) {
            Self::settle(t, index);
        }
    }

    /// How far back the previous reliable packet of the same route is; 0 if it is acknowledged, or there is none.
    fn distance(&self, last: Option<u32>) -> u32 {
        let seq = self.sender.next();
        // At or above `acked` means: not acknowledged.
        last.map(|last| seq.wrapping_sub(last))
            .filter(|distance| *distance <= seq.wrapping_sub(self.sender.acked()))
            .unwrap_or(0)
    }

    pub(super) fn count_passed_over(&mut self, fill: &Fill) {
        if !capability::RELIABLE {
            // Only declarations are of the other class, and they are few.
            return;
        }
        let waits = [
            self.sender.must_repeat() || self.outbox.waiting(Class::Reliable) > 0 && self.sender.may_send(),
            self.outbox.waiting(Class::BestEffort) > 0,
        ];
        for ((count, sent), waits) in self.passed_over.iter_mut().zip(fill.sent).zip(waits) {
            *count = if waits && !sent { count.saturating_add(1) } else { 0 };
        }
    }
}

fn life(tx: &[u8], id: Id, record: &Record, now: Instant) -> Option<u32> {
    record.is(flag::EXPIRES).then(|| Lapse::from_bits(Outbox::deadline(tx, id)).left_ms(now))
}

#[expect(clippy::too_many_arguments, reason = "what is known of one packet")]
fn message_header(
    slot: &Slot,
    tx: &[u8],
    id: Id,
    record: &Record,
    (seq, distance): (u32, u32),
    part: Option<(u32, u32)>,
    width: SeqWidth,
    now: Instant,
) -> Header {
    let (route, reliable) = (slot.number, record.is_reliable_message());
    if part.is_some() || record.is(flag::EXPIRES) {
        let reliable = reliable.then_some((seq & width.mask(), distance));
        let life = life(tx, id, record, now);
        return Header::Extended(Extended { route, reliable, number: record.number(), life, part });
    }
    match reliable {
        true => Header::Reliable { number: route, seq, distance },
        false => Header::BestEffort { number: route, count: record.number() & 0x3F },
    }
}
