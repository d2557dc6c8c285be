//! The boot counter of the Nucleo's firmware, on a flash whose power fails at any byte.

#[path = "../../firmware-example/boards/stm32f4/src/counter.rs"]
mod counter;

use counter::{Failed, next};
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use tieline_tests::Rng;

const SECTOR: u32 = 1024;
const SECTORS: std::ops::Range<u32> = 0..2 * SECTOR;

/// Flash as the STM32F4 has it: written byte by byte, bits only fall; erased in sectors.
struct Flash {
    memory: Vec<u8>,
    /// Bytes that are written or erased until power fails.
    power: Option<u32>,
    erased: u32,
}

/// Power has failed.
#[derive(Debug)]
struct Off;

impl NorFlashError for Off {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Flash {
    fn new() -> Self {
        Self { memory: vec![0xFF; SECTORS.end as usize], power: None, erased: 0 }
    }

    fn spend(&mut self) -> Result<(), Off> {
        match &mut self.power {
            Some(0) => Err(Off),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl ErrorType for &mut Flash {
    type Error = Off;
}

impl ReadNorFlash for &mut Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Off> {
        let start = offset as usize;
        bytes.copy_from_slice(&self.memory[start..start + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl NorFlash for &mut Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Off> {
        self.erased += (to - from) / SECTOR;
        for place in from..to {
            self.spend()?;
            self.memory[place as usize] = 0xFF;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Off> {
        for (place, byte) in (offset as usize..).zip(bytes) {
            self.spend()?;
            self.memory[place] &= byte;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for &mut Flash {}

#[test]
fn it_counts_through_many_erasures() {
    let mut flash = Flash::new();
    for number in 1..=2000 {
        assert_eq!(next(&mut flash, SECTORS), Ok(number));
    }
    // 13 bytes a start: what the firmware says of its sectors.
    let starts_per_sector = 2000 / flash.erased;
    println!("{starts_per_sector} starts a sector of {SECTOR} bytes");
    assert!((65..=80).contains(&starts_per_sector), "{starts_per_sector}");
}

#[test]
fn no_number_comes_twice_whenever_power_fails() {
    for seed in 0..4 {
        let mut rng = Rng::new(seed);
        let mut flash = Flash::new();
        let (mut last, mut failures) = (0, 0);
        for _ in 0..500 {
            // A start writes some 13 bytes, or erases a sector as well.
            let limit = if rng.below(4) == 0 { 1200 } else { 30 };
            flash.power = (rng.below(2) == 0).then(|| rng.below(limit) as u32);
            match next(&mut flash, SECTORS) {
                Ok(number) => {
                    assert!(number > last, "seed {seed}: {number} after {last}");
                    last = number;
                }
                Err(Failed) => failures += 1,
            }
        }
        assert!(failures > 50 && last > 250, "seed {seed}: {failures} failures, {last} starts");
    }
}

#[test]
fn what_lay_there_before_is_erased() {
    for filling in [0x00, 0x5A, 0xA5] {
        let mut flash = Flash::new();
        flash.memory.fill(filling);
        assert_eq!((next(&mut flash, SECTORS), next(&mut flash, SECTORS)), (Ok(1), Ok(2)), "{filling:#x}");
    }
    assert_eq!(next(&mut Flash::new(), 0..SECTOR), Err(Failed), "one sector is not enough");
}
