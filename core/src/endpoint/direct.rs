//! What is sent, in a build that keeps nothing: messages are of best effort and leave in the order in which they were
//! published, and a control record is made of the table of routes when it leaves.
//!
//! One control record is under way at a time. It is remembered by what it is and whose; one that is lost is made anew, so
//! that it says how things stand now.
//!
//! Invariant: while a record about a place is under way, or a message of it waits, the place is not free. The other form of
//! this module is `stored`, for builds that send more.

use super::config::PublishOptions;
use super::declaration::{emit_declaration, emit_notice};
use super::state::{Core, Phase};
use super::stats::count;
use super::storage::Tables;
use crate::error::PublishError;
use crate::event::{RouteId, Ticket};
use crate::lane::{Lane, Waiting};
use crate::limiter::{self, Direction};
use crate::log::log;
use crate::message::{EncodeError, Write};
use crate::packet::control::{INTENT, INTEREST};
use crate::packet::{best_effort_len, emit_best_effort_header, emit_reliable_header};
use crate::queue::Sink;
use crate::routes::{self, Slot, due, local, peer};
use crate::time::Instant;
use crate::timers::{Soonest, Timer};
use crate::wire::{Full, Writer};

/// How long an acknowledgement is waited for besides what frames take, ms. It is not measured: only declarations wait for
/// it.
const PATIENCE_MS: u32 = 500;
/// Four frames, in bits on the line times ms in a second, by each byte of a frame's content: as long as a round trip is
/// taken to be before it is measured.
const FRAMES_BITS_MS: u32 = 4 * 10 * 1000;

/// What waits, and what is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outbox {
    lane: Lane,
    /// The control record that is under way: its bit of [`due`], 0 if there is none, and its place.
    record: u16,
    place: u16,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { lane: Lane::new(), record: 0, place: 0 }
    }
}

/// The application publishes.
impl Core {
    pub(super) fn publish(
        &mut self,
        t: &mut Tables<'_>,
        route: RouteId,
        _: PublishOptions,
        write: &mut Write<'_>,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        let limit = self.may_publish(t, route)?;
        let mut sink = Sink::new(self.outbox.lane.area(t.tx));
        write(&mut sink).map_err(|EncodeError| PublishError::Encode)?;
        let len = sink.len();
        if len > limit {
            return Err(PublishError::TooLarge { limit }.into());
        }
        if sink.overflowed() || !self.keep_message(t, route, len) {
            return Err(nb::Error::WouldBlock);
        }
        Ok(None)
    }

    /// Largest payload that may be published on a route now.
    #[inline(never)]
    fn may_publish(&mut self, t: &mut Tables<'_>, route: RouteId) -> nb::Result<usize, PublishError> {
        let slot = routes::get(t.routes, route).filter(|slot| slot.has(local::INTENT));
        let slot = slot.ok_or(PublishError::NotDeclared)?;
        if self.phase != Phase::Established {
            return Err(PublishError::Disconnected.into());
        }
        if slot.peer_has(peer::CONFLICT) {
            return Err(PublishError::RouteConflict.into());
        }
        if !slot.has_audience() {
            return Err(PublishError::NoAudience.into());
        }
        if let Some(at) = limiter::wait(t.limiters, usize::from(route.index), Direction::Out, self.now) {
            self.timers.advance(Timer::Rate, at);
            return Err(nb::Error::WouldBlock);
        }
        Ok(self.payload_limit(slot, t.tx.len()))
    }

    #[inline(never)]
    fn keep_message(&mut self, t: &mut Tables<'_>, route: RouteId, len: usize) -> bool {
        if !self.outbox.lane.push(t.tx, route.index, len) {
            return false;
        }
        limiter::pass(t.limiters, usize::from(route.index), Direction::Out, self.now);
        if let Some(slot) = t.routes.get_mut(usize::from(route.index)) {
            slot.under_way = slot.under_way.wrapping_add(1);
        }
        self.blocked = false;
        true
    }

    /// Largest payload that a frame, the store, the reader's window and the peer take.
    fn payload_limit(&self, slot: &Slot, tx_len: usize) -> usize {
        let overhead = self.link.framing.check_len() + best_effort_len(slot.number, 0, true);
        let frame = self.content_max().saturating_sub(overhead);
        let store = Lane::limit(tx_len).min(self.peer.message_max as usize);
        frame.min(store).min(slot.largest_payload())
    }

