//! One sender as a listener knows it: which of its messages have come.
//!
//! Invariant: of each number within the [`WINDOW`] it is known whether it came, and no number is handed on after a later one
//! of the two starts that are known, but for a far one that nothing has borne out. Nothing silences a start whose numbers go
//! on: neither what else comes under its id nor, under its own nonce, fewer than [`BORNE_OUT`] datagrams with far numbers between
//! two of it. Bytes are not known here.

use super::Header;

/// So many numbers behind the newest one it is known whether they came: what fits a word beside the newest.
pub const WINDOW: u32 = u64::BITS - 1;

/// A number that is farther ahead may be a mistake, or a forgery: nobody loses so many in a row every day.
pub(super) const FAR: u32 = 1 << 16;
/// So many messages that follow a far number bear it out.
pub(super) const BORNE_OUT: u32 = 32;

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
    /// The newest number was a far one of this very start: what goes on from the one in `before` shows that it was none.
    far: bool,
}

impl Sender {
    pub(super) const NOBODY: Self =
        Self { id: 0, seen: 0, nonce: 0, newest: 0, before: (0, 0), heard: 0, awaited: 0, far: false };

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
            far: false,
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
        if self.far {
            if matches!(header.sequence.wrapping_sub(self.before.1), 1..=FAR) {
                return self.go_on(header, now, false);
            }
            self.far = self.seen.count_ones() < BORNE_OUT;
        }
        let ahead = header.sequence.wrapping_sub(self.newest);
        if ahead.cast_signed() > 0 && ahead > FAR {
            // Of two far numbers neither bears the other out.
            let before = if self.far { self.before } else { (self.nonce, self.newest) };
            *self = Self { before, far: true, ..Self::first(header, now) };
            self.await_more(ahead);
            return Order::Next { lost: ahead - 1, restarted: false };
        }
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
        if known == header.nonce {
            return match header.sequence.wrapping_sub(newest).cast_signed() {
                ..=0 => Order::Late { missed: false },
                _ => self.go_on(header, now, true),
            };
        }
        // The numbers of a start begin at 0.
        let before = if self.far { self.before } else { (self.nonce, self.newest) };
        *self = Self { before, ..Self::first(header, now) };
        self.await_more(header.sequence);
        Order::Next { lost: header.sequence, restarted: true }
    }

    /// What was heard before goes on, so what came meanwhile was not its end.
    fn go_on(&mut self, header: Header, now: u32, restarted: bool) -> Order {
        let ahead = header.sequence.wrapping_sub(self.before.1);
        let mut next = Self::first(header, now);
        if restarted {
            next.before = (self.nonce, self.newest);
        }
        // The newest one had come, those since are awaited.
        next.await_more(ahead);
        next.seen |= 1u64.checked_shl(ahead).unwrap_or(0);
        *self = next;
        Order::Next { lost: ahead - 1, restarted }
    }

    fn await_more(&mut self, numbers: u32) {
        let awaited = u32::from(self.awaited).saturating_add(numbers);
        self.awaited = u8::try_from(awaited.min(WINDOW)).unwrap_or(u8::MAX);
    }
}
