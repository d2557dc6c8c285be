//! A sensor that needs no hardware: slow triangles on three axes, as if somebody rocked the board.

use tieline::Instant;

use crate::messages::ImuSample;

/// The sensor.
#[derive(Debug)]
pub(crate) struct Sensor {
    number: u32,
}

/// Period of each axis, in µs.
const PERIODS: [u64; 3] = [2_000_000, 3_100_000, 4_700_000];

impl Sensor {
    pub(crate) const fn new() -> Self {
        Self { number: 0 }
    }

    pub(crate) fn read(&mut self, now: Instant) -> ImuSample {
        let micros = now.as_micros();
        let number = self.number;
        self.number = number.wrapping_add(1);
        let [x, y, z] = PERIODS.map(|period| triangle(micros, period));
        ImuSample {
            number,
            micros: micros as u32,
            acceleration: [x, y, 1000 + z / 10],
            temperature: 2150 + z / 10,
        }
    }
}

/// Between -500 and 500 and back within `period`.
fn triangle(micros: u64, period: u64) -> i16 {
    let phase = micros % period * 2000 / period;
    let up = if phase < 1000 { phase } else { 2000 - phase };
    up as i16 - 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_stay_within_their_range() {
        let mut sensor = Sensor::new();
        for turn in 0..10_000 {
            let sample = sensor.read(Instant::from_micros(turn * 1234));
            let [x, y, z] = sample.acceleration;
            assert!((-500..=500).contains(&x) && (-500..=500).contains(&y) && (950..=1050).contains(&z));
        }
    }
}
