//! The receiving half: which packet is taken, and whose turn it is.

use super::AHEAD_MAX;
use crate::capability;

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
