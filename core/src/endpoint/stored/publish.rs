//! Messages that the application publishes: whether they may be, how they are kept, and what becomes of those whose time
//! is over or that a newer one replaces before they are sent.
//!
//! Invariant: what was refused left no trace, and each reliable message that was kept has a ticket that ends once.

use crate::blocks::{Chain, Id};
use crate::capability;
use crate::endpoint::config::PublishOptions;
use crate::endpoint::state::{Core, Phase};
use crate::endpoint::stats::count;
use crate::endpoint::storage::Tables;
use crate::error::PublishError;
use crate::event::{FailReason, RouteId, Ticket};
use crate::limiter::{self, Direction};
use crate::limits::{CAPABILITY_EXPIRY, LIFE_COST, MESSAGE_COST};
use crate::message::{EncodeError, Write};
use crate::outbox::{Class, DEADLINE, Outbox, Record, flag};
use crate::routes::{self, Slot, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Soonest, Timer};

/// A reader that never gets TAKEN through is asked for it after this long at the least, in µs.
const PROBE_FLOOR_US: u32 = 50_000;
/// The wait doubles this often at the most; a quarter of the ping interval ends it before.
const PROBES_MAX: u8 = 10;

/// What a message costs of its route's window.
const fn cost(record: &Record) -> u32 {
    let life = if record.is(flag::EXPIRES) { LIFE_COST } else { 0 };
    record.len + (MESSAGE_COST + life) as u32
}

impl Core {
    pub(in crate::endpoint) fn publish(
        &mut self,
        t: &mut Tables<'_>,
        route: RouteId,
        options: PublishOptions,
        write: &mut Write<'_>,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        let class = self.may_publish(t, route, options)?;
        let deadline = options.expires.filter(|_| capability::EXPIRY).map(|life| {
            let ms = u32::try_from(life.as_millis()).unwrap_or(u32::MAX).max(1);
            Lapse::after(self.now, ms)
        });
        let mut sink = self.outbox.sink(t.tx, class);
        if let Some(deadline) = deadline {
            sink.write(&deadline.to_bits().to_le_bytes());
        }
        let written = write(&mut sink);
        let chain = sink.finish();
        let head = if deadline.is_some() { DEADLINE } else { 0 };
        let kept = match written {
            Ok(()) => self.keep_message(t, route, class, chain, head),
            Err(EncodeError) => Err(PublishError::Encode.into()),
        };
        match &kept {
            Ok(_) => {
                limiter::pass(t.limiters, usize::from(route.index), Direction::Out, self.now);
                if let Some(at) = deadline.and_then(|deadline| deadline.instant(self.now)) {
                    self.timers.advance(Timer::Lapse, at);
                }
                self.blocked = false;
            }
            Err(_) => self.outbox.discard(t.tx, chain),
        }
        kept
    }

    /// Whether a message may be published on a route now, and in which class.
    fn may_publish(
        &mut self,
        t: &mut Tables<'_>,
        route: RouteId,
        options: PublishOptions,
    ) -> nb::Result<Class, PublishError> {
        let slot = routes::get(t.routes, route).filter(|slot| slot.has(local::INTENT));
        let slot = slot.ok_or(PublishError::NotDeclared)?;
        let class = if slot.has(local::RELIABLE) { Class::Reliable } else { Class::BestEffort };
        let keeps = slot.has(local::LATEST);
        if !keeps && (!self.has_session() || class == Class::BestEffort && self.phase != Phase::Established) {
            return Err(PublishError::Disconnected.into());
        }
        if slot.peer_has(peer::CONFLICT) {
            return Err(PublishError::RouteConflict.into());
        }
        if !keeps && !slot.has_audience() {
            return Err(PublishError::NoAudience.into());
        }
        let expires = options.expires.is_some();
        if expires && slot.has_audience() && self.peer.capabilities & CAPABILITY_EXPIRY == 0 {
            return Err(PublishError::ExpiryNotSupported.into());
        }
        let marked = class == Class::Reliable && (expires || keeps) && !slot.tickets.may_mark();
        if slot.owes_tickets() || marked || class == Class::Reliable && self.records_wait {
            return Err(nb::Error::WouldBlock);
        }
        let index = usize::from(route.index);
        if let Some(at) = limiter::wait(t.limiters, index, Direction::Out, self.now) {
            self.timers.advance(Timer::Rate, at);
            return Err(nb::Error::WouldBlock);
        }
        Ok(class)
    }

