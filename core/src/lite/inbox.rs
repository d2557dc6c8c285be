//! Messages that wait for the application: a store for each route that is read.
//!
//! Invariant: as long as the peer keeps to the window there is room for its reliable messages. A message takes
//! [`HEADER`] bytes here and costs [`MESSAGE_COST`] of the window, which is as large as the store.

use core::sync::atomic::{Ordering, compiler_fence};

use super::state::Entry;
use crate::limits::MESSAGE_COST;
use crate::wire::copy;

/// What stands before a payload: its length, and whether it is reliable.
const HEADER: usize = 2;

/// What a message takes of the window.
const fn cost(len: u8) -> u16 {
    len as u16 + MESSAGE_COST as u16
}

/// A route that is read.
#[derive(Debug)]
pub(super) struct Reading<const FRAME: usize> {
    pub(super) entry: Entry,
    /// The peer's messages are reliable: the whole window is promised to them.
    pub(super) reliable: bool,
    /// Bytes of the store that are used, and how many of them, at the front, the application has taken.
    used: u8,
    spent: u8,
    /// Cost of what waits, and how much of that is of an earlier session and was stated as backlog.
    cost: u16,
    pub(super) backlog: u16,
    /// The counts of TAKEN.
    pub(super) messages: u16,
    pub(super) bytes: u32,
    store: [u8; FRAME],
}

impl<const FRAME: usize> Reading<FRAME> {
    pub(super) const EMPTY: Self = Self {
        entry: Entry::EMPTY,
        reliable: false,
        used: 0,
        spent: 0,
        cost: 0,
        backlog: 0,
        messages: 0,
        bytes: 0,
        store: [0; FRAME],
    };

    pub(super) fn on_session(&mut self) {
        self.entry = Entry::DECLARE;
        self.reliable = false;
        self.backlog = self.cost;
        self.messages = 0;
        self.bytes = 0;
    }

    /// Stores a message; false if there is no room.
    #[inline(never)]
    pub(super) fn push(&mut self, payload: &[u8], reliable: bool) -> bool {
        self.settle();
        let room = self.store.get_mut(usize::from(self.used)..).unwrap_or_default();
        let len = payload.len();
        let Some([length, kind, place @ ..]) = room.get_mut(..len + HEADER) else { return false };
        *length = len as u8;
        *kind = reliable.into();
        copy(place, payload);
        self.used += (len + HEADER) as u8;
        self.cost += (len + MESSAGE_COST) as u16;
        true
    }

    /// Removes what was taken.
    fn settle(&mut self) {
        let spent = core::mem::take(&mut self.spent);
        self.used -= spent.min(self.used);
        if spent > 0 && self.used > 0 {
            self.shift(0, spent);
        }
    }

    /// Moves what is behind `at + len` to `at`. `used` is without these `len` bytes already.
    fn shift(&mut self, at: u8, len: u8) {
        let mut to = usize::from(at);
        while to < usize::from(self.used) {
            let byte = self.store.get(to + usize::from(len)).copied().unwrap_or_default();
            if let Some(place) = self.store.get_mut(to) {
                *place = byte;
            }
            to += 1;
            // No instruction, but the end of a loop that could be a `memmove`, which is 1.6 KB of flash.
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// Drops the messages of best effort: the room is promised. Returns how many there were.
    #[inline(never)]
    pub(super) fn give_way(&mut self) -> u16 {
        self.settle();
        let (mut at, mut dropped, mut backlog) = (0, 0, self.backlog);
        while at < self.used {
            let record = self.store.get(usize::from(at)..).unwrap_or_default();
            let [len, reliable, ..] = *record else { break };
            let size = len.saturating_add(HEADER as u8);
            // What is of an earlier session stands in front.
            let old = backlog > 0;
            backlog = backlog.saturating_sub(cost(len));
            if reliable != 0 {
                at = at.saturating_add(size);
                continue;
            }
            self.count(len, false, old);
            self.used -= size.min(self.used);
            self.shift(at, size);
            dropped += 1;
        }
        dropped
    }

    /// A message has left the store, an `old` one that was stated as backlog. Returns whether that is to be told.
    fn count(&mut self, len: u8, reliable: bool, old: bool) -> bool {
        let cost = cost(len);
        self.cost -= cost.min(self.cost);
        if old {
            self.backlog -= cost.min(self.backlog);
        } else if reliable {
            self.messages = self.messages.wrapping_add(1);
        }
        if old || reliable {
            self.bytes = self.bytes.wrapping_add(cost.into());
        }
        old || reliable
    }

    /// Takes the first message: where it stands, and whether that is to be told.
    pub(super) fn pop(&mut self) -> Option<bool> {
        self.settle();
        if self.used == 0 {
            return None;
        }
        let [len, reliable, ..] = *self.store.as_slice() else { return None };
        self.spent = len.saturating_add(HEADER as u8);
        Some(self.count(len, reliable != 0, self.backlog > 0))
    }

    /// The message that was taken last.
    pub(super) fn taken(&self) -> &[u8] {
        self.store.get(HEADER..usize::from(self.spent)).unwrap_or_default()
    }
}
