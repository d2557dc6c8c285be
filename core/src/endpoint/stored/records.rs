//! Control records: declarations, withdrawals, notices and refusals, derived from what is due in the tables when there is
//! room for them.
//!
//! Invariant: what was turned into a record is due no more, and what found no room stays due. Messages are in [`output`].
//!
//! [`output`]: crate::endpoint::output

use super::choice::RELIABLE_OVERHEAD;
use crate::blocks::Chain;
use crate::capability;
use crate::endpoint::declaration::{emit_declaration, emit_notice};
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::limits::CONTROL_HEADER_MAX;
use crate::message::EncodeError;
use crate::outbox::{Class, NO_SLOT, Outbox, Record, flag};
use crate::packet::control::{INTENT, INTENTS, INTEREST, INTERESTS, emit_expired, emit_result_header};
use crate::queue::Sink;
use crate::results::ServedState;
use crate::route::ROUTE_TEXT_MAX;
use crate::routes::{self, Slot, due, local};
use crate::time::Instant;
use crate::wire::{Full, Writer};

/// Largest declaration: flags, number, window, counts, name, extension.
const DECLARATION_MAX: usize = ROUTE_TEXT_MAX + 40;

/// What the acknowledgement of a control record is for: a number may be used again, or the peer knows what was discarded.
pub(super) const ABOUT_WITHDRAWAL: u32 = 0;
const ABOUT_EXPIRED: u32 = 1;
/// Or the counts that it stated are known.
pub(super) const ABOUT_INTERESTS: u32 = 2;

/// How an application's payload is written. By reference, since what calls it is large, and there would be one for each.
pub(in crate::endpoint) type Write<'w> = dyn FnMut(&mut Sink<'_>) -> Result<(), EncodeError> + 'w;

impl Core {
    /// Turns what is due in the tables into control records, as far as there is room for them.
    pub(in crate::endpoint) fn derive_records(&mut self, t: &mut Tables<'_>, now: Instant) {
        let expired = !capability::RECEIVE || !capability::EXPIRY || self.derive_expired(t);
        let gone = expired && self.derive_gone(t);
        let intents = gone && self.derive_declarations(t, due::INTENT);
        let interests = intents && (!capability::RECEIVE || self.derive_declarations(t, due::INTEREST));
        let notices = interests && self.derive_notices(t);
        let refusals = notices && (!capability::REQUESTS || self.derive_refusals(t));
        let waits = |slot: &Slot| slot.is_due(due::TAKEN) && !slot.is_due(due::EXPIRED | due::TOLD);
        let taken = self.interests == 0 && t.routes.iter().any(waits);
        self.records_wait = !refusals;
        self.tables_due = !refusals;
        self.taken_due |= taken;
        if capability::EXPIRY {
            for index in 0..t.routes.len() {
                if t.routes.get(index).is_some_and(|slot| slot.has(local::GIVE)) {
                    self.give_sample(t, index, now);
                }
            }
        }
    }

    /// Queues a control record; false: no room now. `about`: the place and the sort of thing that its acknowledgement is
    /// for.
    fn push_control(&mut self, t: &mut Tables<'_>, (slot, about): (u16, u32), parts: [&[u8]; 2]) -> bool {
        let mut sink = self.outbox.sink(t.tx, Class::Reliable);
        parts.iter().for_each(|part| sink.write(part));
        let chain = sink.finish();
        if chain.overflowed {
            self.outbox.discard(t.tx, chain);
            return false;
        }
        self.keep_control(t, chain, chain.len, (slot, about));
        true
    }

    /// Writes a control record of a header and an application's payload of at most `limit` bytes; what was refused leaves
    /// nothing behind. `encode` and `too_large`: what that is called.
    pub(super) fn write_control<E>(
        &mut self,
        tx: &mut [u8],
        header: &[u8],
        limit: usize,
        write: &mut Write<'_>,
        (encode, too_large): (E, E),
    ) -> nb::Result<Chain, E> {
        let mut sink = self.outbox.sink(tx, Class::Reliable);
        sink.write(header);
        let written = write(&mut sink);
        let chain = sink.finish();
        let refused = if written.is_err() {
            encode.into()
        } else if chain.len - header.len() > limit {
            too_large.into()
        } else if chain.overflowed {
            nb::Error::WouldBlock
        } else {
            return Ok(chain);
        };
        self.outbox.discard(tx, chain);
        Err(refused)
    }

