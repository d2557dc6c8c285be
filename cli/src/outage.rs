//! What becomes of the line while a command works, said on standard error.

use std::time::Duration;

use anyhow::Result;
use tieline_std::{Connection, Ended, Event, Events, LostReason};

use crate::terminal::note;

/// Reads the events of a connection.
#[derive(Debug)]
pub(crate) struct Watch {
    events: Events,
    /// The session that it began with was told of.
    began: bool,
    /// The line is lost, and people know.
    away: bool,
    /// Sessions that were lost for good.
    pub(crate) lost: u64,
}

impl Watch {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self { events: connection.events(), began: false, away: false, lost: 0 }
    }

    /// Says what has happened since the last time; what is not about the line goes to `other`.
    pub(crate) fn look(&mut self, mut other: impl FnMut(Event) -> Result<()>) -> Result<()> {
        while let Some(event) = self.events.try_recv() {
            match event {
                Event::Degraded => self.away(format_args!("the line is lost, or silent: waiting for it")),
                Event::Lost(reason) => {
                    self.lost += 1;
                    self.away = false;
                    self.away(format_args!("{}: waiting for it", reason_of(reason)));
                }
                Event::Established { peer, resumed } => self.back(&peer, resumed),
                event => other(event)?,
            }
        }
        Ok(())
    }

    fn away(&mut self, text: impl std::fmt::Display) {
        if !std::mem::replace(&mut self.away, true) {
            note(text);
        }
    }

    fn back(&mut self, peer: &str, resumed: bool) {
        let began = std::mem::replace(&mut self.began, true);
        if !std::mem::take(&mut self.away) && (!began || resumed) {
            return;
        }
        let peer = if peer.is_empty() { String::new() } else { format!(" {peer:?}") };
        if resumed {
            note(format_args!("the peer{peer} is back, and nothing reliable is missing"));
        } else {
            note(format_args!("a new session with the peer{peer} has begun"));
        }
    }

    /// Says it now and then while `wait` does not succeed: returns what that returns, unless it is [`None`].
    pub(crate) fn during<R>(
        &mut self,
        look: Duration,
        mut wait: impl FnMut(Duration) -> Result<Option<R>>,
    ) -> Result<R> {
        loop {
            if let Some(result) = wait(look)? {
                return Ok(result);
            }
            self.look(|_| Ok(()))?;
        }
    }
}

fn reason_of(reason: LostReason) -> Ended {
    Ended::Lost { reason, cause: None }
}
