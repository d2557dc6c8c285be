//! A line without anybody at its other end.

use tieline::driver::Port;
use tieline::nb;

/// A port to which nothing comes.
pub(crate) struct Silent;

impl Port for Silent {
    type Error = ();

    fn read(&mut self, _: &mut [u8]) -> nb::Result<usize, ()> {
        Err(nb::Error::WouldBlock)
    }

    fn write(&mut self, _: &[u8]) -> nb::Result<usize, ()> {
        Err(nb::Error::WouldBlock)
    }
}
