//! A store of small blocks over a slice that somebody else owns. A chain of blocks holds a record: a header in its first
//! block, then the payload, in pieces. Records are freed in any order, and nothing is ever moved.
//!
//! Invariant: a block is free, or in exactly one chain. What a header means is the business of whoever owns the store.

use crate::wire::copy;

/// Bytes of a block. A message of up to 16 bytes fits one, and 6 % are spent on links.
pub(crate) const BLOCK: usize = 32;
/// Bytes of the header in a chain's first block.
pub(crate) const HEADER: usize = 14;
/// Link to the next block.
const LINK: usize = 2;
/// Payload bytes in the first block of a chain.
pub(crate) const FIRST: usize = BLOCK - LINK - HEADER;
/// Payload bytes in every other block.
const OTHER: usize = BLOCK - LINK;

/// A block, counted from 1; 0 is none, so that a new store is all zero.
pub(crate) type Id = u16;

/// Which blocks are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// First of the blocks that were used and are free again.
    free: Id,
    /// How many were ever used: those behind are free, too.
    touched: u16,
}

/// How many blocks there are in a slice of this length.
pub(crate) const fn count(len: usize) -> u16 {
    let count = len / BLOCK;
    if count > u16::MAX as usize { u16::MAX } else { count as u16 }
}

/// Largest payload that so many blocks hold.
pub(crate) const fn capacity(blocks: usize) -> usize {
    match blocks.checked_sub(1) {
        None => 0,
        Some(others) => FIRST + others * OTHER,
    }
}

fn block(store: &mut [u8], id: Id) -> Option<&mut [u8; BLOCK]> {
    store.as_chunks_mut().0.get_mut(usize::from(id).wrapping_sub(1))
}

fn view(store: &[u8], id: Id) -> Option<&[u8; BLOCK]> {
    store.as_chunks().0.get(usize::from(id).wrapping_sub(1))
}

/// The block that follows in the chain.
pub(crate) fn link(store: &[u8], id: Id) -> Id {
    view(store, id).map_or(0, |&[a, b, ..]| u16::from_le_bytes([a, b]))
}

pub(crate) fn set_link(store: &mut [u8], id: Id, next: Id) {
    if let Some([a, b, ..]) = block(store, id) {
        [*a, *b] = next.to_le_bytes();
    }
}

/// The header of a chain; None: there is no such block.
pub(crate) fn header(store: &[u8], id: Id) -> Option<&[u8; HEADER]> {
    view(store, id)?.get(LINK..)?.first_chunk()
}

/// The same, to change.
pub(crate) fn header_mut(store: &mut [u8], id: Id) -> Option<&mut [u8; HEADER]> {
    block(store, id)?.get_mut(LINK..)?.first_chunk_mut()
}

/// The pieces of `len` payload bytes of a chain, from `offset` on.
pub(crate) fn pieces(store: &[u8], id: Id, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
    let (mut id, mut from, mut skip, mut left) = (id, LINK + HEADER, offset, len);
    core::iter::from_fn(move || {
        loop {
            let bytes = view(store, id).filter(|_| left > 0)?.get(from..)?;
            (id, from) = (link(store, id), LINK);
            match bytes.get(skip..).filter(|rest| !rest.is_empty()) {
                None => skip -= bytes.len(),
                Some(rest) => {
                    let piece = rest.get(..left.min(rest.len()))?;
                    (skip, left) = (0, left - piece.len());
                    return Some(piece);
                }
            }
        }
    })
}

impl Blocks {
    pub(crate) const fn new() -> Self {
        Self { free: 0, touched: 0 }
    }

    /// Takes a free block; its link is 0.
    pub(crate) fn take(&mut self, store: &mut [u8]) -> Option<Id> {
        let id = if self.free != 0 {
            let id = self.free;
            self.free = link(store, id);
            id
        } else if self.touched < count(store.len()) {
            self.touched += 1;
            self.touched
        } else {
            return None;
        };
        set_link(store, id, 0);
        Some(id)
    }

    /// Gives a chain back: how many blocks it had.
    pub(crate) fn give(&mut self, store: &mut [u8], first: Id) -> u16 {
        let (mut last, mut count) = (first, 0);
        if first == 0 {
            return 0;
        }
        loop {
            count += 1;
            match link(store, last) {
                0 => break,
                next => last = next,
            }
        }
        set_link(store, last, self.free);
        self.free = first;
        count
    }
}

