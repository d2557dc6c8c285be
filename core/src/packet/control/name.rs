//! Route names as they travel (docs/protocol.md, section 6).
//!
//! Invariant: a name that was read is valid, so its hash can be taken.
//! Whether the route is known is not in here.

use crate::route::{self, ROUTE_TEXT_MAX, RouteName};
use crate::wire::{Full, Reader, Writer};

/// A route name as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireName<'a> {
    /// `Type@path`, valid.
    Text(&'a str),
    /// The hash, and a beginning of the path to show.
    #[expect(missing_docs, reason = "said above")]
    Hashed { hash: u64, prefix: &'a str },
}

impl<'a> WireName<'a> {
    /// `name` as it travels; a plain one is written out to `scratch`.
    #[must_use]
    pub fn of(name: &RouteName, scratch: &'a mut [u8; ROUTE_TEXT_MAX]) -> Self {
        let (hash, prefix) = (name.hash(), name.path());
        if name.is_hashed() {
            return Self::Hashed { hash, prefix };
        }
        let mut w = Writer::new(scratch);
        let joined = w
            .bytes(name.type_name().as_bytes())
            .and_then(|()| w.u8(b'@'))
            .and_then(|()| w.bytes(name.path().as_bytes()));
        match (joined, core::str::from_utf8(w.into_written())) {
            (Ok(()), Ok(text)) => Self::Text(text),
            // Cannot be: a name that exists fits. Its hash says the same.
            _ => Self::Hashed { hash, prefix },
        }
    }

    /// The route's hash.
    #[must_use]
    pub fn hash(&self) -> u64 {
        match *self {
            Self::Text(text) => {
                let (type_name, path) = text.split_once('@').unwrap_or_default();
                route::hash(type_name, path)
            }
            Self::Hashed { hash, .. } => hash,
        }
    }

    pub(super) fn parse(r: &mut Reader<'a>, hashed: bool) -> Option<Self> {
        let hash = if hashed { r.u64()? } else { 0 };
        let len = r.varint()? as usize;
        if len > ROUTE_TEXT_MAX {
            return None;
        }
        let text = core::str::from_utf8(r.take(len)?).ok()?;
        if hashed {
            return text
                .bytes()
                .all(|b| b == b'.' || is_path_byte(b))
                .then_some(Self::Hashed { hash, prefix: text });
        }
        let (type_name, path) = text.split_once('@')?;
        (is_type(type_name) && is_path(path)).then_some(Self::Text(text))
    }

    pub(super) fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let text = match *self {
            Self::Text(text) => text,
            Self::Hashed { hash, prefix } => {
                w.u64(hash)?;
                prefix
            }
        };
        w.varint(text.len() as u32)?;
        w.bytes(text.as_bytes())
    }

    /// Whether only the hash and a prefix are known.
    #[must_use]
    pub const fn is_hashed(&self) -> bool {
        matches!(self, Self::Hashed { .. })
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_type(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
}

fn is_path(text: &str) -> bool {
    text.split('.').all(|segment| !segment.is_empty() && segment.bytes().all(is_path_byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_routes() {
        let plain = RouteName::new("Imu", "sensors.imu").unwrap();
        let mut scratch = [0; ROUTE_TEXT_MAX];
        let name = WireName::of(&plain, &mut scratch);
        assert_eq!((name, name.hash()), (WireName::Text("Imu@sensors.imu"), plain.hash()));
        let mut scratch = [0; ROUTE_TEXT_MAX];
        let name = WireName::of(&plain.to_hashed(), &mut scratch);
        assert_eq!(name, WireName::Hashed { hash: plain.hash(), prefix: "sensors.imu" });
        assert_eq!(name.hash(), plain.hash());
    }
}