    /// Puts a control record of `len` bytes that was written behind the others.
    pub(super) fn keep_control(
        &mut self,
        t: &mut Tables<'_>,
        chain: Chain,
        len: usize,
        (slot, about): (u16, u32),
    ) {
        let flags = flag::RELIABLE | flag::CONTROL;
        let record = Record::new(len as u32, flags, slot, about);
        let id = self.outbox.keep(t.tx, chain, record);
        self.outbox.enqueue_control(t.tx, id);
        self.blocked = false;
    }

    /// Largest control record that a frame and our store hold.
    fn control_max(&self, tx_len: usize) -> usize {
        let frame = self.content_max().saturating_sub(self.link.framing.check_len() + RELIABLE_OVERHEAD);
        frame.min(Outbox::limit(tx_len, Class::Reliable, true))
    }

    fn derive_expired(&mut self, t: &mut Tables<'_>) -> bool {
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get(index) else { continue };
            if !slot.is_due(due::EXPIRED) || slot.is_due(due::TOLD) {
                continue;
            }
            let mut buffer = [0; 24];
            let mut w = Writer::new(&mut buffer);
            let written = emit_expired(&slot.expired_report(routes::number_of(t.routes, index)), &mut w);
            if written.is_ok() && !self.push_control(t, (index as u16, ABOUT_EXPIRED), [w.written(), &[]]) {
                return false;
            }
            self.clear_due(t, index, due::EXPIRED | due::TAKEN, due::TOLD);
            if let Some(slot) = t.routes.get_mut(index) {
                slot.expired = 0;
                slot.reported = slot.taken;
            }
        }
        true
    }

    fn derive_gone(&mut self, t: &mut Tables<'_>) -> bool {
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get(index) else { continue };
            if slot.is_due(due::INTENT_GONE) {
                if !self.push_gone(t, index, (due::INTENT_GONE, INTENT), NO_SLOT) {
                    return false;
                }
                self.clear_due(t, index, due::INTENT_GONE, 0);
            }
            // What was discarded is told first.
            let Some(slot) = t.routes.get(index) else { continue };
            if slot.is_due(due::INTEREST_GONE) && !slot.is_due(due::EXPIRED) {
                if !self.push_gone(t, index, (due::INTEREST_GONE, INTEREST), index as u16) {
                    return false;
                }
                self.clear_due(t, index, due::INTEREST_GONE | due::ADVERTISED | due::TAKEN, due::RESTING);
                if let Some(slot) = t.routes.get_mut(index) {
                    slot.reset_counts();
                }
            }
            Self::settle(t, index);
        }
        true
    }

    /// Queues the withdrawal of what is declared on a place; false: no room now.
    fn push_gone(&mut self, t: &mut Tables<'_>, index: usize, (record, kind): (u16, u8), about: u16) -> bool {
        let Some(slot) = t.routes.get(index) else { return true };
        let mut buffer = [0; 32];
        let mut w = Writer::new(&mut buffer);
        w.put_u8(kind);
        emit_declaration(slot, routes::number_of(t.routes, index), record, true, &mut w).is_err()
            || self.push_control(t, (about, ABOUT_WITHDRAWAL), [w.written(), &[]])
    }

    fn clear_due(&self, t: &mut Tables<'_>, index: usize, clear: u16, set: u16) {
        if let Some(slot) = t.routes.get_mut(index) {
            slot.due = slot.due & !clear | set;
        }
    }

    /// Puts as many declarations of a kind into each record as fit.
    fn derive_declarations(&mut self, t: &mut Tables<'_>, kind: u16) -> bool {
        let max = self.control_max(t.tx.len());
        let mut next = 0;
        while next < t.routes.len() {
            let (one, many) = if kind == due::INTENT { (INTENT, INTENTS) } else { (INTEREST, INTERESTS) };
            let (first, mut used, mut count) = (next, 1, 0u32);
            let mut sink = self.outbox.sink(t.tx, Class::Reliable);
            // The kind is known when the number of declarations is: it is patched in by writing it last.
            let many_follow = t.routes.iter().skip(first).filter(|slot| wants(slot, kind)).count() > 1;
            sink.write(&[if many_follow { many } else { one }]);
            for (slot, index) in t.routes.iter().zip(0usize..).skip(first) {
                if wants(slot, kind) {
                    let mut buffer = [0; DECLARATION_MAX];
                    let mut w = Writer::new(&mut buffer);
                    if emit_within(
                        slot,
                        routes::number_of(t.routes, index),
                        kind,
                        max.saturating_sub(1),
                        &mut w,
                    )
                    .is_err()
                    {
                        next = index + 1;
                        continue;
                    }
                    if used + w.len() > max {
                        break;
                    }
                    sink.write(w.written());
                    if sink.overflowed() {
                        break;
                    }
                    used += w.len();
                    count += 1;
                }
                next = index + 1;
            }
            let chain = sink.finish();
            if count == 0 {
                self.outbox.discard(t.tx, chain);
                return next >= t.routes.len();
            }
            let about = if kind == due::INTEREST { ABOUT_INTERESTS } else { 0 };
            self.interests += u16::from(kind == due::INTEREST);
            self.keep_control(t, chain, used, (NO_SLOT, about));
            for slot in t.routes.iter_mut().take(next).skip(first).filter(|slot| wants(slot, kind)) {
                slot.due &= !kind;
                slot.local &= !local::ASK;
                if kind == due::INTEREST {
                    slot.due |= due::ADVERTISED;
                }
            }
        }
        true
    }

    fn derive_notices(&mut self, t: &mut Tables<'_>) -> bool {
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get(index).filter(|slot| slot.is_due(due::NOTIFY)) else { continue };
            let mut buffer = [0; 32];
            let mut w = Writer::new(&mut buffer);
            if emit_notice(slot, &mut w).is_ok() && !self.push_control(t, (NO_SLOT, 0), [w.written(), &[]]) {
                return false;
            }
            self.clear_due(t, index, due::NOTIFY, 0);
        }
        true
    }

    fn derive_refusals(&mut self, t: &mut Tables<'_>) -> bool {
        for index in 0..t.served.len() {
            let Some(place) = t.served.get(index).copied() else { continue };
            let ServedState::Refuse(code) = place.state else { continue };
            let mut buffer = [0; 16];
            let mut w = Writer::new(&mut buffer);
            if emit_result_header(place.id, code.into(), &mut w).is_ok()
                && !self.push_control(t, (NO_SLOT, 0), [w.written(), &[]])
            {
                return false;
            }
            if let Some(place) = t.served.get_mut(index) {
                place.state = ServedState::Free;
            }
        }
        true
    }

    /// Largest payload of a request or an answer.
    pub(super) fn control_payload_limit(&self, tx_len: usize) -> usize {
        self.control_max(tx_len).saturating_sub(CONTROL_HEADER_MAX)
    }
}

const fn wants(slot: &Slot, kind: u16) -> bool {
    // While its number rests, a renewed interest waits.
    slot.name.is_some() && slot.is_due(kind) && !(kind == due::INTEREST && slot.is_due(due::RESTING))
}

/// Writes the declaration of a place; with the name hashed, if its text is longer than `max` allows.
fn emit_within(slot: &Slot, number: u16, kind: u16, max: usize, w: &mut Writer<'_>) -> Result<(), Full> {
    for hashed in [false, true] {
        w.truncate(0);
        emit_declaration(slot, number, kind, hashed, w)?;
        if w.len() <= max {
            return Ok(());
        }
    }
    Err(Full)
}
