//! What the peer declares.
//!
//! Names are compared by their hashes, as the protocol says; what is declared on other routes is nothing to us.

use super::Device;
use super::state::{Core, due, entry, ticks};
use crate::limits::MESSAGE_COST;
use crate::packet::control::declarations::{ASK, HASHED, RELIABLE, SERVICE, WITHDRAWN, parse_extension};
use crate::packet::control::{INTENT, INTENTS, INTEREST, INTERESTS, NOTIFY_INTENT};
use crate::route::Fnv;
use crate::wire::{Fields, varint_len};

/// What a best-effort message takes in a frame besides its route's number: check, kind and length.
const OVERHEAD: usize = 4 + 1 + 2;

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Core<D, FRAME, OUT, IN> {
    /// A control record in its turn. Returns whether there is something to look at.
    pub(super) fn on_record(&mut self, record: &[u8]) -> bool {
        let mut f = Fields::new(record);
        let kind = f.u8();
        match kind {
            INTENT | INTENTS | INTEREST | INTERESTS => {
                while !f.is_empty() {
                    self.on_declaration(&mut f, matches!(kind, INTEREST | INTERESTS));
                    if matches!(kind, INTENT | INTEREST) {
                        break;
                    }
                }
            }
            NOTIFY_INTENT => {
                let (kind, path, status, theirs) = (f.u32(), f.u32(), f.u8(), f.u32());
                f.take(8);
                // Of the other status an INTEREST says as much, and more.
                if status == 1 && f.is_whole() {
                    for at in 0..Self::ROUTES {
                        if Self::name(at)
                            .is_some_and(|name| (name.path_hash(), name.hash() as u32) == (path, kind))
                        {
                            self.begin_conflict(at, theirs);
                        }
                    }
                }
            }
            // Requests: we hold none. Of results, and of reliable messages that expired: we have sent none.
            _ => {}
        }
        true
    }

    #[inline(never)]
    fn on_declaration(&mut self, f: &mut Fields<'_>, is_interest: bool) {
        let flags = f.u8();
        let withdrawn = flags & WITHDRAWN != 0;
        let (mut number, mut window) = (0, 0);
        if is_interest {
            number = f.varint16();
            f.varint16();
            f.varint();
            if withdrawn {
                if f.is_whole() && number != 0 {
                    let stands = self.publishing.iter_mut().filter(|route| route.number == number);
                    stands.for_each(super::state::Publishing::end);
                }
                return;
            }
            window = f.varint();
            f.varint();
        }
        let (path, kind) = hashes(f, flags & HASHED != 0);
        let (ttl, schema) = parse_extension(f, flags);
        if is_interest && matches!(number, 0 | u16::MAX) {
            f.fail();
        }
        if !f.is_whole() {
            return;
        }
        self.due |= due::RECORDS;
        for at in 0..Self::ROUTES {
            let Some(name) = Self::name(at) else { return };
            let same_path = name.path_hash() == path;
            let both_state = schema != 0 && Self::schema(name) != 0;
            let same = name.hash() as u32 == kind && !(both_state && schema != Self::schema(name));
            if !(same && same_path)
                && is_interest
                && let Some(route) = self.publishing.get_mut(at).filter(|route| route.number == number)
            {
                // The number means another route now.
                route.end();
            }
            if !same_path {
                continue;
            }
            if !same && !withdrawn {
                self.begin_conflict(at, kind);
                if let Some(entry) = self.entry(at) {
                    entry.bits |= entry::NOTIFY;
                }
                continue;
            }
            let Some(entry) = self.entry(at) else { return };
            if !same && entry.theirs != kind {
                continue;
            }
            let ends = entry.has(entry::CONFLICT);
            if ends {
                entry.bits &= !(entry::CONFLICT | entry::NOTIFY);
            }
            if flags & ASK != 0 || ends && withdrawn {
                entry.bits |= entry::DECLARE;
            }
            if !same {
                continue;
            }
            if !is_interest {
                if at < OUT && !withdrawn && flags & SERVICE == 0 && !D::READS.contains(name) {
                    // Known here, and nobody listens: the owner would wait for an INTEREST in vain.
                    entry.bits |= entry::NOTIFY;
                }
                if let Some(reading) = self.reading.get_mut(at.wrapping_sub(OUT)) {
                    reading.reliable = flags & RELIABLE != 0 && !withdrawn;
                }
                continue;
            }
            let lapse = if ttl == 0 { 0 } else { self.after(ticks(ttl)).max(1) };
            let room = usize::from(self.content).saturating_sub(OVERHEAD + varint_len(number.into()));
            let window = (window as usize).saturating_sub(MESSAGE_COST);
            let limit = room.min(window).min(self.message_max.into()) as u8;
            if let Some(route) = self.publishing.get_mut(at) {
                if route.number != number {
                    route.number = number;
                    route.limit = limit;
                }
                route.audience = true;
                route.lapse = lapse;
            }
        }
    }

    /// The peer has another type or schema on the path of a route.
    #[inline(never)]
    fn begin_conflict(&mut self, at: usize, theirs: u32) {
        if let Some(route) = self.publishing.get_mut(at) {
            route.end();
        }
        if let Some(entry) = self.entry(at) {
            if !entry.has(entry::CONFLICT) {
                entry.bits |= entry::NEWS;
            }
            entry.bits |= entry::CONFLICT;
            entry.theirs = theirs;
        }
    }
}

/// A route's name: the hashes of its path and of its type.
fn hashes(f: &mut Fields<'_>, hashed: bool) -> (u32, u32) {
    if hashed {
        let (kind, path) = (f.u32(), f.u32());
        let len = f.varint();
        f.take(len as usize);
        return (path, kind);
    }
    let len = f.varint();
    let (mut path, mut kind) = (Fnv::new(), None);
    for byte in f.take(len as usize) {
        if *byte == b'@' && kind.is_none() {
            kind = Some(path.finish());
            path = Fnv::new();
        } else {
            path.add(*byte);
        }
    }
    if kind.is_none() {
        f.fail();
    }
    (path.finish(), kind.unwrap_or_default())
}
