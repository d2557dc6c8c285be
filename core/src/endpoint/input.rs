//! The way in: bytes → frames → packets → the machines. Whatever comes, the worst that happens is a counter.
//!
//! Messages and acknowledgements go on in [`messages`](super::messages), control records in [`control`](super::control).

use super::state::{Core, Notice, Phase};
use super::stats::count;
use super::storage::Tables;
use crate::capability;
use crate::event::{CloseReason, FailReason, LostReason};
use crate::framing::{Deframed, DropReason, Framing};
use crate::handshake::{Outcome, State};
use crate::limits::{CLOSE_RETRY_MS, VERSION_MAJOR};
use crate::log::log;
use crate::packet::{Hello, Packet, SeqWidth, is_message, kind, parse_message, parse_report};
use crate::reliable::Arrival;
use crate::routes::{self, due, local, peer};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::Fields;

/// The route number of the control channel.
pub(super) const CONTROL_ROUTE: u16 = 0;

impl Core {
    pub(super) fn handle_input(
        &mut self,
        t: &mut Tables<'_>,
        frame: &mut [u8],
        now: Instant,
        bytes: &[u8],
    ) -> usize {
        let now = self.advance(now);
        if matches!(self.phase, Phase::New | Phase::NoLink) {
            return bytes.len();
        }
        let content = frame.len().min(self.frame_max);
        let mut rest = bytes;
        while !rest.is_empty() {
            let buffer = frame.get_mut(..content).unwrap_or_default();
            let (taken, deframed) = self.deframer.push(rest, buffer, self.seed_in);
            count(&mut self.unclaimed, taken as u32);
            let news = match deframed {
                Deframed::Nothing => false,
                Deframed::Packets(packets) => {
                    self.unclaimed = 0;
                    self.on_frame(t, packets, now)
                }
                Deframed::Dropped(reason) => {
                    self.on_skipped();
                    self.on_dropped(reason);
                    false
                }
                Deframed::Broken => {
                    self.on_skipped();
                    self.on_broken_link(t);
                    self.count_in(bytes.len());
                    return bytes.len();
                }
            };
            rest = rest.get(taken.max(1)..).unwrap_or_default();
            if news {
                break;
            }
        }
        let taken = bytes.len() - rest.len();
        self.count_in(taken);
        taken
    }

    fn count_in(&mut self, bytes: usize) {
        count(&mut self.counters.bytes_in, bytes as u32);
        if capability::STATS && !self.framed {
            self.on_unframed(bytes);
        }
    }

    /// What has come since the last intact frame belongs to none.
    pub(super) const fn on_skipped(&mut self) {
        count(&mut self.counters.skipped, self.unclaimed);
        self.unclaimed = 0;
    }

    fn on_dropped(&mut self, reason: DropReason) {
        match reason {
            DropReason::Check => count(&mut self.counters.check_failures, 1),
            DropReason::TooLong | DropReason::Encoding | DropReason::TooShort => {
                count(&mut self.counters.framing_errors, 1);
            }
        }
    }

    /// An intact frame. Returns whether it brought something to look at.
    fn on_frame(&mut self, t: &mut Tables<'_>, packets: &[u8], now: Instant) -> bool {
        if capability::STATS {
            self.framed = true;
            self.timers.stop(Timer::Diagnosis);
        }
        count(&mut self.counters.frames_in, 1);
        if packets.first() == Some(&kind::HELLO) {
            return self.on_hello_frame(t, packets, now);
        }
        match self.phase {
            Phase::Established => {}
            Phase::Closed => {
                // The peer has not heard our CLOSE, unless this is its own.
                if !ends_with_close(packets)
                    && now.micros_since(self.last_sent) >= u64::from(CLOSE_RETRY_MS) * 1000
                {
                    self.close_due = self.close_due.max(1);
                }
                return false;
            }
            Phase::New | Phase::NoLink | Phase::Connecting => return false,
        }
        if self.handshake.awaits_mark() {
            count(&mut self.counters.check_failures, 1);
            return false;
        }
        let patient = self.rto.backoff() > 0;
        let quiet = patient && now.micros_since(self.heard_at) > u64::from(self.rto.micros());
        self.heard_at = now;
        if quiet && self.rto.on_heard() && self.timers.is_set(Timer::Retransmit) {
            // The peer is back: no need to be patient. If it was heard all the time, it is our frames that do not get through.
            self.timers.advance(Timer::Retransmit, now.plus_micros(self.rto.micros().into()));
        }
        let late = self.is_late();
        let mut fields = Fields::new(packets);
        let mut news = false;
        while !fields.is_empty() {
            let first = fields.u8();
            let brought = match is_message(first) {
                true => self.on_message(t, first, &mut fields, late, now),
                false => self.on_report(t, first, &mut fields, late, now),
            };
            let Some(brought) = brought else {
                self.on_malformed();
                break;
            };
            news |= brought;
            if self.phase != Phase::Established {
                break;
            }
        }
        self.unread |= news;
        news || self.events_due
    }

