//! What the application commands: declarations, requests, answers, close. What is sent by them is in [`stored`](super::stored).

use super::config::{History, IntentOptions, InterestOptions, Quality, ServiceOptions};
use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::capability;
use crate::error::DeclareError;
use crate::event::{CloseReason, FailReason, RouteId};
use crate::limiter::{self, Direction, Rate};
use crate::limits::WINDOW_MAX;
use crate::results::{ServedState, code};
use crate::route::RouteName;
use crate::routes::{self, due, local};
use crate::time::Duration;
use crate::timers::Lapse;

/// CLOSE is not acknowledged, and who sends it may not be there to say it again: on a link that loses it is sent so often.
const CLOSES: u8 = 3;

impl Core {
    pub(super) fn declare_intent(
        &mut self,
        t: &mut Tables<'_>,
        route: &'static RouteName,
        options: IntentOptions,
    ) -> Result<RouteId, DeclareError> {
        if let Some(feature) = options.left_out() {
            return Err(DeclareError::LeftOut { feature });
        }
        let (index, created) = routes::place(t.routes, route)?;
        if is_declared(t, index, local::SERVICE) {
            return Err(DeclareError::ServiceAndTopic);
        }
        set_rate(t, index, Direction::Out, options.rate)?;
        let slot = t.routes.get_mut(index).ok_or(DeclareError::TableFull { limit: 0 })?;
        slot.local &= !(local::RELIABLE | local::TICKETS | local::LATEST);
        slot.local |= local::INTENT;
        if options.quality == Quality::Reliable {
            slot.local |= local::RELIABLE;
        }
        if options.tickets {
            slot.local |= local::TICKETS;
        }
        slot.forget_tickets();
        if options.history == History::Latest {
            slot.local |= local::LATEST;
        } else {
            self.forget_sample(t, index);
        }
        let slot = t.routes.get_mut(index).ok_or(DeclareError::TableFull { limit: 0 })?;
        slot.priority = options.priority as u8;
        slot.due &= !due::INTENT_GONE;
        Ok(self.declared(t, index, created, due::INTENT, options.ttl))
    }

    pub(super) fn declare_interest(
        &mut self,
        t: &mut Tables<'_>,
        route: &'static RouteName,
        options: InterestOptions,
    ) -> Result<RouteId, DeclareError> {
        if !capability::RATES && options.rate.is_some() {
            return Err(DeclareError::LeftOut { feature: "rates" });
        }
        let (index, created) = routes::place(t.routes, route)?;
        if is_declared(t, index, local::SERVICE) {
            return Err(DeclareError::ServiceAndTopic);
        }
        let had = is_declared(t, index, local::INTEREST);
        Self::take_region(t, index, local::INTEREST, options.window)?;
        if let Err(error) = set_rate(t, index, Direction::In, options.rate) {
            if !had && let Some(slot) = t.routes.get_mut(index) {
                slot.local &= !local::INTEREST;
            }
            Self::settle(t, index);
            return Err(error);
        }
        Ok(self.declared(t, index, created, due::INTEREST, options.ttl))
    }

    pub(super) fn declare_service(
        &mut self,
        t: &mut Tables<'_>,
        route: &'static RouteName,
        options: ServiceOptions,
    ) -> Result<RouteId, DeclareError> {
        let (index, created) = routes::place(t.routes, route)?;
        if is_declared(t, index, local::INTENT | local::INTEREST) {
            return Err(DeclareError::ServiceAndTopic);
        }
        Self::take_region(t, index, local::SERVICE, options.room)?;
        Ok(self.declared(t, index, created, due::INTENT, options.ttl))
    }

    /// Room of RX for an interest or a service; declared again, it keeps what it has.
    fn take_region(
        t: &mut Tables<'_>,
        index: usize,
        bit: u8,
        wish: Option<usize>,
    ) -> Result<(), DeclareError> {
        let Some(slot) = t.routes.get(index) else { return Err(DeclareError::TableFull { limit: 0 }) };
        if slot.has(bit) {
            return Ok(());
        }
        let default = t.rx.len() / t.routes.len().max(1);
        let capacity = wish.unwrap_or(default).min(WINDOW_MAX as usize);
        let region = match t.allocate(capacity) {
            Ok(region) => region,
            Err(limit) => {
                Self::settle(t, index);
                return Err(DeclareError::NoRoom { limit });
            }
        };
        if let Some(slot) = t.routes.get_mut(index) {
            slot.inbox = region;
            slot.local |= bit;
            // What comes from before is not for this declaration: see `due::RESTING`.
            slot.old = 0;
        }
        Ok(())
    }

