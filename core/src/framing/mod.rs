//! Frames: what a link delivers whole (docs/protocol.md, section 2).
//!
//! Invariant: bytes that a frame's check does not cover are never handed on as packets, and a frame that is
//! lost is reported once. This floor does not look into packets, but at the first byte: HELLO or not.

mod deframer;
mod peek;
mod sealer;

pub use deframer::{Deframed, Deframer, DropReason};
pub use peek::Peeked;
pub use sealer::Sealer;

use crate::capability;
pub use crate::limits::FRAME_MIN;
use crate::limits::HELLO_MAX;
use crate::packet::SeqWidth;
use crate::wire::{cobs, crc32c};

/// Bytes of the check.
const CHECK_LEN: usize = 4;
/// Bytes of a datagram's number.
const NUMBER_LEN: usize = 4;

/// How frames are told apart on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Framing {
    /// COBS, a check and a zero: for links that lose and corrupt, as a UART.
    Serial,
    /// A length: for streams that do not, as TCP or USB.
    Stream,
    /// A number and a check: for links that deliver whole frames, but may lose, repeat and reorder them, as UDP.
    Datagram,
}

impl Framing {
    /// The same, of those that this build knows: where there are only serial lines, the compiler drops the rest.
    pub(crate) const fn known(self) -> Self {
        if capability::LINKS { self } else { Self::Serial }
    }

    /// How wide sequence numbers are.
    #[must_use]
    pub const fn seq_width(self) -> SeqWidth {
        match self.known() {
            Self::Serial => SeqWidth::One,
            Self::Stream | Self::Datagram => SeqWidth::Four,
        }
    }

    /// Bytes of a frame's content that are not packets.
    #[must_use]
    pub const fn check_len(self) -> usize {
        match self.known() {
            Self::Serial => CHECK_LEN,
            Self::Stream => 0,
            Self::Datagram => NUMBER_LEN + CHECK_LEN,
        }
    }

    /// Bytes on the wire that a frame of `content_max` takes at most, over all framings, with a zero before
    /// and behind it: how large the buffer for [`Sealer`] must be. A HELLO may be larger than `content_max` on a datagram
    /// link, and fits, too.
    #[must_use]
    pub const fn wire_max(content_max: usize) -> usize {
        let hello = HELLO_MAX + Self::Datagram.check_len();
        let content_max = if content_max < hello { hello } else { content_max };
        // COBS and two zeros are more than a length of at most 4 bytes, wherever that length is enough.
        content_max.saturating_add(cobs::overhead(content_max) + 2)
    }
}

/// Where the check of frames from `sender` to `receiver` starts, given the session's nonces.
#[must_use]
pub fn seed(sender: u64, receiver: u64) -> u32 {
    let nonces = u128::from(receiver) << 64 | u128::from(sender);
    crc32c(&nonces.to_le_bytes())
}

