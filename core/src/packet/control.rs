//! Control records: the payloads of reliable packets on route 0 (docs/protocol.md, sections 6 and 8).
//!
//! Invariant: a record or declaration that exists is complete, and each name in it is a valid route name.
//! Which declarations stand, and what a request is answered, is not in here.

pub(crate) mod declarations;
mod list;
mod name;

pub use declarations::{Intent, Interest, InterestBody, Priority, emit_intent, emit_interest};
pub use list::{Intents, Interests};
pub use name::WireName;
pub(crate) use name::emit_name;

use super::Malformed;
use crate::capability;
use crate::wire::{Fields, Full, Writer};

/// One intent.
pub const INTENT: u8 = 1;
/// Intents to the end of the record.
pub const INTENTS: u8 = 2;
/// One interest.
pub const INTEREST: u8 = 3;
/// Interests to the end of the record.
pub const INTERESTS: u8 = 4;
/// What became of the receiver's intent.
pub const NOTIFY_INTENT: u8 = 5;
/// A request.
pub const REQUEST: u8 = 6;
/// The answer to a request.
pub const RESULT: u8 = 7;
/// Messages that were discarded unread, since their time was over.
pub const EXPIRED: u8 = 8;

const AUDIENCE: u8 = 0;
const CONFLICT: u8 = 1;

/// What the peer says about a declaration of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum NotifyStatus {
    /// How many interests stand behind our intent.
    Audience(u32),
    /// The peer has another type or schema on this path; `schema` 0: not stated.
    Conflict { hash: u64, schema: u32 },
}

/// One control record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum Control<'a> {
    /// INTENT and INTENTS.
    Intents(Intents<'a>),
    /// INTEREST and INTERESTS.
    Interests(Interests<'a>),
    /// `hash` is the declaration that the peer speaks of.
    NotifyIntent { hash: u64, status: NotifyStatus },
    /// A request.
    Request { id: u16, hash: u64, room: u32, timeout_ms: u32, payload: &'a [u8] },
    /// The answer to a request.
    Result { id: u16, code: u32, payload: &'a [u8] },
    /// Of the messages that have left the reader of a route, the last `after` were taken; before them `expired` were
    /// discarded unread.
    Expired(Expired),
    /// A record of a later version, or of what this build leaves out: ignored.
    Unknown,
}

/// What has left the reader of a route otherwise than by being taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub struct Expired {
    pub route: u16,
    pub messages: u16,
    pub bytes: u32,
    pub expired: u16,
    pub after: u16,
}

impl<'a> Control<'a> {
    /// Reads the payload of a reliable packet of route 0.
    ///
    /// # Errors
    /// [`Malformed`]. A declaration that is malformed shows when the iterator gets there.
    pub fn parse(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut f = Fields::new(record);
        let control = parse(&mut f);
        if f.is_whole() { Ok(control) } else { Err(Malformed) }
    }
}

fn parse<'a>(f: &mut Fields<'a>) -> Control<'a> {
    let kind = f.u8();
    match kind {
        INTENT | INTENTS if capability::RECEIVE => Control::Intents(Intents::new(*f, kind == INTENT)),
        INTEREST | INTERESTS => Control::Interests(Interests::new(*f, kind == INTEREST)),
        NOTIFY_INTENT => {
            let hash = f.u64();
            let status = match f.u8() {
                AUDIENCE => NotifyStatus::Audience(f.varint()),
                CONFLICT => NotifyStatus::Conflict { hash: f.u64(), schema: f.u32() },
                _ => return Control::Unknown,
            };
            Control::NotifyIntent { hash, status }
        }
        REQUEST if capability::REQUESTS => {
            f.u8();
            Control::Request {
                id: f.varint16(),
                hash: f.u64(),
                room: f.varint(),
                timeout_ms: f.varint(),
                payload: f.rest(),
            }
        }
        RESULT if capability::REQUESTS => {
            f.u8();
            Control::Result { id: f.varint16(), code: f.varint(), payload: f.rest() }
        }
        EXPIRED if capability::RELIABLE && capability::EXPIRY => Control::Expired(Expired {
            route: f.varint16(),
            messages: f.varint16(),
            bytes: f.varint(),
            expired: f.varint16(),
            after: f.varint16(),
        }),
        _ => Control::Unknown,
    }
}

