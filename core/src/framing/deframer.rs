//! Inbound frames, from chunks of any size.
//!
//! Invariant: never more than the given buffer is used, whatever arrives, and after a broken serial frame
//! the next zero is a new beginning. A stream that is broken stays so until [`Deframer::reset`].

use super::{CHECK_LEN, Framing, NUMBER_LEN};
use crate::packet::kind;
use crate::wire::crc::{ORDINARY, crc32c_from};
use crate::wire::{Reader, cobs, copy};

/// A frame's length on a stream has at most this many bytes.
const LENGTH_LEN_MAX: u8 = 4;

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DropReason {
    /// Longer than our `frame_max`.
    TooLong,
    /// Not COBS.
    Encoding,
    /// No room for a check and a packet.
    TooShort,
    /// Damaged, or of another session.
    Check,
}

/// What [`Deframer::push`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deframed<'a> {
    /// No frame ended, or an empty one.
    Nothing,
    /// The packets of an intact frame.
    Packets(&'a [u8]),
    /// A frame ended and was dropped.
    Dropped(DropReason),
    /// The stream cannot be repaired: the link is to be given up.
    Broken,
}

/// Finds frames in what a link delivers. It keeps no bytes: they are in the buffer that each call gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deframer {
    framing: Framing,
    /// Serial: where the frame stands within COBS.
    cobs: cobs::Decoder,
    /// Serial: the frame is over-long; all up to the next zero is skipped.
    too_long: bool,
    /// Stream: the link is given up.
    broken: bool,
    /// Stream: there has been a HELLO since the last reset, so other frames are no surprise.
    opened: bool,
    /// Stream: the length has been read.
    in_body: bool,
    /// Stream: bytes of the length that have been read.
    length_len: u8,
    /// Stream: the length, as far as it has been read.
    length: u32,
    /// Bytes of the frame that are in the buffer.
    stored: usize,
    /// What tells the newest intact frame from its repetition.
    mark: u32,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// For a serial link; [`Deframer::reset`] sets another framing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            framing: Framing::Serial,
            cobs: cobs::Decoder::new(),
            too_long: false,
            broken: false,
            opened: false,
            in_body: false,
            length_len: 0,
            length: 0,
            stored: 0,
            mark: 0,
        }
    }

    /// Forgets all: the link begins anew.
    pub fn reset(&mut self, framing: Framing) {
        *self = Self::new();
        self.framing = framing;
    }

    /// Takes bytes of the link, and says how many.
    ///
    /// Of a non-empty `input` it takes at least one, and stops behind the first frame that ends, dropped or
    /// not. `buffer` holds a frame that comes in pieces: it is as long as our `frame_max`, and the same one
    /// each time. A frame of a stream that lies whole in `input` is handed out from there without a copy.
    /// `seed` is where the check of the session's frames starts; without a session only HELLO gets through.
    #[must_use]
    pub fn push<'b>(
        &mut self,
        input: &'b [u8],
        buffer: &'b mut [u8],
        seed: Option<u32>,
    ) -> (usize, Deframed<'b>) {
        match self.framing.known() {
            Framing::Serial => self.push_serial(input, buffer, seed),
            Framing::Stream => self.push_stream(input, buffer, seed),
            Framing::Datagram => (input.len(), self.datagram(input, seed)),
        }
    }

    /// Of the newest intact frame: on datagram links its number, on serial links its check, else 0.
    #[must_use]
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    /// All of `input` is one frame.
    fn datagram<'b>(&mut self, input: &'b [u8], seed: Option<u32>) -> Deframed<'b> {
        match input.split_first_chunk::<NUMBER_LEN>() {
            None => Deframed::Dropped(DropReason::TooShort),
            Some((number, _)) => {
                let found = checked(input, NUMBER_LEN, seed);
                if matches!(found, Deframed::Packets(_)) {
                    self.mark = u32::from_le_bytes(*number);
                }
                found
            }
        }
    }

    fn push_serial<'b>(
        &mut self,
        input: &[u8],
        buffer: &'b mut [u8],
        seed: Option<u32>,
    ) -> (usize, Deframed<'b>) {
        let zero = cobs::find_zero(input);
        let piece = zero.and_then(|at| input.get(..at)).unwrap_or(input);
        if !self.too_long {
            match self.cobs.decode(piece, buffer, self.stored) {
                Some(stored) => self.stored = stored,
                None => self.too_long = true,
            }
        }
        if zero.is_none() {
            return (piece.len(), Deframed::Nothing);
        }
        let frame = core::mem::take(&mut self.stored);
        let decoder = core::mem::take(&mut self.cobs);
        let too_long = core::mem::take(&mut self.too_long);
        let found = if too_long {
            Deframed::Dropped(DropReason::TooLong)
        } else if decoder.is_fresh(frame) {
            Deframed::Nothing
        } else if !decoder.is_complete() {
            Deframed::Dropped(DropReason::Encoding)
        } else {
            let content = buffer.get(..frame).unwrap_or_default();
            let found = checked(content, 0, seed);
            if let (Deframed::Packets(_), Some(check)) = (found, content.last_chunk()) {
                self.mark = u32::from_le_bytes(*check);
            }
            found
        };
        (piece.len().saturating_add(1), found)
    }

    fn push_stream<'b>(
        &mut self,
        input: &'b [u8],
        buffer: &'b mut [u8],
        seed: Option<u32>,
    ) -> (usize, Deframed<'b>) {
        self.opened |= seed.is_some();
        let mut rest = Reader::new(input);
        if !self.broken {
            if let Some(found) = self.stream_frame(&mut rest, buffer, seed) {
                return (input.len().saturating_sub(rest.remaining()), found);
            }
            self.broken = true;
        }
        (input.len(), Deframed::Broken)
    }

    /// Reads up to the end of a frame; `None` where the link must be given up.
    fn stream_frame<'b>(
        &mut self,
        rest: &mut Reader<'b>,
        buffer: &'b mut [u8],
        seed: Option<u32>,
    ) -> Option<Deframed<'b>> {
        while !self.in_body {
            let Some(byte) = rest.u8() else {
                return Some(Deframed::Nothing);
            };
            self.read_length(byte, buffer.len())?;
        }
        let length = self.length as usize;
        if self.stored == 0 {
            match rest.peek() {
                None => return Some(Deframed::Nothing),
                // Whoever says that is a peer; what it says next may be of a session that we have given up meanwhile.
                Some(kind::HELLO) => self.opened = true,
                Some(_) if self.opened => {}
                Some(_) => return None,
            }
            if let Some(frame) = rest.take(length) {
                self.begin_length();
                return Some(judged(frame, seed));
            }
        }
        let missing = length.checked_sub(self.stored)?;
        let piece = rest.take(missing.min(rest.remaining()))?;
        copy(buffer.get_mut(self.stored..)?.get_mut(..piece.len())?, piece);
        self.stored += piece.len();
        if self.stored < length {
            return Some(Deframed::Nothing);
        }
        self.begin_length();
        Some(judged(buffer.get(..length)?, seed))
    }

    /// `None`: no length that can be.
    fn read_length(&mut self, byte: u8, max: usize) -> Option<()> {
        self.length |= u32::from(byte & 0x7F) << (7 * self.length_len);
        self.length_len += 1;
        if byte >= 0x80 {
            return (self.length_len < LENGTH_LEN_MAX).then_some(());
        }
        self.in_body = true;
        (self.length > 0 && self.length as usize <= max).then_some(())
    }

    fn begin_length(&mut self) {
        self.in_body = false;
        self.length = 0;
        self.length_len = 0;
        self.stored = 0;
    }
}

/// The packets of a whole frame with a check, behind `head` bytes that the check covers, too.
fn checked(frame: &[u8], head: usize, seed: Option<u32>) -> Deframed<'_> {
    let Some((content, check)) = frame.split_last_chunk::<CHECK_LEN>() else {
        return Deframed::Dropped(DropReason::TooShort);
    };
    let packets = content.get(head..).unwrap_or_default();
    let start = match packets.first() {
        None => return Deframed::Dropped(DropReason::TooShort),
        Some(&kind::HELLO) => Some(ORDINARY),
        Some(_) => seed,
    };
    match start {
        Some(start) if crc32c_from(start, content) == u32::from_le_bytes(*check) => {
            Deframed::Packets(packets)
        }
        _ => Deframed::Dropped(DropReason::Check),
    }
}

/// A whole frame of a stream: without a session only HELLO gets through.
fn judged(frame: &[u8], seed: Option<u32>) -> Deframed<'_> {
    if seed.is_some() || frame.first() == Some(&kind::HELLO) {
        Deframed::Packets(frame)
    } else {
        Deframed::Dropped(DropReason::Check)
    }
}
