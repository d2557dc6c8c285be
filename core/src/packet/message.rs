//! Messages: the headers before their payloads (docs/protocol.md, sections 3 and 10).
//!
//! Invariant: the lengths computed here are those of what is emitted here.
//! Payloads are not in here: they come from a queue, maybe in two pieces.

use super::{Packet, SeqWidth};
use crate::capability;
use crate::wire::{Fields, Full, Writer, varint_len};

const BEST_EFFORT: u8 = 0x80;
const BEST_EFFORT_LENGTH: u8 = 0x40;
const COUNT_MASK: u8 = 0x3F;
const RELIABLE: u8 = 0x40;
const RELIABLE_LENGTH: u8 = 0x20;
/// In a reliable packet's first byte; this value says that the distance follows as a varint.
const DISTANCE_MASK: u8 = 0x1F;

/// Whether a packet that begins like this is a message, or a control record.
pub(crate) const fn is_message(first: u8) -> bool {
    first >= RELIABLE || capability::EXTENDED && first == super::kind::EXTENDED
}

/// Reads what stands behind the first byte of a message: its header, and its payload. The short layouts are read as if they were
/// the long one.
pub(crate) fn parse_message<'a>(
    first: u8,
    f: &mut Fields<'a>,
    width: SeqWidth,
) -> Option<(Extended, &'a [u8])> {
    if first < RELIABLE {
        return parse_extended(f, width);
    }
    let route = f.varint16();
    let mut header = Extended { route, reliable: None, number: 0, life: None, part: None };
    let length = if first & BEST_EFFORT != 0 {
        header.number = first & COUNT_MASK;
        BEST_EFFORT_LENGTH
    } else {
        let seq = width.read(f);
        let distance = match first & DISTANCE_MASK {
            DISTANCE_MASK => f.varint(),
            distance => distance.into(),
        };
        header.reliable = Some((seq, distance));
        RELIABLE_LENGTH
    };
    Some((header, payload(f, first & length != 0)))
}

/// The packet of a header and its payload.
pub(super) fn packet_of<'a>(first: u8, header: Extended, payload: &'a [u8]) -> Packet<'a> {
    let Extended { route, number: count, .. } = header;
    match header.reliable {
        _ if first < RELIABLE => Packet::Extended { header, payload },
        Some((seq, distance)) => Packet::Reliable { route, seq, distance, payload },
        None => Packet::BestEffort { count, route, payload },
    }
}

pub(super) fn payload<'a>(f: &mut Fields<'a>, has_length: bool) -> &'a [u8] {
    if !has_length {
        return f.rest();
    }
    let len = f.varint();
    f.take(len as usize)
}

/// Bytes that a best-effort message takes in a frame.
#[must_use]
pub const fn best_effort_len(route: u16, payload: usize, last: bool) -> usize {
    1 + varint_len(route as u32) + length_len(payload, last) + payload
}

/// Bytes that a reliable packet takes in a frame.
#[must_use]
pub const fn reliable_len(route: u16, distance: u32, payload: usize, width: SeqWidth, last: bool) -> usize {
    let far = if distance < DISTANCE_MASK as u32 { 0 } else { varint_len(distance) };
    1 + varint_len(route as u32) + width.bytes() + far + length_len(payload, last) + payload
}

const fn length_len(payload: usize, last: bool) -> usize {
    if last { 0 } else { varint_len(payload as u32) }
}

/// Appends all of a best-effort message but its payload, which the caller appends then.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_best_effort_header(
    w: &mut Writer<'_>,
    count: u8,
    route: u16,
    payload_len: usize,
    last: bool,
) -> Result<(), Full> {
    w.put_u8(BEST_EFFORT | flag(BEST_EFFORT_LENGTH, !last) | count & COUNT_MASK);
    w.put_varint(route.into());
    emit_length(w, payload_len, last)
}

/// Appends all of a reliable packet but its payload, which the caller appends then.
///
/// # Errors
/// [`Full`]: a part may be written.
pub fn emit_reliable_header(
    w: &mut Writer<'_>,
    route: u16,
    seq: u32,
    distance: u32,
    payload_len: usize,
    width: SeqWidth,
    last: bool,
) -> Result<(), Full> {
    let near = distance.min(DISTANCE_MASK.into()) as u8;
    w.put_u8(RELIABLE | flag(RELIABLE_LENGTH, !last) | near);
    w.put_varint(route.into());
    width.write(w, seq);
    if near == DISTANCE_MASK {
        w.put_varint(distance);
    }
    emit_length(w, payload_len, last)
}

/// A message that does not fit the short layouts: a fragment, or one that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extended {
    /// The receiver's number of the route.
    pub route: u16,
    /// Sequence number and distance; None: best effort.
    pub reliable: Option<(u32, u32)>,
    /// Counts the messages of the route, modulo 256.
    pub number: u8,
    /// How long it may still wait to be taken, ms.
    pub life: Option<u32>,
    /// Where the payload begins in the message, and how long that is; None: it is all of it.
    pub part: Option<(u32, u32)>,
}