    /// Makes a declaration due; `created`: the place was made for it.
    fn declared(
        &mut self,
        t: &mut Tables<'_>,
        index: usize,
        created: bool,
        due: u16,
        ttl: Option<Duration>,
    ) -> RouteId {
        let Some(slot) = t.routes.get_mut(index) else {
            return RouteId { index: u16::MAX, generation: 0 };
        };
        if self.has_session() {
            slot.due |= due;
            if created {
                // What the peer declared on it before was not kept.
                slot.local |= local::ASK;
            }
            self.tables_due = true;
            self.blocked = false;
        }
        slot.ttl_ms = ttl.map_or(0, |ttl| u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX).max(1));
        RouteId { index: index as u16, generation: slot.generation }
    }

    pub(super) fn withdraw_intent(&mut self, t: &mut Tables<'_>, route: RouteId) {
        if routes::get(t.routes, route).is_some_and(|slot| slot.has(local::INTENT)) {
            self.forget_sample(t, usize::from(route.index));
        }
        self.withdraw(t, route, local::INTENT, due::INTENT, due::INTENT_GONE);
    }

    pub(super) fn withdraw_service(&mut self, t: &mut Tables<'_>, route: RouteId) {
        if routes::get(t.routes, route).is_none_or(|slot| !slot.has(local::SERVICE)) {
            return;
        }
        // Requests that were stored and not taken get their RESULT all the same.
        while let Some(slot) = routes::get(t.routes, route)
            && let Some((record, _)) = slot.inbox.pop(t.rx)
        {
            let place =
                t.served.iter_mut().find(|place| place.id == record.key && place.state == ServedState::Open);
            if let Some(place) = place {
                place.state = ServedState::Refuse(code::NO_INTENT as u8);
                place.lapse = Lapse::NEVER;
            }
        }
        self.withdraw(t, route, local::SERVICE, due::INTENT, due::INTENT_GONE);
    }

    pub(super) fn withdraw_interest(&mut self, t: &mut Tables<'_>, route: RouteId) {
        self.withdraw(t, route, local::INTEREST, due::INTEREST, due::INTEREST_GONE);
    }

    fn withdraw(&mut self, t: &mut Tables<'_>, route: RouteId, bit: u8, declared: u16, gone: u16) {
        let in_session = self.has_session();
        let Some(slot) = routes::get(t.routes, route).filter(|slot| slot.has(bit)) else { return };
        let direction = if bit == local::INTENT { Direction::Out } else { Direction::In };
        limiter::set(t.limiters, usize::from(route.index), direction, None);
        slot.local &= !bit;
        // An interest that the peer has not been told of needs no withdrawal; an intent may be repeated harmlessly.
        let told = in_session && (bit != local::INTEREST || slot.is_due(due::ADVERTISED));
        slot.due &= !declared;
        if told {
            slot.due |= gone;
            self.tables_due = true;
            self.blocked = false;
        }
        Self::settle(t, usize::from(route.index));
    }

    pub(super) fn close(&mut self, t: &mut Tables<'_>, code: u32) {
        match self.phase {
            Phase::Established => {
                self.end_session(t, FailReason::SessionLost);
                // The seeds stay, to send CLOSE, and again if the peer goes on.
                self.close_due = if self.link.is_lossless() { 1 } else { CLOSES };
                self.close_code = code;
            }
            Phase::Connecting if self.is_suspended() => self.end_session(t, FailReason::SessionLost),
            Phase::Connecting => self.timers.stop_all(),
            Phase::NoLink if self.is_suspended() => {
                // There is no link over which to say so.
                self.end_session(t, FailReason::SessionLost);
                self.notice = Notice::Closed(CloseReason::Local);
                return;
            }
            Phase::New | Phase::NoLink | Phase::Closed => return,
        }
        self.handshake.rest();
        self.phase = Phase::Closed;
        self.notice = Notice::Closed(CloseReason::Local);
    }
}

/// Sets or ends the rate limit of a declaration.
fn set_rate(
    t: &mut Tables<'_>,
    index: usize,
    direction: Direction,
    rate: Option<Rate>,
) -> Result<(), DeclareError> {
    if limiter::set(t.limiters, index, direction, rate) {
        return Ok(());
    }
    Core::settle(t, index);
    Err(DeclareError::NoLimiter { limit: t.limiters.len() })
}

fn is_declared(t: &Tables<'_>, index: usize, bits: u8) -> bool {
    t.routes.get(index).is_some_and(|slot| slot.has(bits))
}
