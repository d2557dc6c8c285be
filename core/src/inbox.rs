//! The receive store: RX is divided into one ring per route that receives and one box per awaited answer.
//!
//! Invariant: the regions lie one behind the other without gaps, so what is free is what is behind the last one.
//! Giving one back moves the later ones down, which is rare (a withdrawal, the end of a call). Within a region the records
//! stand in the order in which they are handed out: those that are whole and whose turn has come at the front, behind them
//! those that wait for something that is missing. Does not know routes.

use crate::capability;
use crate::limits::{LIFE_COST, MESSAGE_COST};
use crate::queue::Ring;
use crate::wire::rotate;

/// A part of RX that is used as a ring of records.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    at: u32,
    capacity: u32,
    ring: Ring,
    /// Bytes at the front that may be handed out.
    ready: u32,
}

/// What stands before each payload in a region: [`MESSAGE_COST`] bytes, and the deadline if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Of the payload. Below 2^19.
    pub(crate) len: u32,
    /// How many bytes of it have not come. Below 2^19.
    pub(crate) missing: u32,
    /// Low bits of the number of the first packet that came of it; of a request, its id.
    pub(crate) key: u16,
    /// Which of the route's messages it is, modulo 256.
    pub(crate) number: u8,
    pub(crate) reliable: bool,
    /// When it is to be discarded unread; 0: never.
    pub(crate) deadline: u32,
    /// A deadline stands between header and payload.
    expires: bool,
}

const LEN_BITS: u32 = 19;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;

impl Record {
    /// A record whose payload is whole.
    pub(crate) const fn whole(key: u16, reliable: bool, len: usize) -> Self {
        Self { len: len as u32, missing: 0, key, number: 0, reliable, deadline: 0, expires: false }
    }

    /// One of which nothing has come.
    pub(crate) const fn large(key: u16, reliable: bool, len: u32, number: u8) -> Self {
        Self { len, missing: len, key, number, reliable, deadline: 0, expires: false }
    }

    /// The same with another key.
    pub(crate) const fn keyed(self, key: u16) -> Self {
        Self { key, ..self }
    }

    /// The same with a deadline.
    pub(crate) const fn until(self, deadline: u32) -> Self {
        Self { deadline, expires: true, ..self }
    }

    /// Whether it has a deadline.
    pub(crate) const fn expires(&self) -> bool {
        capability::EXPIRY && self.expires
    }

    const fn head(&self) -> usize {
        if self.expires() { MESSAGE_COST + LIFE_COST } else { MESSAGE_COST }
    }

    /// What the record takes of the window: header, deadline and payload.
    pub(crate) const fn cost(&self) -> u32 {
        self.len.saturating_add(self.head() as u32)
    }

    fn save(self, ring: &Ring, buffer: &mut [u8], at: usize) {
        let bits = u64::from(self.len)
            | u64::from(self.missing) << LEN_BITS
            | u64::from(self.key) << (2 * LEN_BITS)
            | u64::from(self.number) << 54
            | u64::from(self.reliable) << 62
            | u64::from(self.expires) << 63;
        ring.put(buffer, at, bits.to_le_bytes());
        if self.expires() {
            ring.put(buffer, at + MESSAGE_COST, self.deadline.to_le_bytes());
        }
    }

    fn load(ring: &Ring, buffer: &[u8], at: usize) -> Self {
        let bits = u64::from_le_bytes(ring.read(buffer, at));
        let expires = capability::EXPIRY && bits >> 63 != 0;
        let deadline = if expires { u32::from_le_bytes(ring.read(buffer, at + MESSAGE_COST)) } else { 0 };
        Self {
            len: (bits & LEN_MASK) as u32,
            missing: (bits >> LEN_BITS & LEN_MASK) as u32,
            key: (bits >> (2 * LEN_BITS)) as u16,
            number: (bits >> 54) as u8,
            reliable: bits >> 62 & 1 != 0,
            deadline,
            expires,
        }
    }
}

