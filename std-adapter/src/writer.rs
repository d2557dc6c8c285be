//! What has been taken from the endpoint and not yet by the system.
//!
//! Invariant: bytes go out in the order in which the endpoint gave them; a write that was cut short goes on
//! where it stopped. Nothing is taken from the endpoint before the line has room for it, so what is urgent
//! overtakes whatever the endpoint still holds.

use std::io;
use std::time::Instant;

use tieline::Endpoint;

use crate::link::{Line, Pace, Step};
use crate::storage::Boxed;

/// Most bytes that are handed to the system at once: large enough that a call costs nothing beside them.
const BATCH: usize = 64 * 1024;

/// Why writing has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There is nothing to write.
    Idle,
    /// The system takes nothing now.
    Blocked,
    /// The line has enough to do until then.
    Paced(Instant),
}

#[derive(Debug)]
pub(crate) struct Writer {
    buffer: Box<[u8]>,
    /// What is not written yet lies between the two.
    start: usize,
    end: usize,
    pace: Option<Pace>,
    pub(crate) rest: Rest,
    /// The line takes nothing any more. Reading will tell why.
    pub(crate) broken: bool,
    /// Which line it writes to.
    line_turn: u64,
}

impl Writer {
    pub(crate) fn new(transmit_max: usize) -> Self {
        Self {
            buffer: vec![0; BATCH.max(transmit_max)].into(),
            start: 0,
            end: 0,
            pace: None,
            rest: Rest::Idle,
            broken: false,
            line_turn: 0,
        }
    }

    /// From now on it writes to this line, if it did not already. What another one did not take is gone with that.
    pub(crate) fn begin(&mut self, line: Option<&Line>, line_turn: u64) {
        if self.line_turn != line_turn {
            (self.start, self.end, self.rest, self.broken) = (0, 0, Rest::Idle, false);
            self.pace = line.and_then(|line| line.pace).map(|rate| Pace::new(rate, Instant::now()));
            self.line_turn = line_turn;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes from the endpoint what fits; a line with a pace, or of datagrams, gets one frame at a time.
    pub(crate) fn fill(&mut self, endpoint: &mut Endpoint<Boxed>, now: tieline::Instant, line: &Line) {
        if self.broken || !self.is_empty() {
            return;
        }
        (self.start, self.end, self.rest) = (0, 0, Rest::Idle);
        if let Some(pace) = &self.pace {
            if !endpoint.wants_transmit() {
                return;
            }
            let clock = Instant::now();
            let delay = pace.delay(clock, line.queued());
            if !delay.is_zero() {
                self.rest = Rest::Paced(clock + delay);
                return;
            }
        }
        while let Some(room) = self.buffer.get_mut(self.end..) {
            let begin = room.as_ptr().addr();
            let Some(frame) = endpoint.poll_transmit(now, room) else { break };
            // The frame lies behind room for the longest head that it might have had.
            let (from, len) = (self.end + (frame.as_ptr().addr() - begin), frame.len());
            if self.is_empty() {
                (self.start, self.end) = (from, from + len);
            } else {
                self.buffer.copy_within(from..from + len, self.end);
                self.end += len;
            }
            if self.pace.is_some() || line.is_datagram() {
                break;
            }
        }
    }

    /// Hands bytes to the system until it takes no more. Returns how many it took.
    pub(crate) fn write(&mut self, line: &Line) -> io::Result<usize> {
        let begin = self.start;
        while !self.is_empty() {
            match line.write(self.buffer.get(self.start..self.end).unwrap_or_default()) {
                Ok(Step::Moved(n)) => {
                    tracing::trace!(bytes = n, "written");
                    self.start += n;
                }
                Ok(Step::NotNow | Step::End) => {
                    self.rest = Rest::Blocked;
                    break;
                }
                Err(error) => {
                    self.start = self.end;
                    self.broken = true;
                    return Err(error);
                }
            }
        }
        if let Some(pace) = &mut self.pace {
            pace.wrote(Instant::now(), self.start - begin);
        }
        Ok(self.start - begin)
    }
}
