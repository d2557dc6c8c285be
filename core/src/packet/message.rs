//! Messages: the headers before their payloads (docs/protocol.md, section 3).
//!
//! Invariant: the lengths computed here are those of what is emitted here.
//! Payloads are not in here: they come from a queue, maybe in two pieces.

use super::{Packet, SeqWidth};
use crate::wire::{Full, Reader, Writer, varint_len};

pub(super) const BEST_EFFORT: u8 = 0x80;
const BEST_EFFORT_LENGTH: u8 = 0x40;
const COUNT_MASK: u8 = 0x3F;
pub(super) const RELIABLE: u8 = 0x40;
const RELIABLE_LENGTH: u8 = 0x20;
/// In a reliable packet's first byte; this value says that the distance follows as a varint.
const DISTANCE_MASK: u8 = 0x1F;

pub(super) fn parse_best_effort<'a>(first: u8, r: &mut Reader<'a>) -> Option<Packet<'a>> {
    let route = r.varint16()?;
    let payload = payload(r, first & BEST_EFFORT_LENGTH != 0)?;
    Some(Packet::BestEffort { count: first & COUNT_MASK, route, payload })
}

pub(super) fn parse_reliable<'a>(first: u8, r: &mut Reader<'a>, width: SeqWidth) -> Option<Packet<'a>> {
    let route = r.varint16()?;
    let seq = width.read(r)?;
    let distance = match first & DISTANCE_MASK {
        DISTANCE_MASK => r.varint()?,
        distance => distance.into(),
    };
    let payload = payload(r, first & RELIABLE_LENGTH != 0)?;
    Some(Packet::Reliable { route, seq, distance, payload })
}

pub(super) fn payload<'a>(r: &mut Reader<'a>, has_length: bool) -> Option<&'a [u8]> {
    if !has_length {
        return Some(r.rest());
    }
    let len = r.varint()?;
    r.take(len as usize)
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
    w.u8(BEST_EFFORT | flag(BEST_EFFORT_LENGTH, !last) | count & COUNT_MASK)?;
    w.varint(route.into())?;
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
    w.u8(RELIABLE | flag(RELIABLE_LENGTH, !last) | near)?;
    w.varint(route.into())?;
    width.write(w, seq)?;
    if near == DISTANCE_MASK {
        w.varint(distance)?;
    }
    emit_length(w, payload_len, last)
}

fn emit_length(w: &mut Writer<'_>, payload_len: usize, last: bool) -> Result<(), Full> {
    if last { Ok(()) } else { w.varint(payload_len as u32) }
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}
