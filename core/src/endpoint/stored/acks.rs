//! What becomes of what is under way: acknowledged, lost, or not heard of.
//!
//! Invariant: the oldest packet under way is the sender's first that is not acknowledged.

use super::records::{ABOUT_INTERESTS, ABOUT_WITHDRAWAL};
use crate::capability;
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::limits::CAPABILITY_SELECTIVE;
use crate::log::log;
use crate::outbox::flag;
use crate::reliable::Acknowledged;
use crate::routes::{due, local};
use crate::time::Instant;
use crate::timers::Timer;

impl Core {
    pub(in crate::endpoint) fn on_ack(
        &mut self,
        t: &mut Tables<'_>,
        next: u32,
        selective: u32,
        now: Instant,
    ) {
        let selective = if self.has(CAPABILITY_SELECTIVE) { selective } else { 0 };
        let Acknowledged { count, news, lost } = self.sender.on_ack(next, selective);
        if !news {
            return;
        }
        self.land(t, count);
        self.count_lost(t, lost);
        self.rto.on_ack(self.sender.acked(), now);
        if self.sender.in_flight() == 0 || self.link.is_lossless() {
            self.timers.stop(Timer::Retransmit);
        } else {
            let at = self.patience(now);
            self.timers.set(Timer::Retransmit, at);
        }
    }

    /// A PONG came: what left before its PING has come, or is lost.
    pub(in crate::endpoint) fn on_proof(&mut self, t: &Tables<'_>, id: u8, now: Instant) {
        self.rto.on_pong(id, now);
        if let Some((_, next)) = self.proof.take_if(|proof| proof.0 == id)
            && self.link.is_ordered()
        {
            // The acknowledgement stands before the PONG.
            let lost = self.sender.on_proof(next);
            self.count_lost(t, lost);
        }
    }

    /// These packets under way are lost: one stands for its frame.
    fn count_lost(&mut self, t: &Tables<'_>, lost: u64) {
        if !capability::RELIABLE {
            return;
        }
        let mut rest = lost;
        while rest != 0 {
            let offset = rest.trailing_zeros();
            rest &= rest - 1;
            if self.outbox.nth(t.tx, offset).is_some_and(|(_, record)| record.is(flag::LEADS)) {
                self.sizing.on_lost();
            }
        }
    }

    /// The oldest packets under way are acknowledged.
    pub(in crate::endpoint) fn land(&mut self, t: &mut Tables<'_>, count: u32) {
        for _ in 0..count {
            let Some(record) = self.outbox.land(t.tx) else { break };
            let index = usize::from(record.slot);
            if record.is(flag::CONTROL) && record.offset == ABOUT_INTERESTS {
                self.interests = self.interests.saturating_sub(1);
                self.tables_due = true;
            }
            let Some(slot) = t.routes.get_mut(index) else { continue };
            if record.is(flag::CONTROL) {
                // A withdrawal: our number may be used again. Else what was discarded is known now.
                let withdrawn = record.offset == ABOUT_WITHDRAWAL;
                slot.due &= !if withdrawn { due::RESTING } else { due::TOLD };
                if withdrawn && !self.link.is_ordered() {
                    slot.turn = slot.turn.wrapping_add(1);
                }
                slot.due |= due::TAKEN;
                self.tables_due = true;
                // What was over meanwhile may be discarded now.
                self.timers.advance(Timer::Lapse, self.now);
            } else {
                slot.under_way = slot.under_way.saturating_sub(1);
                self.tables_due |= slot.has(local::GIVE);
            }
            if !slot.has(local::DECLARED) {
                Self::settle(t, index);
            }
        }
    }

    /// Nothing was acknowledged for a while. On a link that keeps the order a PING finds out what is lost, if that is
    /// quicker than the time-out; else all is repeated.
    pub(in crate::endpoint) fn on_unheard(&mut self, now: Instant) {
        if self.link.is_ordered() && !self.asked && self.rto.asks_first() {
            self.asked = true;
            self.ping_due = true;
            self.timers.set(Timer::Retransmit, now.plus_micros(self.rto.micros().into()));
            return;
        }
        self.asked = false;
        self.sizing.on_timeout(self.rto.backoff());
        self.rto.on_timeout();
        self.sender.on_timeout();
        // How long are round trips now? No acknowledgement of what is sent again can tell. On a link that keeps the order a PING
        // follows it anyway.
        self.ping_due |= !self.link.is_ordered();
        log!("retransmission time-out");
    }

    /// How long to wait for an acknowledgement before something is done.
    pub(super) fn patience(&mut self, now: Instant) -> Instant {
        self.asked = false;
        now.plus_micros(self.rto.patience(self.link.is_ordered()).into())
    }
}
