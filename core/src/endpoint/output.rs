//! The way out: what is due, in order of priority, into one frame (docs/protocol.md, sections 3 to 10).
//!
//! Nothing here was queued when something came in: what to send is derived from the machines' state. Messages,
//! declarations and the like are in [`stored`](super::stored).

use super::state::{Core, Phase};
use super::stats::count;
use super::storage::Tables;
use crate::capability;
use crate::framing::{Framing, Sealer};
use crate::limits::{
    CAPABILITY_RESUME, CAPABILITY_SELECTIVE, FRAME_MIN, HELLO_MAX, MESSAGE_COST, SERIAL_IDLE_MS, WINDOW_MAX,
};
use crate::packet::{
    HelloHead, Mode, Said, emit_ack, emit_close, emit_hello, emit_ping, emit_pong, emit_taken,
};
use crate::routes::{self, Slot, due};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::{Full, Writer};

/// Where the check of a HELLO starts: the ordinary CRC-32C.
const HELLO_START: u32 = u32::MAX;

impl Core {
    pub(super) fn wants_transmit(&self) -> bool {
        match self.phase {
            Phase::New | Phase::NoLink => false,
            Phase::Connecting => self.handshake.wants_hello(),
            Phase::Closed => self.close_due > 0 || self.handshake.wants_hello(),
            Phase::Established => {
                self.handshake.wants_hello()
                    || self.must_report()
                    || self.wants_proof
                    || (!self.blocked && (self.tables_due || self.may_tell_taken() || self.has_messages()))
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
        let sealer = Sealer { framing: self.link.framing, number: self.frames_sent };
        if out.len() < Framing::wire_max(self.frame_max) {
            return None;
        }
        if let Some(head) = self.handshake.poll_hello() {
            let content = HELLO_MAX + self.link.framing.check_len();
            let mut w = Writer::new(sealer.area(out, content)?);
            let fits = self.emit_hello(t, &head, now, &mut w);
            debug_assert!(fits.is_ok(), "a HELLO is never larger");
            fits.ok()?;
            let len = w.len();
            return self.finish(sealer, out, content, len, HELLO_START, now);
        }
        let content = if self.phase == Phase::Closed { FRAME_MIN } else { self.content_max() };
        let mut w = Writer::new(sealer.area(out, content)?);
        let mut leads = false;
        if self.close_due > 0 {
            self.close_due -= 1;
            // With a last PING, so that the peer knows its losses to the end.
            emit_ping(&mut w, self.ping.on_send(now), self.sent_best_effort);
            emit_close(&mut w, self.close_code);
        } else if self.phase == Phase::Established {
            let squeezed = core::mem::take(&mut self.squeezed);
            if !squeezed && (self.must_report() | self.tables_due | self.taken_due) {
                self.emit_reports(t, now, &mut w);
            }
            if self.tables_due {
                self.derive_records(t, now, &mut w);
            }
            leads = self.emit_messages(t, now, &mut w);
            if w.is_empty() && core::mem::take(&mut self.wants_proof) {
                // Nothing else leaves behind what was repeated: a PING will tell whether that came.
                self.ping_due = true;
                self.emit_reports(t, now, &mut w);
            }
        }
        let len = w.len();
        if len == 0 {
            // Until something happens there is no use in asking again.
            self.blocked = !self.squeezed;
            return None;
        }
        let frame = self.finish(sealer, out, content, len, self.seed_out, now)?;
        if leads {
            self.sizing.on_sent(frame.len());
        }
        Some(frame)
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
        self.frames_sent = self.frames_sent.wrapping_add(1);
        count(&mut self.counters.frames_out, 1);
        count(&mut self.counters.bytes_out, frame.len() as u32);
        Some(frame)
    }

    fn emit_hello(
        &self,
        t: &Tables<'_>,
        head: &HelloHead,
        now: Instant,
        w: &mut Writer<'_>,
    ) -> Result<(), Full> {
        let mode = match capability::RESUME && self.has_session() {
            true => Mode::Resume { session: self.session_id(), next: self.receiver.expected() as u16 },
            false => Mode::Fresh,
        };
        let resumes = capability::RESUME && self.resume_ms > 0;
        let said = Said {
            name: self.ours.name.unwrap_or_default(),
            mode,
            capabilities: capability::OFFERED | if resumes { CAPABILITY_RESUME } else { 0 },
            frame_max: self.frame_max as u32,
            message_max: t.rx.len().min(WINDOW_MAX as usize).saturating_sub(MESSAGE_COST) as u32,
            requests: u8::try_from(t.served.len()).unwrap_or(u8::MAX),
            ping_ms: self.ours.ping_ms,
            silence_ms: self.ours.silence_ms,
            resume_s: if resumes { self.resume_ms.div_ceil(1000) } else { 0 },
            clock: now.as_micros(),
        };
        emit_hello(head, Some(&said), w)
    }

    /// Acknowledgement, what was taken, pong, ping: small, never waiting for anything.
    fn emit_reports(&mut self, t: &mut Tables<'_>, now: Instant, w: &mut Writer<'_>) {
        let width = self.link.framing.seq_width();
        if self.receiver.ack_due() {
            let selective = if self.has(CAPABILITY_SELECTIVE) { self.receiver.selective() } else { 0 };
            let before = w.len();
            emit_ack(w, self.receiver.expected(), selective, width);
            if stands(w, before) {
                self.receiver.acknowledged();
            }
        }
        if self.tables_due || self.taken_due {
            self.emit_taken(t, w);
        }
        if self.ping.wants_pong()
            && w.room() >= 10
            && let Some((id, held)) = self.ping.pong(now)
        {
            let dropped = self.counters.dropped_no_room as u16;
            emit_pong(w, id, held, now.as_micros() as u32, dropped);
        }
        if self.ping_due && w.room() >= 6 {
            let id = self.ping.on_send(now);
            emit_ping(w, id, self.sent_best_effort);
            self.proof = Some((id, self.sender.next()));
            self.rto.on_ping(id, now);
            self.ping_due = false;
            self.start_timer(Timer::Ping, self.ping_every_ms);
        }
    }

    /// Whether something is to be said that waits for nothing.
    const fn must_report(&self) -> bool {
        self.receiver.ack_due() | self.ping_due | self.ping.wants_pong()
    }

    /// Whether TAKEN may be said: not before the interests that state the same counts are known.
    const fn may_tell_taken(&self) -> bool {
        self.taken_due && self.interests == 0
    }

    /// What was taken of each route, as far as there is room.
    fn emit_taken(&mut self, t: &mut Tables<'_>, w: &mut Writer<'_>) {
        if !capability::RECEIVE || self.interests > 0 {
            return;
        }
        self.taken_due = false;
        for index in 0..t.routes.len() {
            // What was discarded is told first.
            let says = |slot: &&mut Slot| slot.is_due(due::TAKEN) && !slot.is_due(due::EXPIRED | due::TOLD);
            let Some(slot) = t.routes.get_mut(index).filter(says) else { continue };
            slot.due &= !due::TAKEN;
            if !slot.is_due(due::ADVERTISED) {
                continue;
            }
            slot.reported = slot.taken;
            let (messages, bytes) = (slot.messages, slot.taken);
            let before = w.len();
            emit_taken(w, routes::number_of(t.routes, index), messages, bytes);
            if !stands(w, before) {
                if let Some(slot) = t.routes.get_mut(index) {
                    slot.due |= due::TAKEN;
                }
                self.taken_due = true;
            }
        }
    }
}

/// Whether a packet that was written from here on did fit; what did not is taken back.
fn stands(w: &mut Writer<'_>, before: usize) -> bool {
    let fits = w.all().is_ok();
    if !fits {
        w.truncate(before);
    }
    fits
}
