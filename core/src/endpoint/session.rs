//! The beginning and the end of a session, and of what lives within it: audiences and places of routes.
//!
//! Invariant: when a session is over, every message in doubt has failed, every call has an outcome, and nothing of it is
//! in the transmit store. When one begins or ends is decided by the handshake and the timers, elsewhere.

use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::capability;
use crate::event::{FailReason, LostReason};
use crate::framing::{Framing, seed};
use crate::limits::CAPABILITY_RESUME;
use crate::log::log;
use crate::packet::{HelloBody, Mode, SeqWidth};
use crate::reliable::{WINDOW_FOLLOWED, WINDOW_NARROW, WINDOW_WIDE};
use crate::results::{Call, Served};
use crate::routes::{Slot, due, local, peer};
use crate::rto::Rto;
use crate::sizing::Sizing;
use crate::time::Instant;
use crate::timers::Timer;

/// A packet is lost when so many behind it have come: on a link that keeps the order, and on one that does not (as TCP
/// does it, RFC 5681, section 3.2).
const REORDER_NONE: u32 = 1;
const REORDER_SOME: u32 = 3;

impl Core {
    /// The handshake has found a peer.
    pub(super) fn begin_session(&mut self, t: &mut Tables<'_>, body: &HelloBody, now: Instant) {
        let (ours, theirs) = self.handshake.nonces();
        self.seed_out = seed(ours, theirs);
        self.seed_kept = seed(theirs, ours);
        self.seed_in = Some(self.seed_kept);
        self.session = self.session.wrapping_add(1);
        if capability::STATS {
            self.peer.name = body.name.clone();
        }
        self.peer.boot = theirs >> 16;
        self.peer.frame_max = body.frame_max;
        self.peer.message_max = body.message_max;
        self.peer.requests = body.requests;
        self.peer.capabilities = body.capabilities;
        self.session_max = self.frame_max.min(body.frame_max as usize);
        if capability::RESUME {
            self.session_room = self.room_on_link(self.session_max);
        }
        let (window, mask, reorder) = self.numbering();
        self.sender.begin(window, mask, reorder);
        self.receiver.begin(mask);
        self.rto = Rto::start(self.link.line_time_us(Framing::wire_max(self.session_max)));
        self.sizing = Sizing::start();
        self.last_control = None;
        self.passed_over = [0; 2];
        self.next_route = 0;
        self.proof = None;
        self.records_wait = false;
        self.probes = 0;
        self.ping.start(now, body.clock);
        // Measure the line at once: an application may ask right away.
        self.ping_due = true;
        self.ping_every_ms = self.ours.ping_ms.min((body.silence_ms / 3).max(1));
        self.sent_best_effort = 0;
        if capability::RESUME {
            self.is_suspended = false;
        }
        if capability::LINKS {
            self.last_number = None;
        }
        self.frames_sent = 0;
        self.last_check = None;
        self.squeezed = false;
        self.counters.peer_dropped_no_room = 0;
        self.counters.dropped_no_room = 0;
        t.routes.iter_mut().filter(|slot| slot.name.is_some()).for_each(Slot::on_session);
        self.tables_due = true;
        self.events_due = true;
        self.close_due = 0;
        self.phase = Phase::Established;
        self.timers.stop_all();
        self.start_timer(Timer::Silence, self.ours.silence_ms);
        self.set_lapse(t, now);
        log!("session begun, peer boot {=u64:x}", self.peer.boot);
    }

    /// Window, width and patience of the sequence numbers on this link.
    const fn numbering(&self) -> (u32, u32, u32) {
        let width = self.link.framing.seq_width();
        let window = match width {
            SeqWidth::One => WINDOW_NARROW,
            SeqWidth::Four if self.link.is_lossless() => WINDOW_WIDE,
            SeqWidth::Four => WINDOW_FOLLOWED,
        };
        (window, width.mask(), if self.link.is_ordered() { REORDER_NONE } else { REORDER_SOME })
    }

    /// What a frame of this content has for packets on this link, less the number of a reliable one.
    const fn room_on_link(&self, content: usize) -> usize {
        let framing = self.link.framing;
        content.saturating_sub(framing.check_len() + framing.seq_width().bytes())
    }

