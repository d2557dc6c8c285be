//! The way out: what is due, in order of priority, into one frame (docs/protocol.md, sections 3 to 9).
//!
//! Nothing here was queued when something came in: what to send is derived from the machines' state.

use super::state::{Core, Phase};
use super::storage::Tables;
use crate::framing::{Framing, Sealer};
use crate::limits::{CAPABILITY_SERVICES, FRAME_MIN, SERIAL_IDLE_MS};
use crate::outbox::{CONTROL, Class, DEAD, Payload, RECORD_LEN, Record, half};
use crate::packet::{
    Hello, HelloBody, HelloHead, Mode, Packet, SeqWidth, best_effort_len, emit_best_effort_header,
    emit_reliable_header, reliable_len,
};
use crate::routes::{Slot, due, local, peer};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::{Full, Writer, varint_len};

/// Where the check of a HELLO starts: the ordinary CRC-32C.
const HELLO_START: u32 = u32::MAX;
/// Best-effort messages are passed over in at most this many frames in a row: their share of the line is 1/8.
const PASSED_OVER_MAX: u8 = 7;
/// What a reliable packet needs besides its payload, and then some: kind, route, number, distance.
pub(super) const RELIABLE_OVERHEAD: usize = 12;

/// A message that was chosen for the frame.
struct Chosen {
    record: Record,
    payload: Payload,
    /// Reliable: number and distance.
    reliable: Option<(u32, u32)>,
}

impl Core {
    pub(super) fn wants_transmit(&self) -> bool {
        match self.phase {
            Phase::New | Phase::NoLink => false,
            Phase::Connecting => self.handshake.wants_hello(),
            Phase::Closed => self.close_due || self.handshake.wants_hello(),
            Phase::Established => {
                self.handshake.wants_hello()
                    || self.receiver.ack_due()
                    || self.ping_due
                    || self.ping.wants_pong()
                    || self.tables_due
                    || self.outbox.best_effort_len() > 0
                    || (self.outbox.has_reliable() && self.sender.peek().is_some())
            }
        }
    }

