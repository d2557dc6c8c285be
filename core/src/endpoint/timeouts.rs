//! Deadlines: when they are set, and what happens when one is over.

use super::state::Core;
use super::storage::Tables;
use crate::capability;
use crate::event::LostReason;
use crate::handshake::State;
use crate::limits::{
    CHALLENGE_LIFE_MS, CHALLENGE_RETRY_MS, DIAGNOSIS_BYTES, DIAGNOSIS_MS, GREETING_SLOWEST_MS,
};
use crate::log::log;
use crate::time::Instant;
use crate::timers::{Soonest, Timer};

impl Core {
    /// A timer ends in so many ms from the newest time that we were told.
    #[inline(never)]
    pub(super) fn start_timer(&mut self, timer: Timer, ms: u32) {
        self.timers.set(timer, self.now.plus_millis(ms));
    }

    pub(super) fn handle_timeout(&mut self, t: &mut Tables<'_>, now: Instant) {
        let now = self.advance(now);
        if !self.timers.may_be_over(now) {
            return;
        }
        if self.timers.expired(Timer::Silence, now) {
            let until = self.heard_at.plus_millis(self.ours.silence_ms);
            if until > now {
                // Set when the session began: what has been heard since moves it on only now, and not with each frame.
                self.timers.set(Timer::Silence, until);
            } else {
                self.suspend(t, LostReason::Silence);
                self.greet();
            }
        }
        if capability::RESUME && self.timers.expired(Timer::Resume, now) {
            self.on_resume_timeout(t);
        }
        if capability::RATES && self.timers.expired(Timer::Rate, now) {
            // Whoever was held back may try again.
            self.events_due = true;
        }
        if self.timers.expired(Timer::Greeting, now) {
            self.handshake.on_retry();
            self.greeting_ms = match self.handshake.state() {
                State::Session => CHALLENGE_RETRY_MS,
                _ => (self.greeting_ms * 2).min(GREETING_SLOWEST_MS),
            };
            self.set_greeting_timer();
        }
        if self.timers.expired(Timer::Challenge, now) {
            self.handshake.on_challenge_timeout();
            self.timers.stop(Timer::Greeting);
        }
        // Both are asked: a deadline that stays behind would be due at once, again and again.
        if self.timers.expired(Timer::Ping, now) | self.timers.expired(Timer::Probe, now) {
            self.ping_due = true;
        }
        if self.timers.expired(Timer::Retransmit, now) {
            self.on_unheard(now);
        }
        if capability::STATS
            && self.timers.expired(Timer::Diagnosis, now)
            && !self.framed
            && self.unframed >= DIAGNOSIS_BYTES
        {
            log!("{=u32} bytes and no frame: wrong baud rate?", self.unframed);
            self.diagnosis = self.unframed;
        }
        if self.timers.expired(Timer::Lapse, now) {
            self.on_lapse(t, now);
        }
        self.timers.on_asked();
    }

    fn set_greeting_timer(&mut self) {
        let wanted = match self.handshake.state() {
            State::Greeting => true,
            State::Session => self.handshake.is_challenging(),
            State::Idle | State::Resting | State::Refused => false,
        };
        if wanted {
            self.start_timer(Timer::Greeting, self.greeting_ms);
        }
    }

    /// A challenge was opened, or goes on.
    pub(super) fn on_challenge(&mut self) {
        if self.handshake.is_challenging() && !self.timers.is_set(Timer::Challenge) {
            self.start_timer(Timer::Challenge, CHALLENGE_LIFE_MS);
            self.start_timer(Timer::Greeting, CHALLENGE_RETRY_MS);
        }
    }

    /// Bytes came and no frame has come on this link yet.
    pub(super) fn on_unframed(&mut self, bytes: usize) {
        if self.unframed == 0 && bytes > 0 {
            self.start_timer(Timer::Diagnosis, DIAGNOSIS_MS);
        }
        self.unframed = self.unframed.saturating_add(bytes as u32);
    }

    /// Declarations of the peer, calls and requests end when their time is over.
    fn on_lapse(&mut self, t: &mut Tables<'_>, now: Instant) {
        for index in 0..t.routes.len() {
            let Some(slot) = t.routes.get_mut(index) else { continue };
            if capability::RECEIVE && slot.intent_lapse.is_over(now) {
                slot.on_intent_gone();
            }
            if slot.interest_lapse.is_over(now) {
                slot.on_interest_lapse();
            }
        }
        self.expire(t, now);
        if capability::REQUESTS {
            t.calls.iter_mut().for_each(|call| call.on_time(now));
            t.served.iter_mut().for_each(|place| place.on_time(now));
        }
        self.events_due = true;
        self.tables_due = true;
        self.set_lapse(t, now);
    }

    /// Reckons anew when the next time to live ends.
    pub(super) fn set_lapse(&mut self, t: &Tables<'_>, now: Instant) {
        let mut first = Soonest::new(now);
        for slot in t.routes.iter() {
            if capability::RECEIVE {
                first.consider(slot.intent_lapse);
            }
            first.consider(slot.interest_lapse);
            self.consider_expiry(t, slot, &mut first);
        }
        if capability::REQUESTS {
            t.calls.iter().for_each(|call| first.consider(call.lapse));
            t.served.iter().for_each(|place| first.consider(place.lapse));
        }
        match first.instant() {
            Some(at) => self.timers.set(Timer::Lapse, at),
            None => self.timers.stop(Timer::Lapse),
        }
    }
}
