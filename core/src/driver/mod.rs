//! Thin drivers: a byte port on one side, an [`Endpoint`] or a [`lite::Endpoint`] on the other, and the loop that is a board's main.
//!
//! [`Driver`] moves bytes between a [`Port`] and an endpoint without ever waiting: call [`Driver::poll`] from a loop, or let
//! [`Driver::run`] be the loop. A port is made of an `embedded_io` serial port ([`Io`]), of `nb` functions ([`Nb`]), or of two
//! queues that an interrupt handler serves ([`Queues`]). What the messages mean is the application's; registers, pins and
//! interrupts are the board's.

mod logs;
mod ports;
mod queues;
mod run;

pub use logs::{LOG, LogRing, Logged};
pub use ports::{Io, Nb};
pub use queues::{Handler, QueuedPort, Queues};
pub use run::{Application, Board, Ready, Turn, Wait};

use crate::endpoint::{Endpoint, Storage};
use crate::lite;
use crate::time::Instant;

/// A byte port that never waits.
pub trait Port {
    /// What can go wrong with the port.
    type Error;

    /// Reads what is there, at most `buffer.len()` bytes; returns how many.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there now.
    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Self::Error>;

    /// Writes what there is room for; returns how many bytes.
    ///
    /// # Errors
    /// `WouldBlock`: no room now.
    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Self::Error>;
}

/// What a driver drives: [`Endpoint`] or [`lite::Endpoint`]. The methods are theirs of the same name.
pub trait Machine {
    /// Takes bytes that came, and says how many.
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize;
    /// Tells it the time.
    fn handle_timeout(&mut self, now: Instant);
    /// The next frame to send, which is framed in `out`.
    fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]>;
    /// When [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens.
    fn poll_timeout(&self) -> Option<Instant>;
}

impl<S: Storage> Machine for Endpoint<S> {
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.handle_input(now, bytes)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.may_be_due(now) {
            self.handle_timeout(now);
        }
    }

    fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
}

impl<D: lite::Device<OUT, IN>, const FRAME: usize, const OUT: usize, const IN: usize> Machine
    for lite::Endpoint<D, FRAME, OUT, IN>
{
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.handle_input(now, bytes)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_transmit<'o>(&mut self, now: Instant, out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
}

/// How many bytes are read at once: what a UART's receive buffer collects while the loop does something else.
const READ_BYTES: usize = 64;

/// Moves bytes between a port and an endpoint. `OUT` holds one frame: [`Inline::TRANSMIT_MAX`](crate::Inline), or
/// [`lite::Endpoint::TRANSMIT_MAX`].
#[derive(Debug)]
pub struct Driver<P, const OUT: usize> {
    port: P,
    /// Bytes that were read and not taken by the endpoint yet.
    input: [u8; READ_BYTES],
    input_from: usize,
    input_to: usize,
    /// The frame that is being written.
    output: [u8; OUT],
    output_from: usize,
    output_to: usize,
}

impl<P: Port, const OUT: usize> Driver<P, OUT> {
    /// A driver of a port.
    #[must_use]
    pub const fn new(port: P) -> Self {
        Self {
            port,
            input: [0; READ_BYTES],
            input_from: 0,
            input_to: 0,
            output: [0; OUT],
            output_from: 0,
            output_to: 0,
        }
    }

    /// Moves what can be moved now, and tells the endpoint the time. Returns whether bytes came: then look for messages,
    /// events and answers, and call it again at once; else when bytes come or [`Endpoint::poll_timeout`] says.
    ///
    /// # Errors
    /// The port's. Bytes that were read are kept.
    pub fn poll(&mut self, endpoint: &mut impl Machine, now: Instant) -> Result<bool, P::Error> {
        endpoint.handle_timeout(now);
        let news = self.receive(endpoint, now)?;
        self.send(endpoint, now)?;
        Ok(news)
    }

    /// At most one read: the application looks at what came before more is taken.
    fn receive(&mut self, endpoint: &mut impl Machine, now: Instant) -> Result<bool, P::Error> {
        if self.input_from >= self.input_to {
            (self.input_from, self.input_to) = match self.port.read(&mut self.input) {
                Ok(count) => (0, count),
                Err(nb::Error::WouldBlock) => (0, 0),
                Err(nb::Error::Other(error)) => return Err(error),
            };
        }
        let waiting = self.input.get(self.input_from..self.input_to).unwrap_or_default();
        if waiting.is_empty() {
            return Ok(false);
        }
        self.input_from += endpoint.handle_input(now, waiting);
        Ok(true)
    }

    /// As much as the port takes. Returns whether a frame was taken from the endpoint, which has made room there.
    fn send(&mut self, endpoint: &mut impl Machine, now: Instant) -> Result<bool, P::Error> {
        let mut news = false;
        loop {
            let waiting = self.output.get(self.output_from..self.output_to).unwrap_or_default();
            if waiting.is_empty() {
                let start = self.output.as_ptr().addr();
                let Some(frame) = endpoint.poll_transmit(now, &mut self.output) else { return Ok(news) };
                // The frame is a part of the buffer, behind the room that framing took.
                self.output_from = frame.as_ptr().addr().saturating_sub(start);
                self.output_to = self.output_from + frame.len();
                news = true;
                continue;
            }
            match self.port.write(waiting) {
                Ok(count) => self.output_from += count,
                Err(nb::Error::WouldBlock) => return Ok(news),
                Err(nb::Error::Other(error)) => return Err(error),
            }
        }
    }

    /// Whether the port would not take all of a frame: call [`poll`](Self::poll) again when it can be written.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        self.output_from < self.output_to
    }

    /// The port.
    pub const fn port(&mut self) -> &mut P {
        &mut self.port
    }
}

#[cfg(all(test, feature = "receive", feature = "stats"))]
mod tests;
