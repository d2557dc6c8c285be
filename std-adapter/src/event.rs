//! What a connection has to tell besides messages.
//!
//! Invariant: the queue is bounded without losing anything but what a later event of the same kind and route
//! makes obsolete; counts are summed up.

use std::collections::VecDeque;

use tieline::{Diagnosis, FailReason, LostReason, RouteName};

use crate::error::Ended;
use crate::printable::printable;

/// What happened on a connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A line is there, or is looked for; there is no session yet.
    Connecting,
    /// A session with the peer has begun.
    Established {
        /// The peer's name; may be empty.
        peer: String,
        /// Whether it is the session that was [degraded](Self::Degraded), which goes on.
        resumed: bool,
    },
    /// The peer has fallen silent or the line is lost, but the session is kept for a while
    /// ([`Options::resume_for`](crate::Options::resume_for)): it goes on when the line does, or over a new one, without anything
    /// reliable lost or doubled.
    Degraded,
    /// The session is lost for good, and what was under way with it has [failed](Self::Failed). A new one begins by itself when
    /// the peer is found again, with all that is declared here.
    Lost(LostReason),
    /// The connection is over. Nothing comes after this.
    Ended(Ended),
    /// The peer's interest in a route that we publish has come or gone.
    Audience {
        /// The route.
        route: RouteName,
        /// Whether messages on it are wanted now.
        present: bool,
    },
    /// A publisher (or service) on a route that we read (or call) has come or gone.
    Publisher {
        /// The route.
        route: RouteName,
        /// Whether somebody says that it publishes there now.
        present: bool,
    },
    /// Both sides have the route's path with another type or schema: nothing is delivered on it.
    RouteConflict {
        /// The route, as it is called here.
        route: RouteName,
        /// Hash of our type.
        ours: u32,
        /// Hash of the peer's type; equal to ours if it is the schema that differs.
        theirs: u32,
    },
    /// Reliable messages that will not be delivered, or that nobody can say of whether they were.
    Failed {
        /// The route they were published on.
        route: RouteName,
        /// How many since the last event of this kind.
        messages: u64,
        /// Why.
        reason: FailReason,
    },
    /// The line behaves in a way that has a likely cause.
    Diagnosis(Diagnosis),
}

impl Event {
    /// Whether `later` makes `self` obsolete, after `later` has taken over its count.
    fn is_replaced_by(&self, later: &mut Self) -> bool {
        match (self, later) {
            // How the line is now. That a session was lost in between is told besides.
            (
                Self::Connecting | Self::Established { .. } | Self::Degraded,
                Self::Connecting | Self::Established { .. } | Self::Degraded,
            )
            | (Self::Connecting | Self::Established { .. } | Self::Degraded, Self::Lost(_))
            | (Self::Lost(_), Self::Lost(_))
            | (Self::Ended(_), Self::Ended(_))
            | (Self::Diagnosis(_), Self::Diagnosis(_)) => true,
            (Self::Audience { route: a, .. }, Self::Audience { route: b, .. })
            | (Self::Publisher { route: a, .. }, Self::Publisher { route: b, .. })
            | (Self::RouteConflict { route: a, .. }, Self::RouteConflict { route: b, .. }) => a == b,
            (
                Self::Failed { route: a, reason: why, messages: n },
                Self::Failed { route: b, reason: because, messages: sum },
            ) if a == b && why == because => {
                *sum += n;
                true
            }
            _ => false,
        }
    }
}

impl Event {
    /// Logs it at the level of its weight. What is told for each message of a route that fails is no more than a detail.
    fn log(&self) {
        use tracing::{debug, info, warn};
        match self {
            Self::Connecting => info!("looking for the peer"),
            Self::Established { peer, resumed } => info!(peer = %printable(peer), resumed, "in a session"),
            Self::Degraded => warn!("the line is lost or silent; the session is kept"),
            Self::Lost(reason) => warn!(?reason, "the session is lost"),
            Self::Ended(ended) if ended.is_orderly() => info!("{ended}"),
            Self::Ended(ended) => warn!("{ended}"),
            Self::Audience { route, present } => debug!(%route, present, "audience"),
            Self::Publisher { route, present } => debug!(%route, present, "publisher"),
            Self::RouteConflict { route, ours, theirs } => {
                warn!(%route, ours, theirs, "the peer has another type or schema on that path");
            }
            Self::Failed { route, reason, .. } => debug!(%route, ?reason, "not delivered, or in doubt"),
            Self::Diagnosis(diagnosis) => warn!(?diagnosis, "the line behaves strangely"),
        }
    }
}

/// Events that nobody has read yet: at most one of a kind, route and reason.
#[derive(Debug, Default)]
pub(crate) struct Unread(VecDeque<Event>);

/// Routes come and go; what was said of the oldest is dropped first when more than this is unread.
const UNREAD_MAX: usize = 1024;

impl Unread {
    pub(crate) fn push(&mut self, mut event: Event) {
        event.log();
        self.0.retain(|earlier| !earlier.is_replaced_by(&mut event));
        if self.0.len() >= UNREAD_MAX {
            self.0.pop_front();
        }
        // What the end has brought about is told before it.
        let behind = usize::from(matches!(self.0.back(), Some(Event::Ended(_))));
        self.0.insert(self.0.len() - behind, event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &'static str, messages: u64, reason: FailReason) -> Event {
        Event::Failed { route: RouteName::new("T", path).unwrap(), messages, reason }
    }

    #[test]
    fn what_nobody_reads_is_merged() {
        let route = RouteName::new("T", "a").unwrap();
        let mut unread = Unread::default();
        for turn in 0..10_000 {
            unread.push(Event::Audience { route, present: turn % 2 == 0 });
            unread.push(failed("a", 1, FailReason::NotSent));
            unread.push(failed("a", 2, FailReason::SessionLost));
            unread.push(failed("b", 3, FailReason::NotSent));
        }
        let all: Vec<_> = std::iter::from_fn(|| unread.pop()).map(|event| format!("{event:?}")).collect();
        assert_eq!(all.len(), 4, "{all:#?}");
        assert!(all[0].contains("present: false"), "{all:#?}");
        for (text, count) in all[1..].iter().zip([10_000, 20_000, 30_000]) {
            assert!(text.contains(&format!("messages: {count}")), "{all:#?}");
        }
    }
}
