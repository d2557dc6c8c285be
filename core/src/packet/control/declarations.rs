//! Intents and interests (docs/protocol.md, section 6).
//!
//! Invariant: a declaration that was read has a valid name, and an interest a number other than 0.
//! Nothing is remembered in here, and nothing is compared with what stands already.

use super::name::WireName;
use crate::wire::{Fields, Full, Writer, varint_len};

// Flags of declarations.
pub(crate) const WITHDRAWN: u8 = 1;
pub(crate) const RELIABLE: u8 = 1 << 1;
pub(crate) const PRIORITY_SHIFT: u32 = 2;
pub(crate) const SERVICE: u8 = 1 << 4;
pub(crate) const HASHED: u8 = 1 << 5;
pub(crate) const ASK: u8 = 1 << 6;
pub(crate) const EXTENSION: u8 = 1 << 7;

const TAG_TTL: u8 = 1;
const TAG_SCHEMA: u8 = 2;

/// How urgent the messages of an intent are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Priority {
    /// What may wait.
    Background = 0,
    /// What has no reason to be anything else.
    #[default]
    Normal = 1,
    /// Before normal.
    High = 2,
    /// Before all else.
    Urgent = 3,
}

/// "I publish this", or "I answer requests on this".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent<'a> {
    /// It stands no longer.
    pub withdrawn: bool,
    /// Messages are sent as reliable packets.
    pub reliable: bool,
    /// How urgent its messages are.
    pub priority: Priority,
    /// Requests are answered.
    pub service: bool,
    /// The peer shall repeat what it has declared on the route.
    pub ask: bool,
    /// The route.
    pub name: WireName<'a>,
    /// Time to live; 0: as long as the session.
    pub ttl_ms: u32,
    /// Schema hash; 0: not stated.
    pub schema: u32,
}

impl<'a> Intent<'a> {
    pub(crate) fn parse(f: &mut Fields<'a>) -> Option<Self> {
        let flags = f.u8();
        let name = WireName::parse(f, flags & HASHED != 0)?;
        let (ttl_ms, schema) = parse_extension(f, flags);
        let priority = match (flags >> PRIORITY_SHIFT) & 3 {
            0 => Priority::Background,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => Priority::Urgent,
        };
        f.is_whole().then_some(Self {
            withdrawn: flags & WITHDRAWN != 0,
            reliable: flags & RELIABLE != 0,
            priority,
            service: flags & SERVICE != 0,
            ask: flags & ASK != 0,
            name,
            ttl_ms,
            schema,
        })
    }
}

/// "I want this."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest<'a> {
    /// The route's number in messages to the one who declares; never 0.
    pub number: u16,
    /// The peer shall repeat what it has declared on the route.
    pub ask: bool,
    /// The counts of TAKEN as they stand.
    pub messages: u16,
    /// See `messages`.
    pub bytes: u32,
    /// What else.
    pub body: InterestBody<'a>,
}

/// The rest of an interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in the protocol")]
pub enum InterestBody<'a> {
    /// It stands. `ttl_ms` 0: as long as the session; `schema` 0: not stated.
    Declared { window: u32, backlog: u32, name: WireName<'a>, ttl_ms: u32, schema: u32 },
    /// It stands no longer.
    Withdrawn,
}

impl<'a> Interest<'a> {
    pub(crate) fn parse(f: &mut Fields<'a>) -> Option<Self> {
        let flags = f.u8();
        let (number, messages, bytes) = (f.varint16(), f.varint16(), f.varint());
        let body = if flags & WITHDRAWN != 0 {
            InterestBody::Withdrawn
        } else {
            let (window, backlog) = (f.varint(), f.varint());
            let name = WireName::parse(f, flags & HASHED != 0)?;
            let (ttl_ms, schema) = parse_extension(f, flags);
            InterestBody::Declared { window, backlog, name, ttl_ms, schema }
        };
        (f.is_whole() && number != 0).then_some(Self { number, ask: flags & ASK != 0, messages, bytes, body })
    }
}

/// Time to live and schema hash, each 0 if not stated.
pub(crate) fn parse_extension(f: &mut Fields<'_>, flags: u8) -> (u32, u32) {
    let (mut ttl_ms, mut schema) = (0, 0);
    if flags & EXTENSION != 0 {
        let len = f.varint();
        let mut entries = Fields::new(f.take(len as usize));
        while !entries.is_empty() {
            let (tag, len) = (entries.u8(), entries.u8());
            let mut value = Fields::new(entries.take(len.into()));
            match tag {
                TAG_TTL => ttl_ms = value.varint(),
                TAG_SCHEMA => schema = value.u32(),
                _ => {}
            }
            if !(entries.is_whole() && value.is_whole()) {
                f.fail();
            }
        }
    }
    (ttl_ms, schema)
}

