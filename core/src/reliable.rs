//! Which reliable packet is sent next, and which is taken: sequence numbers, window, selective repeat.
//!
//! Two plain values without time, bytes or statistics, so that a model checker can explore the code that ships;
//! window and width of the number on the wire are parameters. Inside, numbers are 32 bits wide and wrap.
//!
//! Invariant of the sender: `acked <= cursor <= next` (modulo 2^32), and nothing is sent beyond `acked + window`. Of the receiver: all before
//! `expected` are stored, `expected` itself is not. Where the packets are, and which route they belong to, is not known
//! here; the receiver only knows how far back the previous packet of the same route is.
//!
//! A build without reliable messages has only declarations to deliver: it follows no packet of its own, but goes back to the
//! oldest, and takes packets in their turn only.

use crate::capability;

/// The largest number of unacknowledged packets where numbers have one byte on the wire.
pub const WINDOW_NARROW: u32 = 128;
/// The same where they have four bytes.
pub const WINDOW_WIDE: u32 = 32768;
/// What a sender keeps under way on a link of datagrams, though it might more: only what it follows one by one. Behind that
/// it would repeat whole rounds, and more of them than the peer's system has room for at once, which loses most of them again.
pub const WINDOW_FOLLOWED: u32 = FOLLOWED;
/// How far ahead of a missing packet a receiver stores others: as many as an acknowledgement has bits for.
pub const AHEAD_MAX: u32 = 32;

/// Packets whose fate the sender follows one by one, from the first that is not acknowledged. Behind them it goes back
/// and repeats all.
const FOLLOWED: u32 = u64::BITS;

/// The sending half. Bit `i` of a bit set is the packet `acked + i`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sender {
    window: u32,
    /// Bits of a number on the wire that count.
    mask: u32,
    /// So many packets behind a missing one must have come before it counts as lost.
    reorder: u32,
    /// All before this one are acknowledged.
    acked: u32,
    /// From here to `next` all are to be repeated that the peer has not stored.
    cursor: u32,
    /// The number that the next new packet gets.
    next: u32,
    /// Stored by the peer, though others before them are not.
    stored: u64,
    /// Lost, to be repeated.
    lost: u64,
    /// Repeated, and not heard of since.
    repeated: u64,
    /// `next` when the first and the newest of `repeated` left: what is below the one left before all of them, what is
    /// not below the other left behind all of them.
    round_first: u32,
    round_last: u32,
}

/// What an acknowledgement brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Acknowledged {
    /// How many packets, from the oldest, are acknowledged now and leave the window.
    pub count: u32,
    /// Whether anything was not known before.
    pub news: bool,
    /// Those that are found to be lost by it: bit `i` is the i-th of those that remain.
    pub lost: u64,
}

impl Sender {
    /// A sender at number 0 that keeps at most `window` packets under way; `mask` has the bits of a number on
    /// the wire, and `window` is at most half of the numbers. `reorder`: a packet is lost when so many behind it have come: 1 where the
    /// link keeps the order, else more.
    #[must_use]
    pub const fn new(window: u32, mask: u32, reorder: u32) -> Self {
        Self {
            window,
            mask,
            reorder,
            acked: 0,
            cursor: 0,
            next: 0,
            stored: 0,
            lost: 0,
            repeated: 0,
            round_first: 0,
            round_last: 0,
        }
    }

    /// A session begins.
    pub(crate) const fn begin(&mut self, window: u32, mask: u32, reorder: u32) {
        if capability::RELIABLE {
            *self = Self::new(0, 0, 0);
        } else {
            // The sets stay empty.
            self.acked = 0;
            self.cursor = 0;
            self.next = 0;
        }
        self.window = window;
        self.mask = mask;
        self.reorder = reorder;
    }

    /// The session goes on over a link of another kind: the peer says that all before `next` (its low 16 bits) are
    /// stored; everything else is to be repeated. Returns how many are acknowledged by that: none if the peer said it
    /// before it said more.
    pub const fn resume(&mut self, window: u32, mask: u32, reorder: u32, next: u16) -> u32 {
        let count = (next.wrapping_sub(self.acked as u16)) as u32;
        let count = if count > self.in_flight() { 0 } else { count };
        self.window = window;
        self.mask = mask;
        self.reorder = reorder;
        self.advance(count);
        self.on_timeout();
        count
    }

