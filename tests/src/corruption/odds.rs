//! What the polynomial itself says: syndromes, and from them how often a damage passes the truncated check.
//!
//! Invariant: nothing in here calls the shipped CRC; it all comes from a register that is shifted bit by bit.
//! This module does not make frames, and knows nothing of COBS.
//!
//! The syndrome of an error in a frame's content is the exclusive-or of the check that the damaged frame
//! carries and the one that its packets call for. It is linear in the error and depends on neither packets
//! nor start, so one number for each bit, counted from the end of the frame, says all.

/// The most content bytes of a frame that is made here: some frames need a second run in COBS.
pub const CONTENT_MAX: usize = 260;
/// The most bits of a burst: the guarantee of a check of 32 bits.
pub const BURST_MAX: usize = 32;
/// What the truncated check keeps of the whole one: the half that is sent first.
pub const KEPT: u32 = 0xFFFF;
/// Bytes at the end of the content that the truncated check leaves out.
pub const LEFT_OUT: usize = 2;
/// The chance that random damage passes the truncated check.
pub const RANDOM: f64 = 1.0 / 65536.0;

/// Castagnoli's polynomial as the protocol page has it, the register being reflected.
const POLYNOMIAL: u32 = 0x1EDC_6F41;
/// Bits at the end of the content that the truncated check leaves out.
const LEFT_OUT_BITS: usize = 8 * LEFT_OUT;

/// The register after a byte's worth of shifts.
const fn shifted(mut register: u32) -> u32 {
    let mut bit = 0;
    while bit < 8 {
        register = (register >> 1) ^ if register & 1 == 1 { POLYNOMIAL.reverse_bits() } else { 0 };
        bit += 1;
    }
    register
}

/// CRC-32C by the book, bit by bit: what the shipped one is compared with.
#[must_use]
pub fn reference(start: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(start, |register, byte| shifted(register ^ u32::from(*byte)))
}

/// The syndromes of single bits, for the bits of `bytes` bytes: the last bit on the wire first. A byte is
/// sent least significant bit first, as a UART does, so neighbours here are neighbours on the line.
#[must_use]
pub fn syndromes(bytes: usize) -> Vec<u32> {
    // The last byte of the content is the top byte of the check; each one before it is a byte more to shift.
    let mut byte: [u32; 8] = std::array::from_fn(|bit| 1 << (31 - bit));
    let mut all = Vec::with_capacity(8 * bytes);
    for _ in 0..bytes {
        all.extend(byte);
        byte = byte.map(shifted);
    }
    all
}

/// Whether every error of 1 to 5 bits in a content of so many bits has a syndrome other than zero: Hamming
/// distance 6.
///
/// A proof, not a sample. The polynomial has an even number of terms, so x + 1 divides it and errors of 1, 3
/// and 5 bits never go unseen. Errors of 2 and 4 bits would be two single bits, or two pairs, of the same
/// syndrome.
#[must_use]
pub fn distance_is_six(bits: usize) -> bool {
    let singles = &syndromes(bits.div_ceil(8))[..bits];
    let pairs =
        singles.iter().enumerate().flat_map(|(at, one)| singles[..at].iter().map(move |two| one ^ two));
    let mut sums: Vec<u32> = pairs.collect();
    sums.sort_unstable();
    let even_terms = (POLYNOMIAL.count_ones() + 1).is_multiple_of(2);
    even_terms && sums.first() != Some(&0) && sums.windows(2).all(|two| two[0] != two[1])
}

/// How often damage passes the truncated check, exactly, for contents up to [`CONTENT_MAX`].
#[derive(Debug, Clone)]
pub struct Odds {
    /// Of single bits, see [`syndromes`].
    syndromes: Vec<u32>,
    /// By content length and number of flips, up to 3.
    flips: Vec<[f64; 4]>,
    /// By content length and burst length.
    bursts: Vec<[f64; BURST_MAX + 1]>,
}

impl Default for Odds {
    fn default() -> Self {
        Self::new()
    }
}

impl Odds {
    /// Counts them.
    #[must_use]
    pub fn new() -> Self {
        let syndromes = syndromes(CONTENT_MAX);
        let (flips, bursts) = (flips(&syndromes), bursts(&syndromes));
        Self { syndromes, flips, bursts }
    }

    /// Of 1 to 3 flips anywhere in a content of `len` bytes, not all of them in the part that is left out.
    #[must_use]
    pub fn of_flips(&self, len: usize, count: usize) -> f64 {
        self.flips[len][count]
    }

    /// Of a burst of `bits` bits, the first and the last of them flipped, anywhere in a content of `len`
    /// bytes but not wholly in the part that is left out.
    #[must_use]
    pub fn of_bursts(&self, len: usize, bits: usize) -> f64 {
        self.bursts[len][bits]
    }

    /// The syndrome of the difference of two contents of the same length.
    #[must_use]
    pub fn syndrome(&self, sent: &[u8], received: &[u8]) -> u32 {
        let mut syndrome = 0;
        for ((a, b), of_bits) in sent.iter().zip(received).rev().zip(self.syndromes.chunks_exact(8)) {
            let mut error = (a ^ b).reverse_bits();
            while error != 0 {
                syndrome ^= of_bits[error.trailing_zeros() as usize];
                error &= error - 1;
            }
        }
        syndrome
    }
}

