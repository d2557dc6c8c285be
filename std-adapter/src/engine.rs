//! What the threads of a connection share: the endpoint, and who is doing what. All of it lies under one lock.
//!
//! Invariant: `over` is set once and for good, after everything that came before the end was fed to the
//! endpoint; messages and answers that were not taken can still be taken then.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tieline::{CloseReason, Endpoint, Event as Core, FailReason, LostReason, RouteId, RouteName};

use crate::error::Ended;
use crate::event::{Event, Unread};
use crate::storage::Boxed;
use crate::writer::{Rest, Writer};

/// Who waits for the line and feeds what comes to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Nobody,
    /// A thread that waits for something of its own.
    Waiter,
    /// The thread that does it while no other does.
    Keeper,
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) endpoint: Endpoint<Boxed>,
    /// How the connection ended.
    pub(crate) over: Option<Ended>,
    pub(crate) established: bool,
    /// What the peer is thought to be doing while there is no session yet.
    pub(crate) hint: String,
    pub(crate) unread: Unread,
    pub(crate) routes: Vec<Declared>,

    pub(crate) driver: Driver,
    /// Counts who became driver, so that one who was relieved while it waited notices.
    pub(crate) turn: u64,
    /// The driver waits for the line, until then; it may be relieved.
    pub(crate) polling: bool,
    pub(crate) polls_until: Option<Instant>,
    /// It waits for the line to take more, too.
    pub(crate) polls_output: bool,
    /// There may be more to read.
    pub(crate) more: bool,
    /// Threads that wait for the driver's news.
    pub(crate) waiters: usize,
    /// Threads that wait until everything is sent.
    pub(crate) flushing: usize,
    /// The keeper waits to be called.
    pub(crate) keeper_asleep: bool,
    /// The keeper is needed at once.
    pub(crate) urgent: bool,
    /// Nobody has a handle any more.
    pub(crate) abandoned: bool,
    /// Cost of what was taken since the line was last looked after.
    pub(crate) taken: usize,
    /// Absent while a thread writes; it looks at the endpoint once more before it brings it back.
    pub(crate) writer: Option<Box<Writer>>,
    /// Absent while the driver reads.
    pub(crate) input: Option<Box<[u8]>>,
}

/// A route that this side has declared, and how its reliable messages end.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) id: RouteId,
    pub(crate) name: &'static RouteName,
    /// The kinds of handles that exist for it: [`PUBLISHER`] and so on.
    pub(crate) handles: u8,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// Certainly not delivered.
    pub(crate) not_delivered: u64,
    /// Nobody can say.
    pub(crate) in_doubt: u64,
    /// Failures that no flush has reported yet.
    pub(crate) unreported: u64,
}

/// Bits of [`Declared::handles`].
pub(crate) const PUBLISHER: u8 = 1;
pub(crate) const SUBSCRIBER: u8 = 1 << 1;
pub(crate) const RESPONDER: u8 = 1 << 2;

impl Declared {
    pub(crate) const fn new(id: RouteId, name: &'static RouteName) -> Self {
        Self {
            id,
            name,
            handles: 0,
            published: 0,
            delivered: 0,
            not_delivered: 0,
            in_doubt: 0,
            unreported: 0,
        }
    }
}

/// Bytes that are read at once.
const INPUT: usize = 64 * 1024;

impl Engine {
    pub(crate) fn new(endpoint: Endpoint<Boxed>, writer: Writer) -> Self {
        Self {
            endpoint,
            over: None,
            established: false,
            hint: String::new(),
            unread: Unread::default(),
            routes: Vec::new(),
            driver: Driver::Nobody,
            turn: 0,
            polling: false,
            polls_until: None,
            polls_output: false,
            more: false,
            waiters: 0,
            flushing: 0,
            keeper_asleep: false,
            // There is a greeting to send.
            urgent: true,
            abandoned: false,
            taken: 0,
            writer: Some(Box::new(writer)),
            input: Some(vec![0; INPUT].into()),
        }
    }

    /// Bytes have come.
    pub(crate) fn feed(&mut self, now: tieline::Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.over.is_none() {
            let taken = self.endpoint.handle_input(now, bytes);
            bytes = bytes.get(taken.max(1)..).unwrap_or_default();
            self.digest();
        }
    }

    /// The line is gone.
    pub(crate) fn lose(&mut self, now: tieline::Instant, cause: Option<io::Error>) {
        self.endpoint.handle_disconnect(now);
        let cause = cause.map(Arc::new);
        self.digest_with(cause.as_ref());
        self.end(Ended::Lost { reason: LostReason::LinkDown, cause });
        // There will be no other line for the session: what is in doubt is so for good.
        self.endpoint.close(0);
        self.digest();
    }

    /// Takes all interests back: the peer is told exactly what was taken, and that nothing more will be.
    pub(crate) fn stop_reading(&mut self) {
        for declared in &self.routes {
            if declared.handles & SUBSCRIBER != 0 {
                self.endpoint.withdraw_interest(declared.id);
            }
        }
    }

