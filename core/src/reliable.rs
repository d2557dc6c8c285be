//! Which reliable packet is sent next, and which is taken: sequence numbers, window, go-back-N.
//!
//! Two plain values without time, bytes or statistics, so that a model checker can explore the code that ships;
//! window and width of the number on the wire are parameters. Inside, numbers are 32 bits wide and wrap.
//!
//! Invariant of the sender: `acked <= cursor <= next <= acked + window` (modulo 2^32). The packets themselves are
//! in the endpoint's transmit store, oldest first: packet `acked` is the first record there.

/// The largest number of unacknowledged packets where numbers have one byte on the wire.
pub const WINDOW_NARROW: u32 = 128;
/// The same where they have four bytes.
pub const WINDOW_WIDE: u32 = 32768;

/// The sending half.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sender {
    window: u32,
    /// Bits of a number on the wire that count.
    mask: u32,
    /// All before this one are acknowledged.
    acked: u32,
    /// The next one to transmit: below `next` it is a repetition.
    cursor: u32,
    /// The number that the next new packet gets.
    next: u32,
}

/// A packet to transmit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transmission {
    /// Its number, not yet cut to the width of the wire.
    pub seq: u32,
    /// Whether it was never transmitted before.
    pub new: bool,
}

impl Sender {
    /// A sender at number 0 that keeps at most `window` packets under way; `mask` has the bits of a number on
    /// the wire, and `window <= mask`.
    #[must_use]
    pub const fn new(window: u32, mask: u32) -> Self {
        Self { window, mask, acked: 0, cursor: 0, next: 0 }
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

    /// What may be transmitted next, if there is such a packet: a repetition, or a new one within the window.
    #[must_use]
    pub const fn peek(&self) -> Option<Transmission> {
        let new = self.cursor == self.next;
        if new && self.in_flight() >= self.window {
            return None;
        }
        Some(Transmission { seq: self.cursor, new })
    }

    /// The packet that [`peek`](Self::peek) named was transmitted.
    pub const fn transmitted(&mut self) {
        if self.cursor == self.next {
            self.next = self.next.wrapping_add(1);
        }
        self.cursor = self.cursor.wrapping_add(1);
    }

    /// An acknowledgement came: all before `next` (as on the wire) are stored. Returns how many of ours that newly
    /// acknowledges; one that does not fit what is under way is ignored.
    pub const fn on_ack(&mut self, next: u32) -> u32 {
        let count = next.wrapping_sub(self.acked) & self.mask;
        if count > self.in_flight() {
            return 0;
        }
        let behind = self.cursor.wrapping_sub(self.acked);
        self.acked = self.acked.wrapping_add(count);
        if behind < count {
            self.cursor = self.acked;
        }
        count
    }

    /// Nothing was acknowledged for too long: begin again at the first that is not.
    pub const fn on_timeout(&mut self) {
        self.cursor = self.acked;
    }
}

/// The receiving half.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receiver {
    mask: u32,
    /// All before this one are stored.
    expected: u32,
    ack_due: bool,
}

impl Receiver {
    /// A receiver that expects number 0; `mask` as for the sender.
    #[must_use]
    pub const fn new(mask: u32) -> Self {
        Self { mask, expected: 0, ack_due: false }
    }

    /// A packet with this number (as on the wire) came. True: it is the next one, hand it on now. False: it is a
    /// repetition or comes after a gap; drop it. Either way an acknowledgement is due.
    pub const fn on_packet(&mut self, seq: u32) -> bool {
        self.ack_due = true;
        let next = (seq ^ self.expected) & self.mask == 0;
        if next {
            self.expected = self.expected.wrapping_add(1);
        }
        next
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

    /// What an acknowledgement says now.
    #[must_use]
    pub const fn expected(&self) -> u32 {
        self.expected
    }

    /// An acknowledgement was transmitted.
    pub const fn acknowledged(&mut self) {
        self.ack_due = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_limits_what_is_under_way() {
        let mut sender = Sender::new(3, 3);
        for seq in 0..3 {
            assert_eq!(sender.peek(), Some(Transmission { seq, new: true }));
            sender.transmitted();
        }
        assert_eq!(sender.peek(), None);
        assert_eq!(sender.on_ack(2), 2);
        assert_eq!(sender.peek(), Some(Transmission { seq: 3, new: true }));
    }

    #[test]
    fn a_timeout_begins_again_at_the_first_missing() {
        let mut sender = Sender::new(8, 0xFF);
        for _ in 0..5 {
            sender.transmitted();
        }
        sender.on_ack(2);
        sender.on_timeout();
        assert_eq!(sender.peek(), Some(Transmission { seq: 2, new: false }));
        sender.transmitted();
        // The acknowledgement overtakes the repetition: nothing is repeated twice.
        assert_eq!(sender.on_ack(5), 3);
        assert_eq!(sender.peek(), Some(Transmission { seq: 5, new: true }));
    }

    #[test]
    fn foreign_acknowledgements_are_ignored() {
        let mut sender = Sender::new(128, 0xFF);
        for _ in 0..10 {
            sender.transmitted();
        }
        assert_eq!(sender.on_ack(11), 0);
        assert_eq!(sender.on_ack(255), 0);
        assert_eq!(sender.on_ack(10), 10);
        assert_eq!(sender.on_ack(9), 0);
    }

    #[test]
    fn everything_arrives_once_and_in_order_whatever_is_lost() {
        // Every pattern of losing 12 transmissions, with the smallest window and width.
        for pattern in 0u32..1 << 12 {
            let (mut sender, mut receiver) = (Sender::new(3, 3), Receiver::new(3));
            let (mut got, mut step) = (0, 0);
            while got < 6 {
                let mut sent = 0;
                while let Some(packet) = sender.peek().filter(|p| p.seq < 6 && sent < 3) {
                    sender.transmitted();
                    sent += 1;
                    let lost = step < 12 && pattern >> step & 1 == 1;
                    step += 1;
                    if !lost && receiver.on_packet(packet.seq & 3) {
                        assert_eq!(packet.seq, got, "pattern {pattern:b}");
                        got += 1;
                    }
                }
                sender.on_ack(receiver.expected() & 3);
                sender.on_timeout();
                assert!(step < 200, "pattern {pattern:b} does not end");
            }
        }
    }
}
