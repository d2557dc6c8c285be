//! One sender as a listener knows it: which of its messages have come.
//!
//! Invariant: of each number within the [`WINDOW`] it is known whether it came, and no number is handed on after a later one
//! of the two starts that are known. Nothing silences a start whose numbers go on, whatever else comes under its id.
//! Bytes are not known here.

use super::Header;

/// So many numbers behind the newest one it is known whether they came: what fits a word beside the newest.
pub const WINDOW: u32 = u64::BITS - 1;

/// What the number of a datagram says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is newer than all before; `lost` numbers between are missing.
    Next { lost: u32, restarted: bool },
    /// A newer one came before it. `missed`: it has been counted as lost.
    Late { missed: bool },
    /// It came before.
    Again,
}

/// A place in the table of senders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    id: u64,
    /// Bit `i`: the number `i` before the newest has come. 0: nobody is here.
    seen: u64,
    nonce: u32,
    /// The newest number that has come.
    newest: u32,
    /// The start that was heard before this one and the newest number that came of it: what is late of that is not taken for
    /// one more start, what goes on is heard. The same nonce: none was. (An `Option` would cost 8 bytes more.)
    before: (u32, u32),
    /// When it was heard last, in datagrams.
    heard: u32,
    /// So many numbers behind the newest were awaited; those before are of a time when it was not heard.
    awaited: u8,
}

impl Sender {
    pub(super) const NOBODY: Self =
        Self { id: 0, seen: 0, nonce: 0, newest: 0, before: (0, 0), heard: 0, awaited: 0 };

    /// One that is heard for the first time: what it has sent before is not missed.
    pub(super) const fn first(header: Header, now: u32) -> Self {
        Self {
            id: header.sender,
            seen: 1,
            nonce: header.nonce,
            newest: header.sequence,
            before: (header.nonce, header.sequence),
            heard: now,
            awaited: 0,
        }
    }

    pub(super) const fn is_somebody(&self) -> bool {
        self.seen != 0
    }

    pub(super) const fn is(&self, id: u64) -> bool {
        self.is_somebody() && self.id == id
    }

    /// How long it was not heard, in datagrams; longest if nobody is here.
    pub(super) const fn age(&self, now: u32) -> u64 {
        if self.is_somebody() { now.wrapping_sub(self.heard) as u64 } else { u64::MAX }
    }

    pub(super) const fn newest(&self, route: u64) -> Header {
        Header { route, sender: self.id, nonce: self.nonce, sequence: self.newest }
    }

    /// Judges a datagram of this sender.
    pub(super) fn hear(&mut self, header: Header, now: u32) -> Order {
        self.heard = now;
        if header.nonce != self.nonce {
            return self.hear_other_start(header, now);
        }
        let ahead = header.sequence.wrapping_sub(self.newest);
        if ahead.cast_signed() > 0 {
            self.newest = header.sequence;
            self.await_more(ahead);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            return Order::Next { lost: ahead - 1, restarted: false };
        }
        let behind = ahead.wrapping_neg();
        match 1u64.checked_shl(behind) {
            Some(bit) if behind <= self.awaited.into() => {
                let again = self.seen & bit != 0;
                self.seen |= bit;
                if again { Order::Again } else { Order::Late { missed: true } }
            }
            _ => Order::Late { missed: false },
        }
    }

    fn hear_other_start(&mut self, header: Header, now: u32) -> Order {
        let (known, newest) = self.before;
        let mut next = Self { before: (self.nonce, self.newest), ..Self::first(header, now) };
        let lost = if known == header.nonce {
            let ahead = header.sequence.wrapping_sub(newest);
            if ahead.cast_signed() <= 0 {
                return Order::Late { missed: false };
            }
            // It goes on, so what came meanwhile was not its end. The newest one had come, those since are awaited.
            next.await_more(ahead);
            next.seen |= 1u64.checked_shl(ahead).unwrap_or(0);
            ahead - 1
        } else {
            // The numbers of a start begin at 0.
            next.await_more(header.sequence);
            header.sequence
        };
        *self = next;
        Order::Next { lost, restarted: true }
    }

    fn await_more(&mut self, numbers: u32) {
        let awaited = u32::from(self.awaited).saturating_add(numbers);
        self.awaited = u8::try_from(awaited.min(WINDOW)).unwrap_or(u8::MAX);
    }
}
