//! The sending half: which packet is sent next, and what became of those under way.

use super::AHEAD_MAX;
use crate::capability;

/// Packets whose fate the sender follows one by one, from the first that is not acknowledged. Behind them it goes back
/// and repeats all.
pub(super) const FOLLOWED: u32 = u64::BITS;

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