    /// Packets that are transmitted and not acknowledged.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.next.wrapping_sub(self.acked)
    }

    /// How many packets may be under way.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.window
    }

    /// The first number that is not acknowledged.
    #[must_use]
    pub const fn acked(&self) -> u32 {
        self.acked
    }

    /// The number that the next new packet gets.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Those that are known to be lost, as offsets from [`acked`](Self::acked), oldest first. They may be repeated in any
    /// order.
    pub fn lost(&self) -> impl Iterator<Item = u32> + use<> {
        let lost = if capability::RELIABLE { self.lost } else { 0 };
        (0..FOLLOWED).filter(move |offset| lost >> offset & 1 == 1)
    }

    /// The next one to repeat behind those, since nothing was heard for too long: its offset.
    #[must_use]
    pub const fn behind(&self) -> Option<u32> {
        let mut offset = self.cursor.wrapping_sub(self.acked);
        while offset < self.in_flight() && offset < self.window {
            if !capability::RELIABLE || !contains(self.stored, offset) {
                return Some(offset);
            }
            offset += 1;
        }
        None
    }

    /// Whether something is to be repeated.
    #[must_use]
    pub const fn must_repeat(&self) -> bool {
        (capability::RELIABLE && self.lost != 0) || self.cursor != self.next && self.behind().is_some()
    }

    /// Whether the fate of some packet differs from that of its neighbours.
    const fn follows_some(&self) -> bool {
        capability::RELIABLE && self.stored | self.lost | self.repeated != 0
    }

    /// Whether a new packet may be transmitted. While something is missing, only as far ahead as the peer stores.
    #[must_use]
    pub const fn may_send(&self) -> bool {
        let missing = self.follows_some() || self.cursor != self.next;
        let most = if missing && self.window > AHEAD_MAX + 1 { AHEAD_MAX + 1 } else { self.window };
        self.in_flight() < most
    }

    /// A new packet is transmitted: its number, not yet cut to the width of the wire.
    pub const fn send(&mut self) -> u32 {
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        if self.cursor == seq {
            self.cursor = self.next;
        }
        seq
    }

    /// The packet at `offset` is repeated now: its number.
    pub const fn repeat(&mut self, offset: u32) -> u32 {
        let seq = self.acked.wrapping_add(offset);
        if capability::RELIABLE && offset < FOLLOWED {
            if self.repeated == 0 {
                self.round_first = self.next;
            }
            self.lost &= !(1 << offset);
            self.repeated |= 1 << offset;
            self.round_last = self.next;
        }
        let cursor = self.cursor.wrapping_sub(self.acked);
        if offset >= cursor {
            self.cursor = seq.wrapping_add(1);
        }
        seq
    }

    /// An acknowledgement came: all before `next` (as on the wire) are stored, and `next + 1 + i` for each bit i of
    /// `selective`. One that does not fit what is under way is ignored.
    pub fn on_ack(&mut self, next: u32, selective: u32) -> Acknowledged {
        let nothing = Acknowledged { count: 0, news: false, lost: 0 };
        let count = next.wrapping_sub(self.acked) & self.mask;
        if count > self.in_flight() {
            return nothing;
        }
        if !capability::RELIABLE || selective == 0 && !self.follows_some() {
            // All is in order, and nothing behind what is acknowledged could be judged by it.
            self.advance(count);
            return Acknowledged { count, news: count > 0, lost: 0 };
        }
        let under_way = below(self.in_flight());
        let named = below(count) | u64::from(selective).checked_shl(count + 1).unwrap_or(0);
        let have = (self.stored | named) & under_way;
        let newly = have & !self.stored;
        if newly == 0 && count == 0 {
            return nothing;
        }
        let lost = self.judge(newly, have, under_way);
        self.lost = (self.lost | lost) & !have;
        self.repeated &= !(lost | have);
        self.stored = have;
        self.advance(count);
        Acknowledged { count, news: true, lost: lost.checked_shr(count).unwrap_or(0) }
    }

    /// Which of those under way are lost, now that `newly` has come and the peer has `have`.
    const fn judge(&mut self, newly: u64, have: u64, under_way: u64) -> u64 {
        let missing = under_way & !have & !self.lost;
        let fresh = newly & !self.repeated;
        let again = newly & self.repeated;
        let first = self.round_first.wrapping_sub(self.acked);
        let last = self.round_last.wrapping_sub(self.acked);
        let mut lost = 0;
        if !capability::LINKS || self.reorder <= 1 {
            // What left before something that has come has come, too, or is lost.
            if fresh != 0 {
                let top = u64::BITS - 1 - fresh.leading_zeros();
                lost |= missing & !self.repeated & below(top);
                if top >= last {
                    lost |= missing & self.repeated;
                }
            }
            if again != 0 {
                let top = u64::BITS - 1 - again.leading_zeros();
                lost |= missing & self.repeated & below(top);
                lost |= missing & !self.repeated & below(first);
            }
        } else {
            let mut offset = 0;
            while offset + 1 < FOLLOWED {
                if (have >> (offset + 1)).count_ones() >= self.reorder {
                    lost |= missing & !self.repeated & (1 << offset);
                }
                offset += 1;
            }
            if (have & !below(last)).count_ones() >= self.reorder {
                lost |= missing & self.repeated;
            }
            if again != 0 {
                // So far ahead of what was missing the peer stored nothing.
                lost |= missing & !self.repeated & below(first) & !below(AHEAD_MAX + 1);
            }
        }
        if again != 0 && first > FOLLOWED && self.cursor.wrapping_sub(self.acked) > FOLLOWED {
            self.cursor = self.acked.wrapping_add(FOLLOWED);
        }
        lost
    }

    /// The peer has everything that it will ever get of what left when the next new packet was `next` and nothing was
    /// repeated since: the others are lost. Returns them as [`on_ack`](Self::on_ack) does. Only where the link keeps the
    /// order.
    pub const fn on_proof(&mut self, next: u32) -> u64 {
        let before = next.wrapping_sub(self.acked);
        if before > self.in_flight() {
            return 0;
        }
        if !capability::RELIABLE {
            if before > 0 {
                self.on_timeout();
            }
            return 0;
        }
        let lost = below(before) & !self.stored & !self.lost;
        self.lost |= lost;
        self.repeated &= !lost;
        if before > FOLLOWED && self.cursor.wrapping_sub(self.acked) > FOLLOWED {
            self.cursor = self.acked.wrapping_add(FOLLOWED);
        }
        lost
    }

    const fn advance(&mut self, count: u32) {
        if self.cursor.wrapping_sub(self.acked) < count {
            self.cursor = self.acked.wrapping_add(count);
        }
        self.acked = self.acked.wrapping_add(count);
        if !capability::RELIABLE {
            return;
        }
        if self.follows_some() {
            self.stored = shifted(self.stored, count);
            self.lost = shifted(self.lost, count);
            self.repeated = shifted(self.repeated, count);
        }
        if self.repeated == 0 {
            self.round_first = self.acked;
            self.round_last = self.acked;
        }
    }

    /// Nothing was acknowledged for too long: all that the peer has not stored is to be repeated.
    pub const fn on_timeout(&mut self) {
        if !capability::RELIABLE {
            self.cursor = self.acked;
            return;
        }
        let within = if self.window < self.in_flight() { self.window } else { self.in_flight() };
        self.lost = below(within) & !self.stored;
        self.repeated = 0;
        self.round_first = self.acked;
        self.round_last = self.acked;
        // What is behind those is repeated in its turn, as far as the window goes.
        let followed = if within < FOLLOWED { within } else { FOLLOWED };
        self.cursor = self.acked.wrapping_add(followed);
    }
}

