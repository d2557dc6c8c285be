//! Records of the transmit store: a header in the first block of a chain, and queues of them.
//!
//! Invariant: a record is in one queue at the most, linked by its own header.

use crate::blocks::{self, Id};
use crate::capability;

/// No place in the table of routes: a record of the control channel that names none.
pub(crate) const NO_SLOT: u16 = u16::MAX;

/// Bits of [`Record::flags`].
pub(crate) mod flag {
    use crate::capability;

    /// Of the reliable class.
    pub(crate) const RELIABLE: u8 = 1;
    /// Of the control channel.
    pub(crate) const CONTROL: u8 = 1 << 1;
    /// A fragment of the message that `chain` names.
    pub(crate) const FRAGMENT: u8 = 1 << 2;
    /// A message that is sent in fragments.
    pub(crate) const LARGE: u8 = 1 << 3;
    /// Not wanted any more: sent as SKIP.
    pub(crate) const DEAD: u8 = 1 << 4;
    /// The payload begins with its deadline: 4 bytes that are not sent.
    pub(crate) const EXPIRES: u8 = 1 << 5;
    /// A sample that is kept when it is sent.
    pub(crate) const KEPT: u8 = 1 << 6;
    /// The first reliable packet in its frame: it stands for the frame when losses are counted.
    pub(crate) const LEADS: u8 = 1 << 7;
    /// Those that this build ever sets: control records are of the reliable class.
    pub(super) const POSSIBLE: u8 = RELIABLE
        | CONTROL
        | if capability::FRAGMENTS { FRAGMENT | LARGE } else { 0 }
        | if capability::RELIABLE { DEAD } else { 0 }
        | if capability::EXPIRY { EXPIRES | KEPT } else { 0 }
        | LEADS;
}

/// Bytes of the deadline before a payload that expires.
pub(crate) const DEADLINE: usize = 4;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// The next one in the same queue.
    pub(super) next: Id,
    /// Bytes of the payload, without the deadline. Below 2^24.
    pub(crate) len: u32,
    pub(crate) flags: u8,
    /// Our place of the route; for some control records the place that they are about.
    pub(crate) slot: u16,
    /// Packet under way: the distance. Message that waits: its number modulo 256, and how many fragments are under way.
    pub(crate) extra: [u8; 2],
    /// Fragment: where it begins in its message. Message that waits: how much of it was sent as fragments; under way as
    /// a whole: its number. Control record: what its acknowledgement is for.
    pub(crate) offset: u32,
}

impl Record {
    /// A record that is not in the store yet. `about`: of a control record, what its acknowledgement is for.
    pub(crate) const fn new(len: u32, flags: u8, slot: u16, about: u32) -> Self {
        Self { next: 0, len, flags, slot, extra: [0; 2], offset: about }
    }

    /// The same with more flags.
    pub(crate) const fn with(self, flags: u8) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    pub(crate) const fn is(&self, flags: u8) -> bool {
        self.flags & flags & flag::POSSIBLE != 0
    }

    /// Whether it is reliable, when it is known to be a message.
    pub(crate) const fn is_reliable_message(&self) -> bool {
        capability::RELIABLE && self.is(flag::RELIABLE)
    }

    /// Of a packet under way.
    pub(crate) const fn distance(&self) -> u16 {
        u16::from_le_bytes(self.extra)
    }

    /// Of a message that waits: its number, modulo 256.
    pub(crate) const fn number(&self) -> u8 {
        self.extra[0]
    }

    /// A message under way as it was when it waited: its number again.
    pub(crate) const fn waiting(self) -> Self {
        if self.is(flag::LARGE) { self } else { Self { extra: [self.offset as u8, 0], offset: 0, ..self } }
    }

    /// Bytes that it holds before the payload.
    pub(crate) const fn head(&self) -> usize {
        if self.is(flag::EXPIRES) { DEADLINE } else { 0 }
    }

    pub(crate) const fn class(&self) -> Class {
        if self.is(flag::RELIABLE) { Class::Reliable } else { Class::BestEffort }
    }

