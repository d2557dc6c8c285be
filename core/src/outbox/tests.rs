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
                    let id =
                        store.queues[slot].iter(&store.tx).last().filter(|(_, record)| record.offset == 0);
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
