//! What the application is told: events, messages, answers. All derived from state, nothing is queued.

use super::state::{Core, Notice, Phase};
use super::storage::Tables;
use crate::event::{Answer, CallId, Event, Incoming, Outcome, RequestId, RouteId, Select};
use crate::inbox::Record;
use crate::limiter::{self, Direction};
use crate::results::{Call, CallState, ServedState, code};
use crate::routes::{self, due, local};
use crate::timers::Timer;

/// A message that was handed out and not taken: [`Endpoint::take_peeked`](crate::Endpoint::take_peeked) takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked {
    route: RouteId,
    session: u16,
    /// How many reliable ones were taken before it: so two that are the same otherwise are told apart.
    messages: u16,
    front: Record,
}

impl Core {
    pub(super) fn poll_event(&mut self, t: &mut Tables<'_>) -> Option<Event> {
        match core::mem::replace(&mut self.notice, Notice::Nothing) {
            Notice::Nothing => {}
            Notice::Degraded(reason) => return Some(Event::Degraded(reason)),
            Notice::Lost(reason) => {
                self.reported = Phase::NoLink;
                return Some(Event::Lost(reason));
            }
            Notice::Closed(reason) => {
                self.reported = Phase::NoLink;
                return Some(Event::Closed(reason));
            }
        }
        if let Some(diagnosis) = self.diagnosis() {
            return Some(Event::Diagnosis(diagnosis));
        }
        if self.has_session() && self.told_session != self.session {
            self.told_session = self.session;
            self.reported = Phase::Established;
            // It may have lost its link before anybody looked.
            self.notice = match self.is_suspended() {
                true => Notice::Degraded(self.suspended_by),
                false => Notice::Nothing,
            };
            return Some(Event::Established { resumed: false });
        }
        if self.reported != self.phase {
            self.reported = self.phase;
            match self.phase {
                // That a session looks for a link has been told as Degraded.
                Phase::Connecting if self.is_suspended() => {}
                Phase::Connecting => return Some(Event::Connecting),
                Phase::Established => return Some(Event::Established { resumed: true }),
                Phase::New | Phase::NoLink | Phase::Closed => {}
            }
        }
        self.poll_route_event(t)
    }

    fn poll_route_event(&mut self, t: &mut Tables<'_>) -> Option<Event> {
        if !self.events_due {
            return None;
        }
        let count = t.routes.len();
        for _ in 0..count {
            let next = usize::from(self.next_event);
            let index = if next < count { next } else { 0 };
            let Some(slot) = t.routes.get_mut(index) else { break };
            let route = RouteId { index: index as u16, generation: slot.generation };
            if slot.name.is_some()
                && let Some(event) = slot.poll_event(route)
            {
                return Some(event);
            }
            Self::settle(t, index);
            self.next_event = (index + 1) as u16;
        }
        self.events_due = false;
        None
    }

