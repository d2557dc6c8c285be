//! [`Reader`] and [`Writer`]: the only way in which bytes of the wire are read and written.
//!
//! Invariant: a reader never leaves its slice, a writer never counts more than fits its slice.
//! They do not know what the bytes mean.
//!
//! Their functions are small, called everywhere, and therefore kept out of line: inlined they would be a tenth of the
//! library's size on a microcontroller.

use core::sync::atomic::{Ordering, compiler_fence};

use super::varint;

/// Reads numbers and slices off the front of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte.
    #[inline(never)]
    pub fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The next 2 bytes.
    pub fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_le_bytes(*bytes))
    }

    /// The next 4 bytes.
    #[inline(never)]
    pub fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    /// The next 8 bytes.
    #[inline(never)]
    pub fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// A varint.
    #[inline(never)]
    pub fn varint(&mut self) -> Option<u32> {
        varint::read(self)
    }

    /// A varint that must fit 16 bits.
    pub fn varint16(&mut self) -> Option<u16> {
        u16::try_from(self.varint()?).ok()
    }

    /// The next `n` bytes.
    #[inline(never)]
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, without taking it.
    #[must_use]
    pub const fn peek(&self) -> Option<u8> {
        match self.rest {
            [first, ..] => Some(*first),
            [] => None,
        }
    }
}

/// There was no room for what should be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the buffer has no room for it: give a larger one")
    }
}

impl core::error::Error for Full {}

/// Appends numbers and slices to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    /// Something that was [put](Self::put) did not fit.
    full: bool,
}

impl<'a> Writer<'a> {
    /// Writes `out` from the beginning.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0, full: false }
    }

    /// Appends a byte.
    ///
    /// # Errors
    /// [`Full`].
    #[inline(never)]
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        *self.out.get_mut(self.len).ok_or(Full)? = value;
        self.len += 1;
        Ok(())
    }

    /// Appends 2 bytes.
    ///
    /// # Errors
    /// [`Full`]; nothing is written then.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends 4 bytes.
    ///
    /// # Errors
    /// [`Full`]; nothing is written then.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends 8 bytes.
    ///
    /// # Errors
    /// [`Full`]; nothing is written then.
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a varint.
    ///
    /// # Errors
    /// [`Full`]; a part of it may be written then.
    #[inline(never)]
    pub fn varint(&mut self, value: u32) -> Result<(), Full> {
        if value < 0x80 { self.u8(value as u8) } else { varint::write(self, value) }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`Full`]; nothing is written then.
    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.out.get_mut(self.len..).ok_or(Full)?;
        copy(room.get_mut(..bytes.len()).ok_or(Full)?, bytes);
        self.len += bytes.len();
        Ok(())
    }

    /// Counts `n` bytes as written that the caller has put there itself.
    ///
    /// # Errors
    /// [`Full`]; nothing is counted then.
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), Full> {
        if n > self.room() {
            return Err(Full);
        }
        self.len += n;
        Ok(())
    }

    /// Appends `bytes` if they fit: whether all did is asked once, at the [end](Self::all), since a function that asks each
    /// time is half as large again on a microcontroller.
    #[inline(never)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.full |= self.bytes(bytes).is_err();
    }

    /// The same with a byte.
    #[inline(never)]
    pub(crate) fn put_u8(&mut self, value: u8) {
        match self.out.get_mut(self.len) {
            Some(byte) => {
                *byte = value;
                self.len += 1;
            }
            None => self.full = true,
        }
    }

    /// The same with 4 bytes.
    #[inline(never)]
    pub(crate) fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// The same with 8 bytes.
    #[inline(never)]
    pub(crate) fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// The same with a varint.
    #[inline(never)]
    pub(crate) fn put_varint(&mut self, value: u32) {
        let mut rest = value;
        while rest >= 0x80 {
            self.put_u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.put_u8(rest as u8);
    }

    /// Whether all that was put did fit.
    pub(crate) const fn all(&self) -> Result<(), Full> {
        if self.full { Err(Full) } else { Ok(()) }
    }

    /// How many bytes are written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many more bytes fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.out.len().saturating_sub(self.len)
    }

    /// Changes a byte that is written.
    pub(crate) fn change(&mut self, at: usize, to: impl FnOnce(u8) -> u8) {
        if let Some(byte) = self.out.get_mut(at).filter(|_| at < self.len) {
            *byte = to(*byte);
        }
    }

    /// Puts a varint before what is written from `at` on.
    pub(crate) fn insert_varint(&mut self, at: usize, value: u32) {
        let before = self.len;
        self.put_varint(value);
        if let (Some(bytes), Some(len)) = (self.out.get_mut(at..self.len), before.checked_sub(at)) {
            rotate(bytes, len);
        }
    }

    /// Takes back all but the first `len` bytes: after [`Full`], or when a packet is not wanted after all.
    #[inline(never)]
    pub const fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
        }
        self.full = false;
    }

    /// What is written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    /// What is written, for as long as the buffer lives.
    #[must_use]
    pub fn into_written(self) -> &'a [u8] {
        self.out.get(..self.len).unwrap_or_default()
    }
}