    pub(super) fn limit_now(&self, _: &[Slot], slot: &Slot, _: RouteId, tx_len: usize, _: bool) -> usize {
        self.payload_limit(slot, tx_len)
    }
}

/// The line takes a frame.
impl Core {
    /// Whether anything is to be sent, or sent again.
    pub(super) fn has_messages(&self) -> bool {
        !self.outbox.lane.is_empty() || self.sender.must_repeat()
    }

    pub(super) fn derive_records(&mut self, t: &Tables<'_>, _: Instant, _: &mut Writer<'_>) {
        self.tables_due = t.routes.iter().any(|slot| slot.is_due(due::RECORDS | due::TAKEN));
    }

    /// Fills the frame: with a control record, which ends it, or with messages. Returns whether a reliable packet leads it,
    /// by which other builds judge the line.
    pub(super) fn emit_messages(&mut self, t: &mut Tables<'_>, _: Instant, w: &mut Writer<'_>) -> bool {
        let again = self.sender.must_repeat();
        if !again && self.sender.in_flight() == 0 && self.tables_due {
            self.outbox.next_record(t.routes);
        }
        if !again && (self.sender.in_flight() > 0 || self.outbox.record == 0) {
            self.emit_lane(t, w);
            return false;
        }
        let before = w.len();
        if self.emit_control(t, w).is_err() {
            // It needs a frame without reports.
            w.truncate(before);
            self.squeezed = before > 0;
            return false;
        }
        if again {
            self.sender.repeat(0);
            count(&mut self.counters.retransmitted, 1);
        } else {
            self.sender.send();
            self.on_record_sent(t);
        }
        let frames = (self.content_max() as u32).saturating_mul(FRAMES_BITS_MS);
        let ms = PATIENCE_MS + frames.checked_div(self.link.bits_per_second).unwrap_or(0);
        self.start_timer(Timer::Retransmit, ms);
        false
    }

    /// Appends the control record that is under way, or about to be. It is alone of its kind: nothing is before it in its
    /// sequence that is not acknowledged.
    fn emit_control(&self, t: &Tables<'_>, w: &mut Writer<'_>) -> Result<(), Full> {
        let Outbox { record, place, .. } = self.outbox;
        let place = usize::from(place);
        let width = self.link.framing.seq_width();
        let alone = w.is_empty();
        let slot = t.routes.get(place).ok_or(Full)?;
        let number = routes::number_of(t.routes, place);
        emit_reliable_header(w, 0, self.sender.acked() & width.mask(), 0, 0, width, true)?;
        let header = w.len();
        let plain = emit_record(slot, number, record, false, w);
        if plain.is_ok() || !alone {
            return plain;
        }
        w.truncate(header);
        emit_record(slot, number, record, true, w)
    }

    fn on_record_sent(&mut self, t: &mut Tables<'_>) {
        let record = self.outbox.record;
        let Some(slot) = t.routes.get_mut(usize::from(self.outbox.place)) else { return };
        slot.under_way = slot.under_way.wrapping_add(1);
        slot.due &= !record;
        if record == due::INTEREST {
            slot.due |= due::ADVERTISED;
            self.interests = 1;
        }
        if record == due::INTEREST_GONE {
            slot.due = slot.due & !(due::ADVERTISED | due::TAKEN) | due::RESTING;
        }
    }

    /// Appends messages that wait. Each but the last carries its length, so one looks ahead by one.
    fn emit_lane(&mut self, t: &mut Tables<'_>, w: &mut Writer<'_>) {
        let before = w.len();
        let mut follows = true;
        while follows && let Some((waiting, rest)) = self.outbox.lane.front(t.tx) {
            let Waiting { slot: place, payload } = waiting;
            let slot = place.and_then(|place| t.routes.get_mut(usize::from(place)));
            if let Some(slot) = slot {
                let (number, len, room) = (slot.number, payload.len(), w.room());
                if best_effort_len(number, len, true) > room {
                    self.squeezed = before > 0 && w.len() == before;
                    return;
                }
                slot.under_way = slot.under_way.wrapping_sub(1);
                let count = slot.count;
                slot.count = count.wrapping_add(1);
                let declared = slot.has(local::DECLARED);
                follows = !rest.is_empty() && {
                    let after = room.saturating_sub(best_effort_len(number, len, false));
                    rest.front(t.tx).is_some_and(|(next, _)| next.most_len() <= after)
                };
                // There is room for it.
                let _ = emit_best_effort_header(w, count, number, len, !follows);
                let _ = w.bytes(payload);
                self.sent_best_effort = self.sent_best_effort.wrapping_add(1);
                if !declared {
                    Self::settle(t, usize::from(place.unwrap_or_default()));
                }
            }
            self.outbox.lane.pop(rest);
        }
    }
}