pub(crate) fn emit_extension(ttl_ms: u32, schema: u32, w: &mut Writer<'_>) {
    if (ttl_ms | schema) == 0 {
        return;
    }
    let ttl_len = varint_len(ttl_ms) as u8;
    let ttl_entry = if ttl_ms == 0 { 0 } else { 2 + ttl_len };
    let schema_entry = if schema == 0 { 0 } else { 2 + 4 };
    w.put_u8(ttl_entry + schema_entry);
    if ttl_ms != 0 {
        w.put(&[TAG_TTL, ttl_len]);
        w.put_varint(ttl_ms);
    }
    if schema != 0 {
        w.put(&[TAG_SCHEMA, 4]);
        w.put_u32(schema);
    }
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

/// Appends an intent, without the kind of the record.
///
/// # Errors
/// [`Full`]: a part may be written; [`Writer::truncate`] takes it back.
pub fn emit_intent(intent: &Intent<'_>, w: &mut Writer<'_>) -> Result<(), Full> {
    w.put_u8(
        flag(WITHDRAWN, intent.withdrawn)
            | flag(RELIABLE, intent.reliable)
            | (intent.priority as u8) << PRIORITY_SHIFT
            | flag(SERVICE, intent.service)
            | flag(HASHED, intent.name.is_hashed())
            | flag(ASK, intent.ask)
            | flag(EXTENSION, (intent.ttl_ms | intent.schema) != 0),
    );
    intent.name.emit(w);
    emit_extension(intent.ttl_ms, intent.schema, w);
    w.all()
}

/// Appends an interest, without the kind of the record.
///
/// # Errors
/// [`Full`]: a part may be written; [`Writer::truncate`] takes it back.
pub fn emit_interest(interest: &Interest<'_>, w: &mut Writer<'_>) -> Result<(), Full> {
    let flags = flag(ASK, interest.ask)
        | match interest.body {
            InterestBody::Withdrawn => WITHDRAWN,
            InterestBody::Declared { name, ttl_ms, schema, .. } => {
                flag(HASHED, name.is_hashed()) | flag(EXTENSION, (ttl_ms | schema) != 0)
            }
        };
    w.put_u8(flags);
    w.put_varint(interest.number.into());
    w.put_varint(interest.messages.into());
    w.put_varint(interest.bytes);
    if let InterestBody::Declared { window, backlog, name, ttl_ms, schema } = interest.body {
        w.put_varint(window);
        w.put_varint(backlog);
        name.emit(w);
        emit_extension(ttl_ms, schema, w);
    }
    w.all()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::packet::Malformed;
    use crate::packet::control::{Control, INTENT, INTENTS, INTEREST, INTERESTS};

    /// A name that need not be valid.
    fn text(text: &str) -> WireName<'_> {
        let (type_name, path) = text.split_once('@').unwrap_or((text, ""));
        WireName::Plain { type_name: type_name.as_bytes(), path: path.as_bytes() }
    }

    const NAME: WireName<'static> = WireName::Plain { type_name: b"Imu", path: b"sensors.imu" };

    fn intent() -> Intent<'static> {
        Intent {
            withdrawn: false,
            reliable: true,
            priority: Priority::High,
            service: false,
            ask: true,
            name: NAME,
            ttl_ms: 0,
            schema: 0,
        }
    }

    fn record(kind: u8, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = [0; 400];
        let mut w = Writer::new(&mut out);
        w.u8(kind).unwrap();
        write(&mut w);
        w.written().to_vec()
    }

    fn intents(record: &[u8]) -> Vec<Result<Intent<'_>, Malformed>> {
        match Control::parse(record) {
            Ok(Control::Intents(intents)) => intents.collect(),
            other => panic!("{other:?}"),
        }
    }

    fn interests(record: &[u8]) -> Vec<Result<Interest<'_>, Malformed>> {
        match Control::parse(record) {
            Ok(Control::Interests(interests)) => interests.collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn intents_survive() {
        let hashed = WireName::Hashed { hash: 0x0123_4567_89AB_CDEF, prefix: b"sensors." };
        let list = [
            intent(),
            Intent { withdrawn: true, priority: Priority::Background, ask: false, ..intent() },
            Intent { service: true, reliable: false, priority: Priority::Urgent, ..intent() },
            Intent { name: hashed, ttl_ms: 70_000, ..intent() },
            Intent { schema: u32::MAX, priority: Priority::Normal, ..intent() },
            Intent { ttl_ms: 1, schema: 1, ..intent() },
        ];
        let bytes = record(INTENTS, |w| list.iter().for_each(|i| emit_intent(i, w).unwrap()));
        assert!(intents(&bytes).into_iter().eq(list.map(Ok)));
        for i in list {
            let mut bytes = record(INTENT, |w| emit_intent(&i, w).unwrap());
            assert_eq!(intents(&bytes), [Ok(i)]);
            for cut in 1..bytes.len() {
                assert_eq!(intents(&bytes[..cut]), [Err(Malformed)], "{cut}");
            }
            bytes.push(9);
            assert_eq!(intents(&bytes), [Ok(i)], "only the first counts");
        }
        assert_eq!(intents(&[INTENTS]), []);
    }

    #[test]
    fn interests_survive() {
        let declared =
            InterestBody::Declared { window: 524_287, backlog: 200, name: NAME, ttl_ms: 0, schema: 0 };
        let timed = InterestBody::Declared { window: 0, backlog: 0, name: NAME, ttl_ms: 500, schema: 3 };
        let withdrawn = InterestBody::Withdrawn;
        let (messages, bytes) = (65_535, u32::MAX);
        let list = [declared, timed, withdrawn].map(|body| Interest {
            number: 300,
            ask: true,
            messages,
            bytes,
            body,
        });
        let bytes = record(INTERESTS, |w| list.iter().for_each(|i| emit_interest(i, w).unwrap()));
        assert!(interests(&bytes).into_iter().eq(list.map(Ok)));
        for i in list {
            let bytes = record(INTEREST, |w| emit_interest(&i, w).unwrap());
            for cut in 1..bytes.len() {
                assert_eq!(interests(&bytes[..cut]), [Err(Malformed)], "{cut}");
            }
        }
        assert_eq!(interests(&[INTEREST, 1, 0, 0, 0]), [Err(Malformed)], "number 0");
    }

    #[test]
    fn a_malformed_one_ends_the_list() {
        let mut bytes = record(INTENTS, |w| {
            emit_intent(&intent(), w).unwrap();
            emit_intent(&Intent { name: text("Imu"), ..intent() }, w).unwrap();
            emit_intent(&intent(), w).unwrap();
        });
        assert_eq!(intents(&bytes), [Ok(intent()), Err(Malformed)]);
        bytes.truncate(5);
        assert_eq!(intents(&bytes), [Err(Malformed)]);
    }

    #[test]
    fn names_that_are_not_valid_are_malformed() {
        for text in ["", "@", "Imu@", "@imu", "Imu@a..b", "Imu@a@b", "I mu@a", "Imu@a.", "Imu@ä", "Imu"] {
            let bad = Intent { name: self::text(text), ..intent() };
            let bytes = record(INTENT, |w| emit_intent(&bad, w).unwrap());
            assert_eq!(intents(&bytes), [Err(Malformed)], "{text}");
        }
        let long = std::format!("Imu@{}", "a".repeat(93));
        for (text, fits) in [(&long[..96], true), (&long[..], false)] {
            let bytes = record(INTENT, |w| {
                emit_intent(&Intent { name: self::text(text), ..intent() }, w).unwrap();
            });
            assert_eq!(intents(&bytes)[0].is_ok(), fits);
        }
        let hashed = WireName::Hashed { hash: 1, prefix: b"a b" };
        let bytes = record(INTENT, |w| emit_intent(&Intent { name: hashed, ..intent() }, w).unwrap());
        assert_eq!(intents(&bytes), [Err(Malformed)]);
    }

    #[test]
    fn extension_entries_that_are_unknown_are_skipped() {
        let bytes = [&[INTENT, 0x80, 3], &b"T@p"[..], &[10, 3, 1, 9, 9, 0, 1, 3, 0x80, 0x01, 0xFF]].concat();
        let found = intents(&bytes)[0].unwrap();
        assert_eq!((found.ttl_ms, found.schema), (128, 0));
        let short = [&[INTENT, 0x80, 3], &b"T@p"[..], &[4, 2, 3, 1, 1]].concat();
        assert_eq!(intents(&short), [Err(Malformed)]);
    }
}