const fn contains(set: u64, offset: u32) -> bool {
    offset < FOLLOWED && set >> offset & 1 == 1
}

/// The bits below `count`.
#[inline(never)]
const fn below(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

#[inline(never)]
const fn shifted(set: u64, count: u32) -> u64 {
    if count >= u64::BITS { 0 } else { set >> count }
}

/// What to do with a packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// A repetition, or too far ahead: drop it.
    Unwanted,
    /// Not had yet; take it with [`Receiver::store`]. `seq`: its number in full. `in_turn`: all before it on its route
    /// have been stored, too.
    New {
        /// The number in full.
        seq: u32,
        /// Whether it may be handed on at once.
        in_turn: bool,
    },
}

/// The receiving half. Bit `i` of a bit set is the packet `expected + 1 + i`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[repr(align(8))]
pub struct Receiver {
    mask: u32,
    /// The first that is not stored.
    expected: u32,
    /// Stored, though others before them are not.
    stored: u32,
    /// Of those, the ones whose predecessors on their route are all stored.
    in_turn: u32,
    /// Of those, how far back the predecessor is; by the low bits of the number. 0 where nothing is stored.
    distances: [u8; AHEAD_MAX as usize],
    ack_due: bool,
}

impl Receiver {
    /// A receiver that expects number 0; `mask` as for the sender.
    #[must_use]
    pub const fn new(mask: u32) -> Self {
        Self { mask, expected: 0, stored: 0, in_turn: 0, distances: [0; AHEAD_MAX as usize], ack_due: false }
    }

