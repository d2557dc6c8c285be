//! Route names: `Type@path`, their hashes, and typed routes as constants.
//!
//! Invariant: a [`RouteName`] that exists is valid; a constant that is not valid does not compile.
//! This module does not know which routes are declared: that is [`crate::routes`].

use core::fmt;
use core::marker::PhantomData;

use crate::message::Message;

/// Longest route name, `Type@path`, in bytes (docs/protocol.md, section 6).
pub const ROUTE_TEXT_MAX: usize = 96;

/// Longest prefix of a hashed route: what is left of a name beside `#` and 16 digits.
pub(crate) const PREFIX_MAX: usize = ROUTE_TEXT_MAX - 17;

/// FNV-1a, 64 bit: offset basis and prime as in draft-eastlake-fnv, section 5.
const FNV_OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// The hash of a path or of a type name: FNV-1a, folded to 32 bits.
#[must_use]
pub const fn hash32(text: &str) -> u32 {
    hash32_of(text.as_bytes())
}

pub(crate) const fn hash32_of(bytes: &[u8]) -> u32 {
    let mut rest = bytes;
    let mut hash = Fnv::new();
    while let [byte, tail @ ..] = rest {
        hash.add(*byte);
        rest = tail;
    }
    hash.finish()
}

/// FNV-1a of what is added, byte by byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(FNV_OFFSET_BASIS)
    }

    pub(crate) const fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ byte as u64).wrapping_mul(FNV_PRIME);
    }

    /// Folded to 32 bits.
    pub(crate) const fn finish(self) -> u32 {
        (self.0 >> 32) as u32 ^ self.0 as u32
    }
}

/// The hash of a route: path in the high half, type in the low half, so that
/// another type on a known path is a conflict and not an unknown route.
#[must_use]
pub const fn hash(type_name: &str, path: &str) -> u64 {
    (hash32(path) as u64) << 32 | hash32(type_name) as u64
}

/// Why a text is not a route name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RouteError {
    /// The type is empty or has a character other than `A-Z a-z 0-9 _ . :`.
    BadType,
    /// The path is empty, has an empty segment, or a character other than `A-Z a-z 0-9 _ -` and dots.
    BadPath,
    /// Neither `Type@path` nor `prefix#hash` with 16 hexadecimal digits.
    BadForm,
    /// Longer than [`ROUTE_TEXT_MAX`] bytes.
    TooLong,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadType => "the type of a route is 1 or more of A-Z a-z 0-9 _ . :",
            Self::BadPath => {
                "the path of a route is segments of A-Z a-z 0-9 _ - joined by dots, as in sensors.imu"
            }
            Self::BadForm => {
                "a route is written Type@path, as in ImuSample@sensors.imu, or prefix#hash with 16 hexadecimal digits"
            }
            Self::TooLong => "a route name is at most 96 bytes long",
        })
    }
}

impl core::error::Error for RouteError {}

/// The name of a route. Two names are the same route when their hashes are equal.
#[derive(Debug, Clone, Copy)]
pub struct RouteName {
    hash: u64,
    /// 0: not stated.
    schema: u32,
    /// Empty for a hashed route.
    type_name: &'static str,
    /// The prefix for a hashed route.
    path: &'static str,
}

impl RouteName {
    /// The route `type_name@path`.
    ///
    /// # Errors
    /// What is wrong with the type or the path.
    pub const fn new(type_name: &'static str, path: &'static str) -> Result<Self, RouteError> {
        if let Err(error) = check_plain(type_name, path) {
            return Err(error);
        }
        Ok(Self { hash: hash(type_name, path), schema: 0, type_name, path })
    }

    /// A hashed route: known by its hash, shown by a beginning of its path.
    ///
    /// # Errors
    /// What is wrong with the prefix.
    pub const fn hashed(prefix: &'static str, hash: u64) -> Result<Self, RouteError> {
        if let Err(error) = check_prefix(prefix) {
            return Err(error);
        }
        Ok(Self { hash, schema: 0, type_name: "", path: prefix })
    }

    /// Reads `Type@path` or `prefix#0123456789abcdef`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &'static str) -> Result<Self, RouteError> {
        if let Some((type_name, path)) = text.split_once('@') {
            return Self::new(type_name, path);
        }
        let (prefix, hash) = split_hashed(text)?;
        Self::hashed(prefix, hash)
    }

    /// Whether [`parse`](Self::parse) would take a text that does not live for ever.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn check(text: &str) -> Result<(), RouteError> {
        if let Some((type_name, path)) = text.split_once('@') {
            return check_plain(type_name, path);
        }
        let (prefix, _) = split_hashed(text)?;
        check_prefix(prefix)
    }

    /// The same route by its hash only: shows and sends `path` as a prefix (none, if it is longer than 79 bytes) and
    /// no type.
    #[must_use]
    pub const fn to_hashed(self) -> Self {
        let path = if self.path.len() > PREFIX_MAX { "" } else { self.path };
        Self { type_name: "", path, ..self }
    }

    /// The same route with a schema hash: sides that state different ones do not talk. 0: not stated.
    #[must_use]
    pub const fn with_schema(self, schema: u32) -> Self {
        Self { schema, ..self }
    }

    /// The schema hash; 0: not stated.
    #[must_use]
    pub const fn schema(&self) -> u32 {
        self.schema
    }

    /// The 64-bit hash that identifies the route: path in the high half, type in the low half.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Hash of the path alone.
    #[must_use]
    pub const fn path_hash(&self) -> u32 {
        (self.hash >> 32) as u32
    }

    /// Whether only the hash and a prefix are known.
    #[must_use]
    pub const fn is_hashed(&self) -> bool {
        self.type_name.is_empty()
    }

    /// The type's name; empty for a hashed route.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The path; the prefix for a hashed route.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

