//! The transmit store: what waits to be sent, and what was sent and is not acknowledged. Reliable packets and best-effort
//! messages have a quota of TX each, so that telemetry cannot crowd out commands.
//!
//! Invariant: a record is in one queue of those that wait (of its route, or of the control channel), or *under way*, or the
//! kept sample of a route. Packets under way stand in the order of their sequence numbers. A message that does not fit a
//! frame stays one record, at the head of its queue until all of it is sent; each of its fragments under way is a small
//! record of its own that names it. Windows, sequence numbers and priorities are decided elsewhere.

mod record;
#[cfg(test)]
mod tests;

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
