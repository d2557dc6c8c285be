//! The way out: what is due, into one frame.
//!
//! Nothing is queued but messages: what to say is derived from what is known. Declarations go one by one, and the one that
//! is under way is made anew when it is sent again.

use super::Device;
use super::input::MAGIC;
use super::state::{Core, due, entry, ticks, timer};
use crate::limits::{FRAME_MIN, MESSAGE_COST, NAME_MAX, SERIAL_IDLE_MS};
use crate::packet::control::declarations::{EXTENSION, HASHED, PRIORITY_SHIFT, emit_extension};
use crate::packet::control::{INTENT, INTEREST, NOTIFY_INTENT, Priority, emit_name};
use crate::packet::kind;
use crate::time::Instant;
use crate::wire::crc::{ORDINARY, crc32c_from};
use crate::wire::{Writer, crc32c};

/// Where packets stand in a frame: behind a zero and the code of COBS.
const HEAD: usize = 2;
const CHECK_LEN: usize = 4;
const BEST_EFFORT: u8 = 0x80;
const BEST_EFFORT_LENGTH: u8 = 0x40;
const COUNT: u8 = 0x3F;
/// A reliable packet of route 0, without length or distance.
const RELIABLE: u32 = 0x40;
/// Largest value of the times that a HELLO states, ms.
const MS_MAX: u32 = (1 << 21) - 1;

/// A name of fewer bytes is declared as text, which fits any frame with whatever else an INTEREST says; others by their hash.
const TEXT_MAX: usize = 50;
/// The same of the prefix of a hashed one: it has the hash before it.
const PREFIX_MAX: usize = TEXT_MAX - 7;
/// The longest that a time-out is doubled to.
const RETRANSMIT_MAX_MS: u32 = 500;

/// What a HELLO says behind its head, but for the clock.
struct Said {
    bytes: [u8; 2 + NAME_MAX + 1 + 2 + 2 + 1 + 3 + 3 + 1],
    len: usize,
}

#[expect(clippy::indexing_slicing, reason = "in a constant a panic is a compile error")]
impl Said {
    const fn put(mut self, byte: u8) -> Self {
        self.bytes[self.len] = byte;
        self.len += 1;
        self
    }

    const fn varint(mut self, mut value: u32) -> Self {
        while value >= 0x80 {
            self = self.put(value as u8 | 0x80);
            value >>= 7;
        }
        self.put(value as u8)
    }

    const fn ms(self, value: u32) -> Self {
        self.varint(if value > MS_MAX { MS_MAX } else { value })
    }

    const fn text(mut self, text: &str) -> Self {
        assert!(text.len() <= NAME_MAX, "the name is longer than 16 bytes");
        self = self.put(text.len() as u8);
        let mut at = 0;
        while at < text.len() {
            self = self.put(text.as_bytes()[at]);
            at += 1;
        }
        self
    }
}

impl<D: Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Core<D, FRAME, OUT, IN> {
    /// No capabilities, no requests, no resuming.
    const SAID: Said = Said { bytes: [0; _], len: 0 }
        .text(D::NAME)
        .put(0)
        .put(0)
        .varint(FRAME as u32)
        .varint(if IN > 0 { (FRAME - MESSAGE_COST) as u32 } else { 0 })
        .put(0)
        .ms(D::PING_MS)
        .ms(D::SILENCE_MS)
        .put(0);

    /// How long an acknowledgement is waited for, ms: four frames, but at least where a doubled time-out would end. It is
    /// not measured: only declarations wait for it.
    const PATIENCE_MS: u32 = {
        let rate = if D::BITS_PER_SECOND == 0 { u32::MAX } else { D::BITS_PER_SECOND };
        let frames = 4 * Self::TRANSMIT_BITS * 1000 / rate;
        if frames > RETRANSMIT_MAX_MS { frames } else { RETRANSMIT_MAX_MS }
    };
    /// Of a frame on the line.
    const TRANSMIT_BITS: u32 = (FRAME as u32 + 3) * 10;

