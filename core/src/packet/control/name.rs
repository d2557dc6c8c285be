//! Route names as they travel (docs/protocol.md, section 6).
//!
//! Invariant: a name that was read is valid, so its hash can be taken.
//! Whether the route is known is not in here.

use crate::route::{PREFIX_MAX, ROUTE_TEXT_MAX, RouteName, hash32_of, is_path, is_type};
use crate::wire::{Fields, Writer};

/// A route name as it travels: bytes, for nothing here needs to show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum WireName<'a> {
    /// `Type@path`, valid.
    Plain { type_name: &'a [u8], path: &'a [u8] },
    /// The hash, and a beginning of the path to show.
    Hashed { hash: u64, prefix: &'a [u8] },
}

impl<'a> WireName<'a> {
    /// `name` as it travels.
    #[must_use]
    pub const fn of(name: &'a RouteName) -> Self {
        if name.is_hashed() {
            return Self::Hashed { hash: name.hash(), prefix: name.path().as_bytes() };
        }
        Self::Plain { type_name: name.type_name().as_bytes(), path: name.path().as_bytes() }
    }

    /// Only the hash of `name`.
    #[must_use]
    pub const fn hash_of(name: &RouteName) -> Self {
        Self::Hashed { hash: name.hash(), prefix: &[] }
    }

    /// The route's hash.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        match *self {
            Self::Plain { type_name, path } => (hash32_of(path) as u64) << 32 | hash32_of(type_name) as u64,
            Self::Hashed { hash, .. } => hash,
        }
    }

    pub(super) fn parse(f: &mut Fields<'a>, hashed: bool) -> Option<Self> {
        let hash = if hashed { f.u64() } else { 0 };
        let len = f.varint() as usize;
        let text = f.take(len);
        if hashed {
            // A beginning of a path: a dot may be its last character.
            let is_prefix = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            return (len <= PREFIX_MAX && is_prefix).then_some(Self::Hashed { hash, prefix: text });
        }
        let at = text.iter().position(|b| *b == b'@')?;
        let (type_name, path) = text.split_at_checked(at)?;
        let path = path.get(1..)?;
        (len <= ROUTE_TEXT_MAX && is_type(type_name) && is_path(path))
            .then_some(Self::Plain { type_name, path })
    }

    pub(super) fn emit(&self, w: &mut Writer<'_>) {
        match *self {
            Self::Plain { type_name, path } => {
                w.put_varint((type_name.len() + 1 + path.len()) as u32);
                w.put(type_name);
                w.put_u8(b'@');
                w.put(path);
            }
            Self::Hashed { hash, prefix } => {
                w.put_u64(hash);
                w.put_varint(prefix.len() as u32);
                w.put(prefix);
            }
        }
    }

    /// Whether only the hash and a prefix are known.
    #[must_use]
    pub const fn is_hashed(&self) -> bool {
        matches!(self, Self::Hashed { .. })
    }
}

/// Appends a name of ours; `hashed`: as its hash and nothing to show. Smaller than by way of a [`WireName`].
pub(crate) fn emit_name(name: &RouteName, hashed: bool, w: &mut Writer<'_>) {
    let (type_name, path) = (name.type_name().as_bytes(), name.path().as_bytes());
    if hashed || name.is_hashed() {
        let prefix = if hashed { &[] } else { path };
        w.put_u64(name.hash());
        w.put_varint(prefix.len() as u32);
        w.put(prefix);
    } else {
        w.put_varint((type_name.len() + 1 + path.len()) as u32);
        w.put(type_name);
        w.put_u8(b'@');
        w.put(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_routes() {
        let plain = RouteName::new("Imu", "sensors.imu").unwrap();
        let name = WireName::of(&plain);
        assert_eq!(name, WireName::Plain { type_name: b"Imu", path: b"sensors.imu" });
        assert_eq!(name.hash(), plain.hash());
        let hashed = plain.to_hashed();
        let name = WireName::of(&hashed);
        assert_eq!(name, WireName::Hashed { hash: plain.hash(), prefix: b"sensors.imu" });
        assert_eq!(name.hash(), plain.hash());
    }
}
