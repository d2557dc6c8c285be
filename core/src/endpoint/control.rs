//! Control records that come in: what the peer declares, asks and answers.
//!
//! Invariant: a record that is malformed costs a counter, and in a list what stood before it counts.

use super::input::CONTROL_ROUTE;
use super::state::Core;
use super::storage::Tables;
use crate::capability;
use crate::inbox::Record;
use crate::log::log;
use crate::packet::control::{Control, Intent, Interest, InterestBody, NotifyStatus};
use crate::results::{CallState, ServedState, code};
use crate::routes::{self, Declared, Known, local, peer};
use crate::time::Instant;
use crate::timers::Lapse;

impl Core {
    pub(super) fn on_control(&mut self, t: &mut Tables<'_>, record: &[u8], now: Instant) -> bool {
        let Ok(control) = Control::parse(record) else {
            self.on_malformed();
            return false;
        };
        match control {
            Control::Intents(_) if !capability::RECEIVE => {}
            Control::Intents(mut intents) => {
                while let Some(fields) = intents.fields() {
                    let intent = Intent::parse(fields);
                    let Some(intent) = &intent else { return self.malformed_news() };
                    self.on_intent(t, intent, now);
                }
            }
            Control::Interests(mut interests) => {
                while let Some(fields) = interests.fields() {
                    let interest = Interest::parse(fields);
                    let Some(interest) = &interest else { return self.malformed_news() };
                    self.on_interest(t, interest, now);
                }
            }
            Control::NotifyIntent { hash, status } => {
                match (routes::find_hash(t.routes, hash), status) {
                    (None, _) => self.on_unknown(),
                    (Some(index), NotifyStatus::Conflict { hash: theirs, .. }) => {
                        self.begin_conflict(t, index, theirs as u32, false);
                    }
                    (Some(index), NotifyStatus::Audience(0)) => {
                        t.routes.get_mut(index).into_iter().for_each(routes::Slot::on_no_audience);
                    }
                    // Somebody: its INTEREST says the same, and more.
                    (Some(_), NotifyStatus::Audience(_)) => {}
                }
                self.events_due = true;
            }
            Control::Request { id, hash, room, timeout_ms, payload } if capability::REQUESTS => {
                return self.on_request(t, id, hash, room, timeout_ms, payload, now);
            }
            Control::Result { id, code, payload } if capability::REQUESTS => {
                return self.on_result(t, id, code, payload, now);
            }
            Control::Expired(report) if capability::RELIABLE && capability::EXPIRY => {
                let stands =
                    |slot: &&mut routes::Slot| slot.peer_has(peer::COUNTED) && slot.number == report.route;
                if t.routes.iter_mut().find(stands).is_some_and(|slot| slot.on_expired(&report)) {
                    self.probes = 0;
                    self.events_due = true;
                    Self::settle_number(t, report.route);
                } else {
                    self.on_unknown();
                }
            }
            Control::Request { .. } | Control::Result { .. } | Control::Expired(_) | Control::Unknown => {
                self.on_unknown();
            }
        }
        self.events_due
    }

    fn malformed_news(&mut self) -> bool {
        self.on_malformed();
        self.events_due
    }

    fn on_intent(&mut self, t: &mut Tables<'_>, intent: &Intent<'_>, now: Instant) {
        match routes::find(t.routes, &intent.name, intent.schema) {
            Known::Unknown => self.on_unknown(),
            Known::Conflict(index) => {
                let theirs = intent.name.hash() as u32;
                if !intent.withdrawn {
                    self.begin_conflict(t, index, theirs, true);
                } else if let Some(slot) = t.routes.get_mut(index) {
                    slot.end_conflict(theirs);
                }
            }
            Known::Same(index) => {
                if let Some(slot) = t.routes.get_mut(index) {
                    if (intent.withdrawn || !slot.peer_has(peer::INTENT))
                        && slot.inbox.last_waiting(t.rx).is_some_and(|record| !record.reliable)
                    {
                        // Messages may be counted anew: what comes is no part of one that was begun before.
                        slot.inbox.drop_waiting();
                    }
                    slot.on_intent(intent, now);
                }
                self.set_lapse(t, now);
            }
        }
        self.events_due = true;
        self.tables_due = true;
    }