    /// What of [`due`] can be said now.
    const fn ready(&self) -> u8 {
        if self.record == 0 {
            self.due
        } else if (self.place as usize) < OUT {
            self.due & !due::RECORDS
        } else {
            // An INTEREST is under way, whose counts a TAKEN may not overtake.
            self.due & !(due::RECORDS | due::TAKEN)
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        self.handshake.wants_hello() || self.in_session() && (self.tx_from < self.tx_to || self.ready() != 0)
    }

    pub(super) fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.advance(now);
        let hello = self.handshake.wants_hello();
        if !(hello || self.in_session()) || out.len() < FRAME + 3 {
            return None;
        }
        let content = if hello { FRAME_MIN } else { self.content.into() };
        let mut w = Writer::new(out.get_mut(HEAD..)?.get_mut(..content - CHECK_LEN)?);
        if hello {
            self.emit_hello(&mut w);
        } else {
            self.emit_packets(&mut w);
        }
        let len = w.len();
        if len == 0 {
            return None;
        }
        // Two ticks less than 100 ms, since each end of the span is somewhere within one: no silence is taken for too short.
        let idle = self.tick().wrapping_sub(self.last_sent) >= ticks(SERIAL_IDLE_MS) - 4;
        self.last_sent = self.tick();
        seal(out, len, if hello { ORDINARY } else { self.seed_out }, idle || hello)
    }

    fn emit_hello(&mut self, w: &mut Writer<'_>) {
        let Some(head) = self.handshake.poll_hello() else { return };
        w.put_u32(MAGIC | u32::from(head.major) << 24);
        w.put(&[head.minor, head.done.into()]);
        w.put_u64(head.nonce);
        w.put_u64(head.echo);
        let check = crc32c(w.written());
        w.put_u32(check);
        let said = const { &Self::SAID };
        w.put(said.bytes.get(..said.len).unwrap_or_default());
        w.put_u64(self.now.as_micros());
    }

    #[inline(never)]
    fn emit_packets(&mut self, w: &mut Writer<'_>) {
        let squeezed = core::mem::take(&mut self.squeezed);
        let ready = self.ready();
        if !squeezed && ready & (due::REPORTS | due::TAKEN) != 0 {
            self.emit_reports(w, ready);
        }
        if ready & due::RECORDS != 0 {
            self.choose_record();
        }
        if self.due & due::REPEAT != 0 {
            self.emit_record(w);
        } else {
            self.emit_messages(w);
        }
        if squeezed && w.is_empty() {
            // Nobody wants the message any more for which they made way.
            self.emit_reports(w, ready);
        }
    }

    /// What waits for nothing.
    #[inline(never)]
    fn emit_reports(&mut self, w: &mut Writer<'_>, ready: u8) {
        if ready & due::ACK != 0 {
            w.put(&[kind::ACK, self.expected, 0]);
        }
        let now = self.now.as_micros() as u32;
        if ready & due::PONG != 0 {
            let held = (now.wrapping_sub(self.pong_at) >> 2).min(u16::MAX.into());
            w.put_u32(u32::from(kind::PONG) | u32::from(self.pong_id) << 8 | held << 16);
            w.put_u32(now);
            w.put(&self.dropped.to_le_bytes());
        }
        if ready & due::PING != 0 {
            self.ping_id = self.ping_id.wrapping_add(1);
            w.put(&[kind::PING, self.ping_id]);
            w.put_u32(self.sent);
            self.set(timer::PING, self.ping_every);
        }
        self.due &= !due::REPORTS;
        if ready & due::TAKEN == 0 {
            return;
        }
        self.due &= !due::TAKEN;
        for (route, number) in self.reading.iter_mut().zip(1..) {
            // Before the interest is declared there is nothing that the peer could make of it.
            if !route.entry.has(entry::TAKEN) || route.entry.has(entry::DECLARE) {
                continue;
            }
            let before = w.len();
            w.put(&[kind::TAKEN, number]);
            w.put_varint(route.messages.into());
            w.put_varint(route.bytes);
            if w.all().is_err() {
                w.truncate(before);
                self.due |= due::TAKEN;
                return;
            }
            route.entry.bits &= !entry::TAKEN;
        }
    }

    /// The next record, if there is one, is to be sent.
    fn choose_record(&mut self) {
        for at in 0..Self::ROUTES {
            if let Some(entry) = self.entry(at).filter(|entry| entry.has(entry::RECORDS)) {
                let records = entry.bits & entry::RECORDS;
                let record = records & records.wrapping_neg();
                entry.bits &= !record;
                self.record = record;
                self.place = at as u8;
                self.due |= due::REPEAT;
                return;
            }
        }
        self.due &= !due::RECORDS;
    }