/// What names the session of these two seeds in HELLO: the same on both sides.
#[must_use]
pub fn session(seed: u32, other: u32) -> u32 {
    let (low, high) = (seed.min(other), seed.max(other));
    crc32c(&(u64::from(high) << 32 | u64::from(low)).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::wire::Noise;

    #[test]
    fn seeds_differ_by_direction() {
        assert_ne!(seed(1, 2), seed(2, 1));
        assert_eq!(seed(1, 2), crc32c(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]));
    }

    /// A frame as it goes over the wire.
    fn frame(framing: Framing, packets: &[u8], start: u32, leading_zero: bool) -> Vec<u8> {
        let content_max = packets.len() + framing.check_len();
        let mut out = vec![0xEE; Framing::wire_max(content_max)];
        let sealer = Sealer { framing, number: 7 };
        let area = sealer.area(&mut out, content_max).unwrap();
        area.copy_from_slice(packets);
        sealer.seal(&mut out, content_max, packets.len(), start, leading_zero).unwrap().to_vec()
    }

    /// All that comes out of `wire`, which arrives in pieces of `sizes`, round and round.
    fn deframe(
        deframer: &mut Deframer,
        wire: &[u8],
        sizes: &[usize],
        frame_max: usize,
        seed: Option<u32>,
    ) -> Vec<Result<Vec<u8>, DropReason>> {
        let mut buffer = vec![0; frame_max];
        let mut found = Vec::new();
        let mut rest = wire;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut piece, tail) = rest.split_at((*size).min(rest.len()));
            rest = tail;
            while !piece.is_empty() {
                let (taken, deframed) = deframer.push(piece, &mut buffer, seed);
                assert!(taken > 0 && taken <= piece.len());
                piece = &piece[taken..];
                match deframed {
                    Deframed::Nothing => {}
                    Deframed::Packets(packets) => found.push(Ok(packets.to_vec())),
                    Deframed::Dropped(reason) => found.push(Err(reason)),
                    Deframed::Broken => panic!("broken"),
                }
            }
        }
        found
    }

    #[test]
    fn frames_survive_any_chunking() {
        let mut noise = Noise(7);
        for framing in [Framing::Serial, Framing::Stream] {
            for round in 0..400 {
                let mut wire = Vec::new();
                let mut sent = Vec::new();
                for _ in 0..3 {
                    let len = 1 + noise.below(if round % 4 == 0 { 1200 } else { 80 });
                    let mut packets = noise.bytes(len, round % 3 == 0);
                    packets[0] |= 0x80;
                    wire.extend(frame(framing, &packets, 42, noise.below(2) == 0));
                    sent.push(Ok(packets));
                }
                let mut deframer = Deframer::new();
                deframer.reset(framing);
                let sizes = [1 + noise.below(9), 1 + noise.below(300), 1 + noise.below(3)];
                let sizes = if round % 5 == 0 { &[usize::MAX][..] } else { &sizes };
                assert_eq!(deframe(&mut deframer, &wire, sizes, 1204, Some(42)), sent);
            }
        }
    }

    #[test]
    fn a_frame_fits_its_largest_size() {
        for framing in [Framing::Serial, Framing::Stream] {
            for content in [5, 80, 127, 128, 253, 254, 255, 508, 509, 4096, 16_384] {
                let packets = vec![0x81; content - framing.check_len()];
                let wire = frame(framing, &packets, 1, true);
                assert!(wire.len() <= Framing::wire_max(content), "{content} {}", wire.len());
                let mut deframer = Deframer::new();
                deframer.reset(framing);
                let found = deframe(&mut deframer, &wire, &[64], content, Some(1));
                assert_eq!(found, [Ok(packets)], "{framing:?} {content}");
            }
        }
    }

    #[test]
    fn a_serial_frame_that_is_dropped_counts_once() {
        let good = frame(Framing::Serial, &[0x83, 1, 2, 3], 9, false);
        let long = frame(Framing::Serial, &[0x99; 77], 9, false);
        let stray = frame(Framing::Serial, &[0x83, 1, 2, 3], 8, false);
        let cases: [(&[u8], DropReason); 6] = [
            (&long, DropReason::TooLong),
            (&stray, DropReason::Check),
            (&[1, 0], DropReason::TooShort),
            (&[5, 1, 2, 3, 4, 0], DropReason::TooShort),
            (&[9, 1, 2, 0], DropReason::Encoding),
            (&[0xFF, 1, 0], DropReason::Encoding),
        ];
        for (bad, reason) in cases {
            for size in [1, 7, 1000] {
                let wire = [bad, &[0, 0], &good].concat();
                let found = deframe(&mut Deframer::new(), &wire, &[size], FRAME_MIN, Some(9));
                assert_eq!(found, [Err(reason), Ok(vec![0x83, 1, 2, 3])], "{bad:x?}");
            }
        }
    }

    #[test]
    fn after_garbage_the_next_frame_but_one_is_whole() {
        let mut noise = Noise(3);
        let good = frame(Framing::Serial, &[0x83, 1, 2, 3], 9, false);
        for _ in 0..500 {
            let len = noise.below(300);
            let garbage = noise.bytes(len, false);
            let wire = [&garbage[..], &good, &good].concat();
            let sizes = [1 + noise.below(40)];
            let found = deframe(&mut Deframer::new(), &wire, &sizes, FRAME_MIN, Some(9));
            assert_eq!(found.last(), Some(&Ok(vec![0x83, 1, 2, 3])));
            let wire = [&garbage[..], &[0], &good].concat();
            let found = deframe(&mut Deframer::new(), &wire, &sizes, FRAME_MIN, Some(9));
            assert_eq!(found.last(), Some(&Ok(vec![0x83, 1, 2, 3])), "with a leading zero the first is");
        }
    }

    #[test]
    fn without_a_session_only_hello_gets_through() {
        for framing in [Framing::Serial, Framing::Stream] {
            let hello = frame(framing, &[0x01, 5], 0xFFFF_FFFF, true);
            let other = frame(framing, &[0x83, 5], 0xFFFF_FFFF, true);
            let mut deframer = Deframer::new();
            deframer.reset(framing);
            let found = deframe(&mut deframer, &hello, &[9], 80, None);
            assert_eq!(found, [Ok(vec![0x01, 5])]);
            let found = deframe(&mut deframer, &hello, &[1], 80, Some(4));
            assert_eq!(found, [Ok(vec![0x01, 5])], "in a session, too");
            let found = deframe(&mut deframer, &other, &[9], 80, None);
            assert_eq!(found, [Err(DropReason::Check)], "after a session");
        }
    }

    #[test]
    fn a_datagram_is_a_frame_with_a_number() {
        let wire = frame(Framing::Datagram, &[0x83, 1, 2, 3], 9, true);
        assert_eq!(wire.len(), 12);
        let mut deframer = Deframer::new();
        deframer.reset(Framing::Datagram);
        let mut buffer = [0; FRAME_MIN];
        let found = deframer.push(&wire, &mut buffer, Some(9));
        assert_eq!(found, (12, Deframed::Packets(&[0x83, 1, 2, 3])));
        assert_eq!(deframer.mark(), 7);
        assert_eq!(deframer.push(&wire, &mut buffer, Some(8)).1, Deframed::Dropped(DropReason::Check));
        let mut other = wire.clone();
        other[0] ^= 1;
        assert_eq!(deframer.push(&other, &mut buffer, Some(9)).1, Deframed::Dropped(DropReason::Check));
        for len in 0..9 {
            let found = deframer.push(&wire[..len], &mut buffer, Some(9));
            assert_eq!(found, (len, Deframed::Dropped(DropReason::TooShort)));
        }
    }

    #[test]
    fn a_stream_breaks_for_good() {
        let too_long = [81];
        let zero = [0];
        let endless = [0x81, 0x80, 0x80, 0x80];
        let no_hello = [2, 0x83];
        for bad in [&too_long[..], &zero, &endless, &no_hello] {
            let mut buffer = [0; FRAME_MIN];
            let mut deframer = Deframer::new();
            deframer.reset(Framing::Stream);
            let wire = [bad, &[2, 0x01, 5]].concat();
            let found = deframer.push(&wire, &mut buffer, None);
            assert_eq!(found, (wire.len(), Deframed::Broken), "{bad:x?}");
            assert_eq!(deframer.push(&[2, 1, 5], &mut buffer, Some(1)), (3, Deframed::Broken));
            deframer.reset(Framing::Stream);
            let found = deframer.push(&[2, 1, 5], &mut buffer, None);
            assert_eq!(found, (3, Deframed::Packets(&[1, 5])));
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut noise = Noise(11);
        for round in 0..3000 {
            let mut deframer = Deframer::new();
            deframer.reset([Framing::Serial, Framing::Stream, Framing::Datagram][round as usize % 3]);
            let mut buffer = vec![0; noise.below(100)];
            let len = noise.below(400);
            let input = noise.bytes(len, round % 3 == 0);
            let mut rest = &input[..];
            while !rest.is_empty() {
                let piece = &rest[..rest.len().min(1 + noise.below(50))];
                let (taken, _) = deframer.push(piece, &mut buffer, Some(round));
                assert!(taken > 0 && taken <= piece.len());
                rest = &rest[taken..];
            }
            assert_eq!(deframer.push(&[], &mut buffer, None).0, 0);
        }
    }

    #[test]
    fn the_sealer_refuses_what_does_not_fit() {
        for framing in [Framing::Serial, Framing::Stream] {
            let sealer = Sealer { framing, number: 0 };
            let content = 100;
            let need = Framing::wire_max(content) - if framing == Framing::Stream { 2 } else { 0 };
            for room in 0..need {
                assert!(sealer.area(&mut vec![0; room], content).is_none(), "{framing:?} {room}");
            }
            let mut out = vec![0; need];
            let area = sealer.area(&mut out, content).map(|area| area.len());
            assert_eq!(area, Some(content - framing.check_len()), "{framing:?}");
            assert!(sealer.seal(&mut out, content, 0, 1, true).is_none());
            assert!(sealer.seal(&mut out, content, content + 1, 1, true).is_none());
            assert!(sealer.area(&mut out, 3).is_none_or(|area| area.len() == 3));
            assert!(sealer.area(&mut out, usize::MAX).is_none());
        }
    }
}
