//! One direction of a line: it takes frames at its rate and gives pieces of them back, later and perhaps damaged.
//!
//! Invariant: what arrives, arrives in the order in which it was sent. Only a duplicated frame or piece comes twice,
//! right behind itself.

use std::collections::VecDeque;

use crate::rng::Rng;

/// How frames are cut into the pieces that the receiver gets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// Each frame in one piece, when its last byte is there.
    Whole,
    /// Byte by byte, as an interrupt sees them.
    Bytes,
    /// Pieces of 1 to this many bytes.
    Random(u64),
}

/// What a line is like. All probabilities default to 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LineConfig {
    /// Bits per second at 10 bits a byte; 0: a frame takes 1 µs.
    pub baud: u32,
    /// From the end of a byte at the sender to its arrival, µs.
    pub delay_us: u64,
    /// Pieces.
    pub chunking: Chunking,
    /// Probability that a bit is flipped.
    pub bit_error: f64,
    /// Probability that a byte is lost.
    pub byte_loss: f64,
    /// Probability, for each byte, that a burst of loss begins with it.
    pub burst: f64,
    /// Longest burst, in bytes.
    pub burst_max: u64,
    /// Probability that a random byte is inserted before a byte.
    pub insertion: f64,
    /// Probability that a frame is lost as a whole.
    pub frame_loss: f64,
    /// Probability that a frame arrives twice.
    pub frame_duplication: f64,
    /// Probability that a piece arrives twice.
    pub chunk_duplication: f64,
}

impl LineConfig {
    /// A clean line.
    #[must_use]
    pub const fn clean(baud: u32) -> Self {
        Self {
            baud,
            delay_us: 0,
            chunking: Chunking::Whole,
            bit_error: 0.0,
            byte_loss: 0.0,
            burst: 0.0,
            burst_max: 40,
            insertion: 0.0,
            frame_loss: 0.0,
            frame_duplication: 0.0,
            chunk_duplication: 0.0,
        }
    }

    /// The same line without faults.
    #[must_use]
    pub const fn without_faults(self) -> Self {
        Self { delay_us: self.delay_us, chunking: self.chunking, ..Self::clean(self.baud) }
    }

    /// A line with random faults of all kinds that do not need a new session to be repaired.
    #[must_use]
    pub fn faulty(baud: u32, rng: &mut Rng) -> Self {
        let mut some = |most: f64| if rng.chance(0.5) { most * rng.below(1000) as f64 / 1000.0 } else { 0.0 };
        Self {
            delay_us: (some(1.0) * 20_000.0) as u64,
            bit_error: some(1e-3),
            byte_loss: some(3e-3),
            burst: some(5e-4),
            insertion: some(3e-3),
            frame_loss: some(0.1),
            frame_duplication: some(0.1),
            chunk_duplication: some(0.02),
            chunking: if some(1.0) > 0.0 { Chunking::Random(30) } else { Chunking::Whole },
            ..Self::clean(baud)
        }
    }
}

/// A frame that was handed to the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When its first byte left, µs.
    pub at: u64,
    /// Its bytes, delimiters included.
    pub bytes: Vec<u8>,
    /// Whether the line lost it as a whole ([`LineConfig::frame_loss`], or a cut).
    pub lost: bool,
}

/// A piece under way.
#[derive(Debug)]
struct Piece {
    /// When its last byte has left the sender.
    left: u64,
    arrives: u64,
    bytes: Vec<u8>,
}

/// One direction.
#[derive(Debug)]
pub struct Line {
    /// What it is like now.
    pub config: LineConfig,
    /// Nothing gets through.
    pub cut: bool,
    /// Whether the next frames are lost, one by one; when it is empty chance decides alone.
    pub losses: VecDeque<bool>,
    /// Everything that was handed to it, if [`record`](Self::record) is set.
    pub sent: Vec<Sent>,
    /// Whether to keep what is sent.
    pub record: bool,
    /// Frames and bytes that were handed to it.
    pub frames: u64,
    /// Bytes that were handed to it.
    pub bytes: u64,
    rng: Rng,
    free_at: u64,
    pieces: VecDeque<Piece>,
    /// Bytes that the burst under way still takes.
    burst_left: u64,
}

