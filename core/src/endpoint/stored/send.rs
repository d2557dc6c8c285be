//! What was chosen is sent: it counts as under way, and what must be known to repeat it is kept.
//!
//! Invariant: a packet's number and distance never change. Which packet is next is decided in [`choice`](super::choice).

use super::choice::{Chosen, Fill, Header};
use crate::blocks::Id;
use crate::capability;
use crate::endpoint::state::Core;
use crate::endpoint::stats::count;
use crate::endpoint::storage::Tables;
use crate::limits::{CAPABILITY_FRAGMENTS, FRAGMENT_MIN};
use crate::outbox::{Outbox, Record, flag};
use crate::packet::{Extended, SeqWidth};
use crate::routes::{Slot, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};

impl Core {
    /// Sends a packet that is under way once more. None: it does not fit.
    pub(super) fn repeat(
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
            (false, true) => (message.head() + record.offset as usize, record.len as usize),
            (false, false) => (message.head(), record.len as usize),
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

    pub(super) fn send_control(
        &mut self,
        t: &mut Tables<'_>,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let id = self.outbox.control().front()?;
        let record = Outbox::record(t.tx, id);
        let distance = self.distance(self.last_control);
        let seq = self.sender.next();
        let header = Header::Reliable { number: 0, seq, distance };
        let chosen = Chosen { header, payload: id, offset: 0, len: record.len as usize, done: false };
        if chosen.len(self.link.framing.seq_width(), true) > room {
            return None;
        }
        self.sender.send();
        self.outbox.dequeue_control(&record);
        self.outbox.launch(t.tx, id, &record, distance as u16);
        self.last_control = Some(seq);
        self.on_reliable_sent(t, id, seq, true, fill, now);
        Some(chosen)
    }

    pub(super) fn send_message(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let width = self.link.framing.seq_width();
        let slot = t.routes.get(index)?;
        let id = slot.queue.front()?;
        let mut record = Outbox::record(t.tx, id);
        let reliable = record.is_reliable_message();
        let numbers = match reliable {
            true => (self.sender.next(), self.distance(slot.peer_has(peer::SENT).then_some(slot.last_seq))),
            false => (0, 0),
        };
        let whole = Chosen {
            header: message_header(slot, t.tx, id, &record, numbers, None, width, now),
            payload: id,
            offset: record.head(),
            len: record.len as usize,
            done: !reliable,
        };
        let need = whole.len(width, true);
        let fits = fill.fits(need, room);
        if fits && record.is(flag::LARGE) && record.offset == 0 {
            // The frames of this link are larger than those of the one before.
            self.outbox.set_large(t.tx, id, false);
            record = Outbox::record(t.tx, id);
        }
        let large = record.is(flag::LARGE)
            || need > fill.limit
                && (!reliable
                    || self.outbox.can_launch_fragment(t.tx, id)
                    || self.needs_fragments(slot, &record));
        if large && self.has(CAPABILITY_FRAGMENTS) {
            return self.send_fragment(t, index, (id, &record), numbers, room, fill, now);
        }
        // It goes alone if it is more than a frame should have.
        if !fits {
            return None;
        }
        if reliable {
            self.outbox.launch(t.tx, id, &record, numbers.1 as u16);
        }
        self.on_message_sent(t, index, &record, reliable.then_some((id, numbers.0)), true, fill, now);
        Some(whole)
    }

    /// Sends as much of a message as fits, if that is worth a packet.
    #[expect(clippy::too_many_arguments, reason = "what is known of one packet")]
    fn send_fragment(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        (id, record): (Id, &Record),
        (seq, distance): (u32, u32),
        room: usize,
        fill: &mut Fill,
        now: Instant,
    ) -> Option<Chosen> {
        let width = self.link.framing.seq_width();
        let reliable = record.is_reliable_message();
        let left = record.len.saturating_sub(record.offset);
        let extended = Extended {
            route: t.routes.get(index)?.number,
            reliable: reliable.then_some((seq & width.mask(), distance)),
            number: record.number(),
            life: life(t.tx, id, record, now),
            part: Some((record.offset, record.len)),
        };
        let most = fill.room(room).saturating_sub(extended.len(0, width, true));
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
            true => Some((self.outbox.launch_fragment(t.tx, id, len as u32, distance as u16)?, seq)),
            false => {
                Outbox::progress(t.tx, id, len as u32);
                None
            }
        };
        self.on_message_sent(t, index, record, fragment, end, fill, now);
        let offset = record.head() + record.offset as usize;
        Some(Chosen { header: Header::Extended(extended), payload: id, offset, len, done: end && !reliable })
    }

    /// A message of a place, or a part of it, is sent for the first time; `end`: nothing of it is left to send. A reliable
    /// packet is under way: `packet` is its record and number.
    #[expect(clippy::too_many_arguments, reason = "what is known of one packet")]
    fn on_message_sent(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        record: &Record,
        packet: Option<(Id, u32)>,
        end: bool,
        fill: &mut Fill,
        now: Instant,
    ) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        self.next_route = (index + 1) as u16;
        if end {
            self.outbox.dequeue(&mut slot.queue, record);
        }
        match packet {
            None => self.sent_best_effort = self.sent_best_effort.wrapping_add(u32::from(end)),
            Some((id, seq)) => {
                self.sender.send();
                self.wants_proof = false;
                slot.last_seq = seq;
                slot.peer |= peer::SENT;
                slot.under_way = slot.under_way.saturating_add(1);
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
        self.outbox.finish(t.tx, chosen.payload, &record);
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
