//! How a connection is doing: per route, as a whole, and as the peer sees it.
//!
//! Every connection answers the peer's question for its own view; that is the one service which is not the application's.

use tieline::report::{REPORT_MAX, STATS};
use tieline::{RequestId, RouteId, RouteName, Select, ServiceOptions, code, nb};

use crate::engine::{Declared, Engine};

pub use tieline::report::Report;

/// Room for requests that wait to be answered: they are empty, and answered at once.
pub(crate) const ROOM: usize = 256;

/// What went over one route of a connection since it was declared here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStats {
    /// The route.
    pub route: RouteName,
    /// Messages that were taken for sending, and the bytes of their payloads.
    pub published: Traffic,
    /// Messages that the application has taken.
    pub received: Traffic,
    /// Reliable messages that the peer's application has taken.
    pub delivered: u64,
    /// Reliable messages that were certainly not delivered.
    pub not_delivered: u64,
    /// Reliable messages of which nobody can say any more whether they were delivered.
    pub in_doubt: u64,
    /// Reliable messages on their way: how long the queue is.
    pub undelivered: usize,
}

/// Messages and the bytes of their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// So many messages.
    pub messages: u64,
    /// So many bytes in them.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += u64::try_from(bytes).unwrap_or_default();
    }
}

/// The service that answers for the connection itself.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    service: Option<RouteId>,
    /// There was no room for its answer.
    unanswered: Option<RequestId>,
}

impl Engine {
    /// From now on the peer may ask how the line looks from here.
    pub(crate) fn report_to_peer(&mut self) {
        // An endpoint without room for a service answers none.
        let options = ServiceOptions { room: Some(ROOM), ttl: None };
        self.reporter.service = self.endpoint.declare_service(&STATS, options).ok();
    }

    /// Answers the peer's questions for it.
    pub(crate) fn answer_for_itself(&mut self) {
        let Some(service) = self.reporter.service else { return };
        while let Some(id) =
            self.reporter.unanswered.take().or_else(|| {
                self.endpoint.poll_message(Select::Only(service)).and_then(|message| message.request)
            })
        {
            let mut out = [0; REPORT_MAX];
            let report = self.endpoint.report();
            let answer = report.emit(&mut out).unwrap_or_default();
            if let Err(nb::Error::WouldBlock) = self.endpoint.respond(id, code::OK, answer) {
                self.reporter.unanswered = Some(id);
                return;
            }
        }
    }

    pub(crate) fn route_stats(&self) -> Vec<RouteStats> {
        let one = |declared: &Declared| RouteStats {
            route: *declared.name,
            published: declared.published,
            received: declared.received,
            delivered: declared.delivered,
            not_delivered: declared.not_delivered,
            in_doubt: declared.in_doubt,
            undelivered: self.endpoint.undelivered(declared.id),
        };
        self.routes.iter().map(one).collect()
    }
}
