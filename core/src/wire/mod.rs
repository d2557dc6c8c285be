//! Bytes: cursors over slices, variable-length numbers, CRC-32C and COBS.
//!
//! Invariant: no input panics and nothing is read or written outside of the slice that was given.
//! This floor knows no packet and no frame: that is [`crate::packet`] and [`crate::framing`].

pub mod cobs;
pub mod crc;
mod cursor;
mod fields;
pub mod varint;

pub use crc::{crc32c, crc32c_from};
pub use cursor::{Full, Reader, Writer};
pub(crate) use cursor::{copy, rotate};
pub(crate) use fields::Fields;
pub use varint::varint_len;

/// Random bytes for tests: xorshift64.
#[cfg(test)]
pub(crate) struct Noise(pub(crate) u64);

#[cfg(test)]
impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }

    /// `sparse`: three of four are zero.
    pub(crate) fn bytes(&mut self, len: usize, sparse: bool) -> std::vec::Vec<u8> {
        (0..len).map(|_| if sparse && self.below(4) != 0 { 0 } else { (self.next() >> 32) as u8 }).collect()
    }
}
