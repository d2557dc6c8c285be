//! The transmit store: TX is divided into two halves, one for reliable packets and one for best-effort messages, so
//! that telemetry cannot crowd out commands.
//!
//! Invariant: reliable records stand in the order of their sequence numbers; the first one is the first that is not
//! acknowledged. `cursor` (next to transmit) and `unsent` (first never transmitted) are offsets of records in it.
//! Windows and sequence numbers are decided elsewhere.

use crate::queue::{Ring, Sink};

/// Bytes before each payload.
pub(crate) const RECORD_LEN: usize = 10;
/// The route number of control records.
pub(crate) const CONTROL: u16 = 0;
/// The route number of a record that is not wanted any more: it is sent as SKIP.
pub(crate) const DEAD: u16 = u16::MAX;
/// No place in the table of routes.
pub(crate) const NO_SLOT: u16 = u16::MAX;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) len: u32,
    /// The peer's number of the route, or [`CONTROL`] or [`DEAD`].
    pub(crate) number: u16,
    /// Our place of the route; for the withdrawal of an interest the place whose number rests.
    pub(crate) slot: u16,
    /// Reliable: the distance, once sent. Best effort: the route's loss counter.
    pub(crate) extra: u16,
}

impl Record {
    const fn to_bytes(self) -> [u8; RECORD_LEN] {
        let [a, b, c, d] = self.len.to_le_bytes();
        let [e, f] = self.number.to_le_bytes();
        let [g, h] = self.slot.to_le_bytes();
        let [i, j] = self.extra.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }

    const fn from_bytes(bytes: [u8; RECORD_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        Self {
            len: u32::from_le_bytes([a, b, c, d]),
            number: u16::from_le_bytes([e, f]),
            slot: u16::from_le_bytes([g, h]),
            extra: u16::from_le_bytes([i, j]),
        }
    }

    const fn size(self) -> usize {
        RECORD_LEN + self.len as usize
    }
}

/// A payload in the store: it stays readable until something is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    ring: Ring,
    offset: usize,
    len: usize,
}

impl Payload {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The two pieces that it lies in.
    pub(crate) fn pieces<'b>(&self, half: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        self.ring.pieces(half, self.offset, self.len)
    }
}

/// Which half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Reliable,
    BestEffort,
}

/// The store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbox {
    reliable: Ring,
    cursor: u32,
    unsent: u32,
    best_effort: Ring,
}