impl Region {
    pub(crate) const NONE: Self = Self { at: 0, capacity: 0, ring: Ring::new(), ready: 0 };

    /// A region of `capacity` bytes behind `used` others.
    pub(crate) const fn new(used: usize, capacity: usize) -> Self {
        Self { at: used as u32, capacity: capacity as u32, ring: Ring::new(), ready: 0 }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether there is nothing to hand out.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ready == 0
    }

    /// Whether something waits for what is missing.
    pub(crate) const fn has_waiting(&self) -> bool {
        capability::WAITING && (self.ready as usize) < self.ring.len()
    }

    /// Bytes that may be handed out, headers included.
    pub(crate) const fn ready(&self) -> usize {
        self.ready as usize
    }

    /// Forgets all records.
    pub(crate) const fn clear(&mut self) {
        self.ring.clear();
        self.ready = 0;
    }

    /// The room is not needed any more: what it was, to be [released](release).
    pub(crate) const fn give_up(&mut self) -> Self {
        let before = *self;
        self.clear();
        self.capacity = 0;
        before
    }

    /// Forgets those that wait: what is missing will not come.
    #[inline(never)]
    pub(crate) fn drop_waiting(&mut self) {
        if capability::WAITING {
            self.ring.shrink(self.ring.len().saturating_sub(self.ready as usize));
        }
    }

    /// The region at `at` of `len` bytes was given back: move along.
    fn move_down(&mut self, at: u32, len: u32) {
        if self.at > at {
            self.at -= len;
        }
    }

