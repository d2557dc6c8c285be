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
use crate::message::Write;
use crate::outbox::{Class, NO_SLOT, Outbox, Record, flag};
use crate::packet::control::{INTENT, INTENTS, INTEREST, INTERESTS, emit_expired, emit_result_header};
use crate::results::ServedState;
use crate::routes::{self, Slot, due, local};
use crate::time::Instant;
use crate::wire::{Full, Writer};

/// What the acknowledgement of a control record is for: a number may be used again, or the peer knows what was discarded.
pub(super) const ABOUT_WITHDRAWAL: u32 = 0;
const ABOUT_EXPIRED: u32 = 1;
/// Or the counts that it stated are known.
pub(super) const ABOUT_INTERESTS: u32 = 2;

/// Why an application's payload did not become a control record.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    Encode,
    TooLarge,
}

impl Core {
    /// Turns what is due in the tables into control records, as far as there is room for them. They are written behind what
    /// stands in the frame, which is as it was afterwards: from the store they are sent, and sent again.
    pub(in crate::endpoint) fn derive_records(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        w: &mut Writer<'_>,
    ) {
        let before = w.len();
        let said = self.derive_single(t, w)
            && self.derive_declarations(t, due::INTENT, w)
            && (!capability::RECEIVE || self.derive_declarations(t, due::INTEREST, w))
            && (!capability::REQUESTS || self.derive_refusals(t, w));
        w.truncate(before);
        let waits = |slot: &Slot| slot.is_due(due::TAKEN) && !slot.is_due(due::EXPIRED | due::TOLD);
        let taken = self.interests == 0 && t.routes.iter().any(waits);
        self.records_wait = !said;
        self.tables_due = !said;
        self.taken_due |= taken;
        if capability::EXPIRY {
            for index in 0..t.routes.len() {
                if t.routes.get(index).is_some_and(|slot| slot.has(local::GIVE)) {
                    self.give_sample(t, index, now);
                }
            }
        }
    }

    /// Queues the control record that was written from `before` on, and takes it out of the frame; false: no room now.
    /// `about`: the place and the sort of thing that its acknowledgement is for.
    fn push_control(
        &mut self,
        t: &mut Tables<'_>,
        about: (u16, u32),
        w: &mut Writer<'_>,
        before: usize,
    ) -> bool {
        let mut sink = self.outbox.sink(t.tx, Class::Reliable);
        sink.write(w.written().get(before..).unwrap_or_default());
        let chain = sink.finish();
        // One that does not even fit behind the others in this frame has its turn in the next.
        if chain.overflowed || w.all().is_err() {
            self.outbox.discard(t.tx, chain);
            return false;
        }
        w.truncate(before);
        self.keep_control(t, chain, about);
        true
    }

    /// Writes a control record of a header and an application's payload of at most `limit` bytes; what was refused leaves
    /// nothing behind.
    pub(super) fn write_control(
        &mut self,
        tx: &mut [u8],
        header: &Writer<'_>,
        limit: usize,
        write: &mut Write<'_>,
    ) -> nb::Result<Chain, Refused> {
        let mut sink = self.outbox.sink(tx, Class::Reliable);
        sink.write(header.written());
        let written = write(&mut sink);
        let chain = sink.finish();
        let refused = if written.is_err() || header.all().is_err() {
            Refused::Encode.into()
        } else if chain.len - header.len() > limit {
            Refused::TooLarge.into()
        } else if chain.overflowed {
            nb::Error::WouldBlock
        } else {
            return Ok(chain);
        };
        self.outbox.discard(tx, chain);
        Err(refused)
    }

    /// Puts a control record that was written behind the others.
    pub(super) fn keep_control(&mut self, t: &mut Tables<'_>, chain: Chain, (slot, about): (u16, u32)) {
        let flags = flag::RELIABLE | flag::CONTROL;
        let record = Record::new(chain.len as u32, flags, slot, about);
        let id = self.outbox.keep(t.tx, chain, record);
        self.outbox.enqueue_control(t.tx, id);
        self.blocked = false;
    }

    /// Largest control record that a frame and our store hold.
    fn control_max(&self, tx_len: usize) -> usize {
        let frame = self.content_max().saturating_sub(self.link.framing.check_len() + RELIABLE_OVERHEAD);
        frame.min(Outbox::limit(tx_len, Class::Reliable, true))
    }

