//! One direction of a line: it takes frames at its rate and gives pieces of them back, later and perhaps damaged.
//!
//! Invariant: what arrives, arrives in the order in which it was sent. Only a duplicated frame or piece comes twice,
//! right behind itself, and only where [`LineConfig::reorder`] is set whole frames overtake each other.

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
    /// Probability that a frame is late and others overtake it. Only for a link that may reorder: while it is set
    /// each frame comes whole, whatever the chunking.
    pub reorder: f64,
    /// How late such a frame is at the most, µs.
    pub reorder_us: u64,
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
            reorder: 0.0,
            reorder_us: 10_000,
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

/// What a stall has held back comes in pieces of about so many bytes.
const HELD_PIECE: usize = 1_024;

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
    /// What chance has done to frames and bytes so far, counted one by one.
    pub faults: u64,
    rng: Rng,
    free_at: u64,
    pieces: VecDeque<Piece>,
    /// Bytes that the burst under way still takes.
    burst_left: u64,
    /// What is under way does not arrive before this.
    stalled_until: u64,
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
            faults: 0,
            rng,
            free_at: 0,
            pieces: VecDeque::new(),
            burst_left: 0,
            stalled_until: 0,
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
        self.pieces.front().map(|piece| piece.arrives.max(self.stalled_until))
    }

    /// Nothing arrives until then, and nothing is lost: how an outage of the network looks on a stream.
    pub const fn stall(&mut self, until: u64) {
        self.stalled_until = until;
    }

    /// A frame leaves now.
    pub fn send(&mut self, now: u64, frame: &[u8]) {
        let took = self.time_of(frame.len()).max(1);
        self.free_at = now + took;
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let by_chance = self.rng.chance(self.config.frame_loss);
        self.faults += u64::from(by_chance);
        let lost = by_chance | self.cut | self.losses.pop_front().unwrap_or_default();
        if self.record {
            self.sent.push(Sent { at: now, bytes: frame.to_vec(), lost });
        }
        if lost {
            return;
        }
        self.carry(now, frame);
        if self.rng.chance(self.config.frame_duplication) {
            self.faults += 1;
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
        let until = self.stalled_until;
        let mut bytes = self.pieces.pop_front_if(|piece| piece.arrives <= now && until <= now)?.bytes;
        // What a stall has held back comes in larger pieces, as from a socket that was not read.
        while bytes.len() < HELD_PIECE
            && let Some(more) = self.pieces.pop_front_if(|piece| piece.arrives < until)
        {
            bytes.extend(more.bytes);
        }
        Some(bytes)
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
        if self.config.reorder > 0.0 {
            return self.carry_datagram(start, frame);
        }
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
            self.faults += u64::from(again.is_some());
            for bytes in [Some(bytes), again].into_iter().flatten().filter(|bytes| !bytes.is_empty()) {
                self.pieces.push_back(Piece { left, arrives, bytes });
            }
        }
    }

    /// A frame that may come late, and that may overtake one that does.
    fn carry_datagram(&mut self, start: u64, frame: &[u8]) {
        let left = start + self.time_of(frame.len());
        let late = self.rng.chance(self.config.reorder);
        self.faults += u64::from(late);
        let more = if late { self.rng.between(1, self.config.reorder_us) } else { 0 };
        let arrives = left + self.config.delay_us + more;
        let bytes = self.damage(frame);
        if !bytes.is_empty() {
            let at = self.pieces.partition_point(|piece| piece.arrives <= arrives);
            self.pieces.insert(at, Piece { left, arrives, bytes });
        }
    }

    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let config = self.config;
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.rng.chance(config.insertion) {
                out.push(self.rng.byte());
                self.faults += 1;
            }
            if self.rng.chance(config.burst) {
                self.burst_left = self.rng.between(1, config.burst_max);
                self.faults += 1;
            }
            if self.burst_left > 0 {
                self.burst_left -= 1;
            } else if self.rng.chance(config.byte_loss) {
                self.faults += 1;
            } else {
                // One flip a byte at most: two in one byte are rare and no harder.
                let flip = self.rng.chance(config.bit_error * 8.0);
                self.faults += u64::from(flip);
                out.push(if flip { byte ^ 1 << self.rng.below(8) } else { *byte });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives of 200 frames, one a millisecond, each with its own number.
    fn arrivals(line: &mut Line) -> Vec<u8> {
        let mut out = Vec::new();
        for now in 0..300 {
            if now < 200 {
                line.send(now * 1_000, &[now as u8, now as u8]);
            }
            while let Some(piece) = line.receive(now * 1_000) {
                assert_eq!(piece[0], piece[1]);
                out.push(piece[0]);
            }
        }
        out
    }

    #[test]
    fn frames_overtake_each_other_only_where_the_line_may_reorder() {
        let clean = LineConfig { delay_us: 3_000, ..LineConfig::clean(0) };
        let mut line = Line::new(clean, Rng::new(1));
        assert!(arrivals(&mut line).is_sorted());
        assert_eq!(line.faults, 0);

        let config = LineConfig { reorder: 0.2, reorder_us: 5_000, chunking: Chunking::Bytes, ..clean };
        let mut line = Line::new(config, Rng::new(1));
        let mut came = arrivals(&mut line);
        assert!(!came.is_sorted());
        let far = came.iter().enumerate().map(|(at, number)| at.abs_diff(usize::from(*number))).max();
        assert!(far <= Some(5), "{far:?} frames too far");
        came.sort_unstable();
        assert!(came.into_iter().eq(0..200), "each frame comes once");
        assert!((20..60).contains(&line.faults), "{}", line.faults);
    }

    #[test]
    fn a_stalled_line_keeps_everything_for_later() {
        let mut line = Line::new(LineConfig::clean(0), Rng::new(1));
        line.send(0, b"one");
        line.stall(5_000);
        line.send(1_000, b"two");
        assert_eq!((line.next_arrival(), line.receive(4_999)), (Some(5_000), None));
        assert_eq!(line.receive(5_000).as_deref(), Some(&b"onetwo"[..]));
    }
}
