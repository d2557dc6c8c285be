//! Frames, and damage done to them on the wire.
//!
//! Invariant: in the classes that hit data only, the place of the damage is drawn first and the frame is made
//! to suit it, so that every place is as likely as any other and the odds of [`super::odds`] hold exactly.
//! This module does not judge what arrives.

use tieline::framing::{Framing, Sealer};
use tieline::packet::kind;
use tieline::wire::cobs;

use super::odds::{BURST_MAX, CONTENT_MAX, LEFT_OUT, Odds, RANDOM};
use crate::Rng;

const SEALER: Sealer = Sealer { framing: Framing::Serial, number: 0 };
const CHECK_LEN: usize = Framing::Serial.check_len();
/// Most frames are short, as most are on a real line, and because they are quick.
const SHORT_MAX: u64 = 40;
/// So many random bytes at the least are seen by the truncated check; a few that become codes do not matter.
const RANDOM_MIN: usize = 8;
const RANDOM_MAX: usize = 16;
/// The most bytes that are dropped or inserted at once.
const BYTES_MAX: u64 = 3;

/// A class of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// So many bits flipped, in bytes that COBS carries as they are; none of them becomes zero.
    Flips(usize),
    /// A burst of 1 to 32 bits in such bytes.
    Burst,
    /// 1 to 3 bits flipped, one of them at least in a code or in the delimiter.
    CodeFlips,
    /// A burst of 1 to 32 bits that changes a code or the delimiter.
    CodeBurst,
    /// 8 to 16 bytes in a row replaced by random ones, zeros too.
    Random,
    /// 1 to 3 bytes lost.
    Dropped,
    /// 1 to 3 random bytes too many, zeros too.
    Inserted,
    /// The delimiter between two frames lost or changed.
    Joined,
    /// A zero put between two bytes, or over one.
    Split,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Flips(1),
        Self::Flips(2),
        Self::Flips(3),
        Self::Burst,
        Self::CodeFlips,
        Self::CodeBurst,
        Self::Random,
        Self::Dropped,
        Self::Inserted,
        Self::Joined,
        Self::Split,
    ];

    /// Whether the polynomial guarantees that the whole check sees it.
    #[must_use]
    pub const fn is_structured(self) -> bool {
        matches!(self, Self::Flips(_) | Self::Burst)
    }

    /// As the table has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flips(1) => "1 flip, data",
            Self::Flips(2) => "2 flips, data",
            Self::Flips(_) => "3 flips, data",
            Self::Burst => "burst, data",
            Self::CodeFlips => "1-3 flips, code",
            Self::CodeBurst => "burst, code",
            Self::Random => "random bytes",
            Self::Dropped => "dropped",
            Self::Inserted => "inserted",
            Self::Joined => "joined",
            Self::Split => "split",
        }
    }
}

/// What is known about the chance of one damaged frame to pass the truncated check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Chance {
    /// This.
    Is(f64),
    /// What the error's syndrome says if the content keeps its length, else the random one.
    OfTheError,
}

/// A valid frame.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Packets and check.
    pub content: Vec<u8>,
    /// Encoded, with the delimiter behind it.
    pub wire: Vec<u8>,
}

impl Frame {
    /// New packets for a content of `len` bytes, random ones or mostly zeros.
    fn fill(&mut self, rng: &mut Rng, len: usize) {
        let zeros = rng.chance(0.5);
        self.content.clear();
        while self.content.len() < len {
            let (bytes, noise) = (rng.next(), rng.next());
            // One byte in four stays.
            let stay = (noise & noise >> 1 & 0x0101_0101_0101_0101) * 0xFF;
            self.content.extend((bytes & if zeros { stay } else { u64::MAX }).to_le_bytes());
        }
        self.content.truncate(len);
        if self.content[0] == kind::HELLO {
            self.content[0] = 0x80;
        }
    }

    /// Makes the frame of the packets that [`Frame::fill`] put.
    fn seal(&mut self, start: u32) {
        let mut out = [0; Framing::wire_max(CONTENT_MAX)];
        let len = self.content.len();
        let packets = &self.content[..len - CHECK_LEN];
        SEALER.area(&mut out, len).expect("room for the packets").copy_from_slice(packets);
        let sealed = SEALER.seal(&mut out, len, packets.len(), start, false).expect("packets to seal");
        self.wire.clear();
        self.wire.extend_from_slice(sealed);
        let encoded = &sealed[..sealed.len() - 1];
        assert_eq!(cobs::Decoder::new().decode(encoded, &mut self.content, 0), Some(len));
    }

