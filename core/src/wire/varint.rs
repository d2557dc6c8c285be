//! Unsigned LEB128 of at most 32 bits (docs/protocol.md, section 1).
//!
//! Invariant: what is written is the shortest form; any form of at most 5 bytes and 2^32 - 1 is read.
//! Signed and 64-bit numbers do not travel this way.

use super::cursor::{Full, Reader, Writer};
use super::fields::Fields;

/// Bytes that `value` takes as a varint: 1 to 5.
#[must_use]
pub const fn varint_len(value: u32) -> usize {
    let mut len = 1;
    let mut rest = value >> 7;
    while rest != 0 {
        len += 1;
        rest >>= 7;
    }
    len
}

/// Reads a varint; `None` when it is cut off or does not fit 32 bits.
pub fn read(reader: &mut Reader<'_>) -> Option<u32> {
    let mut fields = Fields::new(reader.rest());
    let value = fields.varint();
    let whole = fields.is_whole();
    *reader = Reader::new(fields.rest());
    whole.then_some(value)
}

/// Writes a varint in its shortest form.
///
/// # Errors
/// [`Full`] when there is no room; a part of it may have been written.
pub fn write(writer: &mut Writer<'_>, value: u32) -> Result<(), Full> {
    let mut rest = value;
    while rest >= 0x80 {
        writer.u8(rest as u8 | 0x80)?;
        rest >>= 7;
    }
    writer.u8(rest as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_forms_survive() {
        for (value, len) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (2_097_151, 3),
            (2_097_152, 4),
            (268_435_455, 4),
            (268_435_456, 5),
            (u32::MAX, 5),
        ] {
            let mut bytes = [0; 5];
            let mut writer = Writer::new(&mut bytes);
            write(&mut writer, value).unwrap();
            assert_eq!((writer.len(), varint_len(value)), (len, len), "{value}");
            let mut reader = Reader::new(writer.written());
            assert_eq!(read(&mut reader), Some(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn odd_forms() {
        for (bytes, value) in [
            (&[0x80, 0x00][..], Some(0)),
            (&[0xFF, 0x80, 0x80, 0x80, 0x00], Some(127)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], Some(u32::MAX)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0x10], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(read(&mut Reader::new(bytes)), value, "{bytes:x?}");
        }
    }
}
