//! Messages that come in. What becomes of those that went out is in [`stored`](super::stored).
//!
//! Invariant: what is acknowledged is stored, or is nothing that anybody here wants.

use super::state::Core;
use super::stats::count;
use super::storage::Tables;
use crate::capability;
use crate::inbox::Record;
use crate::limiter::{self, Direction};
use crate::log::log;
use crate::packet::Extended;
use crate::reliable::{Arrival, Receiver};
use crate::routes::{self, local, peer};
use crate::time::Instant;
use crate::timers::{Lapse, Timer};

impl Core {
    /// What waited for a packet that was missing may have its turn now.
    pub(super) fn hand_on(&self, t: &mut Tables<'_>) -> bool {
        let mut news = false;
        if !capability::WAITING {
            return news;
        }
        for slot in t.routes.iter_mut().filter(|slot| slot.inbox.has_waiting()) {
            news |= slot.inbox.advance(t.rx, &|key| is_in_turn(&self.receiver, key));
        }
        news
    }

    pub(super) fn on_best_effort(
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
        let record = record_of(header, payload.len(), now);
        if let Some((offset, total)) = header.part.filter(|(offset, _)| *offset > 0) {
            let expected = slot.inbox.last_waiting(t.rx).is_some_and(|record| {
                !record.reliable
                    && record.number == header.number
                    && record.len == total
                    && record.len - record.missing == offset
            });
            if !expected {
                return false;
            }
            let stored = slot.inbox.push_waiting(t.rx, record, offset as usize, payload);
            let whole = stored && slot.inbox.advance(t.rx, &|_| true);
            if whole {
                self.ping.on_best_effort();
            }
            return whole;
        }
        // The room of a reliable route is promised to its reliable messages.
        let waits = slot.inbox.last_waiting(t.rx);
        let mut allowed = !slot.peer_has(peer::RELIABLE) && !waits.is_some_and(|record| record.reliable);
        if allowed && limiter::wait(t.limiters, index, Direction::In, now).is_some() {
            count(&mut self.counters.dropped_too_fast, 1);
            self.ping.on_best_effort();
            return false;
        }
        if allowed {
            // What is missing of an earlier one will not come.
            slot.inbox.drop_waiting();
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
        self.note_deadline(record.deadline, now);
        if header.part.is_none() {
            self.ping.on_best_effort();
        }
        header.part.is_none()
    }

    pub(super) fn on_reliable(
        &mut self,
        t: &mut Tables<'_>,
        header: &Extended,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        let Some((seq, distance)) = header.reliable else { return false };
        let Arrival::New { seq, in_turn } = self.receiver.on_packet(seq, distance) else { return false };
        match reading(t.routes, header.route) {
            None => self.on_unknown(),
            Some((_, slot)) => {
                let before = slot.inbox.ready();
                slot.peer |= peer::RELIABLE;
                if slot.inbox.last_waiting(t.rx).is_some_and(|record| !record.reliable) {
                    // The route was of best effort: the rest of its last message will not come.
                    slot.inbox.drop_waiting();
                }
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
                let turns = self.receiver.store(seq, distance) || slot.inbox.has_waiting();
                let news = slot.inbox.ready() != before;
                return (turns && self.hand_on(t)) | news;
            }
        }
        self.receiver.store(seq, distance) && self.hand_on(t)
    }

    /// Discards what stands first for the application, and was not taken in its time. False: that has to wait.
    pub(super) fn discard_front(&mut self, t: &mut Tables<'_>, index: usize, now: Instant) -> bool {
        while capability::EXPIRY {
            let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.has(local::INTEREST)) else {
                return true;
            };
            let front = slot.inbox.front(t.rx);
            let Some(record) = front.filter(|record| Lapse::from_bits(record.deadline).is_over(now)) else {
                return true;
            };
            if record.reliable && slot.old == 0 && !slot.may_discard() {
                return false;
            }
            slot.inbox.pop(t.rx);
            slot.on_discarded(record.cost(), record.reliable);
            self.tables_due = true;
            if !record.reliable {
                count(&mut self.counters.expired, 1);
            }
        }
        true
    }

    /// A message that came must be looked at when its time is over.
    fn note_deadline(&mut self, deadline: u32, now: Instant) {
        if capability::EXPIRY
            && let Some(at) = Lapse::from_bits(deadline).instant(now)
        {
            self.timers.advance(Timer::Lapse, at);
        }
    }
}

/// Our place that a number of ours names, if messages with it are wanted.
fn reading(routes: &mut [routes::Slot], number: u16) -> Option<(usize, &mut routes::Slot)> {
    let index = routes::numbered(routes, number)?;
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
        Some(ms) if capability::EXPIRY => record.until(Lapse::at(now, ms).to_bits()),
        _ => record,
    }
}

/// Whether the packet with these low bits has its turn, or has had it.
fn is_in_turn(receiver: &Receiver, key: u16) -> bool {
    let expected = receiver.expected();
    let ahead = key.wrapping_sub(expected as u16) as i16;
    receiver.is_in_turn(expected.wrapping_add_signed(ahead.into()))
}
