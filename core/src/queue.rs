//! A byte ring over a slice that somebody else owns, for what was received, and [`Sink`], through which messages are
//! written that are to be sent.
//!
//! Invariant: `head < capacity` (or both are 0) and `len <= capacity`. Records and their headers are the
//! business of whoever owns the ring; a record may lie across the end of the slice.

use crate::blocks::{Chain, ChainWriter};
use crate::wire::{copy, rotate};

/// Position and fill of a ring; the bytes are in the slice that every call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ring {
    head: u32,
    len: u32,
}

impl Ring {
    /// An empty ring.
    pub(crate) const fn new() -> Self {
        Self { head: 0, len: 0 }
    }

    /// Bytes in the ring.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Forgets everything.
    pub(crate) const fn clear(&mut self) {
        *self = Self::new();
    }

    /// Bytes that are free in a ring of `capacity` bytes.
    pub(crate) const fn free(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.len as usize)
    }

    /// The `len` bytes at `offset` from the oldest byte, as two pieces (the second after the wrap).
    pub(crate) fn pieces<'b>(&self, buffer: &'b [u8], offset: usize, len: usize) -> (&'b [u8], &'b [u8]) {
        let at = self.place(buffer.len(), offset);
        let first = len.min(buffer.len().saturating_sub(at));
        (
            buffer.get(at..at.saturating_add(first)).unwrap_or_default(),
            buffer.get(..len - first).unwrap_or_default(),
        )
    }

    /// Copies `N` bytes at `offset` out.
    pub(crate) fn read<const N: usize>(&self, buffer: &[u8], offset: usize) -> [u8; N] {
        let at = self.place(buffer.len(), offset);
        if let Some(bytes) = buffer.get(at..).and_then(|rest| rest.first_chunk()) {
            return *bytes;
        }
        let (a, b) = self.pieces(buffer, offset, N);
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(a.iter().chain(b)) {
            *to = *from;
        }
        out
    }

    /// Writes `N` bytes at `offset`, in the ring or in the free space behind it.
    pub(crate) fn put<const N: usize>(&self, buffer: &mut [u8], offset: usize, bytes: [u8; N]) {
        let at = self.place(buffer.len(), offset);
        match buffer.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            Some(place) => *place = bytes,
            None => self.write(buffer, offset, &bytes),
        }
    }

    /// Writes bytes at `offset`, in the ring or in the free space behind it.
    pub(crate) fn write(&self, buffer: &mut [u8], offset: usize, bytes: &[u8]) {
        let at = self.place(buffer.len(), offset);
        if let Some(place) = buffer.get_mut(at..at.saturating_add(bytes.len())) {
            copy(place, bytes);
            return;
        }
        let first = bytes.len().min(buffer.len().saturating_sub(at));
        let Some((now, later)) = bytes.split_at_checked(first) else { return };
        if let Some(place) = buffer.get_mut(at..at.saturating_add(first)) {
            copy(place, now);
        }
        if let Some(place) = buffer.get_mut(..later.len()) {
            copy(place, later);
        }
    }

    /// Makes the next `n` bytes of the free space part of the ring.
    pub(crate) fn commit(&mut self, capacity: usize, n: usize) {
        self.len += n.min(self.free(capacity)) as u32;
    }

    /// Drops the `n` newest bytes.
    pub(crate) fn shrink(&mut self, n: usize) {
        self.len -= n.min(self.len()) as u32;
    }

    /// Takes the `n` oldest bytes out, which lie in one piece then.
    pub(crate) fn pop<'b>(&mut self, buffer: &'b mut [u8], n: usize) -> &'b [u8] {
        let n = n.min(self.len());
        self.straighten(buffer, n);
        let head = self.head as usize;
        self.len -= n as u32;
        // An empty ring starts at the front: fewer records lie across the end.
        let next = if self.len == 0 { 0 } else { head + n };
        self.head = if next == buffer.len() { 0 } else { next as u32 };
        buffer.get(head..head + n).unwrap_or_default()
    }

    /// The `n` oldest bytes, in one piece; they stay.
    pub(crate) fn front<'b>(&mut self, buffer: &'b mut [u8], n: usize) -> &'b [u8] {
        let n = n.min(self.len());
        self.straighten(buffer, n);
        let head = self.head as usize;
        buffer.get(head..head + n).unwrap_or_default()
    }

    /// Moves the bytes so that the first `n` of them lie in one piece. Costs a pass over the slice, at most once
    /// per turn of the ring.
    pub(crate) fn straighten(&mut self, buffer: &mut [u8], n: usize) {
        let head = self.head as usize;
        if head + n > buffer.len() {
            rotate(buffer, head);
            self.head = 0;
        }
    }

    /// Where the byte at `offset` from the oldest lies. Offsets are below two capacities.
    const fn place(&self, capacity: usize, offset: usize) -> usize {
        let at = self.head as usize + offset;
        if at >= capacity { at - capacity } else { at }
    }
}