    /// Whether a frame of the session is a repetition, or was overtaken: what it says of this moment is old.
    fn is_late(&mut self) -> bool {
        let mark = self.deframer.mark();
        match self.link.framing.known() {
            Framing::Stream => false,
            // Two frames in a row are never the same: messages and pings are counted.
            Framing::Serial => self.last_check.replace(mark) == Some(mark),
            Framing::Datagram => {
                let late = self.last_number.is_some_and(|last| (mark.wrapping_sub(last) as i32) <= 0);
                if !late {
                    self.last_number = Some(mark);
                }
                late
            }
        }
    }

    pub(super) fn on_malformed(&mut self) {
        count(&mut self.counters.malformed, 1);
    }

    pub(super) fn on_unknown(&mut self) {
        count(&mut self.counters.dropped_unknown, 1);
    }

    fn on_hello_frame(&mut self, t: &mut Tables<'_>, packets: &[u8], now: Instant) -> bool {
        let hello = Hello::parse(packets);
        let Some(hello) = &hello else {
            self.on_malformed();
            return false;
        };
        let before = self.handshake.state();
        let outcome = self.handshake.on_hello(&hello.head);
        match outcome {
            Outcome::Nothing => {
                // Who was at rest or refused is greeting again, because somebody asked.
                if before != State::Greeting && self.handshake.state() == State::Greeting {
                    self.on_greeting();
                }
                self.on_challenge();
                return false;
            }
            Outcome::Loopback if self.is_loopback => return false,
            Outcome::Loopback => self.on_loopback(),
            Outcome::VersionMismatch { theirs } => self.on_version_mismatch(t, theirs),
            Outcome::Established => self.on_established(t, hello, now),
            Outcome::Replaced { .. } if hello.body.as_ref().is_some_and(|body| self.resumes(body)) => {
                self.on_established(t, hello, now);
            }
            Outcome::Replaced { restarted } => {
                self.lose_session(
                    t,
                    if restarted { LostReason::PeerRestarted } else { LostReason::SessionLost },
                );
                self.on_established(t, hello, now);
            }
        }
        true
    }

    fn on_loopback(&mut self) {
        log!("loopback");
        self.is_loopback = true;
        self.notice = Notice::Lost(LostReason::Loopback);
        self.greeting_ms = crate::limits::GREETING_SLOWEST_MS;
        self.start_timer(Timer::Greeting, self.greeting_ms);
    }

    fn on_version_mismatch(&mut self, t: &mut Tables<'_>, theirs: u8) {
        log!("peer speaks version {=u8}", theirs);
        if self.has_session() {
            self.end_session(t, FailReason::SessionLost);
        }
        self.timers.stop_all();
        self.seed_in = None;
        self.phase = Phase::Closed;
        self.notice = Notice::Closed(CloseReason::VersionMismatch { ours: VERSION_MAJOR, theirs });
    }

    fn on_established(&mut self, t: &mut Tables<'_>, hello: &Hello, now: Instant) {
        // A HELLO of our major version always has a body.
        let Some(body) = hello.body.as_ref() else { return };
        if self.resumes(body) {
            self.resume(t, body);
            return;
        }
        if self.is_suspended() {
            // The peer does not know the session any more.
            let restarted = hello.head.nonce >> 16 != self.peer.boot;
            let reason = if restarted { LostReason::PeerRestarted } else { LostReason::SessionLost };
            self.lose_session(t, reason);
        }
        self.begin_session(t, body, now);
    }

