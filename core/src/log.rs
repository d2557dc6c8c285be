//! What the endpoint logs of its decisions: with the feature `defmt` only, and nothing of payloads.

/// Logs at debug level, with `defmt`'s format strings.
macro_rules! log {
    ($($arg:tt)*) => {
        #[cfg(feature = "defmt")]
        defmt::debug!($($arg)*);
    };
}

pub(crate) use log;
