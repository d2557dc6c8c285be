//! What a bad line does to the bytes of one direction, and when it is cut.
//!
//! Invariant: of a byte's fate chance decides by the byte's place in the stream alone, so equal seeds damage
//! equal streams equally. Where chunks end and what an outage swallows depends on real time, too.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::rng::Rng;

/// The faults of one direction. All probabilities default to 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
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
    /// Probability that a chunk is passed on twice.
    pub duplication: f64,
    /// Bytes are passed on in chunks of 1 to this many; 0: as they come.
    pub chunk_max: usize,
    /// Outages of this direction alone.
    pub cuts: Option<Cuts>,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        bit_error: 0.0,
        byte_loss: 0.0,
        burst: 0.0,
        burst_max: 40,
        insertion: 0.0,
        duplication: 0.0,
        chunk_max: 0,
        cuts: None,
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

/// Outages, during which every byte is dropped: from `.0` to `.1` milliseconds, chance decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    /// How long the line works before it is cut again, ms.
    pub every_ms: (u64, u64),
    /// How long an outage lasts, ms.
    pub last_ms: (u64, u64),
}

/// What was done to one direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that were passed on.
    pub bytes_out: u64,
    /// Bits that were flipped.
    pub flips: u64,
    /// Bytes that were lost, in bursts or alone.
    pub dropped: u64,
    /// Bursts of loss.
    pub bursts: u64,
    /// Bytes that were inserted.
    pub inserted: u64,
    /// Chunks that were passed on twice.
    pub duplicates: u64,
    /// Bytes in those chunks.
    pub duplicated: u64,
    /// Outages of this direction alone.
    pub cuts: u64,
    /// Bytes that outages have swallowed.
    pub cut: u64,
    /// Bytes that came when the other end was gone, or did not get there any more.
    pub discarded: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes_in, bytes_out, flips, dropped, bursts, inserted, .. } = self;
        let Self { duplicates, duplicated, cuts, cut, discarded, .. } = self;
        write!(f, "{bytes_in} bytes in, {bytes_out} out: {flips} bits flipped, {dropped} bytes dropped")?;
        write!(f, " ({bursts} bursts), {inserted} inserted, {duplicates} chunks ({duplicated} bytes) twice")?;
        write!(f, ", {cuts} cuts of its own, {cut} bytes cut off")?;
        if *discarded > 0 {
            write!(f, ", {discarded} bytes for an end that was gone")?;
        }
        Ok(())
    }
}

/// When a line is cut. It begins with the first question.
#[derive(Debug)]
pub(super) struct Schedule {
    cuts: Option<Cuts>,
    rng: Rng,
    down: bool,
    next_change: Option<Duration>,
    pub(super) count: u64,
}

impl Schedule {
    pub(super) fn new(cuts: Option<Cuts>, rng: Rng) -> Self {
        Self { cuts, rng, down: false, next_change: None, count: 0 }
    }

    /// Whether there is an outage at this time, which never goes back.
    pub(super) fn is_down(&mut self, now: Duration) -> bool {
        let Some(cuts) = self.cuts else { return false };
        let mut at = self.next_change.unwrap_or_else(|| now + self.span(cuts.every_ms));
        while at <= now {
            self.down = !self.down;
            self.count += u64::from(self.down);
            at += self.span(if self.down { cuts.last_ms } else { cuts.every_ms });
        }
        self.next_change = Some(at);
        self.down
    }

    fn span(&mut self, (low, high): (u64, u64)) -> Duration {
        Duration::from_millis(self.rng.between(low, high).max(1))
    }
}

/// Damages the bytes of one direction.
#[derive(Debug)]
pub(super) struct Damage {
    faults: Faults,
    cuts: Schedule,
    bytes: Rng,
    chunks: Rng,
    /// Bytes that the burst under way still takes.
    burst_left: u64,
    pub(super) counts: Counts,
}

impl Damage {
    pub(super) fn new(faults: Faults, rng: &mut Rng) -> Self {
        Self {
            faults,
            cuts: Schedule::new(faults.cuts, rng.fork()),
            bytes: rng.fork(),
            chunks: rng.fork(),
            burst_left: 0,
            counts: Counts::default(),
        }
    }

