//! Messages of a fixed size whose bytes are what they are: what is counted is the library and no encoder.

use tieline::{DecodeError, EncodeError, Message, Sink};

/// `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Message for Block<N> {
    const TYPE: &'static str = "Block";

    fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
        out.write(&self.0);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError)
    }
}
