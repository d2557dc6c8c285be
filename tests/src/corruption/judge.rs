//! The judge of damaged frames: the shipped deframer, and beside it the truncated check.
//!
//! Invariant: the verdict on all 32 bits is [`Deframer`]'s. It is held against a reference that shares no
//! code with it: always where the content kept its length, else for a sample and for all misses of 16 bits.
//! This module does not decide whether the counts are as they should be.

use tieline::framing::{Deframed, Deframer, DropReason};
use tieline::packet::kind;
use tieline::wire::cobs;
use tieline::wire::crc::{ORDINARY, crc32c_from};

use super::damage::{Chance, Damage};
use super::odds::{CONTENT_MAX, KEPT, LEFT_OUT, Odds, RANDOM, reference};

/// Of the verdicts that only the bit by bit reference can confirm, one in so many is.
const SAMPLE: u64 = 64;
/// Up to so many expected misses, three standard deviations are no measure.
const HANDFUL: f64 = 20.0;
/// Room for two frames that are joined.
const ROOM: usize = 2 * CONTENT_MAX;

/// What became of damaged frames. One that is split counts in several columns, as all its pieces are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Frames that were damaged.
    pub frames: u64,
    /// Of these, the damage took a delimiter or made one.
    pub delimiter: u64,
    /// Frames that arrived and are no COBS, or too short.
    pub undecodable: u64,
    /// Frames whose content is what was sent.
    pub same: u64,
    /// Frames that arrived, are not what was sent, and that only the check can tell.
    pub checked: u64,
    /// Of these, begin as HELLO does: another start than that of the frame that was sent.
    pub hello: u64,
    /// Of these, differ only in the half that the truncated check leaves out.
    pub unseen: u64,
    /// Passed the truncated check, neither `hello` nor `unseen`.
    pub missed_16: u64,
    /// How many of them should have.
    pub expected_16: f64,
    /// The variance of `expected_16`.
    pub variance_16: f64,
    /// Passed the whole check.
    pub missed_32: u64,
    /// Verdicts that the reference does not confirm.
    pub disputed: u64,
}

impl Tally {
    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.delimiter += other.delimiter;
        self.undecodable += other.undecodable;
        self.same += other.same;
        self.checked += other.checked;
        self.hello += other.hello;
        self.unseen += other.unseen;
        self.missed_16 += other.missed_16;
        self.expected_16 += other.expected_16;
        self.variance_16 += other.variance_16;
        self.missed_32 += other.missed_32;
        self.disputed += other.disputed;
    }

    /// How many standard deviations the misses of the truncated check are off.
    #[must_use]
    pub fn sigmas(&self) -> f64 {
        let off = self.missed_16 as f64 - self.expected_16;
        if off == 0.0 { 0.0 } else { off / self.variance_16.sqrt() }
    }

    /// Whether these misses are within so many standard deviations. Where only a handful is to be expected,
    /// more of them are less rare than sigmas say: then Poisson's distribution tells whether they are as rare
    /// as that.
    #[must_use]
    pub fn is_within(&self, sigmas: f64, rarity: f64) -> bool {
        if self.sigmas().abs() <= sigmas {
            return true;
        }
        // Chances of 0 and 1 are no chances: what is certain is taken off both sides.
        let (mean, certain) = (self.variance_16, (self.expected_16 - self.variance_16).round());
        let missed = self.missed_16 as f64 - certain;
        if mean > HANDFUL || missed < mean {
            return false;
        }
        let (mut term, mut fewer, mut count) = ((-mean).exp(), 0.0, 0.0);
        while count < missed {
            fewer += term;
            count += 1.0;
            term *= mean / count;
        }
        1.0 - fewer >= rarity
    }
}

/// Lets damaged frames arrive.
#[derive(Debug)]
pub struct Judge<'a> {
    odds: &'a Odds,
    /// What was counted so far.
    pub tally: Tally,
}

impl<'a> Judge<'a> {
    /// Has counted nothing yet.
    #[must_use]
    pub fn new(odds: &'a Odds) -> Self {
        Self { odds, tally: Tally::default() }
    }

    /// Judges what arrives of one damaged frame.
    pub fn judge(&mut self, damage: &Damage, chance: Chance) {
        self.tally.frames += 1;
        self.tally.delimiter += u64::from(damage.hit);
        let mut deframer = Deframer::new();
        let mut buffer = [0; ROOM];
        let mut rest = &damage.wire[..];
        while !rest.is_empty() {
            let (taken, found) = deframer.push(rest, &mut buffer, Some(damage.start));
            let (piece, behind) = rest.split_at(taken);
            rest = behind;
            match found {
                Deframed::Nothing => {}
                Deframed::Packets(_) => self.check(damage, chance, piece, true),
                Deframed::Dropped(DropReason::Check) => self.check(damage, chance, piece, false),
                Deframed::Dropped(_) => self.tally.undecodable += 1,
                Deframed::Broken => unreachable!("only a stream breaks"),
            }
        }
    }

    /// A frame got as far as the check.
    fn check(&mut self, damage: &Damage, chance: Chance, piece: &[u8], passed: bool) {
        let tally = &mut self.tally;
        let mut content = [0; ROOM];
        let encoded = &piece[..piece.len() - 1];
        let len = cobs::Decoder::new().decode(encoded, &mut content, 0).expect("the deframer decoded it");
        let content = &content[..len];
        let sent = &damage.frame.content[..];
        if content == sent || content == damage.next.content {
            tally.same += u64::from(content == sent);
            tally.disputed += u64::from(!passed);
            return;
        }
        tally.checked += 1;
        tally.missed_32 += u64::from(passed);

        let (packets, check) = content.split_last_chunk().expect("the deframer found a check");
        let hello = packets[0] == kind::HELLO;
        let start = if hello { ORDINARY } else { damage.start };
        let carried = u32::from_le_bytes(*check);
        let difference = crc32c_from(start, packets) ^ carried;
        let missed = difference & KEPT == 0;
        let aligned = len == sent.len() && !hello;
        let confirmed = if aligned {
            self.odds.syndrome(sent, content)
        } else if missed || tally.checked.is_multiple_of(SAMPLE) {
            reference(start, packets) ^ carried
        } else {
            difference
        };
        tally.disputed += u64::from(difference != confirmed || passed != (difference == 0));

        if hello {
            tally.hello += 1;
        } else if aligned && content[..len - LEFT_OUT] == sent[..len - LEFT_OUT] {
            tally.unseen += 1;
        } else {
            let chance = match chance {
                Chance::Is(chance) => chance,
                Chance::OfTheError if aligned => f64::from(u8::from(confirmed & KEPT == 0)),
                Chance::OfTheError => RANDOM,
            };
            tally.expected_16 += chance;
            tally.variance_16 += chance * (1.0 - chance);
            tally.missed_16 += u64::from(missed);
        }
    }
}