    pub(super) fn poll_transmit<'o>(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        out: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let now = self.advance(now);
        if !self.wants_transmit() {
            return None;
        }
        let sealer = Sealer { framing: self.link.framing };
        if out.len() < Framing::wire_max(self.frame_max) {
            return None;
        }
        if let Some(head) = self.handshake.poll_hello() {
            let mut w = Writer::new(sealer.area(out, FRAME_MIN)?);
            self.emit_hello(head, now, &mut w).ok()?;
            let len = w.len();
            return self.finish(sealer, out, FRAME_MIN, len, HELLO_START, now);
        }
        let content = if self.phase == Phase::Closed { FRAME_MIN } else { self.send_max() };
        let mut w = Writer::new(sealer.area(out, content)?);
        if self.close_due {
            self.close_due = false;
            self.close_sent = now;
            // With a last PING, so that the peer knows its losses to the end.
            let ping = Packet::Ping { id: self.ping.on_send(now), sent: self.sent_best_effort };
            ping.emit(&mut w, SeqWidth::One, false).ok()?;
            Packet::Close { code: self.close_code }.emit(&mut w, SeqWidth::One, true).ok()?;
        } else if self.phase == Phase::Established {
            if !core::mem::take(&mut self.squeezed) {
                self.emit_reports(t, now, &mut w);
            }
            if self.tables_due {
                self.derive_records(t);
            }
            self.emit_messages(t, now, &mut w);
        }
        let len = w.len();
        if len == 0 {
            return None;
        }
        self.finish(sealer, out, content, len, self.seed_out, now)
    }

    fn finish<'o>(
        &mut self,
        sealer: Sealer,
        out: &'o mut [u8],
        content: usize,
        len: usize,
        start: u32,
        now: Instant,
    ) -> Option<&'o [u8]> {
        let idle = now.micros_since(self.last_sent) >= u64::from(SERIAL_IDLE_MS) * 1000;
        let frame = sealer.seal(out, content, len, start, idle || start == HELLO_START)?;
        self.last_sent = now;
        self.counters.frames_out = self.counters.frames_out.wrapping_add(1);
        self.counters.bytes_out = self.counters.bytes_out.wrapping_add(frame.len() as u32);
        Some(frame)
    }

    fn emit_hello(&self, head: HelloHead, now: Instant, w: &mut Writer<'_>) -> Result<(), Full> {
        // No message is larger: kind and route stand before it.
        let message_max = self.frame_max.saturating_sub(self.link.framing.check_len() + 2) as u32;
        let body = HelloBody {
            name: self.name().clone(),
            mode: Mode::Fresh,
            capabilities: CAPABILITY_SERVICES,
            frame_max: self.frame_max as u32,
            message_max,
            requests: self.requests_held,
            ping_ms: self.ping_ms,
            silence_ms: self.silence_ms,
            resume_s: 0,
            clock: now.as_micros(),
        };
        Packet::Hello(Hello { head, body: Some(body) }).emit(w, SeqWidth::One, true)
    }

    /// Acknowledgement, what was taken, pong, ping: small, never waiting for anything.
    fn emit_reports(&mut self, t: &mut Tables<'_>, now: Instant, w: &mut Writer<'_>) {
        let width = self.link.framing.seq_width();
        if self.receiver.ack_due() {
            let ack = Packet::Ack { next: self.receiver.expected() & width.mask(), selective: 0 };
            if append(w, &ack, width) {
                self.receiver.acknowledged();
            }
        }
        if self.tables_due {
            let places = t.routes.iter_mut().zip(1u16..).filter(|(slot, _)| slot.is_due(due::TAKEN));
            for (slot, number) in places {
                if !slot.is_due(due::ADVERTISED) {
                    slot.due &= !due::TAKEN;
                } else if append(
                    w,
                    &Packet::Taken { route: number, messages: slot.messages, bytes: slot.taken },
                    width,
                ) {
                    slot.due &= !due::TAKEN;
                    slot.reported = slot.taken;
                }
            }
        }
        if self.ping.wants_pong()
            && w.room() >= 10
            && let Some((id, held)) = self.ping.pong(now)
        {
            let dropped = self.counters.dropped_no_room as u16;
            append(w, &Packet::Pong { id, held, clock: now.as_micros() as u32, dropped }, width);
        }
        if self.ping_due && w.room() >= 6 {
            let id = self.ping.on_send(now);
            append(w, &Packet::Ping { id, sent: self.sent_best_effort }, width);
            self.ping_due = false;
            self.timers.set(Timer::Ping, now.plus_millis(self.ping_every_ms));
        }
    }

    /// Fills the frame with messages. Each but the last carries its length, so one looks ahead by one.
    fn emit_messages(&mut self, t: &mut Tables<'_>, now: Instant, w: &mut Writer<'_>) {
        let width = self.link.framing.seq_width();
        if !w.is_empty() && self.is_squeezed(t, w.room()) {
            self.squeezed = true;
            return;
        }
        let waiting = self.outbox.best_effort_len() > 0;
        let before = self.sent_best_effort;
        let mut current = self.choose(t, w.room(), now);
        while let Some(chosen) = current {
            let after = w.room().saturating_sub(length(&chosen, width, false));
            let next = if after > 0 { self.choose(t, after, now) } else { None };
            if emit_message(&chosen, t.tx, w, width, next.is_none()).is_err() {
                break;
            }
            current = next;
        }
        self.passed_over = match waiting && self.sent_best_effort == before {
            true => self.passed_over.saturating_add(1),
            false => 0,
        };
    }

    /// Whether the message whose turn it is does not fit beside the reports.
    fn is_squeezed(&self, t: &mut Tables<'_>, room: usize) -> bool {
        if self.passed_over >= PASSED_OVER_MAX
            && let Some((record, payload)) = self.outbox.peek_best_effort(t.tx)
        {
            return record.number != DEAD && best_effort_len(record.number, payload.len(), true) > room;
        }
        let Some(packet) = self.sender.peek() else { return false };
        let Some((record, payload)) = self.outbox.peek_reliable(t.tx) else { return false };
        let distance =
            if packet.new { self.distance(t, &record, packet.seq) } else { u32::from(record.extra) };
        let chosen = Chosen { record, payload, reliable: Some((packet.seq, distance)) };
        length(&chosen, self.link.framing.seq_width(), true) > room
    }

    /// The next message that fits into `room` bytes as the frame's last; it counts as sent.
    fn choose(&mut self, t: &mut Tables<'_>, room: usize, now: Instant) -> Option<Chosen> {
        if self.passed_over >= PASSED_OVER_MAX {
            self.passed_over = 0;
            if let Some(chosen) = self.choose_best_effort(t, room) {
                return Some(chosen);
            }
        }
        self.choose_reliable(t, room, now).or_else(|| self.choose_best_effort(t, room))
    }

    fn choose_best_effort(&mut self, t: &mut Tables<'_>, room: usize) -> Option<Chosen> {
        loop {
            let (record, payload) = self.outbox.peek_best_effort(t.tx)?;
            if record.number == DEAD {
                self.outbox.pop_best_effort(t.tx);
                continue;
            }
            let chosen = Chosen { record, payload, reliable: None };
            if length(&chosen, SeqWidth::One, true) > room {
                return None;
            }
            self.outbox.pop_best_effort(t.tx);
            self.sent_best_effort = self.sent_best_effort.wrapping_add(1);
            return Some(chosen);
        }
    }

    fn choose_reliable(&mut self, t: &mut Tables<'_>, room: usize, now: Instant) -> Option<Chosen> {
        let packet = self.sender.peek()?;
        let (record, payload) = self.outbox.peek_reliable(t.tx)?;
        let distance =
            if packet.new { self.distance(t, &record, packet.seq) } else { u32::from(record.extra) };
        let chosen = Chosen { record, payload, reliable: Some((packet.seq, distance)) };
        if length(&chosen, self.link.framing.seq_width(), true) > room {
            return None;
        }
        if packet.new {
            self.remember(t, &record, packet.seq);
        } else {
            self.counters.retransmitted = self.counters.retransmitted.wrapping_add(1);
        }
        self.sender.transmitted();
        self.outbox.transmitted(t.tx, record, distance as u16);
        self.rto.on_transmit(packet.seq, packet.new, now);
        if !self.link.lossless && !self.timers.is_set(Timer::Retransmit) {
            self.timers.set(Timer::Retransmit, now.plus_micros(self.rto.micros().into()));
        }
        Some(chosen)
    }

    /// How far back the previous reliable packet of the same route is; 0 if it is acknowledged, or there is none.
    fn distance(&self, t: &Tables<'_>, record: &Record, seq: u32) -> u32 {
        let last = match record.number {
            CONTROL => self.last_control,
            DEAD => None,
            _ => {
                let slot = t.routes.get(usize::from(record.slot));
                slot.filter(|slot| slot.peer_has(peer::SENT)).map(|slot| slot.last_seq)
            }
        };
        // At or above `acked` means: not acknowledged.
        last.map(|last| seq.wrapping_sub(last))
            .filter(|distance| *distance <= seq.wrapping_sub(self.sender.acked()))
            .unwrap_or(0)
    }

    fn remember(&mut self, t: &mut Tables<'_>, record: &Record, seq: u32) {
        match record.number {
            CONTROL => self.last_control = Some(seq),
            DEAD => {}
            _ => {
                if let Some(slot) = t.routes.get_mut(usize::from(record.slot)) {
                    slot.last_seq = seq;
                    slot.peer |= peer::SENT;
                }
            }
        }
    }

    /// Largest payload of a route with an audience: that a frame, the reader's room and our store can hold.
    pub(super) fn payload_limit(&self, slot: &Slot, tx_len: usize) -> usize {
        let overhead = if slot.has(local::RELIABLE) {
            let width = self.link.framing.seq_width();
            reliable_len(slot.number, self.sender.window(), 0, width, true)
        } else {
            best_effort_len(slot.number, 0, true)
        };
        let frame = self.send_max().saturating_sub(self.link.framing.check_len() + overhead);
        let store = (tx_len / 2).saturating_sub(RECORD_LEN);
        frame.min(slot.largest_payload()).min(store).min(self.peer.message_max as usize)
    }
}

