//! What is said about a place of the table of routes: declarations, withdrawals and notices, as they stand in control
//! records.
//!
//! Invariant: nothing is changed in here. When something is said is decided in `stored`.

use crate::packet::control::declarations::{
    ASK, EXTENSION, HASHED, PRIORITY_SHIFT, RELIABLE, SERVICE, WITHDRAWN, emit_extension,
};
use crate::packet::control::{NotifyStatus, emit_name, emit_notify};
use crate::routes::{Slot, due, local, peer};
use crate::wire::{Full, Writer};

/// Appends the declaration of a place, or its withdrawal, as its bit of [`due`] says, without the kind of the record;
/// `hashed`: without the text of its name.
pub(super) fn emit_declaration(
    slot: &Slot,
    number: u16,
    record: u16,
    hashed: bool,
    w: &mut Writer<'_>,
) -> Result<(), Full> {
    let name = slot.name.ok_or(Full)?;
    let gone = record & (due::INTENT_GONE | due::INTEREST_GONE) != 0;
    let hashed = hashed || gone;
    let (ttl_ms, schema) = if gone { (0, 0) } else { (slot.ttl_ms, name.schema()) };
    let set = |flag, is: bool| if is { flag } else { 0 };
    let flags = set(HASHED, hashed || name.is_hashed())
        | set(EXTENSION, (ttl_ms | schema) != 0)
        | if gone { WITHDRAWN } else { set(ASK, slot.has(local::ASK)) };
    if record & (due::INTEREST | due::INTEREST_GONE) != 0 {
        w.put_u8(flags);
        w.put_varint(number.into());
        w.put_varint(slot.messages.into());
        w.put_varint(slot.taken);
        if gone {
            return w.all();
        }
        w.put_varint(slot.inbox.capacity() as u32);
        w.put_varint(slot.old);
    } else {
        let kind = set(RELIABLE, slot.has(local::RELIABLE)) | set(SERVICE, slot.has(local::SERVICE));
        w.put_u8(flags | if gone { 0 } else { kind } | slot.priority << PRIORITY_SHIFT);
    }
    emit_name(name, hashed, w);
    emit_extension(ttl_ms, schema, w);
    w.all()
}

/// Appends a NOTIFY_INTENT about a place.
pub(super) fn emit_notice(slot: &Slot, w: &mut Writer<'_>) -> Result<(), Full> {
    let name = slot.name.ok_or(Full)?;
    if slot.peer_has(peer::CONFLICT) {
        let declared = u64::from(name.path_hash()) << 32 | u64::from(slot.theirs);
        let status = NotifyStatus::Conflict { hash: name.hash(), schema: name.schema() };
        return emit_notify(declared, &status, w);
    }
    emit_notify(name.hash(), &NotifyStatus::Audience(u32::from(slot.has(local::INTEREST))), w)
}
