//! What the application commands: declarations, requests, answers, close. Messages are in [`publish`](super::publish).

use super::config::{CallOptions, History, IntentOptions, InterestOptions, Quality, ServiceOptions};
use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::capability;
use crate::error::{DeclareError, RequestError, RespondError};
use crate::event::{CallId, CloseReason, FailReason, RequestId, RouteId};
use crate::limiter::{self, Direction, Rate};
use crate::limits::{CAPABILITY_SERVICES, CONTROL_HEADER_MAX, MESSAGE_COST, WINDOW_MAX};
use crate::message::EncodeError;
use crate::outbox::NO_SLOT;
use crate::packet::control::{emit_request_header, emit_result_header};
use crate::queue::Sink;
use crate::results::{self, CallState, ServedState, code};
use crate::route::RouteName;
use crate::routes::{self, due, local};
use crate::time::{Duration, Instant};
use crate::timers::Lapse;
use crate::wire::Writer;

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

    pub(super) fn request(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        service: &RouteName,
        options: CallOptions,
        write: impl FnOnce(&mut Sink<'_>) -> Result<(), EncodeError>,
    ) -> nb::Result<CallId, RequestError> {
        let now = self.advance(now);
        if !self.has_session() {
            return Err(RequestError::Disconnected.into());
        }
        if self.peer.capabilities & CAPABILITY_SERVICES == 0 || self.peer.requests == 0 {
            return Err(RequestError::NotSupported.into());
        }
        if self.records_wait {
            return Err(nb::Error::WouldBlock);
        }
        let limit = self.control_payload_limit(t.tx.len());
        let (mut buffer, mut last_call) = ([0; CONTROL_HEADER_MAX], self.last_call);
        // Room first: giving old answers back moves others.
        let region = t.allocate(options.room.saturating_add(MESSAGE_COST));
        let region =
            region.map_err(|limit| RequestError::NoRoom { limit: limit.saturating_sub(MESSAGE_COST) })?;
        let call =
            results::free_call(t.calls, self.peer.requests, &mut last_call).ok_or(nb::Error::WouldBlock)?;
        let timeout_ms = u32::try_from(options.timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        let mut header = Writer::new(&mut buffer);
        let written =
            emit_request_header(call.id, service.hash(), options.room as u32, timeout_ms, &mut header);
        written.map_err(|_| RequestError::Encode)?;
        let refused = (RequestError::Encode, RequestError::TooLarge { limit });
        let chain = self.write_control(t.tx, header.written(), limit, write, refused)?;
        call.state = CallState::Waiting;
        call.region = region;
        call.lapse = Lapse::after(now, timeout_ms);
        let id = call.call_id();
        self.last_call = last_call;
        self.keep_control(t, chain, chain.len, (NO_SLOT, 0));
        self.set_lapse(t, now);
        Ok(id)
    }

    #[expect(clippy::unused_self, reason = "commands are methods")]
    pub(super) fn forget_call(&self, t: &mut Tables<'_>, id: CallId) {
        if let Some(call) =
            t.calls.iter_mut().find(|call| call.state != CallState::Free && call.call_id() == id)
        {
            call.state = if call.is_open() { CallState::Forgotten } else { CallState::Free };
            call.lapse = Lapse::NEVER;
        }
    }

    pub(super) fn respond(
        &mut self,
        t: &mut Tables<'_>,
        request: RequestId,
        code: u32,
        write: impl FnOnce(&mut Sink<'_>) -> Result<(), EncodeError>,
    ) -> nb::Result<(), RespondError> {
        let limit = self.control_payload_limit(t.tx.len());
        let place = results::find_open(t.served, self.session, request).ok_or(RespondError::Unknown)?;
        if self.records_wait {
            return Err(nb::Error::WouldBlock);
        }
        let limit = limit.min(place.room as usize);
        let mut buffer = [0; CONTROL_HEADER_MAX];
        let mut header = Writer::new(&mut buffer);
        emit_result_header(place.id, code, &mut header).map_err(|_| RespondError::Encode)?;
        let refused = (RespondError::Encode, RespondError::TooLarge { limit });
        let chain = self.write_control(t.tx, header.written(), limit, write, refused)?;
        place.state = ServedState::Free;
        place.lapse = Lapse::NEVER;
        self.keep_control(t, chain, chain.len, (NO_SLOT, 0));
        Ok(())
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
