//! The receive store: RX is divided into one ring per route that receives and one box per awaited answer.
//!
//! Invariant: the regions lie one behind the other without gaps, so what is free is what is behind the last one.
//! Giving one back moves the later ones down, which is rare (a withdrawal, the end of a call). Does not know routes.

use crate::limits::MESSAGE_COST;
use crate::queue::Ring;

/// A part of RX that is used as a ring of records.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    at: u32,
    capacity: u32,
    ring: Ring,
}

/// What stands before each payload in a region: [`MESSAGE_COST`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) len: u32,
    /// Of a request.
    pub(crate) id: u16,
    pub(crate) reliable: bool,
}

impl Record {
    /// What the record takes of the window: payload and header.
    pub(crate) const fn cost(self) -> u32 {
        self.len.saturating_add(MESSAGE_COST as u32)
    }

    const fn to_bytes(self) -> [u8; MESSAGE_COST] {
        let [a, b, c, d] = self.len.to_le_bytes();
        let [e, f] = self.id.to_le_bytes();
        [a, b, c, d, e, f, self.reliable as u8, 0]
    }

    const fn from_bytes(bytes: [u8; MESSAGE_COST]) -> Self {
        let [a, b, c, d, e, f, reliable, _] = bytes;
        Self {
            len: u32::from_le_bytes([a, b, c, d]),
            id: u16::from_le_bytes([e, f]),
            reliable: reliable != 0,
        }
    }
}

impl Region {
    pub(crate) const NONE: Self = Self { at: 0, capacity: 0, ring: Ring::new() };

    /// A region of `capacity` bytes behind `used` others.
    pub(crate) const fn new(used: usize, capacity: usize) -> Self {
        Self { at: used as u32, capacity: capacity as u32, ring: Ring::new() }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Bytes in it, headers included.
    pub(crate) const fn used(&self) -> usize {
        self.ring.len()
    }

    /// Forgets all records.
    pub(crate) const fn clear(&mut self) {
        self.ring.clear();
    }

    /// The region at `at` of `len` bytes was given back: move along.
    fn move_down(&mut self, at: u32, len: u32) {
        if self.at > at {
            self.at -= len;
        }
    }

    fn bytes<'b>(&self, rx: &'b mut [u8]) -> &'b mut [u8] {
        let at = self.at as usize;
        rx.get_mut(at..at.saturating_add(self.capacity as usize)).unwrap_or_default()
    }

    /// Stores a record; false: no room, nothing was stored.
    pub(crate) fn push(&mut self, rx: &mut [u8], id: u16, reliable: bool, payload: &[u8]) -> bool {
        let buffer = self.bytes(rx);
        let capacity = buffer.len();
        let record = Record { len: payload.len() as u32, id, reliable };
        let mut sink = self.ring.sink(buffer, 0, usize::MAX);
        sink.write(&record.to_bytes());
        sink.write(payload);
        if sink.overflowed() {
            return false;
        }
        let len = sink.len();
        self.ring.commit(capacity, len);
        true
    }

    /// The oldest record.
    pub(crate) fn front(&self, rx: &mut [u8]) -> Option<Record> {
        if self.ring.is_empty() {
            return None;
        }
        Some(Record::from_bytes(self.ring.read(self.bytes(rx), 0)))
    }

    /// Drops the oldest record that is not reliable, wherever it stands: how much stood before it, and its cost.
    pub(crate) fn drop_best_effort(&mut self, rx: &mut [u8]) -> Option<(usize, u32)> {
        let buffer = self.bytes(rx);
        self.ring.straighten(buffer, buffer.len());
        let (mut at, len) = (0, self.ring.len());
        while at < len {
            let record = Record::from_bytes(self.ring.read(buffer, at));
            let next = at + record.cost() as usize;
            if !record.reliable {
                if next <= len && len <= buffer.len() {
                    buffer.copy_within(next..len, at);
                }
                self.ring.shrink(next - at);
                return Some((at, record.cost()));
            }
            at = next;
        }
        None
    }

    /// Takes the oldest record out. Its payload stays readable until the region is written again.
    pub(crate) fn pop<'b>(&mut self, rx: &'b mut [u8]) -> Option<(Record, &'b [u8])> {
        let record = self.front(rx)?;
        let buffer = self.bytes(rx);
        let len = record.len as usize;
        self.ring.straighten(buffer, MESSAGE_COST + len);
        // Into the slice first, then out of the ring: popping the last record moves the head.
        let (payload, _) = self.ring.pieces(buffer, MESSAGE_COST, len);
        self.ring.pop(self.capacity as usize, MESSAGE_COST + len);
        Some((record, payload))
    }
}

/// Gives `region` back: of the `used` bytes of all regions, moves those behind it down, and the `others` with them.
pub(crate) fn release<'r>(
    region: Region,
    rx: &mut [u8],
    used: usize,
    others: impl Iterator<Item = &'r mut Region>,
) {
    let Region { at, capacity, .. } = region;
    let (from, to) = ((at + capacity) as usize, at as usize);
    if from <= used && used <= rx.len() {
        rx.copy_within(from..used, to);
    }
    others.for_each(|other| other.move_down(at, capacity));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_bytes_while_others_come_and_go() {
        let mut rx = [0; 100];
        let mut a = Region::new(0, 30);
        let mut b = Region::new(30, 40);
        assert!(a.push(&mut rx, 1, true, b"first"));
        assert!(b.push(&mut rx, 2, false, b"second"));
        assert!(!a.push(&mut rx, 3, true, &[0; 20]), "13 of 30 bytes are taken");
        release(a, &mut rx, 70, [&mut b].into_iter());
        let (record, payload) = b.pop(&mut rx).unwrap();
        assert_eq!((record.id, record.reliable, record.cost(), payload), (2, false, 14, &b"second"[..]));
        assert!(b.pop(&mut rx).is_none());
    }

    #[test]
    fn payloads_are_in_one_piece_across_the_end() {
        let mut rx = [0; 50];
        let mut region = Region::new(3, 41);
        for i in 0..100u8 {
            let payload = [i; 11];
            assert!(region.push(&mut rx, 0, true, &payload));
            assert!(region.push(&mut rx, 0, true, &payload));
            for _ in 0..2 {
                assert_eq!(region.pop(&mut rx).unwrap().1, payload);
            }
        }
    }
}
