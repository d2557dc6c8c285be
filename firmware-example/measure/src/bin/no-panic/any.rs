//! Values that the compiler cannot know, and a place for results.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use tieline::driver::Nb;
use tieline::nb;
use tieline::time::Duration;

/// Behind the RAM that the linker uses.
const SOURCE: usize = 0x2000_FC20;
const DRAIN: usize = 0x2000_FC28;

/// Any number.
pub(crate) fn any() -> u32 {
    // SAFETY: an aligned word of RAM that the linker gives to nobody.
    unsafe { (SOURCE as *const u32).read_volatile() }
}

/// Either.
pub(crate) fn coin() -> bool {
    any() & 1 == 1
}

/// Something or nothing.
pub(crate) fn maybe<T>(value: T) -> Option<T> {
    coin().then_some(value)
}

/// Any time from nothing to 136 years.
pub(crate) fn span() -> Duration {
    Duration::from_secs(any().into()).saturating_add(Duration::from_micros(any().into()))
}

/// A result that somebody wants.
pub(crate) fn tell(result: impl Into<u64>) {
    // SAFETY: as in `any`.
    unsafe { (DRAIN as *mut u64).write_volatile(result.into()) }
}

/// A port to which anything comes.
pub(crate) struct Bytes;

impl ErrorType for Bytes {
    type Error = Infallible;
}

impl Read for Bytes {
    /// Breaks its promise: returns any number, however long the buffer is.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        buffer.iter_mut().for_each(|byte| *byte = any() as u8);
        Ok(any() as usize)
    }
}

impl ReadReady for Bytes {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(coin())
    }
}

impl Write for Bytes {
    /// As `read`.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        bytes.iter().for_each(|byte| tell(*byte));
        Ok(any() as usize)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for Bytes {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(coin())
    }
}

/// Functions that move any bytes, or fail.
pub(crate) fn functions() -> Nb<impl FnMut() -> nb::Result<u8, u32>, impl FnMut(u8) -> nb::Result<(), u32>> {
    let fault = || if coin() { nb::Error::WouldBlock } else { nb::Error::Other(any()) };
    Nb {
        read: move || if coin() { Ok(any() as u8) } else { Err(fault()) },
        write: move |byte: u8| {
            tell(byte);
            if coin() { Ok(()) } else { Err(fault()) }
        },
    }
}
