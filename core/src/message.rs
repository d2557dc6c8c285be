//! Typed messages: bytes ⇄ values.
//!
//! A message is bytes plus the name of a type. With the feature `postcard`, any serde type with a name is a
//! message; without it, types implement [`Message`] by hand. The endpoint itself never looks into a payload.

use core::fmt;

use crate::queue::Sink;

/// A value that travels on a route.
///
/// With the feature `postcard`, implement [`Named`] and serde's traits instead and get this for free.
pub trait Message: Sized {
    /// The type's name on the wire; both sides must use the same one.
    const TYPE: &'static str;
    /// A hash of the type's layout, or 0: not stated. Sides that state different ones do not talk on the route.
    const SCHEMA: u32 = 0;

    /// Writes the message.
    ///
    /// # Errors
    /// [`EncodeError`] when the value cannot be encoded or `out` is full; the endpoint tells the two apart.
    fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError>;

    /// Reads the message.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not a message of this type.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// How a payload is written. By reference, since what calls it is large, and there would be one of it for each type.
pub(crate) type Write<'w> = dyn FnMut(&mut Sink<'_>) -> Result<(), EncodeError> + 'w;

/// A value could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value could not be encoded")
    }
}

impl core::error::Error for EncodeError {}

/// Bytes were not a message of the expected type: the two sides disagree on its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DecodeError;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload is not a message of this type: do both sides use the same definition?")
    }
}

impl core::error::Error for DecodeError {}

#[cfg(feature = "postcard")]
pub use with_postcard::Named;

#[cfg(feature = "postcard")]
mod with_postcard {
    use postcard::ser_flavors::Flavor;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{DecodeError, EncodeError, Message, Sink};

    /// The name of a serde type, which makes it a [`Message`] encoded with postcard.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct ImuSample { acceleration: [f32; 3] }
    ///
    /// impl tieline::Named for ImuSample { const TYPE: &'static str = "ImuSample"; }
    ///
    /// const IMU: tieline::Route<ImuSample> = tieline::Route::new("sensors.imu");
    /// ```
    pub trait Named {
        /// See [`Message::TYPE`].
        const TYPE: &'static str;
        /// See [`Message::SCHEMA`].
        const SCHEMA: u32 = 0;
    }

    impl<T: Named + Serialize + DeserializeOwned> Message for T {
        const TYPE: &'static str = T::TYPE;
        const SCHEMA: u32 = T::SCHEMA;

        fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
            postcard::serialize_with_flavor(self, SinkFlavor(out)).map_err(|_| EncodeError)
        }

        fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
            // Bytes left over mean that the two sides do not mean the same type.
            match postcard::take_from_bytes(bytes) {
                Ok((message, [])) => Ok(message),
                _ => Err(DecodeError),
            }
        }
    }

    struct SinkFlavor<'s, 'b>(&'s mut Sink<'b>);

    impl Flavor for SinkFlavor<'_, '_> {
        type Output = ();

        // A sink that is full goes on counting, so that the caller learns the whole length.
        fn try_push(&mut self, data: u8) -> postcard::Result<()> {
            self.0.write(&[data]);
            Ok(())
        }

        fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
            self.0.write(data);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }
}