impl Line {
    /// An idle line.
    #[must_use]
    pub fn new(config: LineConfig, rng: Rng) -> Self {
        Self {
            config,
            cut: false,
            losses: VecDeque::new(),
            sent: Vec::new(),
            record: false,
            frames: 0,
            bytes: 0,
            rng,
            free_at: 0,
            pieces: VecDeque::new(),
            burst_left: 0,
        }
    }

    /// When the transmitter can take the next frame.
    #[must_use]
    pub const fn free_at(&self) -> u64 {
        self.free_at
    }

    /// When the next piece arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<u64> {
        self.pieces.front().map(|piece| piece.arrives)
    }

    /// A frame leaves now.
    pub fn send(&mut self, now: u64, frame: &[u8]) {
        let took = self.time_of(frame.len()).max(1);
        self.free_at = now + took;
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let lost =
            self.rng.chance(self.config.frame_loss) | self.cut | self.losses.pop_front().unwrap_or_default();
        if self.record {
            self.sent.push(Sent { at: now, bytes: frame.to_vec(), lost });
        }
        if lost {
            return;
        }
        self.carry(now, frame);
        if self.rng.chance(self.config.frame_duplication) {
            self.carry(self.free_at, frame);
        }
    }

    /// Bytes come out of nowhere: noise, boot text, a ghost. They arrive behind what is under way.
    pub fn inject(&mut self, now: u64, bytes: &[u8]) {
        let arrives = self.pieces.back().map_or(now, |piece| piece.arrives.max(now));
        self.pieces.push_back(Piece { left: now, arrives, bytes: bytes.to_vec() });
    }

    /// The piece that has arrived, if one has.
    pub fn receive(&mut self, now: u64) -> Option<Vec<u8>> {
        self.pieces.pop_front_if(|piece| piece.arrives <= now).map(|piece| piece.bytes)
    }

    /// The sender dies: what has not left it will not.
    pub fn abort(&mut self, now: u64) {
        self.pieces.retain(|piece| piece.left <= now);
        self.free_at = now;
    }

    /// Everything under way is gone.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    fn time_of(&self, bytes: usize) -> u64 {
        if self.config.baud == 0 { 0 } else { bytes as u64 * 10_000_000 / u64::from(self.config.baud) }
    }

    fn carry(&mut self, start: u64, frame: &[u8]) {
        let mut done = 0;
        while done < frame.len() {
            let rest = frame.len() - done;
            let len = match self.config.chunking {
                Chunking::Whole => rest,
                Chunking::Bytes => 1,
                Chunking::Random(most) => rest.min(self.rng.between(1, most) as usize),
            };
            let bytes = self.damage(&frame[done..done + len]);
            done += len;
            let left = start + self.time_of(done);
            let arrives = left + self.config.delay_us;
            let arrives = self.pieces.back().map_or(arrives, |piece| piece.arrives.max(arrives));
            let again = self.rng.chance(self.config.chunk_duplication).then(|| bytes.clone());
            for bytes in [Some(bytes), again].into_iter().flatten().filter(|bytes| !bytes.is_empty()) {
                self.pieces.push_back(Piece { left, arrives, bytes });
            }
        }
    }

    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let config = self.config;
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.rng.chance(config.insertion) {
                out.push(self.rng.byte());
            }
            if self.rng.chance(config.burst) {
                self.burst_left = self.rng.between(1, config.burst_max);
            }
            if self.burst_left > 0 {
                self.burst_left -= 1;
            } else if !self.rng.chance(config.byte_loss) {
                // One flip a byte at most: two in one byte are rare and no harder.
                let flip = self.rng.chance(config.bit_error * 8.0);
                out.push(if flip { byte ^ 1 << self.rng.below(8) } else { *byte });
            }
        }
        out
    }
}
