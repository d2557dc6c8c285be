//! Outbound frames, framed in place around the packets.
//!
//! Invariant: a frame that is returned holds exactly the packets that were written, and on serial links no
//! zero but its delimiters. When a frame is sent, and what is in it, is decided elsewhere.

use super::{CHECK_LEN, Framing, NUMBER_LEN};
use crate::wire::{cobs, crc::crc32c_from, varint_len};

/// Makes frames: packets are written to [`Sealer::area`], then [`Sealer::seal`] frames them there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sealer {
    /// The link's framing.
    pub framing: Framing,
    /// The frame's number, on datagram links.
    pub number: u32,
}

impl Sealer {
    /// Where to write the packets of a frame whose content may be `content_max` bytes.
    ///
    /// `None`: `out` is too small; [`Framing::wire_max`] is always enough.
    #[must_use]
    pub fn area(self, out: &mut [u8], content_max: usize) -> Option<&mut [u8]> {
        let packets_max = content_max.checked_sub(self.framing.check_len())?;
        let head = self.head_len(content_max);
        let end = head.checked_add(packets_max)?;
        if out.len() < end.checked_add(self.tail_len())? {
            return None;
        }
        out.get_mut(head..end)
    }

    /// Frames the first `len` bytes of [`Sealer::area`] in place and returns what to send.
    ///
    /// `start` is where the check starts: all ones for HELLO, else the session's seed. `leading_zero`: put
    /// one before the frame, on serial links. `None`: `out` is too small or `len` is 0 or more than the area.
    #[must_use]
    pub fn seal(
        self,
        out: &mut [u8],
        content_max: usize,
        len: usize,
        start: u32,
        leading_zero: bool,
    ) -> Option<&[u8]> {
        let head = self.head_len(content_max);
        let end = head.checked_add(len)?;
        let packets = out.get(head..end)?;
        if packets.is_empty() || len.checked_add(self.framing.check_len())? > content_max {
            return None;
        }
        match self.framing.known() {
            Framing::Datagram => {
                out.first_chunk_mut().map(|number| *number = self.number.to_le_bytes())?;
                let check = crc32c_from(start, out.get(..end)?).to_le_bytes();
                *out.get_mut(end..)?.first_chunk_mut()? = check;
                out.get(..end.checked_add(check.len())?)
            }
            Framing::Serial => {
                let check = crc32c_from(start, packets).to_le_bytes();
                *out.get_mut(end..)?.first_chunk_mut()? = check;
                let frame = cobs::encode(out, head, len.checked_add(check.len())?)?;
                *out.get_mut(frame.end)? = 0;
                let before = frame.start.checked_sub(1)?;
                *out.get_mut(before)? = 0;
                out.get(if leading_zero { before } else { frame.start }..=frame.end)
            }
            Framing::Stream => {
                let mut rest = u32::try_from(len).ok()?;
                let begin = head.checked_sub(varint_len(rest))?;
                for byte in out.get_mut(begin..head)? {
                    *byte = rest as u8 | 0x80;
                    rest >>= 7;
                }
                *out.get_mut(head.checked_sub(1)?)? &= 0x7F;
                out.get(begin..end)
            }
        }
    }

    /// Room before the packets: a zero and COBS, the length, or the number.
    fn head_len(self, content_max: usize) -> usize {
        match self.framing.known() {
            Framing::Datagram => NUMBER_LEN,
            Framing::Serial => 1 + cobs::overhead(content_max),
            Framing::Stream => varint_len(content_max as u32),
        }
    }

    /// Room behind the packets: check and delimiter.
    const fn tail_len(self) -> usize {
        match self.framing.known() {
            Framing::Serial => CHECK_LEN + 1,
            Framing::Stream => 0,
            Framing::Datagram => CHECK_LEN,
        }
    }
}