    /// Keeps what was written, if it fits; `head`: bytes before the payload.
    fn keep_message(
        &mut self,
        t: &mut Tables<'_>,
        route: RouteId,
        class: Class,
        chain: Chain,
        head: usize,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        let (index, tx_len) = (usize::from(route.index), t.tx.len());
        let Some(slot) = t.routes.get(index) else { return Err(PublishError::NotDeclared.into()) };
        let keeps = slot.has(local::LATEST);
        let len = chain.len.saturating_sub(head);
        let listens = slot.has_audience();
        let expires = head > 0;
        // Most messages are far below every limit: which one is the least need not be known then.
        if keeps || chain.overflowed || listens && !self.is_small(slot, len) {
            let limit = if listens { self.payload_limit(slot, tx_len, expires) } else { usize::MAX };
            let sample = self.sample_limit(t.routes, slot, route, tx_len);
            let limit = limit.min(sample.saturating_sub(head));
            if len > limit {
                return Err(PublishError::TooLarge { limit }.into());
            }
        }
        let flags = if class == Class::Reliable { flag::RELIABLE } else { 0 }
            | if expires { flag::EXPIRES } else { 0 }
            | if keeps { flag::KEPT } else { 0 };
        let reliable = capability::RELIABLE && class == Class::Reliable;
        let record = Record::new(len as u32, flags, route.index, 0);
        let splits = reliable && listens && self.needs_fragments(slot, &record);
        let record = if splits { record.with(flag::LARGE) } else { record };
        if chain.overflowed || splits && !self.outbox.has_room_for_fragments(tx_len, chain) {
            return Err(nb::Error::WouldBlock);
        }
        // A sample that waits gives way, and its room in the window with it.
        let sample = if keeps { slot.sample } else { 0 };
        let waits = match sample {
            0 => None,
            _ => slot.queue.iter(t.tx).find(|(id, old)| *id == sample && old.offset == 0),
        };
        let gives_way = waits.map_or(0, |(_, old)| cost(&old));
        if reliable && listens && slot.credit() + gives_way < cost(&record) {
            self.probe();
            return Err(nb::Error::WouldBlock);
        }
        if keeps {
            self.replace_sample(t, index, chain.first, chain.blocks);
        }
        let id = self.outbox.keep(t.tx, chain, record);
        if !listens {
            return Ok(None);
        }
        Ok(self.send_kept(t, index, id, record, true).map(|number| Ticket { route, number }))
    }

    /// Puts a record that is kept behind those that wait. Returns the number of its ticket, if it has one.
    fn send_kept(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        id: Id,
        record: Record,
        tell: bool,
    ) -> Option<u16> {
        let slot = t.routes.get_mut(index)?;
        let number = if !record.is_reliable_message() {
            None
        } else if tell {
            Some(slot.tickets.issue())
        } else {
            slot.tickets.issue_silent();
            None
        };
        let low = match record.is_reliable_message() {
            true => {
                slot.sent = slot.sent.wrapping_add(cost(&record));
                slot.tickets.newest() as u8
            }
            false => {
                let count = slot.count;
                slot.count = count.wrapping_add(1);
                count
            }
        };
        Outbox::set_number(t.tx, id, low);
        self.outbox.enqueue(t.tx, &mut slot.queue, id, record.class());
        number
    }

    /// The report that opens the window may be lost: asks for it, less and less often.
    fn probe(&mut self) {
        if capability::RELIABLE
            && !self.link.is_lossless()
            && !self.timers.is_set(Timer::Probe)
            && self.phase == Phase::Established
        {
            let wait = u64::from(self.rto.micros().max(PROBE_FLOOR_US)) << self.probes;
            self.timers
                .set(Timer::Probe, self.now.plus_micros(wait.min(u64::from(self.ping_every_ms) * 250)));
            self.probes = (self.probes + 1).min(PROBES_MAX);
        }
    }

    /// A newer sample (0: none) takes the place of the one that a route keeps.
    fn replace_sample(&mut self, t: &mut Tables<'_>, index: usize, newer: Id, blocks: u16) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        slot.kept = blocks;
        let old = core::mem::replace(&mut slot.sample, newer);
        slot.local &= !local::GIVE;
        if old == 0 {
            return;
        }
        let record = Outbox::record(t.tx, old);
        if self.outbox.retire(t.tx, &mut slot.queue, old) {
            take_back(slot, &record, FailReason::Superseded);
            self.events_due = true;
        }
    }

