//! Requests that the application makes, and answers that it gives.

use super::records::Refused;
use crate::endpoint::config::CallOptions;
use crate::endpoint::state::Core;
use crate::endpoint::storage::Tables;
use crate::error::{RequestError, RespondError};
use crate::event::{CallId, RequestId};
use crate::limits::{CAPABILITY_SERVICES, CONTROL_HEADER_MAX, MESSAGE_COST};
use crate::message::Write;
use crate::outbox::NO_SLOT;
use crate::packet::control::{emit_request_header, emit_result_header};
use crate::results::{self, CallState, ServedState};
use crate::route::RouteName;
use crate::time::Instant;
use crate::timers::Lapse;
use crate::wire::Writer;

/// Aligned so that one function zeroes all that is zeroed.
#[repr(align(8))]
struct Buffer([u8; CONTROL_HEADER_MAX]);

impl Core {
    pub(in crate::endpoint) fn request(
        &mut self,
        t: &mut Tables<'_>,
        now: Instant,
        service: &RouteName,
        options: CallOptions,
        write: &mut Write<'_>,
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
        let (mut buffer, mut last_call) = (Buffer([0; CONTROL_HEADER_MAX]), self.last_call);
        // Room first: giving old answers back moves others.
        let region = t.allocate(options.room.saturating_add(MESSAGE_COST));
        let region =
            region.map_err(|limit| RequestError::NoRoom { limit: limit.saturating_sub(MESSAGE_COST) })?;
        let call =
            results::free_call(t.calls, self.peer.requests, &mut last_call).ok_or(nb::Error::WouldBlock)?;
        let timeout_ms = u32::try_from(options.timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        let mut header = Writer::new(&mut buffer.0);
        // Whether it fits is asked when it is stored.
        let _ = emit_request_header(call.id, service.hash(), options.room as u32, timeout_ms, &mut header);
        let written = self.write_control(t.tx, &header, limit, write);
        let chain = written.map_err(|error| {
            error.map(|refused| match refused {
                Refused::Encode => RequestError::Encode,
                Refused::TooLarge => RequestError::TooLarge { limit },
            })
        })?;
        call.state = CallState::Waiting;
        call.region = region;
        call.lapse = Lapse::after(now, timeout_ms);
        let id = call.call_id();
        self.last_call = last_call;
        self.keep_control(t, chain, (NO_SLOT, 0));
        self.set_lapse(t, now);
        Ok(id)
    }

    #[expect(clippy::unused_self, reason = "commands are methods")]
    pub(in crate::endpoint) fn forget_call(&self, t: &mut Tables<'_>, id: CallId) {
        if let Some(call) =
            t.calls.iter_mut().find(|call| call.state != CallState::Free && call.call_id() == id)
        {
            call.state = if call.is_open() { CallState::Forgotten } else { CallState::Free };
            call.lapse = Lapse::NEVER;
        }
    }

    pub(in crate::endpoint) fn respond(
        &mut self,
        t: &mut Tables<'_>,
        request: RequestId,
        code: u32,
        write: &mut Write<'_>,
    ) -> nb::Result<(), RespondError> {
        let limit = self.control_payload_limit(t.tx.len());
        let place = results::find_open(t.served, self.session, request).ok_or(RespondError::Unknown)?;
        if self.records_wait {
            return Err(nb::Error::WouldBlock);
        }
        let limit = limit.min(place.room as usize);
        let mut buffer = Buffer([0; CONTROL_HEADER_MAX]);
        let mut header = Writer::new(&mut buffer.0);
        let _ = emit_result_header(place.id, code, &mut header);
        let written = self.write_control(t.tx, &header, limit, write);
        let chain = written.map_err(|error| {
            error.map(|refused| match refused {
                Refused::Encode => RespondError::Encode,
                Refused::TooLarge => RespondError::TooLarge { limit },
            })
        })?;
        place.state = ServedState::Free;
        place.lapse = Lapse::NEVER;
        self.keep_control(t, chain, (NO_SLOT, 0));
        Ok(())
    }
}