impl PartialEq for RouteName {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for RouteName {}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hashed() {
            write!(f, "{}#{:016x}", self.path, self.hash)
        } else {
            write!(f, "{}@{}", self.type_name, self.path)
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for RouteName {
    fn format(&self, f: defmt::Formatter<'_>) {
        if self.is_hashed() {
            defmt::write!(f, "{=str}#{=u64:016x}", self.path, self.hash);
        } else {
            defmt::write!(f, "{=str}@{=str}", self.type_name, self.path);
        }
    }
}

/// A route whose messages are of type `T`, made as a constant:
///
/// ```
/// # struct ImuSample;
/// # impl tieline::Message for ImuSample {
/// #     const TYPE: &'static str = "ImuSample";
/// #     fn encode(&self, _: &mut tieline::Sink<'_>) -> Result<(), tieline::EncodeError> { Ok(()) }
/// #     fn decode(_: &[u8]) -> Result<Self, tieline::DecodeError> { Ok(ImuSample) }
/// # }
/// use tieline::Route;
///
/// const IMU: Route<ImuSample> = Route::new("sensors.imu");
/// assert_eq!(IMU.name().to_string(), "ImuSample@sensors.imu");
/// ```
pub struct Route<T> {
    name: RouteName,
    message: PhantomData<fn(T) -> T>,
}

impl<T: Message> Route<T> {
    #[expect(clippy::panic, reason = "in a constant a panic is a compile error")]
    /// The route `T::TYPE@path`; its hash is computed when compiling.
    ///
    /// # Panics
    /// When the path or the type's name is not valid: in a constant, that is a compile error.
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        match RouteName::new(T::TYPE, path) {
            Ok(name) => Self { name: name.with_schema(T::SCHEMA), message: PhantomData },
            Err(RouteError::BadType) => panic!("Message::TYPE: 1 or more of A-Z a-z 0-9 _ . :"),
            Err(RouteError::TooLong) => panic!("route name longer than 96 bytes"),
            Err(_) => panic!("route path: segments of A-Z a-z 0-9 _ - joined by dots"),
        }
    }
}

impl<T> Route<T> {
    /// The route's name, which the endpoint's declarations take.
    #[must_use]
    pub const fn name(&self) -> &RouteName {
        &self.name
    }
}

const fn check_plain(type_name: &str, path: &str) -> Result<(), RouteError> {
    if !is_type(type_name.as_bytes()) {
        return Err(RouteError::BadType);
    }
    if !is_path(path.as_bytes()) {
        return Err(RouteError::BadPath);
    }
    if type_name.len() + 1 + path.len() > ROUTE_TEXT_MAX {
        return Err(RouteError::TooLong);
    }
    Ok(())
}

const fn check_prefix(prefix: &str) -> Result<(), RouteError> {
    if !prefix.is_empty() && !is_path(prefix.as_bytes()) {
        return Err(RouteError::BadPath);
    }
    if prefix.len() > PREFIX_MAX {
        return Err(RouteError::TooLong);
    }
    Ok(())
}

/// Prefix and hash of `prefix#0123456789abcdef`.
fn split_hashed(text: &str) -> Result<(&str, u64), RouteError> {
    let (prefix, digits) = text.split_once('#').ok_or(RouteError::BadForm)?;
    if digits.len() != 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(RouteError::BadForm);
    }
    let hash = u64::from_str_radix(digits, 16).map_err(|_| RouteError::BadForm)?;
    Ok((prefix, hash))
}

pub(crate) const fn is_type(text: &[u8]) -> bool {
    let mut rest = text;
    if rest.is_empty() {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':') {
            return false;
        }
        rest = tail;
    }
    true
}

pub(crate) const fn is_path(text: &[u8]) -> bool {
    let mut rest = text;
    let mut segment = 0usize;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => segment += 1,
            b'.' if segment > 0 => segment = 0,
            _ => return false,
        }
        rest = tail;
    }
    segment > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_vectors() {
        // FNV-1a 64 of "" is the offset basis, of "a" 0xaf63dc4c8601ec8c (draft-eastlake-fnv, appendix C).
        assert_eq!(hash32(""), 0xCBF2_9CE4 ^ 0x8422_2325);
        assert_eq!(hash32("a"), 0xAF63_DC4C ^ 0x8601_EC8C);
    }

    #[test]
    fn names_are_checked() {
        assert!(RouteName::new("Imu", "sensors.imu-2").is_ok());
        assert_eq!(RouteName::new("", "a"), Err(RouteError::BadType));
        for path in ["", ".", "a.", ".a", "a..b", "a b", "a@b"] {
            assert_eq!(RouteName::new("T", path), Err(RouteError::BadPath), "{path}");
        }
        assert_eq!(RouteName::parse("sensors.imu"), Err(RouteError::BadForm));
        assert_eq!(RouteName::parse("T@a@b"), Err(RouteError::BadPath));
        assert_eq!(RouteName::check("T@a@b"), Err(RouteError::BadPath));
        assert_eq!(RouteName::check("a#0123456789abcdeg"), Err(RouteError::BadForm));
        assert_eq!(RouteName::check("a.b#0123456789abcdef"), Ok(()));
    }

    #[test]
    fn hashed_and_plain_names_are_the_same_route() {
        let plain = RouteName::new("Imu", "sensors.imu").unwrap();
        let text = std::format!("sensors#{:016x}", plain.hash());
        let hashed = RouteName::parse(text.leak()).unwrap();
        assert_eq!(plain, hashed);
        assert!(hashed.is_hashed());
    }
}
