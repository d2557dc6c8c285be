//! What the endpoint's events mean for the connection: which ones the application sees, which ones end it, and which ones
//! ask for another line.
//!
//! Invariant: each event of the endpoint is told, counted, or made obsolete by a later one.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tieline::{CloseReason, Event as Core, FailReason, LostReason, RouteId, RouteName, Ticket};

use crate::engine::{Engine, Outlook};
use crate::error::Ended;
use crate::event::Event;

/// A peer that says so will be there again: shutting down.
const SHUTTING_DOWN: u32 = 1;

impl Engine {
    /// Makes of the endpoint's events ours.
    pub(crate) fn digest(&mut self) {
        self.digest_with(None);
    }

    /// The same; `cause`: what the system said of the line.
    pub(crate) fn digest_with(&mut self, cause: Option<&Arc<io::Error>>) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Core::Connecting => self.tell_connecting(),
                Core::Degraded(reason) => self.on_degraded(reason, cause.cloned()),
                Core::Established { resumed } => self.on_established(resumed),
                Core::Lost(reason) => self.on_lost(reason, cause.cloned()),
                Core::Closed(reason) => self.on_closed(reason),
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
                Core::Failed(ticket, reason) => self.on_failed(ticket, reason),
                Core::Diagnosis(diagnosis) => {
                    let tieline::Diagnosis::NoFrames { bytes } = diagnosis;
                    self.hint =
                        format!("{bytes} bytes came and not one intact frame: is the baud rate right?");
                    self.unread.push(Event::Diagnosis(diagnosis));
                }
            }
        }
    }

    /// Tells, once, that there is no session, and that one is looked for.
    pub(crate) fn tell_connecting(&mut self) {
        if !self.in_session && !std::mem::replace(&mut self.connecting, true) {
            self.unread.push(Event::Connecting);
        }
    }

    fn on_established(&mut self, resumed: bool) {
        self.connecting = false;
        self.established = true;
        self.in_session = true;
        self.handshakes += 1;
        self.handshake_at = Instant::now();
        if !resumed {
            self.sessions += 1;
            if let Some(observer) = &mut self.observer {
                observer.begin_session();
            }
            self.session_began = Instant::now();
        }
        self.in_vain_at = None;
        self.hint.clear();
        self.line_news = true;
        self.ring = true;
        let peer = self.endpoint.peer().map(|peer| peer.name.as_str().to_owned());
        self.unread.push(Event::Established { peer: peer.unwrap_or_default(), resumed });
    }

    /// The session has no link, or one that is silent, and is kept.
    fn on_degraded(&mut self, reason: LostReason, cause: Option<Arc<io::Error>>) {
        let gone = matches!(reason, LostReason::Framing | LostReason::LinkDown);
        if gone && self.outlook == Outlook::Ends {
            self.end(Ended::Lost { reason, cause });
            return;
        }
        if reason == LostReason::Framing {
            // The endpoint has given the link up.
            self.set_line(None);
        }
        self.in_vain_at = self.line.is_some().then(Instant::now);
        self.line_news = true;
        self.unread.push(Event::Degraded);
    }

    fn on_lost(&mut self, reason: LostReason, cause: Option<Arc<io::Error>>) {
        let ended = Ended::Lost { reason, cause };
        let needs_line = matches!(reason, LostReason::Framing | LostReason::LinkDown);
        let was_in_session = std::mem::take(&mut self.in_session);
        self.line_news = true;
        if self.outlook == Outlook::Ends {
            // Before there is a session, the endpoint goes on asking by itself on a line that still works.
            if self.established || needs_line {
                self.end(ended);
            } else {
                self.hint = ended.to_string();
            }
            return;
        }
        let replaced = matches!(reason, LostReason::PeerRestarted | LostReason::SessionLost);
        if reason == LostReason::Framing {
            self.set_line(None);
        }
        self.hint = ended.to_string();
        if was_in_session {
            self.unread.push(Event::Lost(reason));
        }
        // Where others may come, it was only this one.
        let foreign = reason == LostReason::Framing && !self.established && self.outlook != Outlook::Awaits;
        if foreign || (self.outlook == Outlook::MayReturn && !replaced && reason != LostReason::Loopback) {
            self.end(ended);
        } else if was_in_session {
            self.tell_connecting();
        }
    }

    fn on_closed(&mut self, reason: CloseReason) {
        let speaks_another = matches!(reason, CloseReason::VersionMismatch { .. });
        let goes_on = match self.outlook {
            Outlook::Returns => reason == CloseReason::Peer(SHUTTING_DOWN),
            Outlook::Awaits => reason == CloseReason::Peer(SHUTTING_DOWN) || speaks_another,
            Outlook::Ends | Outlook::MayReturn => false,
        };
        if !goes_on {
            self.end(Ended::Closed(reason));
            return;
        }
        // It will be there again: on the same port, or where it is dialled.
        if std::mem::take(&mut self.in_session) {
            self.unread.push(Event::Lost(LostReason::SessionLost));
            self.tell_connecting();
        }
        self.hint = Ended::Closed(reason).to_string();
        if speaks_another {
            // It is to be told so on this line, which is for whoever comes next.
            self.in_vain_at = self.line.is_some().then(Instant::now);
        } else if self.line.as_ref().is_some_and(|line| line.can_be_half_open()) {
            self.set_line(None);
            // The endpoint rests; the next line makes it greet.
        }
        self.line_news = true;
    }

    fn on_failed(&mut self, ticket: Ticket, reason: FailReason) {
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

    fn tell(&mut self, id: RouteId, event: impl FnOnce(RouteName) -> Event) {
        if let Some(declared) = self.routes.iter().find(|declared| declared.id == id) {
            self.unread.push(event(*declared.name));
        }
    }
}
