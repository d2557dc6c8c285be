//! How large frames should be on a line that damages them: a larger frame spends less on headers, a smaller one loses less
//! with each error.
//!
//! With `h` bytes of headers in a frame and an error in one of `1/e` bytes, a frame of `n` bytes carries
//! `(n - h) / n * (1 - e)^n` of what the line could; that is largest at about `n = sqrt(h / e) + h / 2` (the derivative,
//! with `ln(1 - e) = -e`). `e` is estimated by frames lost per byte sent. Does not know what is in a frame.

/// Headers of a frame that carries a part of a message: framing and check (7), the packet's (9).
const HEADERS: u32 = 16;
/// Frames that were lost are counted in these parts, so that forgetting them by halves is smooth.
const UNIT: u32 = 16;
/// What is believed of a line that nothing is known of: one frame lost in so many bytes, which gives frames of 264 bytes.
const PRIOR_BYTES: u32 = 4096;
/// After so many bytes half of what was seen is forgotten.
const MEMORY_BYTES: u32 = 32_768;
/// Fewer time-outs in a row than this say something of single frames; more of them, that the line is dead.
const TIMEOUTS_MAX: u8 = 3;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizing {
    bytes: u32,
    lost: u32,
    /// What follows from those, reckoned anew when something was lost or so many more bytes were sent.
    frame: u16,
}

/// The estimate moves by a tenth at the most in so many bytes.
const STEP_BYTES: u32 = 512;

impl Sizing {
    pub(crate) const fn new() -> Self {
        Self { bytes: 0, lost: 0, frame: 0 }
    }

    /// A session begins.
    pub(crate) const fn start() -> Self {
        Self { bytes: PRIOR_BYTES, lost: UNIT, frame: 0 }.reckoned()
    }

    /// A frame with something in it whose loss will be noticed left, as so many bytes.
    pub(crate) const fn on_sent(&mut self, bytes: usize) {
        let before = self.bytes / STEP_BYTES;
        self.bytes += bytes as u32;
        if self.bytes >= MEMORY_BYTES {
            self.bytes /= 2;
            self.lost /= 2;
        }
        if self.bytes / STEP_BYTES != before {
            *self = self.reckoned();
        }
    }

    /// One was lost.
    pub(crate) const fn on_lost(&mut self) {
        self.lost += UNIT;
        *self = self.reckoned();
    }

    /// Nothing was heard of what left last; `backoff`: for so many time-outs in a row.
    pub(crate) const fn on_timeout(&mut self, backoff: u8) {
        if backoff < TIMEOUTS_MAX {
            self.on_lost();
        }
    }

    /// How many bytes a frame should have, from delimiter to delimiter.
    pub(crate) const fn frame(&self) -> usize {
        match self.frame {
            u16::MAX => usize::MAX,
            frame => frame as usize,
        }
    }

    const fn reckoned(self) -> Self {
        let frame = match (self.bytes * UNIT).checked_div(self.lost) {
            None => u16::MAX,
            // Below 2^13: the bytes are fewer than MEMORY_BYTES, the lost at least 1.
            Some(bytes_per_loss) => (root(HEADERS * bytes_per_loss) + HEADERS / 2) as u16,
        };
        Self { frame, ..self }
    }
}

/// The square root, rounded down, bit by bit: `isqrt` is faster, and 0.5 KB of flash with its table.
const fn root(square: u32) -> u32 {
    let (mut root, mut bit) = (0, 1 << 15);
    while bit > 0 {
        let next: u32 = root | bit;
        if next * next <= square {
            root = next;
        }
        bit >>= 1;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Noise;

    /// What frames of `wire` bytes carry of the line's rate.
    fn goodput(wire: f64, error: f64) -> f64 {
        (wire - f64::from(HEADERS)) / wire * (1.0 - error).powf(wire)
    }

    #[test]
    fn frames_are_nearly_as_good_as_the_best() {
        let mut noise = Noise(9);
        for (bit_error, most) in [(1e-6, 260.0), (1e-5, 260.0), (1e-4, 260.0), (1e-3, 1030.0), (1e-5, 1030.0)]
        {
            let error = 1.0 - (1.0_f64 - bit_error).powi(8);
            let mut sizing = Sizing::start();
            let mut sum = 0.0;
            for round in 0..20_000 {
                let frame = (sizing.frame() as f64).clamp(80.0, most);
                sizing.on_sent(frame as usize);
                let lost = 1.0 - (1.0 - error).powf(frame);
                if (noise.below(1 << 20) as f64) < lost * f64::from(1 << 20) {
                    sizing.on_lost();
                }
                if round >= 2000 {
                    sum += goodput(frame, error) / 18_000.0;
                }
            }
            let best = (80..=most as u32).map(|n| goodput(f64::from(n), error)).fold(0.0, f64::max);
            assert!(sum > 0.97 * best, "{bit_error}: {sum} of {best}");
        }
    }

    #[test]
    fn roots_are_rounded_down() {
        let mut noise = Noise(3);
        for square in
            (0..70_000).chain((0..1000).map(|_| noise.below(u32::MAX as usize) as u32)).chain([u32::MAX])
        {
            assert_eq!(root(square), square.isqrt());
        }
    }

    #[test]
    fn a_clean_line_is_forgiven() {
        let mut sizing = Sizing::start();
        (0..50).for_each(|_| sizing.on_lost());
        assert!(sizing.frame() < 80);
        (0..3000).for_each(|_| sizing.on_sent(250));
        assert!(sizing.frame() > 2000);
    }
}