    /// A session begins.
    pub(crate) const fn begin(&mut self, mask: u32) {
        if capability::RELIABLE {
            *self = Self::new(0);
        } else {
            self.expected = 0;
            self.ack_due = false;
        }
        self.mask = mask;
    }

    /// The session goes on over a link of another kind.
    pub const fn resume(&mut self, mask: u32) {
        self.mask = mask;
        self.ack_due = true;
    }

    /// A packet with this number (as on the wire) and distance came; an acknowledgement is due, whatever it is.
    pub fn on_packet(&mut self, seq: u32, distance: u32) -> Arrival {
        self.ack_due = true;
        let offset = seq.wrapping_sub(self.expected) & self.mask;
        let bit = match offset.checked_sub(1) {
            None => return Arrival::New { seq: self.expected, in_turn: true },
            // The upper half of the numbers is behind us.
            Some(bit)
                if capability::RELIABLE
                    && bit < AHEAD_MAX
                    && offset <= self.mask / 2
                    && self.stored >> bit & 1 == 0 =>
            {
                bit
            }
            Some(_) => return Arrival::Unwanted,
        };
        Arrival::New { seq: self.expected.wrapping_add(offset), in_turn: self.follows(bit, distance) }
    }

    /// The packet that [`on_packet`](Self::on_packet) found new is stored, by its number in full. True if others may
    /// have their turn now: see [`is_in_turn`](Self::is_in_turn).
    pub fn store(&mut self, seq: u32, distance: u32) -> bool {
        let offset = seq.wrapping_sub(self.expected);
        match offset.checked_sub(1) {
            None if !capability::RELIABLE => {
                self.expected = self.expected.wrapping_add(1);
                false
            }
            None => {
                let more = self.stored.trailing_ones();
                let had = self.stored != 0;
                // The one that was missing shares its place with the farthest that may be stored.
                for step in 1..=more {
                    self.set_distance(self.expected.wrapping_add(step), 0);
                }
                self.expected = self.expected.wrapping_add(more + 1);
                self.stored = self.stored.checked_shr(more + 1).unwrap_or(0);
                self.in_turn = self.in_turn.checked_shr(more + 1).unwrap_or(0);
                self.look_for_turns();
                had
            }
            Some(bit) if capability::RELIABLE && bit < AHEAD_MAX => {
                self.stored |= 1 << bit;
                self.set_distance(seq, u8::try_from(distance).unwrap_or(u8::MAX));
                let before = self.in_turn;
                self.look_for_turns();
                // More than itself.
                (self.in_turn ^ before).count_ones() > 1
            }
            Some(_) => false,
        }
    }

    /// Whether a stored packet's predecessors on its route are all stored.
    #[must_use]
    pub const fn is_in_turn(&self, seq: u32) -> bool {
        let offset = seq.wrapping_sub(self.expected);
        if offset > u32::MAX / 2 {
            return true;
        }
        matches!(offset, 1..=AHEAD_MAX) && self.in_turn >> (offset - 1) & 1 == 1
    }

    fn look_for_turns(&mut self) {
        let mut waiting = self.stored & !self.in_turn;
        while waiting != 0 {
            let bit = waiting.trailing_zeros();
            waiting &= waiting - 1;
            let seq = self.expected.wrapping_add(bit + 1);
            let distance = self.distances.get(place(seq)).copied().unwrap_or(0);
            if self.follows(bit, distance.into()) {
                self.in_turn |= 1 << bit;
            }
        }
    }

    /// Whether the predecessor of the packet at `bit`, `distance` back, is there and has had its turn.
    const fn follows(&self, bit: u32, distance: u32) -> bool {
        // The one that is missing is `bit + 1` back.
        distance == 0 || distance > bit + 1 || (distance <= bit && self.in_turn >> (bit - distance) & 1 == 1)
    }

    fn set_distance(&mut self, seq: u32, distance: u8) {
        if let Some(slot) = self.distances.get_mut(place(seq)) {
            *slot = distance;
        }
    }

    /// Makes an acknowledgement due.
    pub const fn want_ack(&mut self) {
        self.ack_due = true;
    }

    /// Whether an acknowledgement is due.
    #[must_use]
    pub const fn ack_due(&self) -> bool {
        self.ack_due
    }

    /// The first number that is missing: what an acknowledgement says now.
    #[must_use]
    pub const fn expected(&self) -> u32 {
        self.expected
    }