    pub(super) fn load(tx: &[u8], id: Id) -> Self {
        let Some(&[a, b, c, d, e, flags, f, g, h, i, j, k, l, m]) = blocks::header(tx, id) else {
            return Self::new(0, 0, 0, 0);
        };
        Self {
            next: u16::from_le_bytes([a, b]),
            len: u32::from_le_bytes([c, d, e, 0]),
            flags,
            slot: u16::from_le_bytes([f, g]),
            extra: [h, i],
            offset: u32::from_le_bytes([j, k, l, m]),
        }
    }

    pub(super) fn save(self, tx: &mut [u8], id: Id) {
        let [a, b] = self.next.to_le_bytes();
        let [c, d, e, _] = self.len.to_le_bytes();
        let [f, g] = self.slot.to_le_bytes();
        let [h, i] = self.extra;
        let [j, k, l, m] = self.offset.to_le_bytes();
        if let Some(header) = blocks::header_mut(tx, id) {
            *header = [a, b, c, d, e, self.flags, f, g, h, i, j, k, l, m];
        }
    }
}

// Single fields, where all of a record would be loaded for one: this is the way of every message.

fn next(tx: &[u8], id: Id) -> Id {
    blocks::header(tx, id).map_or(0, |&[a, b, ..]| u16::from_le_bytes([a, b]))
}

fn set_next(tx: &mut [u8], id: Id, next: Id) {
    if let Some([a, b, ..]) = blocks::header_mut(tx, id) {
        [*a, *b] = next.to_le_bytes();
    }
}

/// Clears some flags of a record, and sets others.
pub(super) fn change_flags(tx: &mut [u8], id: Id, clear: u8, set: u8) {
    if let Some([_, _, _, _, _, flags, ..]) = blocks::header_mut(tx, id) {
        *flags = *flags & !clear | set;
    }
}

pub(super) fn set_extra(tx: &mut [u8], id: Id, extra: [u8; 2]) {
    if let Some([_, _, _, _, _, _, _, _, a, b, ..]) = blocks::header_mut(tx, id) {
        [*a, *b] = extra;
    }
}

pub(super) fn set_offset(tx: &mut [u8], id: Id, offset: u32) {
    if let Some([.., a, b, c, d]) = blocks::header_mut(tx, id) {
        [*a, *b, *c, *d] = offset.to_le_bytes();
    }
}

/// Which quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Reliable,
    BestEffort,
}

/// Records one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Queue {
    pub(super) head: Id,
    tail: Id,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self { head: 0, tail: 0 };

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == 0
    }

    /// The record that came first.
    pub(crate) const fn front(&self) -> Option<Id> {
        if self.is_empty() { None } else { Some(self.head) }
    }

    pub(super) fn push(&mut self, tx: &mut [u8], id: Id) {
        set_next(tx, id, 0);
        match self.tail {
            0 => self.head = id,
            tail => set_next(tx, tail, id),
        }
        self.tail = id;
    }

    /// Takes the head out, which is `front`.
    pub(super) const fn pop(&mut self, front: &Record) {
        self.head = front.next;
        if self.head == 0 {
            self.tail = 0;
        }
    }

    /// Takes a record out, wherever it stands.
    pub(super) fn remove(&mut self, tx: &mut [u8], id: Id) -> bool {
        let (mut before, mut at) = (0, self.head);
        while at != 0 && at != id {
            (before, at) = (at, next(tx, at));
        }
        if at == 0 {
            return false;
        }
        let behind = next(tx, id);
        match before {
            0 => self.head = behind,
            _ => set_next(tx, before, behind),
        }
        if behind == 0 {
            self.tail = before;
        }
        true
    }

    /// The records in it: id and header.
    pub(crate) fn iter<'t>(&self, tx: &'t [u8]) -> impl Iterator<Item = (Id, Record)> + use<'t> {
        let mut at = self.head;
        core::iter::from_fn(move || {
            let id = at;
            let record = Record::load(tx, id);
            at = record.next;
            (id != 0).then_some((id, record))
        })
    }
}