    pub(super) fn poll_message<'t>(
        &mut self,
        mut t: Tables<'t>,
        which: Select<RouteId>,
    ) -> Option<Incoming<'t>> {
        let (index, front) = match which {
            Select::Only(route) => {
                routes::get(t.routes, route)?;
                let index = usize::from(route.index);
                (index, self.readable(&mut t, index)?)
            }
            Select::Any => self.next_readable(&mut t)?,
        };
        let slot = t.routes.get_mut(index)?;
        let route = RouteId { index: index as u16, generation: slot.generation };
        if !slot.has(local::SERVICE) {
            let payload = slot.inbox.take(t.rx, &front);
            slot.on_taken(front.cost(), front.reliable);
            if front.reliable {
                limiter::pass(t.limiters, index, Direction::In, self.now);
            }
            self.taken_due |= slot.is_due(due::TAKEN);
            self.blocked = false;
            return Some(Incoming { route, request: None, payload });
        }
        // Requests that have been answered meanwhile (their time was over) are not worth the application's time.
        while let Some(record) = slot.inbox.front(t.rx) {
            if t.served.iter().any(|place| place.id == record.key && place.state == ServedState::Open) {
                let request = RequestId { id: record.key, session: self.session };
                let payload = slot.inbox.take(t.rx, &record);
                return Some(Incoming { route, request: Some(request), payload });
            }
            slot.inbox.take(t.rx, &record);
        }
        None
    }

    /// What [`poll_message`](Self::poll_message) would take next of an interest.
    pub(super) fn peek_message<'t>(
        &mut self,
        mut t: Tables<'t>,
        route: RouteId,
    ) -> Option<(Incoming<'t>, Peeked)> {
        routes::get(t.routes, route).filter(|slot| slot.has(local::INTEREST))?;
        let index = usize::from(route.index);
        let front = self.readable(&mut t, index)?;
        let slot = t.routes.get_mut(index)?;
        let peeked = Peeked { route, session: self.session, messages: slot.messages, front };
        let payload = slot.inbox.look(t.rx, &front);
        Some((Incoming { route, request: None, payload }, peeked))
    }

    /// Takes what was peeked, if it still stands first.
    pub(super) fn take_peeked(&mut self, mut t: Tables<'_>, peeked: Peeked) -> bool {
        let Peeked { route, session, messages, front } = peeked;
        let Some(slot) = routes::get(t.routes, route) else { return false };
        let same = session == self.session && messages == slot.messages;
        let first = self.readable(&mut t, route.index.into());
        same && first == Some(front) && self.poll_message(t, Select::Only(route)).is_some()
    }

    /// The next place, in turn, from which the application may take something, and what stands first there.
    fn next_readable(&mut self, t: &mut Tables<'_>) -> Option<(usize, Record)> {
        if !self.unread {
            return None;
        }
        let (count, first) = (t.routes.len(), usize::from(self.next_message));
        for index in (first..count).chain(0..first.min(count)) {
            if let Some(front) = self.readable(t, index) {
                self.next_message = (index + 1) as u16;
                return Some((index, front));
            }
        }
        // What has to wait is still there.
        self.unread = t.routes.iter().any(|slot| !slot.inbox.is_empty());
        None
    }

    /// What stands first at a place, if the application may take it; what was not taken in its time is discarded.
    fn readable(&mut self, t: &mut Tables<'_>, index: usize) -> Option<Record> {
        let slot = t.routes.get(index)?;
        let (mut front, is_interest) = (slot.inbox.front(t.rx)?, slot.has(local::INTEREST));
        if front.expires() {
            if !self.discard_front(t, index, self.now) {
                return None;
            }
            front = t.routes.get(index)?.inbox.front(t.rx)?;
        }
        if is_interest
            && front.reliable
            && let Some(at) = limiter::wait(t.limiters, index, Direction::In, self.now)
        {
            self.timers.advance(Timer::Rate, at);
            return None;
        }
        Some(front)
    }

    #[expect(clippy::unused_self, reason = "polls are methods")]
    pub(super) fn poll_answer<'t>(&self, t: Tables<'t>, which: Select<CallId>) -> Option<Answer<'t>> {
        let wanted = |call: &&mut Call| {
            call.has_outcome()
                && match which {
                    Select::Any => true,
                    Select::Only(id) => call.call_id() == id,
                }
        };
        let call = t.calls.iter_mut().find(wanted)?;
        let id = call.call_id();
        let state = call.state;
        call.state = if state == CallState::TimedOut { CallState::Forgotten } else { CallState::Free };
        let outcome = match state {
            CallState::TimedOut => Outcome::TimedOut,
            CallState::Answered => {
                let payload = call.region.pop(t.rx).map_or(&[][..], |(_, payload)| payload);
                outcome(call.code, payload)
            }
            CallState::Lost | CallState::Free | CallState::Waiting | CallState::Forgotten => Outcome::Lost,
        };
        Some(Answer { call: id, outcome })
    }
}

fn outcome(code: u32, payload: &[u8]) -> Outcome<'_> {
    match code {
        code::OK => Outcome::Ok(payload),
        code::NO_INTENT => Outcome::NoIntent,
        code::BUSY => Outcome::Busy,
        code::TIMED_OUT => Outcome::TimedOut,
        code::TOO_LARGE => Outcome::TooLarge,
        code::MALFORMED => Outcome::Malformed,
        _ => Outcome::Refused { code, payload },
    }
}