    /// Makes chunks of what has come; `down`: both directions are cut. Gives back how many bytes they have.
    pub(super) fn pass(
        &mut self,
        now: Duration,
        down: bool,
        input: &[u8],
        chunks: &mut VecDeque<Vec<u8>>,
    ) -> usize {
        self.counts.bytes_in += input.len() as u64;
        let down = self.cuts.is_down(now) | down;
        self.counts.cuts = self.cuts.count;
        if down {
            self.counts.cut += input.len() as u64;
            return 0;
        }
        let (mut rest, mut total) = (input, 0);
        while !rest.is_empty() {
            let len = match self.faults.chunk_max {
                0 => rest.len(),
                most => rest.len().min(self.chunks.between(1, most as u64) as usize),
            };
            let (chunk, behind) = rest.split_at(len);
            rest = behind;
            let chunk = self.damage(chunk);
            if chunk.is_empty() {
                continue;
            }
            if self.chunks.chance(self.faults.duplication) {
                self.counts.duplicates += 1;
                self.counts.duplicated += chunk.len() as u64;
                total += chunk.len();
                chunks.push_back(chunk.clone());
            }
            total += chunk.len();
            chunks.push_back(chunk);
        }
        total
    }

    fn damage(&mut self, chunk: &[u8]) -> Vec<u8> {
        let (faults, counts, rng) = (&self.faults, &mut self.counts, &mut self.bytes);
        let mut out = Vec::with_capacity(chunk.len());
        for byte in chunk {
            if rng.chance(faults.insertion) {
                counts.inserted += 1;
                out.push(rng.byte());
            }
            if rng.chance(faults.burst) {
                counts.bursts += 1;
                self.burst_left = rng.between(1, faults.burst_max);
            }
            if self.burst_left > 0 || rng.chance(faults.byte_loss) {
                self.burst_left = self.burst_left.saturating_sub(1);
                counts.dropped += 1;
                continue;
            }
            // One flip a byte at most: two in one byte are rare and no harder.
            let flip = rng.chance(faults.bit_error * 8.0);
            counts.flips += u64::from(flip);
            out.push(if flip { byte ^ 1 << rng.below(8) } else { *byte });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Faults = Faults {
        bit_error: 1e-3,
        byte_loss: 1e-3,
        burst: 1e-4,
        insertion: 1e-3,
        duplication: 0.01,
        chunk_max: 30,
        ..Faults::NONE
    };

    /// What comes out, in one piece, and the counts.
    fn passed(faults: Faults, seed: u64, input: &[u8], piece: usize) -> (Vec<u8>, Counts) {
        let mut damage = Damage::new(faults, &mut Rng::new(seed));
        let mut chunks = VecDeque::new();
        let total: usize =
            input.chunks(piece).map(|piece| damage.pass(Duration::ZERO, false, piece, &mut chunks)).sum();
        let out: Vec<u8> = chunks.into_iter().flatten().collect();
        assert_eq!(out.len(), total);
        (out, damage.counts)
    }

    #[test]
    fn without_faults_nothing_changes() {
        let input = Rng::new(1).bytes(100_000);
        let (out, counts) = passed(Faults::NONE, 7, &input, 4096);
        assert!(out == input);
        assert_eq!(counts, Counts { bytes_in: 100_000, ..Counts::default() });
    }

    #[test]
    fn every_fault_happens_about_as_often_as_it_should_and_is_counted() {
        let input = Rng::new(1).bytes(1_000_000);
        let (out, counts) = passed(ALL, 7, &input, 4096);
        let Counts { bytes_in, flips, dropped, bursts, inserted, duplicates, duplicated, .. } = counts;
        assert_eq!(out.len() as u64, bytes_in - dropped + inserted + duplicated);
        for (what, count, expected) in [
            ("flips", flips, 8_000),
            ("dropped", dropped, 1_000 + 100 * 20),
            ("bursts", bursts, 100),
            ("inserted", inserted, 1_000),
            ("duplicates", duplicates, 1_000_000 / 15 / 100),
        ] {
            assert!((expected * 2 / 3..expected * 3 / 2).contains(&count), "{what}: {count}");
        }
        assert_ne!(passed(ALL, 8, &input, 4096).1, counts, "another seed, another line");
    }

    #[test]
    fn the_pieces_in_which_bytes_come_do_not_decide_which_are_damaged() {
        let faults = Faults { chunk_max: 0, duplication: 0.0, ..ALL };
        let input = Rng::new(1).bytes(100_000);
        assert_eq!(passed(faults, 7, &input, 4096), passed(faults, 7, &input, 13));
    }

    #[test]
    fn a_cut_swallows_every_byte_while_it_lasts() {
        let cuts = Cuts { every_ms: (100, 200), last_ms: (10, 50) };
        let mut damage = Damage::new(Faults { cuts: Some(cuts), ..Faults::NONE }, &mut Rng::new(3));
        let mut chunks = VecDeque::new();
        for ms in 0..10_000 {
            damage.pass(Duration::from_millis(ms), false, b"x", &mut chunks);
        }
        let Counts { cuts, cut, .. } = damage.counts;
        assert!((10_000 / 250..=10_000 / 110).contains(&cuts), "{cuts}");
        assert!(((cuts - 1) * 10..=cuts * 50).contains(&cut), "{cut} in {cuts}");
        assert_eq!(chunks.len() as u64, 10_000 - cut);
    }
}