    fn on_interest(&mut self, t: &mut Tables<'_>, interest: &Interest<'_>, now: Instant) {
        self.events_due = true;
        self.tables_due = true;
        let number = interest.number;
        let stands = |slot: &routes::Slot| slot.peer_has(peer::COUNTED) && slot.number == number;
        match interest.body {
            InterestBody::Withdrawn => match t.routes.iter().position(stands) {
                Some(index) => self.end_audience(t, index, Some((interest.messages, interest.bytes))),
                None => self.on_unknown(),
            },
            // No number, and the one of control records.
            InterestBody::Declared { .. } if matches!(number, CONTROL_ROUTE | u16::MAX) => {
                self.on_malformed();
            }
            InterestBody::Declared { window, backlog, name, ttl_ms, schema } => {
                let found = routes::find(t.routes, &name, schema);
                if let Some(index) = t.routes.iter().position(stands)
                    && found != Known::Same(index)
                {
                    // The number means another route now, without a withdrawal: the peer broke a rule.
                    self.end_audience(t, index, None);
                }
                let (messages, bytes) = (interest.messages, interest.bytes);
                let declared =
                    Declared { number, window, backlog, messages, bytes, ttl_ms, ask: interest.ask };
                self.on_declared(t, found, &declared, name.hash(), now);
            }
        }
    }

    fn on_declared(
        &mut self,
        t: &mut Tables<'_>,
        found: Known,
        declared: &Declared,
        hash: u64,
        now: Instant,
    ) {
        match found {
            Known::Unknown => self.on_unknown(),
            Known::Conflict(index) => {
                self.begin_conflict(t, index, hash as u32, true);
            }
            Known::Same(index) => {
                let moved =
                    |slot: &routes::Slot| slot.peer_has(peer::COUNTED) && slot.number != declared.number;
                if t.routes.get(index).is_some_and(moved) {
                    self.end_audience(t, index, None);
                }
                if let Some(slot) = t.routes.get_mut(index).filter(|slot| slot.name.is_some()) {
                    slot.on_interest(declared, now);
                }
                self.set_lapse(t, now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record")]
    fn on_request(
        &mut self,
        t: &mut Tables<'_>,
        id: u16,
        hash: u64,
        room: u32,
        timeout_ms: u32,
        payload: &[u8],
        now: Instant,
    ) -> bool {
        // We said how many we hold; more, or an id that is open, is against the rules.
        let open = t.served.iter().any(|place| place.id == id && place.state != ServedState::Free);
        let Some(place) =
            t.served.iter_mut().find(|place| place.state == ServedState::Free).filter(|_| !open)
        else {
            self.on_malformed();
            return false;
        };
        place.id = id;
        place.room = room;
        place.lapse = Lapse::after(now, timeout_ms);
        let service = t
            .routes
            .iter_mut()
            .find(|slot| slot.has(local::SERVICE) && slot.name.is_some_and(|name| name.hash() == hash));
        place.state = match service {
            None => ServedState::Refuse(code::NO_INTENT as u8),
            Some(slot) => match slot.inbox.push(t.rx, Record::whole(id, true, payload.len()), payload) {
                true => ServedState::Open,
                false => ServedState::Refuse(code::BUSY as u8),
            },
        };
        let stored = place.state == ServedState::Open;
        log!("request {=u16}: {=str}", id, if stored { "stored" } else { "refused" });
        if !stored {
            place.lapse = Lapse::NEVER;
            self.tables_due = true;
        }
        self.set_lapse(t, now);
        stored
    }

    fn on_result(&mut self, t: &mut Tables<'_>, id: u16, code: u32, payload: &[u8], now: Instant) -> bool {
        let Some(call) = t.calls.iter_mut().find(|call| call.id == id && call.is_open()) else {
            self.on_unknown();
            return false;
        };
        call.lapse = Lapse::NEVER;
        if call.state == CallState::Forgotten {
            call.state = CallState::Free;
            return false;
        }
        let stored = call.region.push(t.rx, Record::whole(id, true, payload.len()), payload);
        call.code = if stored || code != code::OK { code } else { code::TOO_LARGE };
        call.state = CallState::Answered;
        self.set_lapse(t, now);
        true
    }
}
