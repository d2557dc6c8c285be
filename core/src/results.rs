//! Requests: those of ours that await an answer (*calls*), and those of the peer that we owe one (*served*).
//!
//! Invariant: each REQUEST that came gets exactly one RESULT, and each call ends in exactly one outcome. A call whose
//! caller has given up stays until its RESULT comes, so that never more are open than the peer holds.

use crate::event::{CallId, RequestId};
use crate::inbox::Region;
use crate::time::Instant;
use crate::timers::Lapse;

/// Codes of RESULT below [`code::APPLICATION`] (docs/protocol.md, section 8).
pub mod code {
    /// The answer.
    pub const OK: u32 = 0;
    /// No service of that hash is declared.
    pub const NO_INTENT: u32 = 1;
    /// No room for the request.
    pub const BUSY: u32 = 2;
    /// Not answered in time.
    pub const TIMED_OUT: u32 = 3;
    /// The answer is larger than the caller's room.
    pub const TOO_LARGE: u32 = 4;
    /// The request could not be decoded.
    pub const MALFORMED: u32 = 5;
    /// The caller may not ask this.
    pub const REFUSED: u32 = 6;
    /// The first code that applications define.
    pub const APPLICATION: u32 = 16;
}

/// A place for a request of ours. Applications only make empty ones, for a [`Storage`](crate::Storage).
// Aligned as an endpoint is: see `Slot`.
#[derive(Debug, Clone, Copy)]
#[repr(align(8))]
pub struct Call {
    pub(crate) id: u16,
    pub(crate) state: CallState,
    pub(crate) code: u32,
    /// Room for the answer.
    pub(crate) region: Region,
    pub(crate) lapse: Lapse,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallState {
    Free,
    Waiting,
    /// The outcome is there, in `code` and `region`.
    Answered,
    /// The session ended first.
    Lost,
    /// Timed out; the application has not read that yet.
    TimedOut,
    /// The application is done with it, the RESULT is still to come.
    Forgotten,
}

impl Call {
    /// A place that is not in use.
    pub const EMPTY: Self =
        Self { id: 0, state: CallState::Free, code: 0, region: Region::NONE, lapse: Lapse::NEVER };

    pub(crate) const fn call_id(&self) -> CallId {
        CallId(self.id)
    }

    /// Whether its RESULT is still to come.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, CallState::Waiting | CallState::TimedOut | CallState::Forgotten)
    }

    /// Whether the application has an outcome to read.
    pub(crate) const fn has_outcome(&self) -> bool {
        matches!(self.state, CallState::Answered | CallState::Lost | CallState::TimedOut)
    }

    /// Whether its room is not needed any more.
    pub(crate) const fn is_spent(&self) -> bool {
        matches!(self.state, CallState::Free | CallState::Forgotten) && self.region.capacity() > 0
    }

    /// The session is over.
    pub(crate) fn on_session_end(&mut self) {
        self.lapse = Lapse::NEVER;
        match self.state {
            CallState::Waiting => self.state = CallState::Lost,
            // Nothing more will come.
            CallState::TimedOut => self.state = CallState::Lost,
            CallState::Forgotten => *self = Self { region: self.region, ..Self::EMPTY },
            CallState::Free | CallState::Answered | CallState::Lost => {}
        }
    }

    /// The application has given up by itself.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.lapse.is_over(now) {
            self.lapse = Lapse::NEVER;
            if self.state == CallState::Waiting {
                self.state = CallState::TimedOut;
            }
        }
    }
}

/// A place for a request of the peer's. Applications only make empty ones, for a [`Storage`](crate::Storage).
#[derive(Debug, Clone, Copy)]
pub struct Served {
    pub(crate) id: u16,
    pub(crate) state: ServedState,
    /// Largest answer that the caller takes.
    pub(crate) room: u32,
    pub(crate) lapse: Lapse,
}

/// Where a request of the peer's stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServedState {
    Free,
    /// Stored, or with the application: an answer is owed.
    Open,
    /// To be answered by us with this code.
    Refuse(u8),
}

impl Served {
    /// A place that is not in use.
    pub const EMPTY: Self = Self { id: 0, state: ServedState::Free, room: 0, lapse: Lapse::NEVER };

    /// The application did not answer in time.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.lapse.is_over(now) {
            self.lapse = Lapse::NEVER;
            if self.state == ServedState::Open {
                self.state = ServedState::Refuse(code::TIMED_OUT as u8);
            }
        }
    }
}

/// The open request that an id names, if it still does.
pub(crate) fn find_open(served: &mut [Served], session: u16, id: RequestId) -> Option<&mut Served> {
    served
        .iter_mut()
        .find(|place| id.session == session && place.id == id.id && place.state == ServedState::Open)
}

/// A free place for a call, unless `peer_limit` are open already; with an id that no other has.
pub(crate) fn free_call<'c>(
    calls: &'c mut [Call],
    peer_limit: u8,
    last_id: &mut u16,
) -> Option<&'c mut Call> {
    if calls.iter().filter(|call| call.is_open()).count() >= usize::from(peer_limit) {
        return None;
    }
    let id = (1..=u16::MAX)
        .map(|ahead| last_id.wrapping_add(ahead))
        .find(|id| calls.iter().all(|call| call.state == CallState::Free || call.id != *id))?;
    let call = calls.iter_mut().find(|call| call.state == CallState::Free)?;
    *last_id = id;
    call.id = id;
    Some(call)
}
