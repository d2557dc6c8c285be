//! [`Fields`]: reads one field behind the other and is asked once, at the end, whether all of them were there.
//!
//! Invariant: it never leaves its slice; once something was missing, all that follows reads as 0 or as nothing.
//!
//! A parser that asks after each field is twice as large on a microcontroller.

/// Reads numbers and slices off the front of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    whole: bool,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: true }
    }

    /// Whether everything that was read was there.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// What was read is malformed.
    #[inline(never)]
    pub(crate) const fn fail(&mut self) {
        *self = Self { rest: &[], whole: false };
    }

    /// The next `n` bytes.
    #[inline(never)]
    pub(crate) const fn take(&mut self, n: usize) -> &'a [u8] {
        match self.rest.split_at_checked(n) {
            Some((taken, rest)) => {
                self.rest = rest;
                taken
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    #[inline(never)]
    pub(crate) const fn u8(&mut self) -> u8 {
        match self.rest {
            [byte, rest @ ..] => {
                self.rest = rest;
                *byte
            }
            [] => {
                self.fail();
                0
            }
        }
    }

    pub(crate) fn u16(&mut self) -> u16 {
        let low = self.u8();
        u16::from_le_bytes([low, self.u8()])
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self) -> u32 {
        self.take(4).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    #[inline(never)]
    pub(crate) fn u64(&mut self) -> u64 {
        let low = self.u32();
        u64::from(self.u32()) << 32 | u64::from(low)
    }

    /// A varint: of 5 bytes and 2^32 - 1 at the most.
    #[inline(never)]
    pub(crate) const fn varint(&mut self) -> u32 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            // The fifth byte has room for 4 bits and must be the last.
            if shift == 28 && byte > 0x0F {
                self.fail();
            }
            value |= (byte as u32 & 0x7F) << shift;
            if byte < 0x80 || !self.whole {
                return if self.whole { value } else { 0 };
            }
            shift += 7;
        }
    }

    /// A varint that must fit 16 bits.
    #[inline(never)]
    pub(crate) fn varint16(&mut self) -> u16 {
        let value = self.varint();
        if value > u32::from(u16::MAX) {
            self.fail();
        }
        value as u16
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_turn_and_what_is_missing_is_noticed() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 0x81, 1, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut fields = Fields::new(&bytes);
        assert_eq!((fields.u8(), fields.u16(), fields.u32()), (1, 0x0302, 0x0706_0504));
        assert_eq!((fields.varint(), fields.take(2)), (129, &[9, 9][..]));
        assert_eq!((fields.u64(), fields.is_empty()), (0x0807_0605_0403_0201, true));
        assert!(fields.is_whole());
        assert_eq!((fields.u32(), fields.is_whole()), (0, false));
        let mut short = Fields::new(&[1, 2, 3]);
        assert_eq!((short.u32(), short.u8(), short.rest()), (0, 0, &[][..]), "nothing is read behind a gap");
        let mut large = Fields::new(&[0x80, 0x80, 4]);
        large.varint16();
        assert!(!large.is_whole());
    }
}