/// Bits of an extended message's flags.
const RELIABLE_FLAG: u8 = 1;
const LENGTH_FLAG: u8 = 1 << 1;
const FIRST_FLAG: u8 = 1 << 3;
const LAST_FLAG: u8 = 1 << 4;
const EXPIRES_FLAG: u8 = 1 << 5;
/// What this version does not know: compressed, and two that are reserved.
const UNKNOWN_FLAGS: u8 = !(RELIABLE_FLAG | LENGTH_FLAG | FIRST_FLAG | LAST_FLAG | EXPIRES_FLAG);

impl Extended {
    /// Bytes that it takes in a frame.
    #[must_use]
    pub const fn len(&self, payload: usize, width: SeqWidth, last: bool) -> usize {
        let mut len = 3 + varint_len(self.route as u32) + length_len(payload, last) + payload;
        if let Some((_, distance)) = self.reliable {
            len += width.bytes() + varint_len(distance);
        }
        if let Some(life) = self.life {
            len += varint_len(life);
        }
        if let Some((offset, total)) = self.part {
            len += varint_len(offset) + varint_len(total);
        }
        len
    }

    /// Appends all but the payload, which the caller appends then.
    ///
    /// # Errors
    /// [`Full`]: a part may be written.
    pub fn emit_header(
        &self,
        w: &mut Writer<'_>,
        payload_len: usize,
        width: SeqWidth,
        last: bool,
    ) -> Result<(), Full> {
        let (first, end) = match self.part {
            None => (true, true),
            Some((offset, total)) => (offset == 0, offset as usize + payload_len == total as usize),
        };
        let flags = flag(RELIABLE_FLAG, self.reliable.is_some())
            | flag(LENGTH_FLAG, !last)
            | flag(FIRST_FLAG, first)
            | flag(LAST_FLAG, end)
            | flag(EXPIRES_FLAG, self.life.is_some());
        w.put(&[super::kind::EXTENDED, flags]);
        w.put_varint(self.route.into());
        if let Some((seq, distance)) = self.reliable {
            width.write(w, seq);
            w.put_varint(distance);
        }
        w.put_u8(self.number);
        if let Some(life) = self.life {
            w.put_varint(life);
        }
        if let Some((offset, total)) = self.part {
            w.put_varint(offset);
            w.put_varint(total);
        }
        emit_length(w, payload_len, last)
    }
}

fn parse_extended<'a>(f: &mut Fields<'a>, width: SeqWidth) -> Option<(Extended, &'a [u8])> {
    let flags = f.u8();
    if flags & UNKNOWN_FLAGS != 0 {
        return None;
    }
    let route = f.varint16();
    let reliable = (flags & RELIABLE_FLAG != 0).then(|| (width.read(f), f.varint()));
    let number = f.u8();
    let life = (flags & EXPIRES_FLAG != 0).then(|| f.varint());
    let whole = FIRST_FLAG | LAST_FLAG;
    let part = (flags & whole != whole).then(|| (f.varint(), f.varint()));
    let payload = payload(f, flags & LENGTH_FLAG != 0);
    if let Some((offset, total)) = part {
        // The flags say what the numbers say, and a fragment is neither empty nor all.
        let end = offset.checked_add(u32::try_from(payload.len()).ok()?)?;
        let (first, last) = (offset == 0, end == total);
        let told = (flags & FIRST_FLAG != 0, flags & LAST_FLAG != 0);
        if payload.is_empty() || end > total || (first, last) != told || (first && last) {
            return None;
        }
    }
    Some((Extended { route, reliable, number, life, part }, payload))
}

/// Appends all of a message but its payload, in the shortest layout that says it all, as the last one of its frame: see
/// [`add_length`].
pub(crate) fn emit_message_header(
    header: &Extended,
    w: &mut Writer<'_>,
    payload_len: usize,
    width: SeqWidth,
) {
    let Extended { route, reliable, number, life, part } = *header;
    // What does not fit is noticed by who asks the writer.
    let _ = if capability::EXTENDED && (life.is_some() || part.is_some()) {
        header.emit_header(w, payload_len, width, true)
    } else if let Some((seq, distance)) = reliable {
        emit_reliable_header(w, route, seq, distance, payload_len, width, true)
    } else {
        emit_best_effort_header(w, number, route, payload_len, true)
    };
}

/// A message that was written as the last one of its frame is not the last: it needs its length now. It begins at `start`, its
/// payload at `payload`, and what follows at `end`. Returns how many bytes that took.
pub(crate) fn add_length(w: &mut Writer<'_>, start: usize, payload: usize, end: usize) -> usize {
    let (at, bit) = match w.written().get(start) {
        Some(BEST_EFFORT..) => (start, BEST_EFFORT_LENGTH),
        Some(RELIABLE..) => (start, RELIABLE_LENGTH),
        _ => (start + 1, LENGTH_FLAG),
    };
    let before = w.len();
    w.change(at, |flags| flags | bit);
    w.insert_varint(payload, end.saturating_sub(payload) as u32);
    w.len() - before
}

fn emit_length(w: &mut Writer<'_>, payload_len: usize, last: bool) -> Result<(), Full> {
    if !last {
        w.put_varint(payload_len as u32);
    }
    w.all()
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}
