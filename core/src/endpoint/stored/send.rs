//! What was chosen is sent: it is written, counts as under way, and what must be known to repeat it is kept.
//!
//! Invariant: a packet's number and distance never change. Which packet is next is decided in [`choice`](super::choice).

use super::fill::{Fill, Payload};
use crate::blocks::Id;
use crate::capability;
use crate::endpoint::state::Core;
use crate::endpoint::stats::count;
use crate::endpoint::storage::Tables;
use crate::limits::{CAPABILITY_FRAGMENTS, FRAGMENT_MIN};
use crate::outbox::{Class, Outbox, Record, flag};
use crate::packet::Extended;
use crate::routes::{Slot, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};

impl Core {
    /// Sends a packet that is under way once more. None: it does not fit.
    pub(super) fn repeat(
        &mut self,
        t: &mut Tables<'_>,
        offset: u32,
        fill: &mut Fill<'_, '_>,
        now: Instant,
    ) -> Option<Class> {
        let (id, record) = self.outbox.nth(t.tx, offset)?;
        let seq = self.sender.acked().wrapping_add(offset);
        let distance = u32::from(record.distance());
        let fragment = record.is(flag::FRAGMENT);
        let message_id = if fragment { Outbox::message_of(t.tx, id) } else { id };
        let message = Outbox::record(t.tx, message_id).waiting();
        let slot = t.routes.get(usize::from(record.slot)).filter(|slot| slot.peer_has(peer::COUNTED));
        let header = match slot {
            _ if !capability::RELIABLE || record.is(flag::CONTROL) => Some(control_header(seq, distance)),
            Some(slot) if !record.is(flag::DEAD) => {
                let part = fragment.then_some((record.offset, message.len));
                Some(message_header(slot, t.tx, message_id, &message, (seq, distance), part, now))
            }
            _ => None,
        };
        let len = record.len as usize;
        let need = match &header {
            Some(header) => fill.begin(header, len),
            None => fill.begin_skip(seq, distance),
        };
        // What was sent in a frame that was too large for the line goes alone, the others share smaller ones.
        if !fill.fits(need) {
            return None;
        }
        match header {
            Some(_) => {
                let offset = message.head() + if fragment { record.offset as usize } else { 0 };
                fill.append(t.tx, Payload { id: message_id, offset, len });
            }
            None => fill.append_skip(),
        }
        self.sender.repeat(offset);
        self.proof = None;
        self.wants_proof = self.link.is_ordered() && !self.link.is_lossless();
        count(&mut self.counters.retransmitted, 1);
        self.on_reliable_sent(t, id, seq, false, fill, now);
        Some(Class::Reliable)
    }

    pub(super) fn send_control(
        &mut self,
        t: &mut Tables<'_>,
        fill: &mut Fill<'_, '_>,
        now: Instant,
    ) -> Option<Class> {
        let id = self.outbox.control().front()?;
        let record = Outbox::record(t.tx, id);
        let distance = self.distance(self.last_control);
        let seq = self.sender.next();
        let payload = Payload { id, offset: 0, len: record.len as usize };
        if fill.begin(&control_header(seq, distance), payload.len) > fill.left() {
            return None;
        }
        fill.append(t.tx, payload);
        self.sender.send();
        self.outbox.dequeue_control(&record);
        self.outbox.launch(t.tx, id, &record, distance as u16);
        self.last_control = Some(seq);
        self.on_reliable_sent(t, id, seq, true, fill, now);
        Some(Class::Reliable)
    }

    pub(super) fn send_message(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        fill: &mut Fill<'_, '_>,
        now: Instant,
    ) -> Option<Class> {
        let slot = t.routes.get(index)?;
        let id = slot.queue.front()?;
        let mut record = Outbox::record(t.tx, id);
        let reliable = record.is_reliable_message();
        let numbers = match reliable {
            true => (self.sender.next(), self.distance(slot.peer_has(peer::SENT).then_some(slot.last_seq))),
            false => (0, 0),
        };
        let payload = Payload { id, offset: record.head(), len: record.len as usize };
        let mut header = message_header(slot, t.tx, id, &record, numbers, None, now);
        let need = fill.begin(&header, payload.len);
        let fits = fill.fits(need);
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
            return self.send_fragment(t, index, (id, &record), &mut header, fill, now);
        }
        // It goes alone if it is more than a frame should have.
        if !fits {
            return None;
        }
        fill.append(t.tx, payload);
        if reliable {
            self.outbox.launch(t.tx, id, &record, numbers.1 as u16);
        }
        self.on_message_sent(t, index, (id, &record), reliable.then_some((id, numbers.0)), true, fill, now);
        Some(record.class())
    }

    /// Sends as much of a message as fits, if that is worth a packet; `header`: as if it were sent whole.
    fn send_fragment(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        (id, record): (Id, &Record),
        header: &mut Extended,
        fill: &mut Fill<'_, '_>,
        now: Instant,
    ) -> Option<Class> {
        let left = record.len.saturating_sub(record.offset);
        header.part = Some((record.offset, record.len));
        let most = fill.room().saturating_sub(header.len(0, fill.width, true));
        let len = most.min(left as usize);
        if len < FRAGMENT_MIN.min(left as usize) || len == 0 || len == record.len as usize {
            return None;
        }
        let fragment = match header.reliable {
            Some((seq, distance)) => {
                self.outbox.can_launch_fragment(t.tx, id).then_some(())?;
                self.outbox.set_large(t.tx, id, true);
                Some((self.outbox.launch_fragment(t.tx, id, len as u32, distance as u16)?, seq))
            }
            None => {
                self.outbox.set_large(t.tx, id, true);
                Outbox::progress(t.tx, id, len as u32);
                None
            }
        };
        let payload = Payload { id, offset: record.head() + record.offset as usize, len };
        fill.begin(header, len);
        fill.append(t.tx, payload);
        self.on_message_sent(t, index, (id, record), fragment, len == left as usize, fill, now);
        Some(record.class())
    }

    /// A message of a place, or a part of it, is sent for the first time; `end`: nothing of it is left to send. A reliable
    /// packet is under way: `packet` is its record and number.
    #[expect(clippy::too_many_arguments, reason = "what is known of one packet")]
    fn on_message_sent(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        (id, record): (Id, &Record),
        packet: Option<(Id, u32)>,
        end: bool,
        fill: &mut Fill<'_, '_>,
        now: Instant,
    ) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        self.next_route = (index + 1) as u16;
        if end {
            self.outbox.dequeue(&mut slot.queue, record);
        }
        match packet {
            None if end => {
                self.sent_best_effort = self.sent_best_effort.wrapping_add(1);
                self.outbox.finish(t.tx, id, record);
                // A route that was withdrawn may have waited for this.
                if !slot.has(local::DECLARED) {
                    Self::settle(t, index);
                }
            }
            None => {}
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
        fill: &mut Fill<'_, '_>,
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

/// The header of a message, or of the part of it that is a fragment.
fn message_header(
    slot: &Slot,
    tx: &[u8],
    id: Id,
    record: &Record,
    numbers: (u32, u32),
    part: Option<(u32, u32)>,
    now: Instant,
) -> Extended {
    let reliable = record.is_reliable_message().then_some(numbers);
    Extended { route: slot.number, reliable, number: record.number(), life: life(tx, id, record, now), part }
}

/// The header of a control record.
const fn control_header(seq: u32, distance: u32) -> Extended {
    Extended { route: 0, reliable: Some((seq, distance)), number: 0, life: None, part: None }
}