/// Appends a small packet if it fits.
fn append(w: &mut Writer<'_>, packet: &Packet<'_>, width: SeqWidth) -> bool {
    let before = w.len();
    let fits = packet.emit(w, width, false).is_ok();
    if !fits {
        w.truncate(before);
    }
    fits
}

fn length(chosen: &Chosen, width: SeqWidth, last: bool) -> usize {
    let len = chosen.payload.len();
    match chosen.reliable {
        None => best_effort_len(chosen.record.number, len, last),
        Some((_, distance)) if chosen.record.number == DEAD => 1 + width.bytes() + varint_len(distance),
        Some((_, distance)) => reliable_len(chosen.record.number, distance, len, width, last),
    }
}

fn emit_message(
    chosen: &Chosen,
    tx: &mut [u8],
    w: &mut Writer<'_>,
    width: SeqWidth,
    last: bool,
) -> Result<(), Full> {
    let (number, len) = (chosen.record.number, chosen.payload.len());
    let class = match chosen.reliable {
        Some((seq, distance)) if number == DEAD => {
            return Packet::Skip { seq: seq & width.mask(), distance }.emit(w, width, last);
        }
        Some((seq, distance)) => {
            emit_reliable_header(w, number, seq & width.mask(), distance, len, width, last)?;
            Class::Reliable
        }
        None => {
            emit_best_effort_header(w, chosen.record.extra as u8, number, len, last)?;
            Class::BestEffort
        }
    };
    let (a, b) = chosen.payload.pieces(half(tx, class));
    w.bytes(a)?;
    w.bytes(b)
}