    /// The link does not reach the peer any more: the session waits for another one, if both sides can.
    pub(super) fn suspend(&mut self, t: &mut Tables<'_>, reason: LostReason) {
        self.seed_in = None;
        if self.resume_ms == 0 || !self.has(CAPABILITY_RESUME) {
            self.lose_session(t, reason);
            return;
        }
        log!("session without a link: {}", reason);
        self.timers.stop_link();
        self.start_timer(Timer::Resume, self.resume_ms);
        self.is_suspended = true;
        self.suspended_by = reason;
        self.tell_degraded(reason);
    }

    /// The application is told that its session has no link; one that it has not been told of is none of its business, and
    /// what it has not read of the end of another one is more important.
    pub(super) fn tell_degraded(&mut self, reason: LostReason) {
        if self.told_session == self.session {
            self.notice = Notice::Degraded(reason);
        }
    }

    /// No link came in time.
    pub(super) fn on_resume_timeout(&mut self, t: &mut Tables<'_>) {
        if !self.is_suspended() {
            return;
        }
        let reason = self.suspended_by;
        self.lose_session(t, reason);
        if self.phase == Phase::Connecting {
            // What was said of the session does not hold any more: begin anew.
            self.greet();
        }
    }

    /// A handshake is complete. The session goes on if both sides say so and this link can carry it.
    pub(super) fn resumes(&self, body: &HelloBody) -> bool {
        let fits = self.room_on_link(self.frame_max.min(body.frame_max as usize)) >= self.session_room;
        let Mode::Resume { session, .. } = body.mode else { return false };
        capability::RESUME && self.has_session() && session == self.session_id() && fits
    }

    /// The session goes on over this link.
    pub(super) fn resume(&mut self, t: &mut Tables<'_>, body: &HelloBody) {
        let Mode::Resume { next, .. } = body.mode else { return };
        let (window, mask, reorder) = self.numbering();
        let count = self.sender.resume(window, mask, reorder, next);
        self.land(t, count);
        self.receiver.resume(mask);
        // No more than on the link where the session began: the next one may have no more either.
        let framing = self.link.framing;
        let room = self.session_room + framing.check_len() + framing.seq_width().bytes();
        self.session_max = self.frame_max.min(body.frame_max as usize).min(room);
        self.rto = Rto::start(self.link.line_time_us(Framing::wire_max(self.session_max)));
        self.seed_in = Some(self.seed_kept);
        self.ping.on_resume();
        self.proof = None;
        self.ping_due = true;
        self.ping_every_ms = self.ours.ping_ms.min((body.silence_ms / 3).max(1));
        self.probes = 0;
        self.squeezed = false;
        self.is_suspended = false;
        self.tables_due = true;
        self.phase = Phase::Established;
        // The application was told that the session has no link: it is told again, though the phase is the same.
        self.reported = Phase::Connecting;
        self.timers.stop_link();
        self.timers.stop(Timer::Resume);
        self.start_timer(Timer::Silence, self.ours.silence_ms);
        log!("session goes on");
    }

    /// The session is over: every message in doubt fails, every call is lost.
    pub(super) fn end_session(&mut self, t: &mut Tables<'_>, reason: FailReason) {
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) else { continue };
            let unsent = self.drop_waiting(t.tx, index, slot);
            slot.on_session_end(reason, unsent);
            if slot.has(local::SERVICE) {
                // Nobody waits for their answers any more.
                slot.inbox.clear();
            }
            Self::release_idle_inbox(t, index);
        }
        self.drop_all(t.tx);
        self.interests = 0;
        if capability::REQUESTS {
            t.calls.iter_mut().for_each(Call::on_session_end);
            t.served.fill(Served::EMPTY);
        }
        self.is_suspended = false;
        self.events_due = true;
        self.tables_due = false;
        self.taken_due = false;
        self.timers.stop_all();
        log!("session over");
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
        let Some(slot) = t.routes.get_mut(index) else { return };
        let unsent = self.drop_waiting(t.tx, index, slot);
        slot.on_interest_gone(taken, unsent);
        self.kill(t.tx, index);
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
        if !capability::RECEIVE {
            return;
        }
        let idle = t.routes.get_mut(index).filter(|slot| !slot.has(local::INTEREST | local::SERVICE));
        if let Some(slot) = idle {
            let region = slot.inbox.give_up();
            t.release(region);
        }
    }
}
