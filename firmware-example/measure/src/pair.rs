//! The message that every measured firmware sends and receives.

use tieline::{DecodeError, EncodeError, Message, Sink};

/// Two numbers, 8 bytes: the message of which other libraries' figures are known.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The first number.
    pub first: u32,
    /// The second number.
    pub second: u32,
}

impl Message for Pair {
    const TYPE: &'static str = "Pair";

    fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
        out.write(&self.first.to_le_bytes());
        out.write(&self.second.to_le_bytes());
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (first, rest) = bytes.split_first_chunk().ok_or(DecodeError)?;
        let second = rest.try_into().map_err(|_| DecodeError)?;
        Ok(Self { first: u32::from_le_bytes(*first), second: u32::from_le_bytes(second) })
    }
}
