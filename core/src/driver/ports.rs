//! Ports of what a HAL has: [`Io`] of an `embedded_io` port, [`Nb`] of two `nb` functions.
//!
//! Nothing is stored here: a byte is in the HAL or in the driver.

use super::{Port, Ready};

/// A [`Port`] of an `embedded_io` 0.7 port that can tell whether it is ready.
#[derive(Debug, Clone, Copy)]
pub struct Io<T>(pub T);

impl<T> Port for Io<T>
where
    T: embedded_io::Read + embedded_io::ReadReady + embedded_io::Write + embedded_io::WriteReady,
{
    type Error = T::Error;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Self::Error> {
        if !self.0.read_ready()? {
            return Err(nb::Error::WouldBlock);
        }
        Ok(self.0.read(buffer)?)
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Self::Error> {
        if !self.0.write_ready()? {
            return Err(nb::Error::WouldBlock);
        }
        Ok(self.0.write(bytes)?)
    }
}

/// A port that fails is ready: the next turn is told.
impl<T: embedded_io::ReadReady + embedded_io::WriteReady> Ready for Io<T> {
    fn is_readable(&mut self) -> bool {
        self.0.read_ready().unwrap_or(true)
    }

    fn is_writable(&mut self) -> bool {
        self.0.write_ready().unwrap_or(true)
    }
}

/// A [`Port`] of two `nb` functions that move one byte each, as any HAL's UART has:
/// `Nb { read: || rx.read(), write: |byte| tx.write(byte) }`.
#[derive(Debug, Clone, Copy)]
pub struct Nb<R, W> {
    /// Reads a byte.
    pub read: R,
    /// Writes a byte.
    pub write: W,
}

impl<R, W, E> Port for Nb<R, W>
where
    R: FnMut() -> nb::Result<u8, E>,
    W: FnMut(u8) -> nb::Result<(), E>,
{
    type Error = E;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, E> {
        let mut count = 0;
        for place in buffer {
            match (self.read)() {
                Ok(byte) => *place = byte,
                // What was read is not lost; a fault comes again on the next call.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
            count += 1;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, E> {
        let mut count = 0;
        for byte in bytes {
            match (self.write)(*byte) {
                Ok(()) => count += 1,
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

/// Functions cannot be asked beforehand: a loop over them never sleeps.
impl<R, W> Ready for Nb<R, W> {
    fn is_readable(&mut self) -> bool {
        true
    }

    fn is_writable(&mut self) -> bool {
        true
    }
}
