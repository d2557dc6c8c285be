//! The way in: bytes, frames, packets. Whatever comes, the worst that happens is that it is dropped.
//!
//! A frame is decoded where it is stored, byte by byte, and each packet is acted upon as soon as it was read.

use super::Device;
use super::state::{Core, Notice, due, entry, ticks, timer};
use crate::event::{CloseReason, LostReason};
use crate::handshake::{Outcome, State};
use crate::limits::{FRAME_MIN, GREETING_SLOWEST_MS, NAME_MAX, VERSION_MAJOR};
use crate::packet::{HelloHead, kind};
use crate::time::Instant;
use crate::wire::crc::{ORDINARY, crc32c_from};
use crate::wire::{Fields, crc32c};

/// Bits of a message's first byte.
const BEST_EFFORT: u8 = 0x80;
const RELIABLE: u8 = 0x40;
const BEST_EFFORT_LENGTH: u8 = 0x40;
const RELIABLE_LENGTH: u8 = 0x20;
const DISTANCE: u8 = 0x1F;

/// More bytes than a frame can have.
const TOO_LONG: u8 = 255;

/// What of a HELLO the head check covers.
const HEAD_LEN: usize = 22;
/// The first three bytes: its kind, and "TL".
pub(super) const MAGIC: u32 = 0x4C_5401;
const DONE: u8 = 1;

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Core<D, FRAME, OUT, IN> {
    pub(super) fn handle_input(&mut self, frame: &mut [u8; FRAME], now: Instant, bytes: &[u8]) -> usize {
        self.advance(now);
        if self.handshake.state() == State::Idle {
            return bytes.len();
        }
        let mut taken = 0;
        for byte in bytes {
            taken += 1;
            if *byte != 0 {
                self.decode(frame, *byte);
            } else if self.end_of_frame(frame) {
                break;
            }
        }
        taken
    }

    /// A byte of a frame: COBS.
    fn decode(&mut self, frame: &mut [u8; FRAME], byte: u8) {
        let mut decoded = byte;
        if self.left > 0 {
            self.left -= 1;
        } else {
            // A code: the run before it ended with a zero, unless it was a full one or there was none.
            self.left = byte - 1;
            decoded = 0;
            if !core::mem::replace(&mut self.zero, byte != 0xFF) {
                return;
            }
        }
        match frame.get_mut(usize::from(self.stored)) {
            Some(place) => {
                *place = decoded;
                self.stored += 1;
            }
            None => self.stored = TOO_LONG,
        }
    }

    /// Returns whether there is something to look at.
    #[inline(never)]
    fn end_of_frame(&mut self, frame: &[u8; FRAME]) -> bool {
        let len = core::mem::take(&mut self.stored);
        let missing = core::mem::take(&mut self.left);
        self.zero = false;
        let content = frame.get(..usize::from(len)).filter(|_| missing == 0).unwrap_or_default();
        let Some((packets, check)) = content.split_last_chunk() else { return false };
        let check = u32::from_le_bytes(*check);
        let is_hello = packets.first() == Some(&kind::HELLO);
        let start = if is_hello { ORDINARY } else { self.seed_in };
        if packets.is_empty() || !(is_hello || self.in_session()) || crc32c_from(start, packets) != check {
            return false;
        }
        if is_hello { self.on_hello(packets) } else { self.on_frame(packets, check) }
    }

    fn on_frame(&mut self, packets: &[u8], check: u32) -> bool {
        self.set(timer::SILENCE, ticks(D::SILENCE_MS));
        // Two frames in a row are never the same: messages and pings are counted.
        let late = core::mem::replace(&mut self.last_check, check) == check;
        let mut f = Fields::new(packets);
        let mut news = false;
        while !f.is_empty() && self.in_session() {
            news |= self.on_packet(&mut f, late);
        }
        news
    }

    /// Reads a packet and acts upon it. What does not parse leaves nothing to read.
    #[inline(never)]
    fn on_packet(&mut self, f: &mut Fields<'_>, late: bool) -> bool {
        let first = f.u8();
        if first & (BEST_EFFORT | RELIABLE) != 0 {
            return self.on_message(first, f, late);
        }
        match first {
            kind::ACK => {
                let next = f.u8();
                f.varint();
                if f.is_whole() && self.record != 0 && next == self.number.wrapping_add(1) {
                    self.number = next;
                    self.record = 0;
                    // What had to wait for it.
                    self.due = self.due & !due::REPEAT | due::RECORDS | due::TAKEN;
                    self.stop(timer::REPEAT);
                }
            }
            kind::PING => {
                let id = f.u8();
                f.u32();
                if f.is_whole() && !late {
                    self.pong_id = id;
                    self.pong_at = self.now.as_micros() as u32;
                    self.due |= due::PONG | due::ACK;
                    for route in self.reading.iter_mut().filter(|route| route.bytes != 0) {
                        route.entry.bits |= entry::TAKEN;
                        self.due |= due::TAKEN;
                    }
                }
            }
            kind::PONG => {
                f.take(9);
            }
            // Of reliable messages, and there are none.
            kind::TAKEN => {
                f.varint16();
                f.varint16();
                f.varint();
            }
            kind::CLOSE => {
                let code = f.varint();
                if f.is_whole() {
                    self.end();
                    self.handshake.rest();
                    self.notice = Notice::Closed(CloseReason::Peer(code));
                    return true;
                }
            }
            kind::SKIP => {
                let number = f.u8();
                f.varint();
                self.is_next(f, number);
            }
            kind::SKIPPED_FIRST.. => {
                let len = f.varint();
                f.take(len as usize);
            }
            _ => f.fail(),
        }
        false
    }

    /// Whether a reliable packet is the next one. All are acknowledged; what is out of turn comes again.
    #[inline(never)]
    fn is_next(&mut self, f: &Fields<'_>, number: u8) -> bool {
        if !f.is_whole() {
            return false;
        }
        self.due |= due::ACK;
        let next = self.expected == number;
        self.expected = self.expected.wrapping_add(next.into());
        next
    }

    fn on_message(&mut self, first: u8, f: &mut Fields<'_>, late: bool) -> bool {
        let reliable = first & BEST_EFFORT == 0;
        let route = f.varint16();
        let mut number = 0;
        if reliable {
            number = f.u8();
            if first & DISTANCE == DISTANCE {
                f.varint();
            }
        }
        let has_length = first & if reliable { RELIABLE_LENGTH } else { BEST_EFFORT_LENGTH } != 0;
        let payload = if has_length {
            let len = f.varint();
            f.take(len as usize)
        } else {
            f.rest()
        };
        let now = if reliable { self.is_next(f, number) } else { f.is_whole() && !late };
        if !now {
            return false;
        }
        if reliable && route == 0 {
            return self.on_record(payload);
        }
        let at = usize::from(route).wrapping_sub(1);
        let Some(route) = self.reading.get_mut(at) else { return false };
        if route.entry.has(entry::CONFLICT) {
            return false;
        }
        let mut stored = (reliable || !route.reliable) && route.push(payload, reliable);
        if reliable {
            route.reliable = true;
            if !stored {
                // Messages of best effort that came before it was known that the route is reliable. (If that is not enough
                // the peer has sent more than the window: it broke a rule, and holding all up would not mend it.)
                self.dropped = self.dropped.wrapping_add(route.give_way());
                stored = route.push(payload, true);
            }
        } else if !stored {
            self.dropped = self.dropped.wrapping_add(1);
        }
        stored
    }

    #[inline(never)]
    fn on_hello(&mut self, packets: &[u8]) -> bool {
        let mut f = Fields::new(packets);
        let check = crc32c(f.take(HEAD_LEN));
        // What is cut off reads as zero, and so does the check of nothing.
        let intact = f.u32() == check && f.is_whole();
        let mut h = Fields::new(packets);
        let magic = h.u32();
        let major = (magic >> 24) as u8;
        let (minor, flags) = (h.u8(), h.u8());
        let head = HelloHead { major, minor, done: flags & DONE != 0, nonce: h.u64(), echo: h.u64() };
        if !intact || magic & 0x00FF_FFFF != MAGIC {
            return false;
        }
        let (mut frame_max, mut message_max, mut silence) = (0, 0, 0);
        if major == VERSION_MAJOR {
            let name = usize::from(f.u8());
            f.take(name);
            let mode = f.u8();
            f.varint();
            frame_max = f.varint();
            message_max = f.varint();
            f.u8();
            f.varint();
            silence = f.varint();
            f.varint();
            f.u64();
            f.take(usize::from(mode >> 4));
            if !f.is_whole() || name > NAME_MAX || frame_max < FRAME_MIN as u32 {
                return false;
            }
        }
        let before = self.handshake.state();
        match self.handshake.on_hello(&head) {
            Outcome::Nothing => {
                // Who was at rest or refused is greeting again, because somebody asked.
                if before != State::Greeting && self.handshake.state() == State::Greeting {
                    self.on_greeting();
                }
                self.on_challenge();
                return false;
            }
            Outcome::Loopback if self.is_loopback => return false,
            Outcome::Loopback => {
                self.is_loopback = true;
                self.notice = Notice::Lost(LostReason::Loopback);
                self.greeting = ticks(GREETING_SLOWEST_MS);
                self.set(timer::GREETING, self.greeting);
            }
            Outcome::VersionMismatch { theirs } => {
                self.end();
                self.notice = Notice::Closed(CloseReason::VersionMismatch { ours: VERSION_MAJOR, theirs });
            }
            Outcome::Replaced { restarted } => {
                self.lose(if restarted { LostReason::PeerRestarted } else { LostReason::SessionLost });
                self.begin(frame_max, message_max, silence);
            }
            Outcome::Established => self.begin(frame_max, message_max, silence),
        }
        true
    }
}