    /// A message or a control record; `late`: what is not repeated does not count. None: it is malformed.
    fn on_message(
        &mut self,
        t: &mut Tables<'_>,
        first: u8,
        fields: &mut Fields<'_>,
        late: bool,
        now: Instant,
    ) -> Option<bool> {
        let message = parse_message(first, fields, self.link.framing.seq_width());
        let (header, payload) = message.as_ref().filter(|_| fields.is_whole())?;
        match header.reliable {
            None if late => Some(false),
            None => Some(self.on_best_effort(t, header, payload, now)),
            Some((seq, distance)) if header.route == CONTROL_ROUTE && first != kind::EXTENDED => {
                // Out of turn there is no room for it: it comes again.
                let Arrival::New { seq, in_turn: true } = self.receiver.on_packet(seq, distance) else {
                    return Some(false);
                };
                let turns = self.receiver.store(seq, distance);
                Some(self.on_control(t, payload, now) | (turns && self.hand_on(t)))
            }
            Some(_) => Some(self.on_reliable(t, header, payload, now)),
        }
    }

    /// A packet that is no message; the rest as for those.
    fn on_report(
        &mut self,
        t: &mut Tables<'_>,
        first: u8,
        fields: &mut Fields<'_>,
        late: bool,
        now: Instant,
    ) -> Option<bool> {
        match parse_report(first, fields, self.link.framing.seq_width())? {
            Packet::Ping { .. } | Packet::Pong { .. } if late => {}
            // HELLO is alone in its frame.
            Packet::Hello(_) => self.on_malformed(),
            // Of reliable messages, which we publish none of.
            Packet::Taken { .. } if !capability::RELIABLE => {}
            Packet::Skipped => {}
            Packet::Ack { next, selective } => self.on_ack(t, next, selective, now),
            Packet::Ping { id, sent } => {
                self.ping.on_ping(id, sent, now);
                self.receiver.want_ack();
                let taken = t.routes.iter_mut().filter(|slot| slot.has(local::INTEREST) && slot.taken != 0);
                taken.for_each(|slot| slot.due |= due::TAKEN);
                self.taken_due = true;
            }
            Packet::Pong { id, held, clock, dropped } => {
                self.ping.on_pong(id, held, clock, now);
                if (dropped.wrapping_sub(self.counters.peer_dropped_no_room) as i16) > 0 {
                    self.counters.peer_dropped_no_room = dropped;
                }
                self.on_proof(t, id, now);
            }
            Packet::Taken { route, messages, bytes } => {
                let slot =
                    t.routes.iter_mut().find(|slot| slot.peer_has(peer::COUNTED) && slot.number == route);
                if let Some(slot) = slot
                    && slot.on_credit(messages, bytes)
                {
                    self.probes = 0;
                    self.timers.stop(Timer::Probe);
                    self.events_due |= slot.has(local::TICKETS);
                    self.tables_due |= slot.has(local::GIVE);
                    if !slot.has(local::DECLARED) {
                        Self::settle_number(t, route);
                    }
                }
            }
            Packet::Close { code } => {
                log!("closed by the peer, code {=u32}", code);
                self.end_session(t, FailReason::SessionLost);
                self.handshake.rest();
                self.seed_in = None;
                self.phase = Phase::Closed;
                self.notice = Notice::Closed(CloseReason::Peer(code));
                return Some(true);
            }
            Packet::Skip { seq, distance } => {
                if let Arrival::New { seq, .. } = self.receiver.on_packet(seq, distance) {
                    return Some(self.receiver.store(seq, distance) && self.hand_on(t));
                }
            }
            // Not read here.
            Packet::BestEffort { .. } | Packet::Reliable { .. } | Packet::Extended { .. } => {}
        }
        Some(false)
    }

    /// A place whose last message was taken may be free now.
    pub(super) fn settle_number(t: &mut Tables<'_>, number: u16) {
        let draining = |slot: &routes::Slot| slot.number == number && !slot.has(local::DECLARED);
        if let Some(index) = t.routes.iter().position(draining) {
            Self::settle(t, index);
        }
    }
}

/// Whether a frame of a session says CLOSE: alone, or behind a PING.
fn ends_with_close(packets: &[u8]) -> bool {
    let mut fields = Fields::new(packets);
    loop {
        let first = fields.u8();
        match parse_report(first, &mut fields, SeqWidth::One) {
            Some(Packet::Close { .. }) => return true,
            Some(Packet::Ping { .. }) => {}
            _ => return false,
        }
    }
}
