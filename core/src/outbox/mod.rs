//! The transmit store: what waits to be sent, and what was sent and is not acknowledged. Reliable packets and best-effort
//! messages have a quota of TX each, so that telemetry cannot crowd out commands.
//!
//! Invariant: a record is in one queue of those that wait (of its route, or of the control channel), or *under way*, or the
//! kept sample of a route. Packets under way stand in the order of their sequence numbers. A message that does not fit a
//! frame stays one record, at the head of its queue until all of it is sent; each of its fragments under way is a small
//! record of its own that names it. Windows, sequence numbers and priorities are decided elsewhere.

mod record;

pub(crate) use record::{Class, DEADLINE, NO_SLOT, Queue, Record, flag};

use crate::blocks::{self, Blocks, Chain, ChainWriter, Id};
use crate::queue::Sink;
use crate::wire::Writer;

/// The store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbox {
    blocks: Blocks,
    /// Blocks in use: reliable, best effort.
    used: [u16; 2],
    /// Records that wait: reliable, best effort.
    waiting: [u16; 2],
    /// Messages that are sent in fragments and not done.
    large: u16,
    control: Queue,
    under_way: Queue,
    /// The packet under way that is repeated next of those that are not followed one by one, and where it stands.
    behind: (Id, u32),
}

/// Blocks that the largest control record of the smallest frame takes.
const SMALLEST: u16 = 3;
/// Blocks that messages leave for the fragments of large ones.
const FRAGMENTS: u16 = 8;

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self {
            blocks: Blocks::new(),
            used: [0; 2],
            waiting: [0; 2],
            large: 0,
            control: Queue::EMPTY,
            under_way: Queue::EMPTY,
            behind: (0, 0),
        }
    }

    /// How many blocks a class may use of a store of this length: all but a quarter, or what the largest control record
    /// of the smallest frame needs, so that neither class crowds the other out.
    #[inline(never)]
    const fn quota(tx_len: usize) -> u16 {
        let all = blocks::count(tx_len);
        let others = if all / 4 > SMALLEST { all / 4 } else { SMALLEST };
        all.saturating_sub(others)
    }

    /// What is left for fragments while a large reliable message is there.
    const fn spared(tx_len: usize) -> u16 {
        let quarter = Self::quota(tx_len) / 4;
        if quarter > FRAGMENTS {
            FRAGMENTS
        } else if quarter == 0 {
            1
        } else {
            quarter
        }
    }

    /// Largest payload that a class can ever hold; `large`: it needs fragments.
    pub(crate) const fn limit(tx_len: usize, class: Class, large: bool) -> usize {
        let spared = match class {
            Class::Reliable if large => Self::spared(tx_len),
            _ => 0,
        };
        blocks::capacity(Self::quota(tx_len).saturating_sub(spared) as usize)
    }

    /// Largest payload of a sample that is kept, where those of other routes take `others` blocks. All together have what
    /// no class can take, so that they crowd nothing out for good.
    pub(crate) const fn sample_limit(tx_len: usize, others: u16) -> usize {
        let share = blocks::count(tx_len) - Self::quota(tx_len);
        blocks::capacity(share.saturating_sub(others) as usize)
    }

    /// Blocks that a class may still take.
    fn left(&self, tx_len: usize, class: Class) -> u16 {
        let [reliable, best_effort] = self.used;
        let used = match class {
            Class::Reliable => reliable,
            Class::BestEffort => best_effort,
        };
        Self::quota(tx_len).saturating_sub(used).min(self.unused(tx_len))
    }

    const fn unused(&self, tx_len: usize) -> u16 {
        let [reliable, best_effort] = self.used;
        blocks::count(tx_len).saturating_sub(reliable + best_effort)
    }

    /// Blocks that a new record of a class may take; `large`: it will need fragments.
    fn free(&self, tx_len: usize, class: Class, large: bool) -> u16 {
        let left = self.left(tx_len, class);
        if !large && self.large == 0 {
            return left;
        }
        let spared = Self::spared(tx_len);
        match class {
            Class::Reliable => left.saturating_sub(spared),
            Class::BestEffort => left.min(self.unused(tx_len).saturating_sub(spared)),
        }
    }

    /// Where the next payload of a class is written. What is written must be [kept](Self::keep) or
    /// [given back](Self::discard).
    pub(crate) fn sink<'b>(&'b mut self, tx: &'b mut [u8], class: Class) -> Sink<'b> {
        let quota = self.free(tx.len(), class, false);
        Sink::chain(ChainWriter::new(tx, &mut self.blocks, quota))
    }

    pub(crate) fn discard(&mut self, tx: &mut [u8], chain: Chain) {
        self.blocks.give(tx, chain.first);
    }

    /// Whether a message that was written leaves enough for its fragments.
    pub(crate) fn has_room_for_fragments(&self, tx_len: usize, chain: Chain) -> bool {
        chain.blocks <= self.free(tx_len, Class::Reliable, true)
    }

    /// Makes a chain that was written a record.
    pub(crate) fn keep(&mut self, tx: &mut [u8], chain: Chain, record: Record) -> Id {
        *self.used_mut(record.class()) += chain.blocks;
        self.large += u16::from(record.is(flag::LARGE) && record.is(flag::RELIABLE));
        record.save(tx, chain.first);
        chain.first
    }

    /// Puts a record behind those that wait in a queue.
    pub(crate) fn enqueue(&mut self, tx: &mut [u8], queue: &mut Queue, id: Id, class: Class) {
        queue.push(tx, id);
        *self.waiting_mut(class) += 1;
    }

    /// The same for the control channel.
    pub(crate) fn enqueue_control(&mut self, tx: &mut [u8], id: Id) {
        let mut queue = self.control;
        self.enqueue(tx, &mut queue, id, Class::Reliable);
        self.control = queue;
    }

    const fn waiting_mut(&mut self, class: Class) -> &mut u16 {
        let [reliable, best_effort] = &mut self.waiting;
        match class {
            Class::Reliable => reliable,
            Class::BestEffort => best_effort,
        }
    }

    /// Whether any record waits.
    pub(crate) const fn is_waiting(&self) -> bool {
        let [reliable, best_effort] = self.waiting;
        reliable | best_effort != 0
    }

    const fn used_mut(&mut self, class: Class) -> &mut u16 {
        let [reliable, best_effort] = &mut self.used;
        match class {
            Class::Reliable => reliable,
            Class::BestEffort => best_effort,
        }
    }

    /// How many records of a class wait.
    pub(crate) const fn waiting(&self, class: Class) -> u16 {
        let [reliable, best_effort] = self.waiting;
        match class {
            Class::Reliable => reliable,
            Class::BestEffort => best_effort,
        }
    }

    pub(crate) const fn control(&self) -> &Queue {
        &self.control
    }

    pub(crate) fn record(tx: &[u8], id: Id) -> Record {
        Record::load(tx, id)
    }

    /// Takes the head of a queue out, which is `front`: it is nobody's until it is launched or [freed](Self::release).
    pub(crate) const fn dequeue(&mut self, queue: &mut Queue, front: &Record) {
        queue.pop(front);
        let waiting = self.waiting_mut(front.class());
        *waiting = waiting.saturating_sub(1);
    }

    pub(crate) const fn dequeue_control(&mut self, front: &Record) {
        let mut queue = self.control;
        self.dequeue(&mut queue, front);
        self.control = queue;
    }

    /// Takes a record out of the middle of a queue and frees it; false: it was not there.
    pub(crate) fn remove(&mut self, tx: &mut [u8], queue: &mut Queue, id: Id) -> bool {
        let found = queue.remove(tx, id);
        if found {
            let record = Record::load(tx, id);
            let waiting = self.waiting_mut(record.class());
            *waiting = waiting.saturating_sub(1);
            self.release(tx, id, &record);
        }
        found
    }

    /// Frees a record that is in no queue.
    pub(crate) fn release(&mut self, tx: &mut [u8], id: Id, record: &Record) {
        if record.is(flag::FRAGMENT) {
            // Its link is not the next block, but its message.
            blocks::set_link(tx, id, 0);
        }
        if record.is(flag::LARGE) && record.is(flag::RELIABLE) {
            self.large = self.large.saturating_sub(1);
        }
        let count = self.blocks.give(tx, id);
        let used = self.used_mut(record.class());
        *used = used.saturating_sub(count);
    }

    /// A packet that was sent as a whole is under way now.
    pub(crate) fn launch(&mut self, tx: &mut [u8], id: Id, record: &Record, distance: u16) {
        if !record.is(flag::CONTROL) {
            record::set_offset(tx, id, record.number().into());
        }
        record::set_extra(tx, id, distance.to_le_bytes());
        self.under_way.push(tx, id);
    }

    /// A fragment of a reliable message is under way now. None: no room to remember that, nothing was done.
    pub(crate) fn launch_fragment(
        &mut self,
        tx: &mut [u8],
        message: Id,
        len: u32,
        distance: u16,
    ) -> Option<Id> {
        if self.left(tx.len(), Class::Reliable) == 0 {
            return None;
        }
        let id = self.blocks.take(tx)?;
        *self.used_mut(Class::Reliable) += 1;
        let parent = Record::load(tx, message);
        let [number, fragments] = parent.extra;
        blocks::set_link(tx, id, message);
        Record {
            next: 0,
            len,
            flags: flag::RELIABLE | flag::FRAGMENT,
            slot: parent.slot,
            extra: distance.to_le_bytes(),
            offset: parent.offset,
        }
        .save(tx, id);
        Record { offset: parent.offset + len, extra: [number, fragments.saturating_add(1)], ..parent }
            .save(tx, message);
        self.under_way.push(tx, id);
        Some(id)
    }

    /// Whether another fragment can be under way.
    pub(crate) fn can_launch_fragment(&self, tx: &[u8], message: Id) -> bool {
        self.left(tx.len(), Class::Reliable) > 0 && Record::load(tx, message).extra[1] < u8::MAX
    }

    /// A message is sent in fragments from now on, or as a whole after all.
    pub(crate) fn set_large(&mut self, tx: &mut [u8], id: Id, large: bool) {
        let record = Record::load(tx, id);
        if record.is(flag::LARGE) == large {
            return;
        }
        Self::set_flags(tx, id, flag::LARGE, if large { flag::LARGE } else { 0 });
        if record.is(flag::RELIABLE) {
            self.large = if large { self.large + 1 } else { self.large.saturating_sub(1) };
        }
    }

    /// So much of a best-effort message was sent.
    pub(crate) fn progress(tx: &mut [u8], id: Id, len: u32) {
        let record = Record::load(tx, id);
        record::set_offset(tx, id, record.offset + len);
    }

    pub(crate) fn set_flags(tx: &mut [u8], id: Id, clear: u8, set: u8) {
        record::change_flags(tx, id, clear, set);
    }

    pub(crate) fn set_number(tx: &mut [u8], id: Id, number: u8) {
        record::set_extra(tx, id, [number, 0]);
    }

    /// The message of which a packet under way is a fragment.
    pub(crate) fn message_of(tx: &[u8], id: Id) -> Id {
        blocks::link(tx, id)
    }

    /// The oldest packet under way is acknowledged: its header as it was. It is freed, with its message if that is done,
    /// but for a kept sample.
    pub(crate) fn land(&mut self, tx: &mut [u8]) -> Option<Record> {
        if self.under_way.is_empty() {
            return None;
        }
        let id = self.under_way.head;
        let record = Record::load(tx, id);
        self.under_way.pop(&record);
        self.behind = match self.behind {
            (_, 0) => (0, 0),
            (id, at) => (id, at - 1),
        };
        if record.is(flag::FRAGMENT) {
            let message = blocks::link(tx, id);
            self.release(tx, id, &record);
            self.lose_fragment(tx, message);
        } else if record.is(flag::KEPT) {
            // A sample: it may be wanted again.
            record::change_flags(tx, id, flag::LEADS | flag::DEAD, 0);
            record::set_extra(tx, id, [0; 2]);
            record::set_offset(tx, id, 0);
        } else {
            self.release(tx, id, &record);
        }
        Some(record)
    }

    fn lose_fragment(&mut self, tx: &mut [u8], message: Id) {
        let record = Record::load(tx, message);
        let [number, fragments] = record.extra;
        let fragments = fragments.saturating_sub(1);
        record::set_extra(tx, message, [number, fragments]);
        if fragments == 0 && record.offset >= record.len {
            self.finish(tx, message, &record);
        }
    }

    /// All of a best-effort message is sent, or all of a large one acknowledged: frees it, or keeps it as a sample.
    pub(crate) fn finish(&mut self, tx: &mut [u8], id: Id, record: &Record) {
        if record.is(flag::KEPT) {
            self.keep_idle(tx, id);
        } else {
            self.release(tx, id, record);
        }
    }

    /// A kept sample is not on its way any more.
    fn keep_idle(&mut self, tx: &mut [u8], id: Id) {
        self.set_large(tx, id, false);
        record::set_offset(tx, id, 0);
    }

    /// The packet under way at an offset from the oldest. Asked for one behind the other, each is found at once.
    pub(crate) fn nth(&mut self, tx: &[u8], offset: u32) -> Option<(Id, Record)> {
        let (mut id, mut at) = self.behind;
        if id == 0 || at > offset {
            (id, at) = (self.under_way.head, 0);
        }
        while at < offset && id != 0 {
            id = Record::load(tx, id).next;
            at += 1;
        }
        self.behind = (id, at);
        (id != 0).then(|| (id, Record::load(tx, id)))
    }

    /// Nothing waits on a route any more: frees its queue, all but its kept sample. Returns how many of its messages
    /// were not sent at all.
    pub(crate) fn drop_queue(&mut self, tx: &mut [u8], queue: &mut Queue) -> u16 {
        let mut unsent = 0;
        while !queue.is_empty() {
            let id = queue.head;
            let record = Record::load(tx, id);
            self.dequeue(queue, &record);
            unsent += u16::from(record.is(flag::RELIABLE) && record.offset == 0);
            if record.is(flag::LARGE) && record.is(flag::RELIABLE) && record.extra[1] > 0 {
                // Its fragments under way still name it.
                record::set_offset(tx, id, record.len);
            } else if record.is(flag::KEPT) {
                self.keep_idle(tx, id);
            } else {
                self.release(tx, id, &record);
            }
        }
        unsent
    }

    /// The peer does not want what is under way to a place: nothing of it is repeated but SKIP.
    pub(crate) fn kill(&self, tx: &mut [u8], slot: u16) {
        let mut at = self.under_way.head;
        while at != 0 {
            let record = Record::load(tx, at);
            if record.slot == slot && !record.is(flag::CONTROL) {
                record::change_flags(tx, at, 0, flag::DEAD);
            }
            at = record.next;
        }
    }

    /// Whether a kept sample is neither waiting in its queue nor under way.
    pub(crate) fn is_idle(&self, tx: &[u8], queue: &Queue, id: Id) -> bool {
        Record::load(tx, id).extra[1] == 0
            && !queue.iter(tx).any(|(other, _)| other == id)
            && !self.under_way.iter(tx).any(|(other, _)| other == id)
    }

    /// A newer sample takes the place of this one. True: it was waiting, and nothing of it was sent.
    pub(crate) fn retire(&mut self, tx: &mut [u8], queue: &mut Queue, id: Id) -> bool {
        Self::set_flags(tx, id, flag::KEPT, 0);
        let record = Record::load(tx, id);
        if self.is_idle(tx, queue, id) {
            self.release(tx, id, &record);
            return false;
        }
        record.offset == 0 && self.remove(tx, queue, id)
    }

    /// The session is over: nothing is under way, and the control channel is empty.
    pub(crate) fn end_session(&mut self, tx: &mut [u8]) {
        let mut control = core::mem::take(&mut self.control);
        self.drop_queue(tx, &mut control);
        while self.land(tx).is_some() {}
    }

    /// Appends a part of what a record holds: its payload begins at [`Record::head`].
    pub(crate) fn emit(tx: &[u8], id: Id, offset: usize, len: usize, w: &mut Writer<'_>) {
        blocks::pieces(tx, id, offset, len).for_each(|piece| w.put(piece));
    }

    /// The deadline of a record that expires.
    pub(crate) fn deadline(tx: &[u8], id: Id) -> u32 {
        let mut bytes = [0; DEADLINE];
        let pieces = blocks::pieces(tx, id, 0, DEADLINE).flatten();
        bytes.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
        u32::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::Noise;

    const LEN: usize = 40 * blocks::BLOCK;

    /// A store with the queues of three routes.
    struct Store {
        tx: [u8; LEN],
        outbox: Outbox,
        queues: [Queue; 3],
    }

    impl Store {
        fn new() -> Self {
            Self { tx: [0xEE; LEN], outbox: Outbox::new(), queues: [Queue::EMPTY; 3] }
        }

        fn push(&mut self, slot: usize, flags: u8, payload: &[u8]) -> Option<Id> {
            let class = if flags & flag::RELIABLE == 0 { Class::BestEffort } else { Class::Reliable };
            let mut sink = self.outbox.sink(&mut self.tx, class);
            sink.write(payload);
            let chain = sink.finish();
            let large = flags & flag::LARGE != 0 && class == Class::Reliable;
            if chain.overflowed || large && !self.outbox.has_room_for_fragments(LEN, chain) {
                self.outbox.discard(&mut self.tx, chain);
                return None;
            }
            let record = Record::new(payload.len() as u32, flags, slot as u16, 0);
            let id = self.outbox.keep(&mut self.tx, chain, record);
            self.outbox.enqueue(&mut self.tx, &mut self.queues[slot], id, class);
            Some(id)
        }

        fn bytes(&self, id: Id) -> Vec<u8> {
            let record = Outbox::record(&self.tx, id);
            let mut out = [0; 600];
            let mut w = Writer::new(&mut out);
            Outbox::emit(&self.tx, id, 0, record.len as usize, &mut w);
            w.written().to_vec()
        }

        /// Sends the head of a queue: as a whole, or the next 50 bytes of it.
        fn send(&mut self, slot: usize) {
            let Some(id) = self.queues[slot].front() else { return };
            let record = Outbox::record(&self.tx, id);
            let reliable = record.is(flag::RELIABLE);
            if !record.is(flag::LARGE) {
                self.outbox.dequeue(&mut self.queues[slot], &record);
                match reliable {
                    true => self.outbox.launch(&mut self.tx, id, &record, 1),
                    false => self.outbox.finish(&mut self.tx, id, &record),
                }
                return;
            }
            let len = (record.len - record.offset).min(50);
            if reliable {
                if self.outbox.launch_fragment(&mut self.tx, id, len, 1).is_none() {
                    return;
                }
            } else {
                Outbox::progress(&mut self.tx, id, len);
            }
            if record.offset + len == record.len {
                self.outbox.dequeue(&mut self.queues[slot], &record);
                if !reliable {
                    self.outbox.finish(&mut self.tx, id, &record);
                }
            }
        }

        /// All blocks are free again, and nothing is counted.
        fn assert_empty(&mut self) {
            assert!(self.queues.iter().all(Queue::is_empty) && self.outbox.under_way.is_empty());
            assert_eq!((self.outbox.used, self.outbox.waiting, self.outbox.large), ([0; 2], [0; 2], 0));
            let mut count = 0;
            while self.outbox.blocks.take(&mut self.tx).is_some() {
                count += 1;
            }
            assert_eq!(count, blocks::count(LEN), "a block is gone for good");
        }
    }

    #[test]
    fn packets_under_way_stand_in_the_order_in_which_they_left() {
        let mut store = Store::new();
        for (slot, payload) in [(0, &b"first"[..]), (1, b"second"), (0, b"third")] {
            store.push(slot, flag::RELIABLE, payload).unwrap();
        }
        for slot in [1, 0, 0] {
            store.send(slot);
        }
        for (offset, payload) in [(1, &b"first"[..]), (2, b"third"), (0, b"second"), (2, b"third")] {
            let (id, record) = store.outbox.nth(&store.tx, offset).unwrap();
            assert_eq!((store.bytes(id), record.distance()), (payload.to_vec(), 1));
        }
        assert!(store.outbox.nth(&store.tx, 3).is_none());
        assert_eq!(store.outbox.land(&mut store.tx).unwrap().slot, 1);
        let (id, _) = store.outbox.nth(&store.tx, 1).unwrap();
        assert_eq!(store.bytes(id), b"third");
        while store.outbox.land(&mut store.tx).is_some() {}
        store.assert_empty();
    }

    #[test]
    fn a_sample_stays_until_a_newer_one_comes() {
        let mut store = Store::new();
        for flags in [flag::KEPT, flag::KEPT | flag::RELIABLE, flag::KEPT | flag::RELIABLE | flag::LARGE] {
            let old = store.push(0, flags, &[1; 120]).unwrap();
            assert!(!store.outbox.is_idle(&store.tx, &store.queues[0], old));
            for _ in 0..3 {
                store.send(0);
            }
            while store.outbox.land(&mut store.tx).is_some() {}
            assert!(store.outbox.is_idle(&store.tx, &store.queues[0], old));
            assert_eq!(store.bytes(old), [1; 120]);
            assert!(!store.outbox.retire(&mut store.tx, &mut store.queues[0], old), "it was sent");
            let unsent = store.push(0, flags, &[2; 20]).unwrap();
            assert!(store.outbox.retire(&mut store.tx, &mut store.queues[0], unsent), "it was not");
        }
        store.assert_empty();
    }

    #[test]
    fn a_full_store_still_has_room_for_the_fragments_of_a_large_message() {
        let mut store = Store::new();
        store.push(0, flag::RELIABLE | flag::LARGE, &[1; 300]).unwrap();
        while store.push(1, flag::RELIABLE, &[2; 30]).is_some() {}
        while store.push(2, 0, &[3; 30]).is_some() {}
        for _ in 0..6 {
            store.send(0);
            assert!(store.outbox.land(&mut store.tx).is_some());
        }
        assert!(store.queues[0].is_empty());
        assert_eq!(store.outbox.large, 0);
    }

    #[test]
    fn no_block_is_lost_whatever_comes_and_goes() {
        let mut noise = Noise(21);
        for round in 0..60 {
            let mut store = Store::new();
            for _ in 0..400 {
                let slot = noise.below(3);
                match noise.below(10) {
                    0..=3 => {
                        let flags =
                            [0, flag::RELIABLE, flag::LARGE, flag::RELIABLE | flag::LARGE][noise.below(4)];
                        let len = noise.below(if flags & flag::LARGE == 0 { 60 } else { 300 }).max(1);
                        let payload = noise.bytes(len, false);
                        if let Some(id) = store.push(slot, flags, &payload) {
                            assert_eq!(store.bytes(id), payload);
                        }
                    }
                    4..=6 => store.send(slot),
                    7 => _ = store.outbox.land(&mut store.tx),
                    8 => store.outbox.kill(&mut store.tx, slot as u16),
                    _ if noise.below(4) == 0 => {
                        store.outbox.drop_queue(&mut store.tx, &mut store.queues[slot]);
                    }
                    _ => {
                        let id = store.queues[slot]
                            .iter(&store.tx)
                            .last()
                            .filter(|(_, record)| record.offset == 0);
                        if let Some((id, _)) = id {
                            assert!(store.outbox.remove(&mut store.tx, &mut store.queues[slot], id));
                        }
                    }
                }
            }
            if round % 2 == 0 {
                for slot in 0..3 {
                    store.outbox.drop_queue(&mut store.tx, &mut store.queues[slot]);
                }
                store.outbox.end_session(&mut store.tx);
            } else {
                for _ in 0..1000 {
                    (0..3).for_each(|slot| store.send(slot));
                    store.outbox.land(&mut store.tx);
                }
            }
            store.assert_empty();
        }
    }
}