    fn bytes<'b>(&self, rx: &'b mut [u8]) -> &'b mut [u8] {
        let rest = rx.get_mut(self.at as usize..).unwrap_or_default();
        rest.get_mut(..self.capacity as usize).unwrap_or_default()
    }

    fn view<'b>(&self, rx: &'b [u8]) -> &'b [u8] {
        let rest = rx.get(self.at as usize..).unwrap_or_default();
        rest.get(..self.capacity as usize).unwrap_or_default()
    }

    /// Stores a record, to be handed out behind those that are ready; false: no room, nothing was stored. Nothing may be
    /// waiting.
    pub(crate) fn push(&mut self, rx: &mut [u8], record: Record, payload: &[u8]) -> bool {
        let stored = self.insert(rx, record, self.ring.len(), 0, payload);
        if stored {
            self.ready = self.ring.len() as u32;
        }
        stored
    }

    /// Stores a part of a record that waits, at `offset` of its payload. The first part makes the record, among those that
    /// wait at the place that its key gives it. False: no room, or it does not fit what came before.
    pub(crate) fn push_waiting(
        &mut self,
        rx: &mut [u8],
        record: Record,
        offset: usize,
        payload: &[u8],
    ) -> bool {
        if !capability::WAITING {
            return false;
        }
        let fresh = record.missing as usize == record.len as usize && record.len > 0;
        let (mut at, mut place) = (self.ready as usize, None);
        while at < self.ring.len() {
            let other = Record::load(&self.ring, self.view(rx), at);
            // A part is of the record with the same number; what is far off in the sequence is another one.
            let ahead = record.key.wrapping_sub(other.key) as i16;
            if fresh
                && other.missing > 0
                && other.number == record.number
                && other.reliable == record.reliable
            {
                return self.add(rx, at, other, record, offset, payload);
            }
            if place.is_none() && ahead < 0 {
                place = Some(at);
            }
            at += other.cost() as usize;
        }
        self.insert(rx, record, place.unwrap_or(at), offset, payload)
    }

    fn add(
        &self,
        rx: &mut [u8],
        at: usize,
        other: Record,
        part: Record,
        offset: usize,
        payload: &[u8],
    ) -> bool {
        let fits = offset.saturating_add(payload.len()) <= other.len as usize;
        if part.len != other.len || !fits || payload.len() > other.missing as usize {
            return false;
        }
        let buffer = self.bytes(rx);
        self.ring.write(buffer, at + other.head() + offset, payload);
        // The first of its packets decides where it stands.
        let key = if (part.key.wrapping_sub(other.key) as i16) < 0 { part.key } else { other.key };
        let missing = other.missing - payload.len() as u32;
        Record { missing, key, ..other }.save(&self.ring, buffer, at);
        true
    }

    fn insert(&mut self, rx: &mut [u8], record: Record, at: usize, offset: usize, payload: &[u8]) -> bool {
        let (cost, len) = (record.cost() as usize, self.ring.len());
        let fits = offset.saturating_add(payload.len()) <= record.len as usize;
        let buffer = self.bytes(rx);
        if !fits || self.ring.free(buffer.len()) < cost {
            return false;
        }
        if capability::WAITING && at < len {
            // Out of order, which is rare: those behind it make room.
            self.ring.straighten(buffer, buffer.len());
            rotate(buffer.get_mut(at..len + cost).unwrap_or_default(), len - at);
        }
        self.ring.commit(buffer.len(), cost);
        let missing = record.missing.saturating_sub(payload.len() as u32);
        Record { missing, ..record }.save(&self.ring, buffer, at);
        self.ring.write(buffer, at + record.head() + offset, payload);
        true
    }

    /// Lets those come forward whose turn it is now, as `in_turn` says of their keys. Returns whether there were any.
    pub(crate) fn advance(&mut self, rx: &[u8], in_turn: &dyn Fn(u16) -> bool) -> bool {
        let before = self.ready;
        while self.has_waiting() {
            let record = Record::load(&self.ring, self.view(rx), self.ready as usize);
            if record.missing > 0 || !in_turn(record.key) {
                break;
            }
            self.ready += record.cost();
        }
        self.ready != before
    }

    /// The last record, if it waits: it is the one whose parts are coming in.
    pub(crate) fn last_waiting(&self, rx: &[u8]) -> Option<Record> {
        let mut at = self.ready as usize;
        let mut last = None;
        while capability::WAITING && at < self.ring.len() {
            let record = Record::load(&self.ring, self.view(rx), at);
            at += record.cost() as usize;
            last = Some(record);
        }
        last
    }

    /// The oldest record that is ready.
    pub(crate) fn front(&self, rx: &[u8]) -> Option<Record> {
        if self.ready == 0 {
            return None;
        }
        Some(Record::load(&self.ring, self.view(rx), 0))
    }

    /// Drops the oldest record that is not reliable, wherever it stands: how much stood before it, and its cost.
    pub(crate) fn drop_best_effort(&mut self, rx: &mut [u8]) -> Option<(usize, u32)> {
        let buffer = self.bytes(rx);
        self.ring.straighten(buffer, buffer.len());
        let (mut at, len) = (0, self.ring.len());
        while at < len {
            let record = Record::load(&self.ring, buffer, at);
            let next = at + record.cost() as usize;
            if !record.reliable {
                rotate(buffer.get_mut(at..len).unwrap_or_default(), next - at);
                self.ring.shrink(next - at);
                if at < self.ready as usize {
                    self.ready -= record.cost();
                }
                return Some((at, record.cost()));
            }
            at = next;
        }
        None
    }

    /// Takes the oldest record out. Its payload stays readable until the region is written again.
    pub(crate) fn pop<'b>(&mut self, rx: &'b mut [u8]) -> Option<(Record, &'b [u8])> {
        let record = self.front(rx)?;
        Some((record, self.take(rx, &record)))
    }

    /// The payload of the oldest record, which stays where it is.
    pub(crate) fn look<'b>(&mut self, rx: &'b mut [u8], record: &Record) -> &'b [u8] {
        let buffer = self.bytes(rx);
        self.ring.front(buffer, record.cost() as usize).get(record.head()..).unwrap_or_default()
    }

    /// The same of a record that is known to be the oldest.
    pub(crate) fn take<'b>(&mut self, rx: &'b mut [u8], record: &Record) -> &'b [u8] {
        let buffer = self.bytes(rx);
        let cost = record.cost();
        let bytes = self.ring.pop(buffer, cost as usize);
        self.ready -= cost;
        bytes.get(record.head()..).unwrap_or_default()
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
    rotate(rx.get_mut(at as usize..used).unwrap_or_default(), capacity as usize);
    others.for_each(|other| other.move_down(at, capacity));
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn whole(payload: &[u8]) -> Record {
        Record::whole(0, true, payload.len())
    }

    #[test]
    fn records_keep_their_bytes_while_others_come_and_go() {
        let mut rx = [0; 100];
        let mut a = Region::new(0, 30);
        let mut b = Region::new(30, 40);
        assert!(a.push(&mut rx, whole(b"first"), b"first"));
        assert!(b.push(&mut rx, Record::whole(2, false, 6), b"second"));
        assert!(!a.push(&mut rx, whole(&[0; 20]), &[0; 20]), "13 of 30 bytes are taken");
        release(a, &mut rx, 70, [&mut b].into_iter());
        let (record, payload) = b.pop(&mut rx).unwrap();
        assert_eq!((record.key, record.reliable, record.cost(), payload), (2, false, 14, &b"second"[..]));
        assert!(b.pop(&mut rx).is_none());
    }

    #[test]
    fn payloads_are_in_one_piece_across_the_end() {
        let mut rx = [0; 50];
        let mut region = Region::new(3, 41);
        for i in 0..100u8 {
            let payload = [i; 11];
            assert!(region.push(&mut rx, whole(&payload), &payload));
            assert!(region.push(&mut rx, whole(&payload), &payload));
            for _ in 0..2 {
                assert_eq!(region.pop(&mut rx).unwrap().1, payload);
            }
        }
    }

    #[test]
    fn what_comes_out_of_order_is_handed_out_in_order() {
        for turn in 0..30u16 {
            let mut rx = [0; 120];
            let mut region = Region::new(0, 120);
            // The ring begins anywhere.
            assert!(region.push(&mut rx, whole(&[0; 100]), &[0; 100]));
            region.ring.pop(&mut rx, usize::from(turn) * 3);
            region.ring.shrink(200);
            region.ready = 0;
            let first = turn.wrapping_mul(9000);
            let key = |i: u16| first.wrapping_add(i);
            // Packets 0 to 5: messages "a" and "e" of one packet each, one of two fragments between, late ones first.
            let late = Record { number: 2, ..Record::whole(key(5), true, 2) };
            assert!(region.push_waiting(&mut rx, late, 0, b"ee"));
            let part = |i| Record::large(key(i), true, 6, 1);
            assert!(region.push_waiting(&mut rx, part(4), 4, b"cd"));
            assert!(region.push_waiting(&mut rx, part(2), 0, b"bbbb"));
            assert!(region.advance(&rx, &|_| false) || region.is_empty());
            assert!(region.push_waiting(
                &mut rx,
                Record { number: 0, ..Record::whole(key(0), true, 3) },
                0,
                b"aaa"
            ));
            assert!(region.advance(&rx, &|seq| seq != key(5)));
            let mut out = Vec::new();
            while let Some((_, payload)) = region.pop(&mut rx) {
                out.push(payload.to_vec());
            }
            assert_eq!(out, [b"aaa".to_vec(), b"bbbbcd".to_vec()]);
            assert!(region.has_waiting());
            assert!(region.advance(&rx, &|_| true));
            assert_eq!(region.pop(&mut rx).unwrap().1, b"ee");
        }
    }

    #[test]
    fn a_deadline_stands_beside_the_payload() {
        let mut rx = [0; 40];
        let mut region = Region::new(0, 40);
        let record = Record::whole(0, true, 5).until(77);
        assert_eq!(record.cost(), 17);
        assert!(region.push(&mut rx, record, b"hello"));
        assert_eq!(region.front(&rx).unwrap().deadline, 77);
        assert_eq!(region.pop(&mut rx).unwrap().1, b"hello");
    }
}
