//! Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999) with zero as delimiter.
//!
//! Invariant: encoded bytes hold no zero; decoding takes any chunking and writes at most its buffer.
//! This module does not put the delimiter, count frames or check them: that is [`crate::framing`].
//!
//! Both directions move bytes in pieces and then walk from code to code where they stand. The crate `cobs` goes byte
//! by byte through a state machine and encodes to a second buffer only: `cargo bench --bench cobs` compares them.

use core::cell::Cell;
use core::ops::Range;

use super::cursor::copy;

/// The longest run that one code byte covers.
const RUN_MAX: usize = 254;

/// Code of a run of [`RUN_MAX`], which stands for no zero.
const FULL: u8 = 0xFF;

/// Decoding moves at most this much at once, since it moves what is behind a full run again.
const PIECE_MAX: usize = 256;

/// Bytes that encoding adds to `len` at most, without the delimiter.
#[must_use]
pub const fn overhead(len: usize) -> usize {
    len / RUN_MAX + 1
}

/// Encodes `buf[at..at + len]` in place and says where the result stands.
///
/// It begins [`overhead`]`(len)` before `at`, and ends at `at + len` at the latest. Up to 253 bytes
/// are not moved at all: only the zeros and the byte before them change. `None` when there is no such room.
#[must_use]
pub fn encode(buf: &mut [u8], at: usize, len: usize) -> Option<Range<usize>> {
    let end = at.checked_add(len)?;
    let start = at.checked_sub(overhead(len))?;
    let mut code_at = start;
    let mut write = start + 1;
    let mut read = at;
    loop {
        // No more than the run can take, so that it is full at the end of a piece or not at all.
        let n = end.checked_sub(read)?.min((code_at + usize::from(FULL)).checked_sub(write)?);
        let window = buf.get_mut(write..read + n)?;
        let gap = window.len().checked_sub(n)?;
        if gap > 0 {
            let cells = Cell::from_mut(window).as_slice_of_cells();
            for (to, from) in cells.iter().zip(cells.get(gap..)?) {
                to.set(from.get());
            }
        }
        let (before, piece) = buf.split_at_mut_checked(write)?;
        let mut open = Open { code: before.get_mut(code_at)?, at: code_at };
        let (words, rest) = piece.get_mut(..n)?.as_chunks_mut();
        let mut here = write;
        for word in words {
            if zeros(*word) != 0 {
                word.iter_mut().zip(here..).for_each(|(byte, here)| open.look_at(byte, here));
            }
            here += WORD;
        }
        rest.iter_mut().zip(here..).for_each(|(byte, here)| open.look_at(byte, here));
        write += n;
        read += n;
        *open.code = (write - open.at) as u8;
        code_at = open.at;
        if read == end {
            return Some(start..write);
        }
        if write - code_at == usize::from(FULL) {
            code_at = write;
            write += 1;
        }
    }
}

/// A run that is not at its end.
struct Open<'b> {
    /// Where its code stands.
    code: &'b mut u8,
    at: usize,
}

impl<'b> Open<'b> {
    /// The next byte: a zero ends the run, and is where the code of the next one stands.
    fn look_at(&mut self, byte: &'b mut u8, here: usize) {
        if *byte == 0 {
            *self.code = (here - self.at) as u8;
            *self = Open { code: byte, at: here };
        }
    }
}

const WORD: usize = size_of::<usize>();

/// Bits, of which the lowest is in the first byte that is zero; none if none is.
const fn zeros(word: [u8; WORD]) -> usize {
    // A byte that is zero borrows from its highest bit when 1 is taken from it, and had not set that bit itself.
    const ONES: usize = usize::MAX / 0xFF;
    let word = usize::from_le_bytes(word);
    word.wrapping_sub(ONES) & !word & ONES << 7
}

/// Decodes COBS from chunks; the decoded bytes are kept by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decoder {
    /// Bytes of the run that are still to come.
    left: u8,
    /// Whether a zero stands behind the run, if anything does.
    zero: bool,
}

impl Decoder {
    /// At the beginning of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { left: 0, zero: false }
    }

    /// Whether nothing of a frame has been decoded since the beginning, given how much was written.
    #[must_use]
    pub const fn is_fresh(&self, written: usize) -> bool {
        self.left == 0 && !self.zero && written == 0
    }

    /// Whether a frame may end here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Decodes `input`, which holds no zero, to `out[written..]`; says how many bytes of `out` are written then.
    ///
    /// What is behind them in `out` may be changed. `None` when `out` is full (or `input` holds a zero
    /// after all): the frame is lost and the decoder must be made new.
    #[must_use]
    pub fn decode(&mut self, mut input: &[u8], out: &mut [u8], mut written: usize) -> Option<usize> {
        loop {
            if self.left == 0 && !self.zero {
                // The first code, or the one behind a full run: it stands for no zero.
                let Some((code, rest)) = input.split_first() else { return Some(written) };
                self.left = code.saturating_sub(1);
                self.zero = *code != FULL;
                input = rest;
            }
            if input.is_empty() {
                return Some(written);
            }
            let room = out.get_mut(written..)?;
            let n = input.len().min(room.len()).min(PIECE_MAX);
            let piece = room.get_mut(..n)?;
            copy(piece, input);
            let decoded = self.patch(input.get(..n)?, piece);
            if decoded == 0 {
                return None;
            }
            written += decoded;
            input = input.get(decoded..)?;
        }
    }

    /// Puts zeros where codes stand in `piece`, a copy of `input`, up to one that stands for none; says how far.
    ///
    /// The codes are read from `input`: to read them where bytes were just written is half as fast.
    fn patch(&mut self, input: &[u8], piece: &mut [u8]) -> usize {
        let (mut at, mut zero) = (usize::from(self.left), self.zero);
        let decoded = loop {
            let (Some(code), Some(byte)) = (input.get(at), piece.get_mut(at)) else { break piece.len() };
            if !zero || *code == 0 {
                break at;
            }
            *byte = 0;
            zero = *code != FULL;
            at += usize::from(*code);
        };
        self.left = at.saturating_sub(decoded) as u8;
        self.zero = zero;
        decoded
    }
}