/// Copies as much as fits. Unlike `copy_from_slice` it leaves no panic in small builds.
///
/// On a microcontroller word by word: `memcpy`, which the compiler would make of the loop, takes four to five instructions a
/// byte there for what is short, or not aligned alike.
#[cfg_attr(target_arch = "arm", inline(never))]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let n = to.len().min(from.len());
    let (mut to, mut from) = (to.get_mut(..n).unwrap_or_default(), from.get(..n).unwrap_or_default());
    if cfg!(target_arch = "arm") {
        let (words_to, words) = (to.as_chunks_mut::<4>(), from.as_chunks::<4>());
        for (to, from) in words_to.0.iter_mut().zip(words.0) {
            *to = *from;
            // No instruction, but the end of the loop that could be a `memcpy`.
            compiler_fence(Ordering::SeqCst);
        }
        (to, from) = (words_to.1, words.1);
    }
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        if cfg!(target_arch = "arm") {
            compiler_fence(Ordering::SeqCst);
        }
    }
}

/// Turns the first `n` bytes to the end, the others to the front: how bytes in a store are moved, which is rare.
///
/// On a microcontroller by three reversals: unlike `rotate_left` they cannot panic there (in small builds the library's
/// `reverse` could), and need no `memmove`, which is 1.6 KB of flash.
#[inline(never)]
pub(crate) fn rotate(bytes: &mut [u8], n: usize) {
    if let Some((front, back)) = bytes.split_at_mut_checked(n) {
        if cfg!(not(target_arch = "arm")) {
            bytes.rotate_left(n);
            return;
        }
        reverse(front);
        reverse(back);
        reverse(bytes);
    }
}

fn reverse(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let [first, middle @ .., last] = rest {
        core::mem::swap(first, last);
        rest = middle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian_and_survive() {
        let mut bytes = [0; 18];
        let mut writer = Writer::new(&mut bytes);
        writer.u8(1).unwrap();
        writer.u16(0x0302).unwrap();
        writer.u32(0x0706_0504).unwrap();
        writer.u64(0x0F0E_0D0C_0B0A_0908).unwrap();
        writer.bytes(&[16, 17]).unwrap();
        assert_eq!((writer.len(), writer.room()), (17, 1));
        assert_eq!(writer.written(), (1..=17).collect::<std::vec::Vec<u8>>());
        let mut reader = Reader::new(writer.written());
        assert_eq!(reader.peek(), Some(1));
        assert_eq!((reader.u8(), reader.u16()), (Some(1), Some(0x0302)));
        assert_eq!((reader.u32(), reader.u64()), (Some(0x0706_0504), Some(0x0F0E_0D0C_0B0A_0908)));
        assert_eq!(reader.take(3), None);
        assert_eq!((reader.take(1), reader.remaining()), (Some(&[16][..]), 1));
        assert_eq!((reader.rest(), reader.is_empty(), reader.peek()), (&[17][..], true, None));
    }

    #[test]
    fn a_full_writer_writes_nothing() {
        let mut bytes = [0; 3];
        let mut writer = Writer::new(&mut bytes);
        writer.u16(0x0201).unwrap();
        assert_eq!(writer.u16(0xFFFF), Err(Full));
        assert_eq!(writer.bytes(&[9; 2]), Err(Full));
        writer.u8(3).unwrap();
        assert_eq!(writer.u8(4), Err(Full));
        assert_eq!(writer.written(), &[1, 2, 3]);
        writer.truncate(9);
        writer.truncate(1);
        assert_eq!(writer.into_written(), &[1]);
        assert_eq!(bytes, [1, 2, 3]);
    }
}