/// Counts the sets of 1, 2 and 3 bits whose syndromes cancel in the kept half, while the content grows at its
/// front.
fn flips(syndromes: &[u32]) -> Vec<[f64; 4]> {
    let kept: Vec<usize> = syndromes.iter().map(|all| (all & KEPT) as usize).collect();
    // How many sets of one and of two bits have this sum.
    let mut ones = vec![0_u64; KEPT as usize + 1];
    let mut twos = ones.clone();
    let mut passing = [0_u64; 4];
    let mut odds = vec![[0.0; 4]];
    for (bit, new) in kept.iter().enumerate() {
        passing[3] += twos[*new];
        passing[2] += ones[*new];
        passing[1] += u64::from(*new == 0);
        kept[..bit].iter().for_each(|old| twos[old ^ new] += 1);
        ones[*new] += 1;
        if bit % 8 == 7 {
            odds.push(std::array::from_fn(|count| {
                let left_out = sets(LEFT_OUT_BITS, count);
                let all = sets(bit + 1, count).saturating_sub(left_out);
                if all > 0 {
                    (passing[count] - left_out.min(passing[count])) as f64 / all as f64
                } else {
                    0.0
                }
            }));
        }
    }
    odds
}

/// Sets of `count` out of `n`; 0 of 0 flips, which nobody asks for.
fn sets(n: usize, count: usize) -> u64 {
    let n = n as u64;
    match count {
        1 => n,
        2 => n * n.saturating_sub(1) / 2,
        3 => n * n.saturating_sub(1) * n.saturating_sub(2) / 6,
        _ => 0,
    }
}

/// The mean over all places of a burst.
fn bursts(syndromes: &[u32]) -> Vec<[f64; BURST_MAX + 1]> {
    let mut odds = vec![[0.0; BURST_MAX + 1]; CONTENT_MAX + 1];
    for bits in 1..=BURST_MAX {
        // From the first place that is not wholly left out.
        let first = (LEFT_OUT_BITS + 1).saturating_sub(bits);
        let mut sum = 0.0;
        for (place, burst) in syndromes.windows(bits).enumerate().skip(first) {
            sum += burst_at(burst);
            if (place + bits) % 8 == 0 {
                odds[(place + bits) / 8][bits] = sum / (place + 1 - first) as f64;
            }
        }
    }
    odds
}

/// The chance of a burst at one place, whose bits have these syndromes. Both ends are flipped, each bit
/// between them or not: it passes if those between can add up to the ends, and then as often as one in all
/// their sums.
fn burst_at(syndromes: &[u32]) -> f64 {
    let (first, rest) = syndromes.split_first().expect("a burst has a bit");
    let (last, between) = rest.split_last().map_or((0, rest), |(last, between)| (*last, between));
    // Gauss: for each leading bit at most one sum that has it.
    let mut basis = [0_u32; 32];
    let reduced = |basis: &[u32; 32], mut sum: u32| {
        while sum != 0 && basis[sum.ilog2() as usize] != 0 {
            sum ^= basis[sum.ilog2() as usize];
        }
        sum
    };
    for syndrome in between {
        let sum = reduced(&basis, syndrome & KEPT);
        if sum != 0 {
            basis[sum.ilog2() as usize] = sum;
        }
    }
    let rank = basis.iter().filter(|sum| **sum != 0).count() as i32;
    if reduced(&basis, (first ^ last) & KEPT) == 0 { 0.5_f64.powi(rank) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_bit_has_the_syndrome_of_the_reference() {
        let odds = Odds::new();
        let sent: Vec<u8> = (0..40).collect();
        for bit in 0..8 * sent.len() {
            let mut received = sent.clone();
            received[bit / 8] ^= 1 << (bit % 8);
            let check = |content: &[u8]| {
                let (packets, check) = content.split_last_chunk().unwrap();
                reference(77, packets) ^ u32::from_le_bytes(*check)
            };
            assert_eq!(odds.syndrome(&sent, &received), check(&sent) ^ check(&received), "{bit}");
        }
    }

    #[test]
    fn odds_are_what_trying_all_gives() {
        let odds = Odds::new();
        let kept: Vec<u32> = syndromes(40).iter().map(|all| all & KEPT).collect();
        let (mut all, mut passing) = (0, 0);
        for a in 0..kept.len() {
            for b in 0..a {
                for c in 0..b {
                    // The last of them in the wire's order is `c`; with `a` in the part left out, all are.
                    all += u32::from(a >= LEFT_OUT_BITS);
                    passing += u32::from(a >= LEFT_OUT_BITS && kept[a] ^ kept[b] ^ kept[c] == 0);
                }
            }
        }
        assert!((odds.of_flips(40, 3) - f64::from(passing) / f64::from(all)).abs() < 1e-12);
        for bits in 18..=20 {
            let place = 100;
            let burst = &kept[place..place + bits];
            let sum = |pattern: u32| {
                let flipped = (0..bits).filter(|bit| pattern >> bit & 1 == 1);
                flipped.fold(0, |sum, bit| sum ^ burst[bit])
            };
            let ends = 1 | 1 << (bits - 1);
            let hits = (0..1 << (bits - 2)).filter(|between| sum(ends | between << 1) == 0).count();
            let chance = hits as f64 / (1_u32 << (bits - 2)) as f64;
            assert!((burst_at(burst) - chance).abs() < 1e-12, "{bits}");
        }
    }
}
