//! How those outside of a connection bring it lines and ask about them.
//!
//! Invariant: whoever brings a line, or ends the connection, tells all that wait. The bytes of a line are the driver's.

use std::sync::PoisonError;
use std::time::Instant;

use tieline::ConnectError;

use crate::driver::{Guard, Shared};
use crate::engine::Engine;
use crate::error::Ended;
use crate::link::Line;

impl Shared {
    /// Gives the connection a line, unless it is over or, if `needed`, has one that works by now; returns whether it has
    /// taken it. `heard` was read from it.
    ///
    /// # Errors
    /// The options make an endpoint that cannot work on it.
    pub(crate) fn attach(&self, line: Line, heard: &[u8], needed: bool) -> Result<bool, ConnectError> {
        let mut engine = self.lock();
        let is_needed = !needed || !engine.endpoint.is_established();
        if engine.over.is_some() || engine.abandoned || !is_needed {
            return Ok(false);
        }
        let old = engine.attach(self.now(), line, heard)?;
        self.announce(&mut engine);
        drop(engine);
        // Closing may take a while.
        drop(old);
        Ok(true)
    }

    /// Ends the connection from outside.
    pub(crate) fn end(&self, ended: Ended) {
        let mut engine = self.lock();
        engine.end(ended);
        // What is in doubt is so for good.
        engine.endpoint.close(0);
        engine.digest();
        self.announce(&mut engine);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().over.is_some()
    }

    /// Whether there is a line, and a session on it or the hope for one.
    pub(crate) fn has_working_line(&self) -> bool {
        let engine = self.lock();
        engine.line.is_some() && engine.in_vain_at.is_none_or(|at| at > Instant::now())
    }

    /// Whether there is a session, with a line or without, whose peer has another name than that.
    pub(crate) fn is_with_another(&self, name: &str) -> bool {
        let engine = self.lock();
        engine.in_session && engine.endpoint.peer().is_some_and(|peer| peer.name.as_str() != name)
    }

    pub(crate) fn has_line(&self) -> bool {
        self.lock().line.is_some()
    }

    /// The newest nonce of the peer that the endpoint has accepted, on whichever line.
    pub(crate) fn peer_nonce(&self) -> Option<u64> {
        self.lock().endpoint.peer_nonce()
    }

    /// Since when it has no line.
    pub(crate) fn without_line(&self) -> Option<Instant> {
        let engine = self.lock();
        engine.without_line.filter(|_| engine.over.is_none())
    }

    /// When something came last.
    pub(crate) fn heard_at(&self) -> Instant {
        self.clock(self.lock().heard)
    }

    /// What was seen of somebody who is no peer, while there is none.
    pub(crate) fn hint(&self, text: &str) {
        let mut engine = self.lock();
        if engine.line.is_none() {
            engine.hint = text.to_owned();
        }
    }

    /// Waits until there is news of lines, or until then.
    pub(crate) fn await_line_news<'a>(&'a self, mut engine: Guard<'a>, until: Option<Instant>) -> Guard<'a> {
        if std::mem::take(&mut engine.line_news) {
            return engine;
        }
        engine.searcher_waits = true;
        let mut engine = match until {
            None => self.line_news.wait(engine).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.line_news.wait_timeout(engine, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        engine.searcher_waits = false;
        engine.line_news = false;
        engine
    }

    /// Tells those outside of the connection that have to do with it.
    pub(crate) fn pass_on(&self, engine: &mut Engine) {
        if engine.line_news && std::mem::take(&mut engine.searcher_waits) {
            self.line_news.notify_one();
        }
        if std::mem::take(&mut engine.ring)
            && let Some(bell) = &self.bell
        {
            bell.ring();
        }
    }
}
