//! The beginning and the end of a session, and of what lives within it: audiences and places of routes.
//!
//! Invariant: when a session is over, every message in doubt has failed, every call has an outcome, and nothing of it is
//! in the transmit store. When one begins or ends is decided by the handshake and the timers, elsewhere.

use super::state::{Core, Notice, Phase};
use super::stats::Peer;
use super::storage::Tables;
use crate::event::{FailReason, LostReason};
use crate::framing::{Framing, seed};
use crate::inbox::Region;
use crate::log::log;
use crate::outbox::Outbox;
use crate::packet::{HelloBody, SeqWidth};
use crate::ping::Ping;
use crate::reliable::{Receiver, Sender, WINDOW_NARROW, WINDOW_WIDE};
use crate::results::{Call, Served};
use crate::routes::{Slot, due, local, peer};
use crate::rto::Rto;
use crate::time::Instant;
use crate::timers::Timer;

impl Core {
    /// The handshake has found a peer.
    pub(super) fn begin_session(&mut self, t: &mut Tables<'_>, body: &HelloBody, now: Instant) {
        let (ours, theirs) = self.handshake.nonces();
        self.seed_out = seed(ours, theirs);
        self.seed_in = Some(seed(theirs, ours));
        self.session = self.session.wrapping_add(1);
        self.peer = Peer {
            name: body.name.clone(),
            boot: theirs >> 16,
            frame_max: body.frame_max,
            message_max: body.message_max,
            requests: body.requests,
            capabilities: body.capabilities,
        };
        let width = self.link.framing.seq_width();
        let window = match width {
            SeqWidth::One => WINDOW_NARROW,
            SeqWidth::Four => WINDOW_WIDE,
        };
        self.sender = Sender::new(window, width.mask());
        self.receiver = Receiver::new(width.mask());
        self.rto = Rto::start(self.link.line_time_us(Framing::wire_max(self.send_max())));
        self.outbox = Outbox::new();
        self.last_control = None;
        self.ping = Ping::start(now, body.clock);
        // Measure the line at once: an application may ask right away.
        self.ping_due = true;
        self.ping_every_ms = self.ping_ms.min((body.silence_ms / 3).max(1));
        self.sent_best_effort = 0;
        self.passed_over = 0;
        self.squeezed = false;
        self.records_wait = false;
        self.probes = 0;
        self.counters.peer_dropped_no_room = 0;
        self.counters.dropped_no_room = 0;
        t.routes.iter_mut().filter(|slot| slot.name.is_some()).for_each(Slot::on_session);
        self.tables_due = true;
        self.events_due = true;
        self.close_due = false;
        self.phase = Phase::Established;
        self.timers.stop_all();
        self.timers.set(Timer::Silence, now.plus_millis(self.silence_ms));
        log!("session begun, peer boot {=u64:x}", self.peer.boot);
    }

    /// The session is over: every message in doubt fails, every call is lost.
    pub(super) fn end_session(&mut self, t: &mut Tables<'_>, reason: FailReason) {
        for index in 0..t.routes.len() {
            let unsent = self.unsent(t, index);
            let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) else { continue };
            slot.on_session_end(reason, unsent);
            if slot.has(local::SERVICE) {
                // Nobody waits for their answers any more.
                slot.inbox.clear();
            }
            Self::release_idle_inbox(t, index);
        }
        t.calls.iter_mut().for_each(Call::on_session_end);
        t.served.fill(Served::EMPTY);
        self.outbox = Outbox::new();
        self.events_due = true;
        self.tables_due = false;
        self.timers.stop_all();
        log!("session over");
    }

    /// How many messages of a place were published and never left.
    pub(super) fn unsent(&self, t: &mut Tables<'_>, index: usize) -> u16 {
        let open = t.routes.get(index).is_some_and(|slot| slot.tickets.open() > 0);
        if open { self.outbox.count_unsent(t.tx, index as u16) } else { 0 }
    }

    /// Nothing intact came for too long, or the peer is another one: begin anew on the same link.
    pub(super) fn lose_session(&mut self, t: &mut Tables<'_>, reason: LostReason) {
        let fail = match reason {
            LostReason::PeerRestarted => FailReason::PeerRestarted,
            LostReason::Silence
            | LostReason::SessionLost
            | LostReason::Loopback
            | LostReason::Framing
            | LostReason::LinkDown => FailReason::SessionLost,
        };
        log!("session lost: {}", reason);
        self.end_session(t, fail);
        self.notice = Notice::Lost(reason);
    }

    /// The peer's interest at a place ends.
    pub(super) fn end_audience(&mut self, t: &mut Tables<'_>, index: usize, taken: Option<(u16, u32)>) {
        let unsent = self.unsent(t, index);
        let Some(slot) = t.routes.get_mut(index) else { return };
        let number = slot.number;
        slot.on_interest_gone(taken, unsent);
        self.outbox.kill(t.tx, number);
        self.events_due = true;
        Self::settle(t, index);
    }

    /// The two sides disagree about a route: it has no audience any more. `tell`: the peer may not know yet.
    pub(super) fn begin_conflict(&mut self, t: &mut Tables<'_>, index: usize, theirs: u32, tell: bool) {
        if t.routes.get(index).is_some_and(|slot| slot.peer_has(peer::COUNTED)) {
            self.end_audience(t, index, None);
        }
        if let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) {
            slot.on_conflict(theirs);
            if tell {
                slot.due |= due::NOTIFY;
            }
        }
    }

    /// Frees a place if nothing holds it any more.
    pub(super) fn settle(t: &mut Tables<'_>, index: usize) {
        Self::release_idle_inbox(t, index);
        if let Some(slot) = t.routes.get_mut(index) {
            slot.settle();
        }
    }

    fn release_idle_inbox(t: &mut Tables<'_>, index: usize) {
        let idle = t.routes.get_mut(index).filter(|slot| !slot.has(local::INTEREST | local::SERVICE));
        if let Some(slot) = idle {
            let region = core::mem::replace(&mut slot.inbox, Region::NONE);
            t.release(region);
        }
    }
}