    /// Where a byte of the content stands on the wire, which is not zero.
    fn place(&self, at: usize) -> usize {
        let full_runs = self.codes().filter(|code| self.wire[*code] == 0xFF && code + 254 <= at).count();
        1 + at + full_runs
    }

    /// Where the codes stand.
    fn codes(&self) -> impl Iterator<Item = usize> {
        let next = |at: &usize| Some(at + usize::from(self.wire[*at]));
        let end = self.wire.len() - 1;
        std::iter::successors(Some(0), next).take_while(move |at| *at < end)
    }
}

/// Makes damaged frames, one at a time.
#[derive(Debug, Clone)]
pub struct Damage {
    rng: Rng,
    /// Where the checks start.
    pub start: u32,
    /// The frame that is damaged.
    pub frame: Frame,
    /// The one behind it, in the classes that need one.
    pub next: Frame,
    /// What arrives.
    pub wire: Vec<u8>,
    /// A delimiter went, or one came.
    pub hit: bool,
    /// Bytes and the bits of them to flip.
    error: Vec<(usize, u8)>,
}

impl Damage {
    /// Equal seeds give equal damage.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (frame, next) = (Frame::default(), Frame::default());
        Self { rng: Rng::new(seed), start: 0, frame, next, wire: Vec::new(), hit: false, error: Vec::new() }
    }

    /// Makes a frame and damages it.
    pub fn make(&mut self, class: Class, odds: &Odds) -> Chance {
        self.hit = false;
        let least = if class == Class::Random { RANDOM_MIN + LEFT_OUT } else { CHECK_LEN + 1 };
        let long = self.rng.below(8) == 0;
        let (low, high) = if long { (SHORT_MAX + 1, CONTENT_MAX as u64) } else { (least as u64, SHORT_MAX) };
        let len = self.rng.between(low, high) as usize;
        self.start = self.rng.next() as u32;
        match class {
            Class::Flips(count) => {
                self.draw_flips(0..8 * len, count, None);
                self.hit_data(len);
                return Chance::Is(odds.of_flips(len, count));
            }
            Class::Burst => {
                let bits = self.rng.between(1, BURST_MAX as u64) as usize;
                let first = self.rng.index(8 * len - bits + 1);
                self.draw_burst(first, bits);
                self.hit_data(len);
                return Chance::Is(odds.of_bursts(len, bits));
            }
            Class::CodeFlips | Class::CodeBurst => {
                self.hit_code(len, class == Class::CodeFlips);
                return Chance::OfTheError;
            }
            Class::Random => self.replace(len),
            Class::Dropped => self.drop_bytes(len),
            Class::Inserted => self.insert(len),
            Class::Joined => self.join(len),
            Class::Split => self.split(len),
        }
        Chance::Is(RANDOM)
    }

    /// `count` different bits out of `range`, with `one` among them if it is given.
    fn draw_flips(&mut self, range: std::ops::Range<usize>, count: usize, one: Option<usize>) {
        self.error.clear();
        let mut flips = 0;
        while flips < count {
            let bit = one.filter(|_| flips == 0).unwrap_or_else(|| range.start + self.rng.index(range.len()));
            let (at, mask) = (bit / 8, 1 << (bit % 8));
            match self.error.iter_mut().find(|(byte, _)| *byte == at) {
                Some((_, old)) if *old & mask != 0 => continue,
                Some((_, old)) => *old |= mask,
                None => self.error.push((at, mask)),
            }
            flips += 1;
        }
    }

    /// `bits` bits from `first` on, in the order in which a UART sends them: the ends are flipped, the others
    /// perhaps.
    fn draw_burst(&mut self, first: usize, bits: usize) {
        let pattern = 1 | 1 << (bits - 1) | self.rng.next() & ((1 << bits) - 1);
        let bytes = (pattern << (first % 8)).to_le_bytes();
        self.error.clear();
        let bytes = bytes.into_iter().enumerate().filter(|(_, mask)| *mask != 0);
        self.error.extend(bytes.map(|(at, mask)| (first / 8 + at, mask)));
    }

    /// Makes a frame that has no code where the error is, and gets none and no HELLO by it; then flips.
    fn hit_data(&mut self, len: usize) {
        self.frame.fill(&mut self.rng, len);
        for (at, mask) in &self.error {
            if *at < len - CHECK_LEN {
                let hello = |byte: u8| *at == 0 && byte == kind::HELLO;
                self.frame.content[*at] = loop {
                    let byte = self.rng.byte();
                    if byte != 0 && byte != *mask && !hello(byte) && !hello(byte ^ mask) {
                        break byte;
                    }
                };
            }
        }
        loop {
            self.frame.seal(self.start);
            let content = &self.frame.content;
            if self.error.iter().all(|(at, mask)| content[*at] != 0 && content[*at] != *mask) {
                break;
            }
            // It is the check that does not suit, and another start gives another one.
            self.start = self.rng.next() as u32;
        }
        self.wire.clone_from(&self.frame.wire);
        for (at, mask) in &self.error {
            self.wire[self.frame.place(*at)] ^= mask;
        }
    }

    /// A frame, and its wire to damage.
    fn intact(&mut self, len: usize) {
        self.frame.fill(&mut self.rng, len);
        self.frame.seal(self.start);
        self.wire.clone_from(&self.frame.wire);
    }

    /// The same with a short frame of the same session behind it.
    fn intact_pair(&mut self, len: usize) {
        self.intact(len);
        let len = self.rng.between(CHECK_LEN as u64 + 1, 12) as usize;
        self.next.fill(&mut self.rng, len);
        self.next.seal(self.start);
        self.wire.extend_from_slice(&self.next.wire);
    }

    fn hit_code(&mut self, len: usize, flips: bool) {
        self.intact_pair(len);
        let delimiter = self.frame.wire.len() - 1;
        let which = self.rng.index(self.frame.codes().count() + 1);
        let target = self.frame.codes().nth(which).unwrap_or(delimiter);
        if flips {
            let count = self.rng.between(1, 3) as usize;
            let bit = 8 * target + self.rng.index(8);
            self.draw_flips(0..8 * (delimiter + 1), count, Some(bit));
        } else {
            let bits = self.rng.between(1, BURST_MAX as u64) as usize;
            let first = (8 * target).saturating_sub(bits - 1);
            loop {
                let first = first + self.rng.index(8 * target + 8 - first);
                self.draw_burst(first, bits);
                if self.error.iter().any(|(at, _)| *at == target) {
                    break;
                }
            }
        }
        for (at, mask) in &self.error {
            let byte = &mut self.wire[*at];
            self.hit |= *byte == 0 || *byte == *mask;
            *byte ^= mask;
        }
    }

    fn replace(&mut self, len: usize) {
        self.intact(len);
        let end = self.wire.len() - 1;
        let first = self.rng.index(end - LEFT_OUT - RANDOM_MIN + 1);
        let count = self.rng.between(RANDOM_MIN as u64, RANDOM_MAX as u64) as usize;
        for byte in &mut self.wire[first..end.min(first + count)] {
            *byte = self.rng.byte();
            self.hit |= *byte == 0;
        }
    }

    fn drop_bytes(&mut self, len: usize) {
        self.intact(len);
        for _ in 0..self.rng.between(1, BYTES_MAX) {
            let at = self.rng.index(self.wire.len() - 1);
            self.wire.remove(at);
        }
    }

    fn insert(&mut self, len: usize) {
        self.intact(len);
        for _ in 0..self.rng.between(1, BYTES_MAX) {
            let (at, byte) = (self.rng.index(self.wire.len()), self.rng.byte());
            self.wire.insert(at, byte);
            self.hit |= byte == 0;
        }
    }

    fn join(&mut self, len: usize) {
        self.intact_pair(len);
        self.hit = true;
        let delimiter = self.frame.wire.len() - 1;
        if self.rng.chance(0.5) {
            self.wire.remove(delimiter);
        } else {
            self.wire[delimiter] = self.rng.between(1, 255) as u8;
        }
    }

    fn split(&mut self, len: usize) {
        self.intact(len);
        self.hit = true;
        let end = self.wire.len() - 1;
        if self.rng.chance(0.5) {
            let at = self.rng.between(1, end as u64 - 1) as usize;
            self.wire.insert(at, 0);
        } else {
            let at = self.rng.index(end);
            self.wire[at] = 0;
        }
    }
}