    /// A route does not keep its newest message any more; if it is on its way, it goes on.
    pub(in crate::endpoint) fn forget_sample(&mut self, t: &mut Tables<'_>, index: usize) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        if !capability::EXPIRY {
            return;
        }
        let old = core::mem::take(&mut slot.sample);
        slot.kept = 0;
        slot.local &= !local::GIVE;
        if old != 0 {
            Outbox::set_flags(t.tx, old, flag::KEPT, 0);
            if self.outbox.is_idle(t.tx, &slot.queue, old) {
                let record = Outbox::record(t.tx, old);
                self.outbox.release(t.tx, old, &record);
            }
        }
    }

    /// Largest payload of a route with an audience; `expires`: of a message that does.
    pub(in crate::endpoint) fn limit_now(
        &self,
        routes: &[Slot],
        slot: &Slot,
        route: RouteId,
        tx_len: usize,
        expires: bool,
    ) -> usize {
        let limit = self.payload_limit(slot, tx_len, expires);
        let sample = self.sample_limit(routes, slot, route, tx_len);
        limit.min(sample.saturating_sub(if expires { DEADLINE } else { 0 }))
    }

    /// Largest sample of a route that keeps its newest message; of others there is no such limit.
    fn sample_limit(&self, routes: &[Slot], slot: &Slot, route: RouteId, tx_len: usize) -> usize {
        match slot.has(local::LATEST) {
            true => Outbox::sample_limit(tx_len, kept_blocks(routes, usize::from(route.index))),
            false => usize::MAX,
        }
    }

    /// Gives the sample to an interest that has come, as soon as that is possible.
    pub(super) fn give_sample(&mut self, t: &mut Tables<'_>, index: usize, now: Instant) {
        let Some(slot) = t.routes.get_mut(index) else { return };
        let id = slot.sample;
        if id == 0 || !slot.has(local::LATEST) {
            slot.local &= !local::GIVE;
            return;
        }
        if !slot.has_audience() || !self.outbox.is_idle(t.tx, &slot.queue, id) {
            return;
        }
        let record = Outbox::record(t.tx, id);
        if record.is(flag::EXPIRES) && Lapse::from_bits(Outbox::deadline(t.tx, id)).is_over(now) {
            self.forget_sample(t, index);
            return;
        }
        let expires = record.is(flag::EXPIRES);
        let limit = self.payload_limit(slot, t.tx.len(), expires);
        let reliable = record.is(flag::RELIABLE);
        let understood = !expires || self.peer.capabilities & CAPABILITY_EXPIRY != 0;
        if record.len as usize > limit || reliable != slot.has(local::RELIABLE) || !understood {
            slot.local &= !local::GIVE;
        } else if !reliable || slot.credit() >= cost(&record) && slot.tickets.may_mark() {
            slot.local &= !local::GIVE;
            let splits = reliable && self.needs_fragments(slot, &record);
            self.outbox.set_large(t.tx, id, splits);
            self.send_kept(t, index, id, record, false);
        }
    }

    /// Takes back what waits and is not worth sending any more, and discards what was not taken in its time.
    pub(in crate::endpoint) fn expire(&mut self, t: &mut Tables<'_>, now: Instant) {
        if !capability::EXPIRY {
            return;
        }
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) else { continue };
            loop {
                let over = slot.queue.iter(t.tx).find(|(id, record)| is_over(t.tx, *id, record, now));
                let Some((id, record)) = over else { break };
                self.outbox.remove(t.tx, &mut slot.queue, id);
                if slot.sample == id {
                    slot.sample = 0;
                    slot.kept = 0;
                }
                if record.is(flag::RELIABLE) {
                    take_back(slot, &record, FailReason::Expired);
                } else {
                    count(&mut self.counters.expired, 1);
                }
            }
            let idle = slot.sample;
            if idle != 0 && is_over(t.tx, idle, &Outbox::record(t.tx, idle), now) {
                self.forget_sample(t, index);
            }
            self.discard_front(t, index, now);
            if t.routes.get(index).is_some_and(|slot| !slot.has(local::DECLARED)) {
                Self::settle(t, index);
            }
        }
    }

    /// When something of a place is over next: of what waits here, or of what stands first for the application.
    pub(in crate::endpoint) fn consider_expiry(&self, t: &Tables<'_>, slot: &Slot, first: &mut Soonest) {
        if !capability::EXPIRY {
            return;
        }
        let sample = (slot.sample != 0).then(|| (slot.sample, Outbox::record(t.tx, slot.sample)));
        for (id, record) in slot.queue.iter(t.tx).chain(sample) {
            if record.is(flag::EXPIRES) && record.offset == 0 {
                first.consider(Lapse::from_bits(Outbox::deadline(t.tx, id)));
            }
        }
        if slot.may_discard()
            && slot.has(local::INTEREST)
            && let Some(front) = slot.inbox.front(t.rx)
        {
            first.consider(Lapse::from_bits(front.deadline));
        }
    }
}

fn is_over(tx: &[u8], id: Id, record: &Record, now: Instant) -> bool {
    record.is(flag::EXPIRES) && record.offset == 0 && Lapse::from_bits(Outbox::deadline(tx, id)).is_over(now)
}

/// Blocks of TX that the samples of other routes take.
pub(super) fn kept_blocks(routes: &[Slot], index: usize) -> u16 {
    routes.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, slot)| slot.kept).sum()
}

/// A reliable message was taken back before any of it was sent.
fn take_back(slot: &mut Slot, record: &Record, reason: FailReason) {
    if record.is(flag::RELIABLE) {
        slot.sent = slot.sent.wrapping_sub(cost(record));
        slot.tickets.take_back(slot.tickets.marked_with(record.number()), reason);
        slot.forget_tickets();
    }
}
