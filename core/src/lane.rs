//! Messages that wait for the line, in the order in which they were published: all that a build has to keep that sends
//! nothing in parts, and nothing but declarations again.
//!
//! Invariant: between `head` and `tail` entries stand one behind the other without gaps, each a header and a payload in one
//! piece. Who wants them, and what else travels with them, is not known here.

use crate::packet::best_effort_len;
use crate::wire::rotate;

/// Bytes before each payload: the place of its route, and its length.
const HEADER: usize = 4;

/// The place of an entry that nobody wants any more.
const NOBODY: u16 = u16::MAX;

/// The lane; the bytes are in the slice that every call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    head: u32,
    tail: u32,
    /// Entries between them.
    count: u16,
}

/// A message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting<'b> {
    /// The place of its route; None: nobody wants it any more.
    pub(crate) slot: Option<u16>,
    pub(crate) payload: &'b [u8],
}

impl Waiting<'_> {
    /// Bytes that it takes in a frame at the most, as its last packet.
    pub(crate) const fn most_len(&self) -> usize {
        best_effort_len(u16::MAX, self.payload.len(), true)
    }
}

impl Lane {
    pub(crate) const fn new() -> Self {
        Self { head: 0, tail: 0, count: 0 }
    }

    /// Largest payload that a store of this length ever takes.
    pub(crate) const fn limit(len: usize) -> usize {
        let limit = len.saturating_sub(HEADER);
        if limit > u16::MAX as usize { u16::MAX as usize } else { limit }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Where the next payload is written: as much as there is room for.
    pub(crate) fn area<'b>(&mut self, store: &'b mut [u8]) -> &'b mut [u8] {
        if self.head > 0 {
            // Hardly ever: a lane that was emptied begins at the front again.
            rotate(store, self.head as usize);
            self.tail -= self.head;
            self.head = 0;
        }
        store.get_mut(self.tail as usize + HEADER..).unwrap_or_default()
    }

    /// What was written to the beginning of [`area`](Self::area) waits from now on. False: there is not even room for its
    /// header.
    pub(crate) fn push(&mut self, store: &mut [u8], slot: u16, len: usize) -> bool {
        let [a, b] = slot.to_le_bytes();
        let [c, d] = (len as u16).to_le_bytes();
        let header = store.get_mut(self.tail as usize..).and_then(|rest| rest.first_chunk_mut());
        if let Some(header) = header {
            *header = [a, b, c, d];
            self.tail += (HEADER + len) as u32;
            self.count += 1;
            return true;
        }
        false
    }

    /// The message at the front, and the lane behind it.
    pub(crate) fn front<'b>(&self, store: &'b [u8]) -> Option<(Waiting<'b>, Self)> {
        let entry = store.get(self.head as usize..self.tail as usize)?;
        let (&[a, b, c, d], rest) = entry.split_first_chunk()?;
        let (slot, len) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let waiting =
            Waiting { slot: (slot != NOBODY).then_some(slot), payload: rest.get(..usize::from(len))? };
        let head = self.head + HEADER as u32 + u32::from(len);
        Some((waiting, Self { head, tail: self.tail, count: self.count.saturating_sub(1) }))
    }

    /// The front is done with: `rest` is what [`front`](Self::front) said.
    pub(crate) const fn pop(&mut self, rest: Self) {
        *self = if rest.is_empty() { Self::new() } else { rest };
    }

    /// Nobody wants the messages of a place any more.
    pub(crate) fn forget(&self, store: &mut [u8], slot: u16) {
        let mut rest = *self;
        while let Some((waiting, behind)) = rest.front(store) {
            if waiting.slot == Some(slot)
                && let Some(header) =
                    store.get_mut(rest.head as usize..).and_then(|entry| entry.first_chunk_mut())
            {
                *header = NOBODY.to_le_bytes();
            }
            rest = behind;
        }
    }

    /// How many messages wait, those that nobody wants any more included.
    pub(crate) const fn count(&self) -> usize {
        self.count as usize
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn publish(lane: &mut Lane, store: &mut [u8], slot: u16, payload: &[u8]) -> bool {
        let Some(area) = lane.area(store).get_mut(..payload.len()) else { return false };
        area.copy_from_slice(payload);
        lane.push(store, slot, payload.len())
    }

    fn take(lane: &mut Lane, store: &[u8]) -> Option<(Option<u16>, Vec<u8>)> {
        let (waiting, rest) = lane.front(store)?;
        let taken = (waiting.slot, waiting.payload.to_vec());
        lane.pop(rest);
        Some(taken)
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_came() {
        let mut store = [0xEE; 40];
        let mut lane = Lane::new();
        let (mut published, mut taken) = (0u8, 0u8);
        for round in 0..200usize {
            while publish(&mut lane, &mut store, published.into(), &vec(published)) {
                published = published.wrapping_add(1);
            }
            for _ in 0..=round % 3 {
                if let Some(found) = take(&mut lane, &store) {
                    assert_eq!(found, (Some(taken.into()), vec(taken)));
                    taken = taken.wrapping_add(1);
                }
            }
        }
        assert!(taken > 100);
        assert_eq!(lane.count(), usize::from(published.wrapping_sub(taken)));
    }

    fn vec(number: u8) -> Vec<u8> {
        std::vec![number; usize::from(number % 11)]
    }

    #[test]
    fn what_fits_is_what_it_says_and_no_more() {
        let mut store = [0; 20];
        let mut lane = Lane::new();
        assert_eq!(Lane::limit(20), 16);
        assert_eq!(Waiting { slot: None, payload: &[0; 8] }.most_len(), 1 + 3 + 8);
        assert!(!publish(&mut lane, &mut store, 0, &[1; 17]));
        assert!(publish(&mut lane, &mut store, 0, &[1; 16]));
        assert!(!publish(&mut lane, &mut store, 0, &[]));
        assert_eq!(take(&mut lane, &store), Some((Some(0), [1; 16].to_vec())));
        assert!(lane.is_empty() && publish(&mut lane, &mut store, 0, &[1; 16]));
        let mut none: [u8; 0] = [];
        assert!(!publish(&mut Lane::new(), &mut none, 0, &[1]));
    }

    #[test]
    fn what_nobody_wants_keeps_its_turn_and_says_so() {
        let mut store = [0; 64];
        let mut lane = Lane::new();
        for slot in [1, 2, 1] {
            assert!(publish(&mut lane, &mut store, slot, &[slot as u8]));
        }
        lane.forget(&mut store, 1);
        let left: Vec<_> = core::iter::from_fn(|| take(&mut lane, &store)).map(|(slot, _)| slot).collect();
        assert_eq!(left, [None, Some(2), None]);
    }
}
