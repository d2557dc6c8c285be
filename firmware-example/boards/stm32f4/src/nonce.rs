//! A boot nonce without a random number generator, which the STM32F411 lacks: a counter of the starts, kept in flash.
//!
//! Invariant: as long as the two sectors live, no two starts have the same number, however short they were. Where the sectors
//! have been erased with the rest of the flash the counter begins again; the bits above it come from the chip's identity
//! and from the noise of a sensor, so that a number that was in use hardly comes again.

use stm32f4xx_hal::adc::config::{AdcConfig, SampleTime};
use stm32f4xx_hal::adc::{Adc, Temperature};
use stm32f4xx_hal::flash::FlashExt;
use stm32f4xx_hal::pac::{ADC1, FLASH};
use stm32f4xx_hal::rcc::Rcc;
use stm32f4xx_hal::signature::Uid;

use crate::counter;

/// Sectors 6 and 7, from the beginning of the flash (RM0383, 3.3): memory.x leaves them alone. A start takes some 13 bytes of
/// one; when it is full the other one is erased, which takes 1 to 2 s, once in ten thousand starts.
const SECTORS: core::ops::Range<u32> = 0x4_0000..0x8_0000;

/// The nonce of this start: 32 bits of counter, and 16 that are as good as there is.
pub(crate) fn new(count: u32, sensor: ADC1, rcc: &mut Rcc) -> u64 {
    let hash = noise(sensor, rcc) ^ identity();
    u64::from(count) | u64::from(hash & 0xFFFF) << 32
}

/// Counts this start and returns its number. To be called before the clocks are set up: that turns on the cache of the flash,
/// which does not see what is written.
///
/// A flash that does not work any more leaves the nonce's upper bits.
pub(crate) fn count(flash: &mut FLASH) -> u32 {
    counter::next(flash.unlocked(), SECTORS).unwrap_or_else(|counter::Failed| {
        defmt::error!("the boot counter cannot be stored");
        0
    })
}

/// The last bits of 256 measurements of the temperature.
fn noise(sensor: ADC1, rcc: &mut Rcc) -> u32 {
    let mut adc = Adc::new(sensor, true, AdcConfig::default(), rcc);
    adc.enable_temperature_and_vref();
    (0..256).fold(0, |sum: u32, _| mix(sum, u32::from(adc.convert(&Temperature, SampleTime::Cycles_3))))
}

/// A number of this chip: place on the wafer, number of the wafer, lot.
fn identity() -> u32 {
    let id = Uid::get();
    let place = u32::from(id.x()) << 16 | u32::from(id.y());
    id.lot_num().bytes().chain([id.waf_num()]).fold(place, |sum, byte| mix(sum, byte.into()))
}

/// FNV-1a, a word at a time; the upper bits come down, where they are used.
fn mix(sum: u32, word: u32) -> u32 {
    (sum ^ word).wrapping_mul(0x0100_0193).rotate_left(15)
}