/// Where a message is written when it is published: straight into the endpoint's store.
///
/// It counts what did not fit, so that the endpoint can tell "no room now" from "never fits".
#[derive(Debug)]
pub struct Sink<'a> {
    to: Target<'a>,
}

#[derive(Debug)]
enum Target<'a> {
    Buffer {
        bytes: &'a mut [u8],
        len: usize,
    },
    /// With the function that writes, so that who only writes to buffers links nothing of the store.
    Chain(ChainWriter<'a>, fn(&mut ChainWriter<'a>, &[u8])),
}

impl<'a> Sink<'a> {
    /// A sink into a plain buffer.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { to: Target::Buffer { bytes: buffer, len: 0 } }
    }

    pub(crate) const fn chain(writer: ChainWriter<'a>) -> Self {
        Self { to: Target::Chain(writer, ChainWriter::write) }
    }

    /// What was written into the store.
    #[inline(never)]
    pub(crate) fn finish(self) -> Chain {
        match self.to {
            Target::Buffer { .. } => Chain::default(),
            Target::Chain(writer, _) => writer.chain,
        }
    }

    /// Writes bytes behind what has been written.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.to {
            Target::Chain(writer, write) => write(writer, bytes),
            Target::Buffer { bytes: buffer, len } => {
                let room = buffer.get_mut(*len..).unwrap_or_default();
                copy(room, bytes);
                *len = len.saturating_add(bytes.len());
            }
        }
    }

    /// Bytes written, those that did not fit included.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.to {
            Target::Buffer { len, .. } => *len,
            Target::Chain(writer, _) => writer.chain.len,
        }
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something did not fit.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        match &self.to {
            Target::Buffer { bytes, len } => *len > bytes.len(),
            Target::Chain(writer, _) => writer.chain.overflowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn push(ring: &mut Ring, buffer: &mut [u8], bytes: &[u8]) -> bool {
        if ring.free(buffer.len()) < bytes.len() {
            return false;
        }
        ring.write(buffer, ring.len(), bytes);
        ring.commit(buffer.len(), bytes.len());
        true
    }

    #[test]
    fn bytes_come_out_in_order_across_the_end() {
        let mut buffer = [0; 7];
        let mut ring = Ring::new();
        for turn in 0..50u8 {
            let bytes = [turn, turn + 1, turn + 2];
            assert!(push(&mut ring, &mut buffer, &bytes));
            assert!(push(&mut ring, &mut buffer, &bytes));
            assert!(!push(&mut ring, &mut buffer, &bytes), "2 of 3 bytes do not fit");
            let (a, b) = ring.pieces(&buffer, 3, 3);
            let joined: Vec<u8> = a.iter().chain(b).copied().collect();
            assert_eq!(joined, bytes);
            ring.pop(&mut buffer, 3);
            ring.straighten(&mut buffer, 3);
            assert_eq!(ring.pieces(&buffer, 0, 3), (&bytes[..], &[][..]));
            ring.pop(&mut buffer, 2);
            assert_eq!(ring.read::<1>(&buffer, 0), [turn + 2]);
            ring.write(&mut buffer, 0, &[9]);
            assert_eq!(ring.read::<1>(&buffer, 0), [9]);
            ring.pop(&mut buffer, 1);
        }
    }

    #[test]
    fn a_sink_counts_what_does_not_fit() {
        let mut small = [0; 4];
        let mut sink = Sink::new(&mut small);
        sink.write(&[1, 2, 3]);
        assert!(!sink.overflowed());
        sink.write(&[4, 5, 6]);
        assert_eq!(sink.len(), 6);
        assert!(sink.overflowed());
        assert_eq!(small, [1, 2, 3, 4]);
    }

    #[test]
    fn an_empty_buffer_is_harmless() {
        let mut ring = Ring::new();
        let mut none: [u8; 0] = [];
        assert!(!push(&mut ring, &mut none, &[1]));
        ring.pop(&mut none, 3);
        ring.straighten(&mut none, 1);
        assert_eq!(ring.pieces(&none, 0, 0), (&[][..], &[][..]));
    }
}
