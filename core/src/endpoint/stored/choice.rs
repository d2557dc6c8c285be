//! Which message is sent next.
//!
//! Order: the route's priority; within one, whole reliable messages, whole best-effort ones, then fragments in the same
//! order; routes of one rank take turns; what is sent again goes with its message, first among its equals. Each of the two
//! classes gets every eighth frame at least. On a line whose rate matters nothing of a lower rank shares a frame with
//! something of a higher one, which would arrive later for it.

use super::fill::{Fill, Next};
use crate::capability;
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::framing::Framing;
use crate::limits::{CAPABILITY_FRAGMENTS, FRAME_MIN, LIFE_COST};
use crate::outbox::{Class, DEADLINE, Outbox, Record, flag};
use crate::packet::{Extended, best_effort_len, reliable_len};
use crate::routes::{Slot, local, peer};
use crate::time::Instant;

/// A class is passed over in at most this many frames in a row: its share of the line is 1/8.
const PASSED_OVER_MAX: u8 = 7;
/// The rank of the control channel: above all priorities.
const CONTROL_RANK: u8 = 16;
/// What a reliable packet needs besides its payload, and then some: kind, route, number, distance.
pub(super) const RELIABLE_OVERHEAD: usize = 12;
/// What stands before the payload of a message that is no fragment, at the most: kind, flags, route, number, distance, count,
/// life.
const WHOLE_HEADER_MAX: usize = 2 + 3 + 4 + 5 + 1 + 5;

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

    /// Whether a message goes whole into a frame, whatever stands before it.
    const fn is_short(&self, len: usize) -> bool {
        len + self.link.framing.check_len() + WHOLE_HEADER_MAX <= self.content_max()
    }

    /// Whether a payload that our store holds is below all other limits for sure.
    pub(super) const fn is_small(&self, slot: &Slot, len: usize) -> bool {
        self.is_short(len)
            && len + LIFE_COST <= slot.largest_payload()
            && len <= self.peer.message_max as usize
    }

    /// Whether a message of this length is sent in fragments, whatever the line is like.
    pub(super) fn needs_fragments(&self, slot: &Slot, record: &Record) -> bool {
        let len = record.len as usize;
        !self.is_short(len) && len > self.whole_max(slot, record.is(flag::RELIABLE), record.is(flag::EXPIRES))
    }

    /// Sends what comes next, if there is room for it.
    pub(super) fn send_next(&mut self, t: &mut Tables<'_>, fill: &mut Fill<'_, '_>, now: Instant) -> Next {
        let forced = match self.passed_over {
            _ if !capability::RELIABLE || fill.rank.is_some() => None,
            [reliable, _] if reliable >= PASSED_OVER_MAX => Some(Class::Reliable),
            [_, best_effort] if best_effort >= PASSED_OVER_MAX => Some(Class::BestEffort),
            _ => None,
        };
        let best = forced.and_then(|class| self.best(t, Some(class))).or_else(|| self.best(t, None));
        let Some((candidate, rank)) = best else { return Next::Nothing };
        if self.link.bits_per_second > 0 && fill.rank.is_some_and(|before| rank < before) {
            return Next::Nothing;
        }
        let sent = match candidate {
            Candidate::Repeat(offset) => self.repeat(t, offset, fill, now),
            Candidate::Control => self.send_control(t, fill, now),
            Candidate::Route(index) => self.send_message(t, index, fill, now),
        };
        let Some(class) = sent else { return Next::NoRoom };
        fill.rank = Some(rank);
        let [reliable, best_effort] = &mut fill.sent;
        match class {
            Class::Reliable => *reliable = true,
            Class::BestEffort => *best_effort = true,
        }
        Next::Sent
    }

    /// What has the highest rank of all, or of one class.
    fn best(&mut self, t: &Tables<'_>, class: Option<Class>) -> Option<(Candidate, u8)> {
        let mut best: Option<(Candidate, u8)> = None;
        if class != Some(Class::BestEffort) {
            if self.sender.must_repeat() {
                for offset in self.sender.lost().chain(self.sender.behind()) {
                    let Some((_, record)) = self.outbox.nth(t.tx, offset) else { break };
                    let rank = self.rank_under_way(t, &record);
                    if best.is_none_or(|(_, highest)| rank > highest) {
                        best = Some((Candidate::Repeat(offset), rank));
                    }
                }
            }
            if !self.outbox.control().is_empty()
                && self.sender.may_send()
                && best.is_none_or(|(_, highest)| CONTROL_RANK > highest)
            {
                best = Some((Candidate::Control, CONTROL_RANK));
            }
        }
        if !self.outbox.is_waiting() {
            return best;
        }
        // Of routes of one rank the first from `next_route` on.
        let mut again = false;
        for (slot, index) in t.routes.iter().zip(0usize..) {
            if slot.queue.is_empty() {
                continue;
            }
            let Some(rank) = self.rank_waiting(t.tx, slot, class) else { continue };
            let turn = index >= usize::from(self.next_route);
            let first = best.is_none_or(|(_, highest)| rank > highest);
            if first || turn && again && best.is_some_and(|(_, highest)| rank == highest) {
                best = Some((Candidate::Route(index), rank));
                again = !turn;
            }
        }
        best
    }

    /// The rank of what waits first at a place, if it may be sent, and is of one class.
    fn rank_waiting(&self, tx: &[u8], slot: &Slot, class: Option<Class>) -> Option<u8> {
        let id = slot.queue.front()?;
        let record = Outbox::record(tx, id);
        let reliable = record.is_reliable_message();
        let wanted = class.is_none_or(|class| (class == Class::Reliable) == reliable);
        if !wanted || !slot.peer_has(peer::COUNTED) {
            return None;
        }
        let large = record.is(flag::LARGE) || self.needs_fragments(slot, &record);
        let possible =
            !reliable || self.sender.may_send() && (!large || self.outbox.can_launch_fragment(tx, id));
        possible.then(|| rank(slot.priority, &record, !large))
    }

    fn rank_under_way(&self, t: &Tables<'_>, record: &Record) -> u8 {
        if !capability::RELIABLE || record.is(flag::CONTROL | flag::DEAD) {
            return CONTROL_RANK;
        }
        let priority = t.routes.get(usize::from(record.slot)).map_or(0, |slot| slot.priority);
        rank(priority, record, !record.is(flag::FRAGMENT))
    }

    /// What waits and had no part in the frame was passed over.
    pub(super) fn count_passed_over(&mut self, fill: &Fill<'_, '_>) {
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
