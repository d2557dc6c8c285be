//! What is wrong with an address, in words that say how it would be right.

use std::fmt;

pub(super) const EXAMPLES: &str =
    "tcp://192.168.0.7:4100, tcp://0.0.0.0:4100?listen or serial:///dev/ttyUSB0?baud=921600";

/// Why a text is not an [`Address`](super::Address): what is wrong, what was understood, and one that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    pub(super) text: String,
    pub(super) problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    wrong: String,
    understood: String,
    example: String,
}

impl Problem {
    pub(super) fn new(
        wrong: impl Into<String>,
        understood: impl Into<String>,
        example: impl Into<String>,
    ) -> Self {
        Self { wrong: wrong.into(), understood: understood.into(), example: example.into() }
    }

    pub(super) fn no_scheme(text: &str) -> Self {
        let example = if text.starts_with('/') {
            format!("serial://{text}")
        } else if !text.is_empty() && text.contains(':') && !text.contains('/') {
            format!("tcp://{text}")
        } else {
            EXAMPLES.to_owned()
        };
        Self::new("an address begins with tcp://, udp://, unix:// or serial://", "", example)
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { wrong, understood, example } = &self.problem;
        write!(f, "the address `{}` is not right: {wrong}", self.text)?;
        if !understood.is_empty() {
            write!(f, " (understood so far: {understood})")?;
        }
        write!(f, ". A right one: {example}")
    }
}

impl std::error::Error for AddressError {}