    /// Appends the record that is under way, which ends the frame.
    #[inline(never)]
    fn emit_record(&mut self, w: &mut Writer<'_>) {
        let before = w.len();
        self.put_record(w);
        if w.all().is_ok() {
            self.due &= !due::REPEAT;
            self.set(timer::REPEAT, const { ticks(Self::PATIENCE_MS) });
        } else {
            // It may need all of a frame.
            w.truncate(before);
            self.squeezed = true;
        }
    }

    fn put_record(&mut self, w: &mut Writer<'_>) {
        let at = usize::from(self.place);
        let notify = self.record == entry::NOTIFY;
        let kind = if notify {
            NOTIFY_INTENT
        } else if at < OUT {
            INTENT
        } else {
            INTEREST
        };
        // The one before is acknowledged, or there was none: no distance.
        w.put_u32(RELIABLE | u32::from(self.number) << 16 | u32::from(kind) << 24);
        let (Some(name), Some(entry)) = (Self::name(at), self.entry(at)) else { return };
        if notify {
            let conflict = entry.has(entry::CONFLICT);
            w.put_u32(if conflict { entry.theirs } else { name.hash() as u32 });
            w.put_u32(name.path_hash());
            w.put_u8(conflict.into());
            if conflict {
                w.put_u64(name.hash());
                w.put_u32(Self::schema(name));
            } else {
                w.put_u8((at >= OUT).into());
            }
            return;
        }
        let len = name.type_name().len() + name.path().len();
        let long = len >= if name.is_hashed() { PREFIX_MAX } else { TEXT_MAX };
        let flags = if long || name.is_hashed() { HASHED } else { 0 }
            | if Self::schema(name) != 0 { EXTENSION } else { 0 };
        match self.reading.get(at.wrapping_sub(OUT)) {
            None => w.put_u8(flags | (Priority::Normal as u8) << PRIORITY_SHIFT),
            Some(route) => {
                w.put(&[flags, (at - OUT + 1) as u8]);
                w.put_varint(route.messages.into());
                w.put_varint(route.bytes);
                w.put_varint(FRAME as u32);
                w.put_varint(route.backlog.into());
            }
        }
        emit_name(name, long, w);
        emit_extension(0, Self::schema(name), w);
    }

    /// Appends messages that wait, each but the last with its length.
    fn emit_messages(&mut self, w: &mut Writer<'_>) {
        let begin = w.len();
        while let Some([place, len, rest @ ..]) = self.tx.get(self.tx_from.into()..self.tx_to.into()) {
            let Some((payload, behind)) = rest.split_at_checked((*len).into()) else { break };
            let route = self.publishing.get_mut(usize::from(*place));
            let last = behind.is_empty();
            // Whoever has withdrawn the interest meanwhile is sent nothing any more.
            if let Some(route) = route.filter(|route| route.audience) {
                let before = w.len();
                let length = if last { 0 } else { BEST_EFFORT_LENGTH };
                w.put_u8(BEST_EFFORT | length | route.count & COUNT);
                w.put_varint(route.number.into());
                if !last {
                    w.put_varint((*len).into());
                }
                w.put(payload);
                if w.all().is_err() {
                    w.truncate(before);
                    if before > 0 {
                        self.squeezed = before == begin;
                        return;
                    }
                    // Since it was published the peer's number has become longer: it is lost.
                }
                route.count = route.count.wrapping_add(1);
                self.sent = self.sent.wrapping_add(1);
            }
            self.tx_from = self.tx_to - behind.len() as u8;
        }
        self.tx_from = 0;
        self.tx_to = 0;
    }
}

/// Frames the packets that stand in `out`, in place.
fn seal(out: &mut [u8], len: usize, start: u32, leading_zero: bool) -> Option<&[u8]> {
    let (packets, behind) = out.get_mut(HEAD..)?.split_at_mut_checked(len)?;
    *behind.first_chunk_mut()? = crc32c_from(start, packets).to_le_bytes();
    let end = HEAD + len + CHECK_LEN;
    // COBS, backwards: a zero becomes the distance to the next one. Less than 254 bytes are one run at the most.
    let mut code = 1;
    for byte in out.get_mut(HEAD..end)?.iter_mut().rev() {
        if *byte == 0 {
            *byte = code;
            code = 0;
        }
        code += 1;
    }
    let frame = out.get_mut(..=end)?;
    if let [zero, first, .., delimiter] = frame {
        *zero = 0;
        *first = code;
        *delimiter = 0;
    }
    frame.get(usize::from(!leading_zero)..)
}
