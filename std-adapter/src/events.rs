//! The events of a connection, as a channel.

use std::sync::Arc;
use std::time::Duration;

use crate::connection::{Inner, deadline};
use crate::error::Error;
use crate::event::Event;

/// The events of a connection, as a channel. What nobody reads is merged and never holds up the connection.
#[derive(Debug)]
pub struct Events {
    inner: Arc<Inner>,
}

impl Events {
    pub(crate) fn new(inner: &Arc<Inner>) -> Self {
        Self { inner: Arc::clone(inner) }
    }

    /// Waits for the next event; `None` after the last one.
    #[must_use]
    pub fn recv(&self) -> Option<Event> {
        self.inner.shared.wait(None, |engine| engine.unread.pop()).ok()
    }

    /// Waits for the next event for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Ended`]
    pub fn recv_timeout(&self, limit: Duration) -> Result<Event, Error> {
        Ok(self.inner.shared.wait(deadline(limit), |engine| engine.unread.pop())?)
    }

    /// The next event if one is there.
    #[must_use]
    pub fn try_recv(&self) -> Option<Event> {
        self.inner.shared.lock().unread.pop()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv()
    }
}