    /// Ends the session on purpose.
    pub(crate) fn close(&mut self, code: u32) {
        self.endpoint.close(code);
        self.digest();
        self.end(Ended::Closed(CloseReason::Local));
    }

    pub(crate) fn end(&mut self, ended: Ended) {
        if self.over.is_none() {
            self.unread.push(Event::Ended(ended.clone()));
            self.over = Some(ended);
        }
    }

    /// Makes of the endpoint's events ours.
    pub(crate) fn digest(&mut self) {
        self.digest_with(None);
    }

    fn digest_with(&mut self, cause: Option<&Arc<io::Error>>) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Core::Connecting => {}
                Core::Degraded(reason @ (LostReason::Framing | LostReason::LinkDown)) => {
                    self.end(Ended::Lost { reason, cause: cause.cloned() });
                }
                Core::Degraded(_) => self.unread.push(Event::Degraded),
                Core::Established { resumed } => {
                    self.established = true;
                    let peer = self.endpoint.peer().map(|peer| peer.name.as_str().to_owned());
                    self.unread.push(Event::Established { peer: peer.unwrap_or_default(), resumed });
                }
                Core::Lost(reason) => self.on_lost(reason, cause.cloned()),
                Core::Closed(reason) => self.end(Ended::Closed(reason)),
                Core::Audience { route, present } => {
                    self.tell(route, |route| Event::Audience { route, present });
                }
                Core::Publisher { route, present } => {
                    self.tell(route, |route| Event::Publisher { route, present });
                }
                Core::RouteConflict { route, ours, theirs } => {
                    self.tell(route, |route| Event::RouteConflict { route, ours, theirs });
                }
                Core::Delivered(ticket) => {
                    if let Some(declared) = self.declared(ticket.route) {
                        declared.delivered += 1;
                    }
                }
                Core::Failed(ticket, reason) => {
                    if let Some(declared) = self.declared(ticket.route) {
                        declared.unreported += 1;
                        match reason {
                            FailReason::NotSent
                            | FailReason::NoAudience
                            | FailReason::Expired
                            | FailReason::Superseded => declared.not_delivered += 1,
                            FailReason::SessionLost | FailReason::PeerRestarted => declared.in_doubt += 1,
                        }
                    }
                    self.tell(ticket.route, |route| Event::Failed { route, messages: 1, reason });
                }
                Core::Diagnosis(diagnosis) => {
                    let tieline::Diagnosis::NoFrames { bytes } = diagnosis;
                    self.hint =
                        format!("{bytes} bytes came and not one intact frame: is the baud rate right?");
                    self.unread.push(Event::Diagnosis(diagnosis));
                }
            }
        }
    }

    fn on_lost(&mut self, reason: LostReason, cause: Option<Arc<io::Error>>) {
        let ended = Ended::Lost { reason, cause };
        // Before there is a session, the endpoint goes on asking by itself on a line that still works.
        if self.established || matches!(reason, LostReason::Framing | LostReason::LinkDown) {
            self.end(ended);
        } else {
            self.hint = ended.to_string();
        }
    }

    fn tell(&mut self, id: RouteId, event: impl FnOnce(RouteName) -> Event) {
        if let Some(declared) = self.routes.iter().find(|declared| declared.id == id) {
            self.unread.push(event(*declared.name));
        }
    }

    /// Notes that there is a handle for a declaration.
    pub(crate) fn hold(&mut self, id: RouteId, name: &'static RouteName, kind: u8) {
        let endpoint = &self.endpoint;
        self.routes.retain(|old| old.handles != 0 || old.unreported > 0 || endpoint.undelivered(old.id) > 0);
        match self.declared(id) {
            Some(declared) => declared.handles |= kind,
            None => self.routes.push(Declared { handles: kind, ..Declared::new(id, name) }),
        }
    }

    /// Whether there is a handle of that kind for that route.
    pub(crate) fn is_held(&self, name: &RouteName, kind: u8) -> bool {
        self.routes.iter().any(|declared| declared.handles & kind != 0 && declared.name == name)
    }

    /// The handle is gone.
    pub(crate) fn release(&mut self, id: RouteId, kind: u8) {
        match kind {
            PUBLISHER => self.endpoint.withdraw_intent(id),
            SUBSCRIBER => self.endpoint.withdraw_interest(id),
            _ => self.endpoint.withdraw_service(id),
        }
        if let Some(declared) = self.declared(id) {
            declared.handles &= !kind;
        }
        self.digest();
    }

    pub(crate) fn declared(&mut self, id: RouteId) -> Option<&mut Declared> {
        self.routes.iter_mut().find(|declared| declared.id == id)
    }

    /// Whether all that was published has reached the peer's application (reliable) or the system (best effort).
    pub(crate) fn is_flushed(&self) -> bool {
        self.endpoint.undelivered_total() == 0 && self.endpoint.unsent_best_effort() == 0 && self.is_written()
    }

    /// Whether the system has everything that was taken from the endpoint.
    pub(crate) fn is_written(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.is_empty())
    }

    pub(crate) fn rest(&self) -> Rest {
        self.writer.as_ref().map_or(Rest::Idle, |writer| writer.rest)
    }
}
