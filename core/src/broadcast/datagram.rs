//! The bytes of a broadcast datagram.
//!
//! Invariant: [`foreign`] reads no more than the first 12 bytes, [`body`] hands out nothing that the check does not cover.
//! In which order datagrams come is not judged here.

use crate::wire::{Full, Reader, Writer, copy, crc32c};

/// "TB", the version and the flags: what every datagram of this version begins with.
const PREFIX: [u8; 4] = [0x54, 0x42, 1, 0];
/// Flags that a receiver of this version does not mind: bits 0 to 3.
const FLAGS_IGNORED: u32 = 0x0F00_0000;
const CHECK_LEN: usize = 4;

/// Bytes of a datagram besides its payload.
pub const OVERHEAD: usize = Header::LEN + CHECK_LEN;

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// Hash of the route.
    pub route: u64,
    /// Who sends it.
    pub sender: u64,
    /// Another number at each start of the sender.
    pub nonce: u32,
    /// Counts the messages of this sender and route since that start, modulo 2^32.
    pub sequence: u32,
}

impl Header {
    /// Bytes that it takes, those that tell a broadcast from anything else included.
    pub const LEN: usize = 28;

    /// The datagram with this header and `payload`, in `out`. [`Publisher`](super::Publisher) counts `sequence`, too.
    ///
    /// # Errors
    /// [`Full`] if `out` is too small.
    pub fn emit<'o>(&self, payload: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Full> {
        if let Some(room) = out.get_mut(Self::LEN..).and_then(|rest| rest.get_mut(..payload.len())) {
            copy(room, payload);
        }
        self.seal(payload.len(), out)
    }

    /// The same, where the payload of `len` bytes is in its place.
    pub(super) fn seal<'o>(&self, len: usize, out: &'o mut [u8]) -> Result<&'o [u8], Full> {
        let mut writer = Writer::new(out);
        writer.bytes(&PREFIX)?;
        writer.u64(self.route)?;
        writer.u64(self.sender)?;
        writer.u32(self.nonce)?;
        writer.u32(self.sequence)?;
        writer.skip(len)?;
        let check = crc32c(writer.written());
        writer.u32(check)?;
        Ok(writer.into_written())
    }
}

/// Why a datagram is not for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    Route,
    Type,
    Kind,
}

/// What decides whether anybody here wants it: the hash of its route; `None` if it is no broadcast of this version.
///
/// With it one socket serves several [`Subscriber`](super::Subscriber)s.
#[must_use]
#[inline]
pub fn route_hash(datagram: &[u8]) -> Option<u64> {
    let (prefix, rest) = datagram.split_first_chunk::<4>()?;
    let differs = u32::from_le_bytes(*prefix) ^ u32::from_le_bytes(PREFIX);
    if differs & !FLAGS_IGNORED != 0 {
        return None;
    }
    rest.first_chunk().map(|hash| u64::from_le_bytes(*hash))
}

/// Whether a datagram is not one of `route`.
#[inline]
pub(super) fn foreign(datagram: &[u8], route: u64) -> Option<Foreign> {
    let Some(hash) = route_hash(datagram) else { return Some(Foreign::Kind) };
    if hash == route {
        return None;
    }
    let same_path = hash >> 32 == route >> 32;
    Some(if same_path { Foreign::Type } else { Foreign::Route })
}

/// Header and payload, if the check is right.
pub(super) fn body(datagram: &[u8]) -> Option<(Header, &[u8])> {
    let (content, check) = datagram.split_last_chunk::<CHECK_LEN>()?;
    let mut reader = Reader::new(content);
    reader.take(PREFIX.len())?;
    let header =
        Header { route: reader.u64()?, sender: reader.u64()?, nonce: reader.u32()?, sequence: reader.u32()? };
    (crc32c(content) == u32::from_le_bytes(*check)).then_some((header, reader.rest()))
}