    /// The records that are about one place each: what was discarded, withdrawals, notices.
    fn derive_single(&mut self, t: &mut Tables<'_>, w: &mut Writer<'_>) -> bool {
        let before = w.len();
        for index in 0..t.routes.len() {
            let number = routes::number_of(t.routes, index);
            while let Some(slot) = t.routes.get(index) {
                let record = next_single(slot);
                let about = match record {
                    0 => break,
                    due::EXPIRED => ABOUT_EXPIRED,
                    _ => ABOUT_WITHDRAWAL,
                };
                // Whether they fit is asked once.
                let _ = match record {
                    due::EXPIRED => emit_expired(&slot.expired_report(number), w),
                    due::NOTIFY => emit_notice(slot, w),
                    _ => {
                        w.put_u8(if record == due::INTENT_GONE { INTENT } else { INTEREST });
                        emit_declaration(slot, number, record, true, w)
                    }
                };
                let place = match record {
                    due::EXPIRED | due::INTEREST_GONE => index as u16,
                    _ => NO_SLOT,
                };
                if !self.push_control(t, (place, about), w, before) {
                    return false;
                }
                t.routes.get_mut(index).into_iter().for_each(|slot| slot.on_said(record));
            }
            Self::settle(t, index);
        }
        true
    }

    /// Puts as many declarations of a kind into each record as fit.
    fn derive_declarations(&mut self, t: &mut Tables<'_>, kind: u16, w: &mut Writer<'_>) -> bool {
        let (one, many) = if kind == due::INTENT { (INTENT, INTENTS) } else { (INTEREST, INTERESTS) };
        let before = w.len();
        let end = self.control_max(t.tx.len());
        loop {
            let mut count = 0;
            w.put_u8(many);
            for (slot, index) in t.routes.iter().zip(0usize..).filter(|(slot, _)| wants(slot, kind)) {
                let mark = w.len();
                let number = routes::number_of(t.routes, index);
                let fits = |w: &Writer<'_>, written: Result<(), Full>| written.is_ok() && w.len() <= end;
                let written = emit_declaration(slot, number, kind, false, w);
                if fits(w, written) {
                    count += 1;
                    continue;
                }
                w.truncate(mark);
                if count > 0 || before > 0 {
                    // It has its turn in the next record, or in a frame without reports.
                    break;
                }
                // A name that is too long goes without its text.
                let written = emit_declaration(slot, number, kind, true, w);
                if !fits(w, written) {
                    w.truncate(mark);
                }
                count = 1;
                break;
            }
            if count == 0 {
                w.truncate(before);
                return !t.routes.iter().any(|slot| wants(slot, kind));
            }
            if count == 1 {
                w.change(before, |_| one);
            }
            let about = if kind == due::INTEREST { ABOUT_INTERESTS } else { 0 };
            if !self.push_control(t, (NO_SLOT, about), w, before) {
                return false;
            }
            self.interests += u16::from(kind == due::INTEREST);
            t.routes
                .iter_mut()
                .filter(|slot| wants(slot, kind))
                .take(count)
                .for_each(|slot| slot.on_said(kind));
        }
    }

    fn derive_refusals(&mut self, t: &mut Tables<'_>, w: &mut Writer<'_>) -> bool {
        let before = w.len();
        for index in 0..t.served.len() {
            let Some(place) = t.served.get(index) else { continue };
            let ServedState::Refuse(code) = place.state else { continue };
            let _ = emit_result_header(place.id, code.into(), w);
            if !self.push_control(t, (NO_SLOT, 0), w, before) {
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

/// The next record about a place by itself that is due; 0: none.
const fn next_single(slot: &Slot) -> u16 {
    const SINGLE: u16 = due::EXPIRED | due::INTENT_GONE | due::INTEREST_GONE | due::NOTIFY;
    let records = slot.due & due::POSSIBLE & SINGLE;
    // What was discarded is told first, and not again before that is acknowledged.
    if !slot.is_due(due::EXPIRED) {
        records & records.wrapping_neg()
    } else if !slot.is_due(due::TOLD) {
        due::EXPIRED
    } else {
        let records = records & !(due::EXPIRED | due::INTEREST_GONE);
        records & records.wrapping_neg()
    }
}