/// The half of TX that a class uses.
pub(crate) fn half(tx: &mut [u8], class: Class) -> &mut [u8] {
    let (reliable, best_effort) = tx.split_at_mut_checked(tx.len() / 2).unwrap_or_default();
    match class {
        Class::Reliable => reliable,
        Class::BestEffort => best_effort,
    }
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self { reliable: Ring::new(), cursor: 0, unsent: 0, best_effort: Ring::new() }
    }

    const fn ring(&self, class: Class) -> &Ring {
        match class {
            Class::Reliable => &self.reliable,
            Class::BestEffort => &self.best_effort,
        }
    }

    /// Largest payload for which there is room now.
    pub(crate) fn room(&self, tx: &mut [u8], class: Class) -> usize {
        self.ring(class).free(half(tx, class).len()).saturating_sub(RECORD_LEN)
    }

    /// Where the next payload of a class is written; [`commit`](Self::commit) keeps it.
    pub(crate) fn sink<'b>(&self, tx: &'b mut [u8], class: Class, limit: usize) -> Sink<'b> {
        self.ring(class).sink(half(tx, class), RECORD_LEN, limit)
    }

    /// Keeps the payload that was written through [`sink`](Self::sink).
    pub(crate) fn commit(&mut self, tx: &mut [u8], class: Class, record: Record) {
        let half = half(tx, class);
        let ring = match class {
            Class::Reliable => &mut self.reliable,
            Class::BestEffort => &mut self.best_effort,
        };
        let end = ring.len();
        ring.commit(half.len(), record.size());
        ring.patch(half, end, &record.to_bytes());
    }

    /// The reliable record to transmit next, if there is one.
    pub(crate) fn peek_reliable(&self, tx: &mut [u8]) -> Option<(Record, Payload)> {
        self.record_at(tx, Class::Reliable, self.cursor as usize)
    }

    /// The record that [`peek_reliable`](Self::peek_reliable) named was transmitted with this distance.
    pub(crate) fn transmitted(&mut self, tx: &mut [u8], record: Record, distance: u16) {
        let at = self.cursor as usize;
        self.reliable.patch(half(tx, Class::Reliable), at, &Record { extra: distance, ..record }.to_bytes());
        self.cursor += record.size() as u32;
        self.unsent = self.unsent.max(self.cursor);
    }

    /// Begins again at the first that is not acknowledged.
    pub(crate) const fn rewind(&mut self) {
        self.cursor = 0;
    }

    /// The oldest reliable record is acknowledged.
    pub(crate) fn pop_reliable(&mut self, tx: &mut [u8]) -> Option<Record> {
        let (record, _) = self.record_at(tx, Class::Reliable, 0)?;
        let size = record.size();
        self.reliable.pop(half(tx, Class::Reliable).len(), size);
        self.cursor = self.cursor.saturating_sub(size as u32);
        self.unsent = self.unsent.saturating_sub(size as u32);
        Some(record)
    }

    /// The oldest best-effort record.
    pub(crate) fn peek_best_effort(&self, tx: &mut [u8]) -> Option<(Record, Payload)> {
        self.record_at(tx, Class::BestEffort, 0)
    }

    /// Drops the oldest best-effort record; its payload stays readable.
    pub(crate) fn pop_best_effort(&mut self, tx: &mut [u8]) {
        if let Some((record, _)) = self.peek_best_effort(tx) {
            self.best_effort.pop(half(tx, Class::BestEffort).len(), record.size());
        }
    }

    /// Bytes of best-effort messages that wait.
    pub(crate) const fn best_effort_len(&self) -> usize {
        self.best_effort.len()
    }

    /// Whether reliable records wait to be transmitted (the window may forbid it).
    pub(crate) const fn has_reliable(&self) -> bool {
        (self.cursor as usize) < self.reliable.len()
    }

    /// How many reliable records of a place were never transmitted.
    pub(crate) fn count_unsent(&self, tx: &mut [u8], slot: u16) -> u16 {
        let mut count = 0;
        let mut at = self.unsent as usize;
        while let Some((record, _)) = self.record_at(tx, Class::Reliable, at) {
            at += record.size();
            count += u16::from(record.slot == slot && record.number != CONTROL && record.number != DEAD);
        }
        count
    }

    /// The peer's number is not valid any more: nothing that carries it is sent.
    pub(crate) fn kill(&self, tx: &mut [u8], number: u16) {
        for class in [Class::Reliable, Class::BestEffort] {
            let mut at = 0;
            while let Some((record, _)) = self.record_at(tx, class, at) {
                if record.number == number {
                    let dead = Record { number: DEAD, ..record };
                    self.ring(class).patch(half(tx, class), at, &dead.to_bytes());
                }
                at += record.size();
            }
        }
    }

    fn record_at(&self, tx: &mut [u8], class: Class, at: usize) -> Option<(Record, Payload)> {
        let ring = *self.ring(class);
        if at >= ring.len() {
            return None;
        }
        let record = Record::from_bytes(ring.read(half(tx, class), at));
        Some((record, Payload { ring, offset: at + RECORD_LEN, len: record.len as usize }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, tx: &mut [u8], class: Class, number: u16, payload: &[u8]) -> bool {
        let mut sink = outbox.sink(tx, class, usize::MAX);
        sink.write(payload);
        if sink.overflowed() {
            return false;
        }
        let record = Record { len: payload.len() as u32, number, slot: number, extra: 0 };
        outbox.commit(tx, class, record);
        true
    }

    #[test]
    fn records_keep_their_order_and_survive_a_rewind() {
        let mut tx = [0; 120];
        let mut outbox = Outbox::new();
        for turn in 0..20 {
            for number in 1..=4 {
                assert!(push(&mut outbox, &mut tx, Class::Reliable, number, &[turn; 5]));
            }
            assert!(!push(&mut outbox, &mut tx, Class::Reliable, 5, &[turn; 5]));
            assert_eq!(outbox.count_unsent(&mut tx, 3), 1);
            for number in 1..=3 {
                let (record, payload) = outbox.peek_reliable(&mut tx).unwrap();
                assert_eq!(record.number, number);
                let (a, b) = payload.pieces(half(&mut tx, Class::Reliable));
                assert_eq!(a.len() + b.len(), 5);
                outbox.transmitted(&mut tx, record, 7);
            }
            assert_eq!(outbox.count_unsent(&mut tx, 3), 0);
            assert_eq!(outbox.pop_reliable(&mut tx).unwrap().number, 1);
            outbox.rewind();
            let (record, _) = outbox.peek_reliable(&mut tx).unwrap();
            assert_eq!((record.number, record.extra), (2, 7));
            assert_eq!(outbox.count_unsent(&mut tx, 4), 1, "sent before the rewind is sent");
            for _ in 0..3 {
                outbox.pop_reliable(&mut tx).unwrap();
            }
            assert!(!outbox.has_reliable());
        }
    }

    #[test]
    fn a_dead_number_is_dead_in_both_halves() {
        let mut tx = [0; 120];
        let mut outbox = Outbox::new();
        for class in [Class::Reliable, Class::BestEffort] {
            assert!(push(&mut outbox, &mut tx, class, 1, b"a"));
            assert!(push(&mut outbox, &mut tx, class, 2, b"b"));
        }
        outbox.kill(&mut tx, 1);
        assert_eq!(outbox.peek_reliable(&mut tx).unwrap().0.number, DEAD);
        assert_eq!(outbox.peek_best_effort(&mut tx).unwrap().0.number, DEAD);
        outbox.pop_best_effort(&mut tx);
        assert_eq!(outbox.peek_best_effort(&mut tx).unwrap().0.number, 2);
    }
}
