//! A message that is written and read by hand.

use tieline::{DecodeError, EncodeError, Message, Sink};
use tieline_measure::Pair;

use crate::any::any;

pub(crate) struct Sample(Pair);

impl Message for Sample {
    const TYPE: &'static str = Pair::TYPE;

    fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
        self.0.encode(out)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Pair::decode(bytes).map(Self)
    }
}

impl Sample {
    pub(crate) fn any() -> Self {
        Self(Pair { first: any(), second: any() })
    }

    pub(crate) fn sum(&self) -> u32 {
        self.0.first ^ self.0.second
    }
}