    /// What it says of those behind.
    #[must_use]
    pub const fn selective(&self) -> u32 {
        if capability::RELIABLE { self.stored } else { 0 }
    }

    /// An acknowledgement was transmitted.
    pub const fn acknowledged(&mut self) {
        self.ack_due = false;
    }
}

const fn place(seq: u32) -> usize {
    (seq % AHEAD_MAX) as usize
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Transmits the next packet, if there is one: a repetition first.
    fn transmit(sender: &mut Sender) -> Option<u32> {
        let repeated = sender.lost().next().or(sender.behind());
        match repeated {
            Some(offset) => Some(sender.repeat(offset)),
            None => sender.may_send().then(|| sender.send()),
        }
    }

    fn ack(sender: &mut Sender, receiver: &Receiver, mask: u32) -> Acknowledged {
        sender.on_ack(receiver.expected() & mask, receiver.selective())
    }

    /// Stores a packet of a route of its own.
    fn take(receiver: &mut Receiver, seq: u32) -> bool {
        let Arrival::New { seq: full, .. } = receiver.on_packet(seq, 0) else { return false };
        receiver.store(full, 0);
        true
    }

    #[test]
    fn the_window_limits_what_is_under_way() {
        let mut sender = Sender::new(3, 7, 1);
        assert_eq!((0..5).filter_map(|_| transmit(&mut sender)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(sender.on_ack(2, 0).count, 2);
        assert_eq!(transmit(&mut sender), Some(3));
    }

    #[test]
    fn a_gap_is_repeated_at_once_and_alone() {
        let mut sender = Sender::new(128, 0xFF, 1);
        let mut receiver = Receiver::new(0xFF);
        for seq in 0..6 {
            assert_eq!(transmit(&mut sender), Some(seq));
            if seq != 1 && seq != 3 {
                assert!(take(&mut receiver, seq));
            }
        }
        assert_eq!((receiver.expected(), receiver.selective()), (1, 0b1101));
        let acked = ack(&mut sender, &receiver, 0xFF);
        assert_eq!((acked.count, acked.lost), (1, 0b101));
        assert_eq!(transmit(&mut sender), Some(1));
        assert_eq!(transmit(&mut sender), Some(3));
        assert_eq!(transmit(&mut sender), Some(6), "something new");
        // The first repetition is lost, too: what came behind it tells.
        assert!(take(&mut receiver, 3));
        assert_eq!(ack(&mut sender, &receiver, 0xFF).lost, 1);
        assert_eq!(transmit(&mut sender), Some(1));
        assert!(take(&mut receiver, 1) && take(&mut receiver, 6));
        assert_eq!(ack(&mut sender, &receiver, 0xFF).count, 6);
        assert!(!sender.must_repeat() && sender.in_flight() == 0);
    }

    #[test]
    fn a_lost_repetition_is_noticed_by_what_is_sent_behind_it() {
        let mut sender = Sender::new(128, 0xFF, 1);
        for _ in 0..3 {
            sender.send();
        }
        assert_eq!(sender.on_ack(0, 0b1).lost, 1);
        sender.repeat(0);
        assert_eq!(sender.on_ack(0, 0b11).lost, 0, "left before the repetition");
        sender.send();
        assert_eq!(sender.on_ack(0, 0b111).lost, 1, "left behind it");
    }

    #[test]
    fn where_the_link_reorders_three_must_have_overtaken() {
        let mut sender = Sender::new(128, u32::MAX, 3);
        for _ in 0..5 {
            sender.send();
        }
        assert_eq!(sender.on_ack(0, 0b1).lost, 0);
        assert_eq!(sender.on_ack(0, 0b11).lost, 0);
        assert_eq!(sender.on_ack(0, 0b111).lost, 1);
    }

    #[test]
    fn a_proof_tells_what_is_lost() {
        let mut sender = Sender::new(128, 0xFF, 1);
        (0..4).for_each(|_| _ = sender.send());
        sender.on_ack(1, 0b1);
        sender.repeat(0);
        sender.send();
        assert_eq!(sender.on_proof(4), 0b101, "1 again, and 3; 4 left later");
        assert_eq!(sender.lost().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(sender.on_proof(4), 0);
        sender.on_ack(5, 0);
        assert_eq!(sender.on_proof(3), 0, "an old one");
    }

    #[test]
    fn a_timeout_repeats_what_is_not_stored() {
        let mut sender = Sender::new(32768, u32::MAX, 1);
        for _ in 0..100 {
            sender.send();
        }
        sender.on_ack(2, 0b10);
        sender.on_timeout();
        let again: Vec<u32> = (0..200).map_while(|_| transmit(&mut sender)).collect();
        let expected: Vec<u32> = (2..100).filter(|seq| *seq != 4).collect();
        assert_eq!(again, expected, "and nothing new: something is missing");
        assert_eq!(sender.on_ack(100, 0).count, 98);
        assert_eq!(transmit(&mut sender), Some(100));
    }

    #[test]
    fn foreign_acknowledgements_are_ignored() {
        let mut sender = Sender::new(128, 0xFF, 1);
        for _ in 0..10 {
            sender.send();
        }
        for (next, count) in [(11, 0), (255, 0), (10, 10), (9, 0)] {
            assert_eq!(sender.on_ack(next, u32::MAX).count, count);
        }
        assert!(!sender.must_repeat());
    }

    #[test]
    fn a_route_does_not_wait_for_another() {
        let mut receiver = Receiver::new(0xFF);
        // 0 is missing; 1 follows it, 2 is of another route, 3 follows 2, 4 follows 1.
        for (seq, distance, turn) in [(1, 1, false), (2, 0, true), (3, 1, true), (4, 3, false)] {
            assert_eq!(receiver.on_packet(seq, distance), Arrival::New { seq, in_turn: turn });
            receiver.store(seq, distance);
            assert_eq!(receiver.is_in_turn(seq), turn);
            assert_eq!(receiver.on_packet(seq, distance), Arrival::Unwanted);
        }
        assert!(receiver.store(0, 0), "others have their turn now");
        assert!((0..5).all(|seq| receiver.is_in_turn(seq)));
        assert_eq!((receiver.expected(), receiver.selective()), (5, 0));
    }

    #[test]
    fn the_farthest_keeps_its_turn_when_the_gap_is_filled() {
        let mut receiver = Receiver::new(0xFF);
        for (seq, distance) in [(32, 31), (0, 0)] {
            receiver.on_packet(seq, distance);
            receiver.store(seq, distance);
        }
        assert!(!receiver.is_in_turn(32), "1 has not come");
    }

    #[test]
    fn what_is_too_far_ahead_is_not_stored() {
        let mut receiver = Receiver::new(0xFF);
        assert_eq!(receiver.on_packet(33, 0), Arrival::Unwanted);
        assert_eq!(receiver.on_packet(32, 0), Arrival::New { seq: 32, in_turn: true });
        assert_eq!(receiver.on_packet(200, 0), Arrival::Unwanted);
        assert!(receiver.ack_due());
    }

    #[test]
    fn a_session_goes_on_over_another_link() {
        let mut sender = Sender::new(WINDOW_WIDE, u32::MAX, 1);
        for _ in 0..200 {
            sender.send();
        }
        assert_eq!(sender.resume(WINDOW_NARROW, 0xFF, 1, 10), 10);
        assert_eq!(sender.resume(WINDOW_NARROW, 0xFF, 1, 9), 0, "an old one");
        let again: Vec<u32> = (0..300).map_while(|_| transmit(&mut sender)).collect();
        assert_eq!(again, (10..138).collect::<Vec<_>>(), "the narrow window holds for repetitions, too");
        assert_eq!(sender.on_ack(138, 0).count, 128);
        assert_eq!(transmit(&mut sender), Some(138));
    }

    #[test]
    fn everything_arrives_once_whatever_is_lost() {
        // Every pattern of losing 12 transmissions or acknowledgements, with a small window.
        for pattern in 0u32..1 << 12 {
            let (mut sender, mut receiver) = (Sender::new(4, 7, 1), Receiver::new(7));
            let (mut got, mut step) = ([0; 6], 0);
            let mut lossy = || {
                step += 1;
                assert!(step < 400, "pattern {pattern:b} does not end");
                step <= 12 && pattern >> (step - 1) & 1 == 1
            };
            while sender.acked() < 6 {
                let mut sent = false;
                while sender.must_repeat() || sender.next() < 6 {
                    let Some(seq) = transmit(&mut sender) else { break };
                    sent = true;
                    if !lossy() && take(&mut receiver, seq & 7) {
                        got[seq as usize] += 1;
                        if !lossy() {
                            ack(&mut sender, &receiver, 7);
                        }
                    }
                }
                if !sent {
                    sender.on_timeout();
                }
                if !lossy() {
                    ack(&mut sender, &receiver, 7);
                }
            }
            assert_eq!(got, [1; 6], "pattern {pattern:b}");
        }
    }
}