/// What is under way is acknowledged, or not heard of.
impl Core {
    pub(super) fn on_ack(&mut self, t: &mut Tables<'_>, next: u32, _: u32, _: Instant) {
        let count = self.sender.on_ack(next, 0).count;
        self.land(t, count);
    }

    /// The record that is under way is acknowledged.
    pub(super) fn land(&mut self, t: &mut Tables<'_>, count: u32) {
        if count == 0 {
            return;
        }
        self.timers.stop(Timer::Retransmit);
        let record = core::mem::take(&mut self.outbox.record);
        let place = usize::from(self.outbox.place);
        let Some(slot) = t.routes.get_mut(place) else { return };
        slot.under_way = slot.under_way.wrapping_sub(1);
        if record == due::INTEREST_GONE {
            // Our number may be used again.
            slot.due &= !due::RESTING;
            slot.reset_counts();
        }
        if record & (due::INTENT | due::INTEREST) != 0 {
            slot.local &= !local::ASK;
        }
        self.interests = 0;
        self.tables_due = true;
        Self::settle(t, place);
    }

    /// A PONG tells of other builds' packets what became of them; here a time-out does.
    pub(super) const fn on_proof(&self, _: &Tables<'_>, _: u8, _: Instant) {}

    pub(super) fn on_unheard(&mut self, _: Instant) {
        self.sender.on_timeout();
        log!("retransmission time-out");
    }

    /// Drops what waits at a place. None of it is reliable.
    pub(super) fn drop_waiting(&self, tx: &mut [u8], index: usize, slot: &mut Slot) -> u16 {
        self.outbox.lane.forget(tx, index as u16);
        slot.under_way = u16::from(self.outbox.record != 0 && usize::from(self.outbox.place) == index);
        0
    }

    /// What is under way to a place is no message.
    pub(super) const fn kill(&self, _: &mut [u8], _: usize) {}

    /// The session is over.
    pub(super) const fn drop_all(&mut self, _: &mut [u8]) {
        self.outbox = Outbox::new();
    }

    pub(super) const fn unacknowledged(&self) -> usize {
        self.sender.in_flight() as usize
    }

    pub(super) const fn unsent_best_effort(&self) -> usize {
        self.outbox.lane.count()
    }
}

/// Nothing expires here, and no sample is kept.
impl Core {
    pub(super) const fn forget_sample(&self, _: &mut Tables<'_>, _: usize) {}

    pub(super) const fn expire(&self, _: &mut Tables<'_>, _: Instant) {}

    pub(super) const fn consider_expiry(&self, _: &Tables<'_>, _: &Slot, _: &mut Soonest) {}
}

impl Outbox {
    /// Finds what is to be said next, if anything: withdrawals of a place before what is declared on it.
    fn next_record(&mut self, routes: &[Slot]) {
        for (slot, place) in routes.iter().zip(0..) {
            let records = records_due(slot);
            if records != 0 {
                // The lowest bit comes first.
                self.record = records & records.wrapping_neg();
                self.place = place;
                return;
            }
        }
    }
}

/// The records that may be sent about a place now.
const fn records_due(slot: &Slot) -> u16 {
    // While its number rests, a renewed interest waits.
    let waits = if slot.is_due(due::RESTING) { due::INTEREST } else { 0 };
    if slot.name.is_some() { slot.due & due::POSSIBLE & due::RECORDS & !waits } else { 0 }
}

/// Appends a control record about a place; `hashed`: without the text of its name.
fn emit_record(slot: &Slot, number: u16, record: u16, hashed: bool, w: &mut Writer<'_>) -> Result<(), Full> {
    if record == due::NOTIFY {
        return emit_notice(slot, w);
    }
    w.put_u8(if record & (due::INTENT | due::INTENT_GONE) != 0 { INTENT } else { INTEREST });
    emit_declaration(slot, number, record, hashed, w)
}