/// Writes the payload of a new chain.
#[derive(Debug)]
pub(crate) struct ChainWriter<'a> {
    pub(crate) store: &'a mut [u8],
    pub(crate) blocks: &'a mut Blocks,
    /// How many more blocks may be taken.
    pub(crate) quota: u16,
    pub(crate) chain: Chain,
    /// The block being filled, and where.
    last: Id,
    at: usize,
}

/// A chain that is written, and belongs to nobody yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Chain {
    /// 0: there was not even room for the header.
    pub(crate) first: Id,
    pub(crate) blocks: u16,
    /// Payload bytes, those that did not fit included.
    pub(crate) len: usize,
    pub(crate) overflowed: bool,
}

impl<'a> ChainWriter<'a> {
    /// Begins a chain of at most `quota` blocks.
    pub(crate) fn new(store: &'a mut [u8], blocks: &'a mut Blocks, quota: u16) -> Self {
        let first = if quota > 0 { blocks.take(store) } else { None }.unwrap_or(0);
        let chain = Chain { first, blocks: u16::from(first != 0), len: 0, overflowed: first == 0 };
        Self { store, blocks, quota, chain, last: first, at: LINK + HEADER }
    }

    fn grow(&mut self) -> bool {
        let next = if self.chain.blocks < self.quota { self.blocks.take(self.store) } else { None };
        let Some(next) = next else { return false };
        set_link(self.store, self.last, next);
        self.chain.blocks += 1;
        self.last = next;
        self.at = LINK;
        true
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.chain.len = self.chain.len.saturating_add(bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() && !self.chain.overflowed {
            if self.at == BLOCK && !self.grow() {
                self.chain.overflowed = true;
                break;
            }
            let at = self.at;
            let Some(room) = block(self.store, self.last).and_then(|block| block.get_mut(at..)) else {
                break;
            };
            let n = room.len().min(rest.len());
            let (Some(room), Some((now, later))) = (room.get_mut(..n), rest.split_at_checked(n)) else {
                break;
            };
            copy(room, now);
            self.at += n;
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::Noise;

    /// How many blocks a record with a payload of this length takes.
    fn needed(payload: usize) -> usize {
        1 + payload.saturating_sub(FIRST).div_ceil(OTHER)
    }

    #[test]
    fn chains_keep_their_bytes_whatever_else_comes_and_goes() {
        let mut noise = Noise(5);
        let mut store = [0xEE; 20 * BLOCK + 7];
        let mut blocks = Blocks::new();
        let mut kept: Vec<(Id, Vec<u8>, u16)> = Vec::new();
        for _ in 0..3000 {
            let len = noise.below(150);
            let payload = noise.bytes(len, false);
            let free = 20 - kept.iter().map(|(.., blocks)| blocks).sum::<u16>();
            let mut writer = ChainWriter::new(&mut store, &mut blocks, free.min(5));
            let (a, b) = payload.split_at(noise.below(payload.len() + 1));
            writer.write(a);
            writer.write(b);
            let chain = writer.chain;
            assert_eq!(chain.len, payload.len());
            assert_eq!(chain.overflowed, needed(payload.len()) > usize::from(free.min(5)));
            if chain.overflowed {
                assert_eq!(blocks.give(&mut store, chain.first), chain.blocks);
            } else {
                assert_eq!(usize::from(chain.blocks), needed(payload.len()));
                *header_mut(&mut store, chain.first).unwrap() = [chain.first as u8; HEADER];
                kept.push((chain.first, payload, chain.blocks));
            }
            for (id, payload, _) in &kept {
                let from = noise.below(payload.len() + 1);
                let len = noise.below(payload.len() - from + 1);
                let bytes: Vec<u8> = pieces(&store, *id, from, len).flatten().copied().collect();
                assert_eq!(bytes, payload[from..from + len]);
                assert_eq!(header(&store, *id), Some(&[*id as u8; HEADER]));
            }
            if noise.below(3) > 0 && !kept.is_empty() {
                let (id, _, count) = kept.swap_remove(noise.below(kept.len()));
                assert_eq!(blocks.give(&mut store, id), count);
            }
        }
    }

    #[test]
    fn what_is_needed_is_what_fits() {
        for blocks in 1..9 {
            assert_eq!(needed(capacity(blocks)), blocks);
            assert_eq!(needed(capacity(blocks) + 1), blocks + 1);
        }
        assert_eq!((needed(0), capacity(0)), (1, 0));
    }
}