/// Where the first zero is.
#[must_use]
pub fn find_zero(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks();
    let mut at = 0;
    for word in words {
        let zeros = zeros(*word);
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += WORD;
    }
    rest.iter().position(|byte| *byte == 0).map(|behind| at + behind)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::wire::Noise;

    fn encoded(data: &[u8]) -> Vec<u8> {
        let mut buf = vec![0xEE; overhead(data.len())];
        let at = buf.len();
        buf.extend(data);
        let range = encode(&mut buf, at, data.len()).unwrap();
        assert_eq!(range.start, 0);
        assert!(!buf[range.clone()].contains(&0));
        buf[range].to_vec()
    }

    fn decoded(bytes: &[u8], chunk: usize, room: usize) -> Option<Vec<u8>> {
        let mut out = vec![0xEE; room];
        let mut decoder = Decoder::new();
        let mut written = 0;
        for piece in bytes.chunks(chunk) {
            written = decoder.decode(piece, &mut out, written)?;
        }
        out.truncate(written);
        decoder.is_complete().then_some(out)
    }

    #[test]
    fn vectors_of_the_paper_and_beyond() {
        let long: Vec<u8> = (1..=254).collect();
        let with_tail = |tail: &[u8]| [&long[..], tail].concat();
        let full = |tail: &[u8]| [&[0xFF], &long[..], tail].concat();
        let cases = [
            (vec![], vec![1]),
            (vec![0], vec![1, 1]),
            (vec![0, 0], vec![1, 1, 1]),
            (vec![0, 0x11, 0], vec![1, 2, 0x11, 1]),
            (vec![0x11, 0x22, 0, 0x33], vec![3, 0x11, 0x22, 2, 0x33]),
            (vec![0x11, 0x22, 0x33, 0x44], vec![5, 0x11, 0x22, 0x33, 0x44]),
            (vec![0x11, 0, 0, 0], vec![2, 0x11, 1, 1, 1]),
            (long.clone(), full(&[])),
            (with_tail(&[255]), full(&[2, 255])),
            (with_tail(&[0]), full(&[1, 1])),
            (with_tail(&[0, 7]), full(&[1, 2, 7])),
        ];
        for (data, bytes) in cases {
            assert_eq!(encoded(&data), bytes, "{data:x?}");
            for chunk in [1, 2, 1000] {
                assert_eq!(decoded(&bytes, chunk, data.len()).as_deref(), Some(&data[..]));
            }
        }
        // The longest chain of full runs, in a buffer without any room to spare.
        let chain = [&long[..], &long, &long].concat();
        assert_eq!(encoded(&chain).len(), 3 * 255);
        assert_eq!(decoded(&encoded(&chain), 300, chain.len()), Some(chain));
        // Other encoders end a full run with an empty one.
        assert_eq!(decoded(&full(&[1]), 9, 254), Some(long.clone()));
    }

    #[test]
    fn random_data_survives() {
        let mut noise = Noise(5);
        for round in 0..2000 {
            let len = noise.below(1100);
            let mut data = noise.bytes(len, round % 3 == 0);
            if round % 4 == 1 {
                data.iter_mut().for_each(|byte| *byte |= 1);
            }
            let bytes = encoded(&data);
            assert!(bytes.len() <= data.len() + overhead(data.len()));
            assert_eq!(decoded(&bytes, 1 + noise.below(300), data.len()), Some(data));
        }
    }

    #[test]
    fn room_is_never_exceeded() {
        let bytes = encoded(&[1, 0, 2, 3]);
        for room in 0..4 {
            assert_eq!(decoded(&bytes, 9, room), None);
        }
        let mut buf = [1; 10];
        assert_eq!(encode(&mut buf, 0, 3), None);
        assert_eq!(encode(&mut buf, 1, 10), None);
        assert_eq!(encode(&mut buf, 5, usize::MAX), None);
        assert_eq!(encode(&mut buf, usize::MAX, 1), None);
        assert_eq!(encode(&mut buf, 1, 9), Some(0..10));
        assert_eq!(encode(&mut buf, 10, 0), Some(9..10));
        for bad in [&[2, 9, 0, 3, 3][..], &[0; 5], &[1, 0, 1], &[255, 1, 0]] {
            let _ = decoded(bad, 9, 40); // Against the rule, and still no panic and no endless loop.
        }
        assert_eq!(find_zero(&[1, 2, 0, 0]), Some(2));
        assert_eq!((find_zero(&[]), find_zero(&[1; 40])), (None, None));
    }

    #[test]
    fn short_data_is_not_moved() {
        let mut buf = [9, 9, 9, 7, 0, 5];
        assert_eq!(encode(&mut buf, 3, 3), Some(2..6));
        assert_eq!(buf, [9, 9, 2, 7, 2, 5]);
    }
}