/// Appends a whole EXPIRED.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_expired(record: &Expired, w: &mut Writer<'_>) -> Result<(), Full> {
    w.put_u8(EXPIRED);
    w.put_varint(record.route.into());
    w.put_varint(record.messages.into());
    w.put_varint(record.bytes);
    w.put_varint(record.expired.into());
    w.put_varint(record.after.into());
    w.all()
}

/// Appends a whole NOTIFY_INTENT.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_notify(hash: u64, status: &NotifyStatus, w: &mut Writer<'_>) -> Result<(), Full> {
    w.put_u8(NOTIFY_INTENT);
    w.put_u64(hash);
    match *status {
        NotifyStatus::Audience(count) => {
            w.put_u8(AUDIENCE);
            w.put_varint(count);
        }
        NotifyStatus::Conflict { hash, schema } => {
            w.put_u8(CONFLICT);
            w.put_u64(hash);
            w.put_u32(schema);
        }
    }
    w.all()
}

/// Appends a REQUEST but its payload, which the caller appends then.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_request_header(
    id: u16,
    hash: u64,
    room: u32,
    timeout_ms: u32,
    w: &mut Writer<'_>,
) -> Result<(), Full> {
    w.put(&[REQUEST, 0]);
    w.put_varint(id.into());
    w.put_u64(hash);
    w.put_varint(room);
    w.put_varint(timeout_ms);
    w.all()
}

/// Appends a RESULT but its payload, which the caller appends then.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_result_header(id: u16, code: u32, w: &mut Writer<'_>) -> Result<(), Full> {
    w.put(&[RESULT, 0]);
    w.put_varint(id.into());
    w.put_varint(code);
    w.all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Noise;

    #[test]
    fn records_survive() {
        let mut out = [0; 64];
        for status in
            [NotifyStatus::Audience(300), NotifyStatus::Conflict { hash: 0x0123_4567_89AB_CDEF, schema: 7 }]
        {
            let mut w = Writer::new(&mut out);
            emit_notify(42, &status, &mut w).unwrap();
            assert_eq!(Control::parse(w.written()), Ok(Control::NotifyIntent { hash: 42, status }));
            for cut in 0..w.len() {
                assert_eq!(Control::parse(&w.written()[..cut]), Err(Malformed));
            }
        }
        let mut w = Writer::new(&mut out);
        emit_request_header(65_535, 42, 64, 1000, &mut w).unwrap();
        w.bytes(b"what").unwrap();
        let request = Control::Request { id: 65_535, hash: 42, room: 64, timeout_ms: 1000, payload: b"what" };
        assert_eq!(Control::parse(w.written()), Ok(request));
        let mut w = Writer::new(&mut out);
        let expired = Expired { route: 300, messages: 65_535, bytes: u32::MAX, expired: 2, after: 1 };
        emit_expired(&expired, &mut w).unwrap();
        assert_eq!(Control::parse(w.written()), Ok(Control::Expired(expired)));
        let mut w = Writer::new(&mut out);
        emit_result_header(3, 16, &mut w).unwrap();
        w.bytes(b"no").unwrap();
        assert_eq!(Control::parse(w.written()), Ok(Control::Result { id: 3, code: 16, payload: b"no" }));
    }

    #[test]
    fn what_is_unknown_is_no_error() {
        assert_eq!(Control::parse(&[0, 1, 2]), Ok(Control::Unknown));
        assert_eq!(Control::parse(&[9]), Ok(Control::Unknown));
        assert_eq!(Control::parse(&[NOTIFY_INTENT, 0, 0, 0, 0, 0, 0, 0, 0, 2]), Ok(Control::Unknown));
        assert_eq!(Control::parse(&[]), Err(Malformed));
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut noise = Noise(17);
        for round in 0..30_000 {
            let len = 1 + noise.below(80);
            let mut bytes = noise.bytes(len, round % 2 == 0);
            bytes[0] %= 10;
            match Control::parse(&bytes) {
                Ok(Control::Intents(intents)) => assert!(intents.count() <= bytes.len()),
                Ok(Control::Interests(interests)) => assert!(interests.count() <= bytes.len()),
                _ => {}
            }
        }
    }
}
