//! Thin drivers: a byte port on one side, an [`Endpoint`] on the other, no threads and no interrupts.
//!
//! [`Driver`] moves bytes between a [`Port`] and an endpoint without ever waiting: call [`Driver::poll`] from a loop. A
//! port is made of an `embedded_io` serial port ([`Io`]) or of `nb` functions ([`Nb`]). What the messages mean is the
//! application's.

use crate::endpoint::{Endpoint, Storage};
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

/// A [`Port`] of an `embedded_io` 0.7 port that can tell whether it is ready.
#[derive(Debug, Clone, Copy)]
pub struct Io<T>(pub T);

impl<T> Port for Io<T>
where
    T: embedded_io::Read + embedded_io::ReadReady + embedded_io::Write + embedded_io::WriteReady,
{
    type Error = T::Error;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Self::Error> {
        if !self.0.read_ready()? {
            return Err(nb::Error::WouldBlock);
        }
        Ok(self.0.read(buffer)?)
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Self::Error> {
        if !self.0.write_ready()? {
            return Err(nb::Error::WouldBlock);
        }
        Ok(self.0.write(bytes)?)
    }
}

/// A [`Port`] of two `nb` functions that move one byte each, as any HAL's UART has:
/// `Nb { read: || rx.read(), write: |byte| tx.write(byte) }`.
#[derive(Debug, Clone, Copy)]
pub struct Nb<R, W> {
    /// Reads a byte.
    pub read: R,
    /// Writes a byte.
    pub write: W,
}

impl<R, W, E> Port for Nb<R, W>
where
    R: FnMut() -> nb::Result<u8, E>,
    W: FnMut(u8) -> nb::Result<(), E>,
{
    type Error = E;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, E> {
        let mut count = 0;
        for place in buffer {
            match (self.read)() {
                Ok(byte) => *place = byte,
                // What was read is not lost; a fault comes again on the next call.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
            count += 1;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, E> {
        let mut count = 0;
        for byte in bytes {
            match (self.write)(*byte) {
                Ok(()) => count += 1,
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

/// How many bytes are read at once: what a UART's receive buffer collects while the loop does something else.
const READ_BYTES: usize = 64;

/// Moves bytes between a port and an endpoint. `OUT` holds one frame: [`Inline::TRANSMIT_MAX`](crate::Inline).
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
    pub fn poll<S: Storage>(&mut self, endpoint: &mut Endpoint<S>, now: Instant) -> Result<bool, P::Error> {
        if endpoint.poll_timeout().is_some_and(|at| at <= now) {
            endpoint.handle_timeout(now);
        }
        let news = self.receive(endpoint, now)?;
        self.send(endpoint, now)?;
        Ok(news)
    }

    /// At most one read: the application looks at what came before more is taken.
    fn receive<S: Storage>(&mut self, endpoint: &mut Endpoint<S>, now: Instant) -> Result<bool, P::Error> {
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

    fn send<S: Storage>(&mut self, endpoint: &mut Endpoint<S>, now: Instant) -> Result<(), P::Error> {
        loop {
            let waiting = self.output.get(self.output_from..self.output_to).unwrap_or_default();
            if waiting.is_empty() {
                let start = self.output.as_ptr().addr();
                let Some(frame) = endpoint.poll_transmit(now, &mut self.output) else { return Ok(()) };
                // The frame is a part of the buffer, behind the room that framing took.
                self.output_from = frame.as_ptr().addr().saturating_sub(start);
                self.output_to = self.output_from + frame.len();
                continue;
            }
            match self.port.write(waiting) {
                Ok(count) => self.output_from += count,
                Err(nb::Error::WouldBlock) => return Ok(()),
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

#[cfg(all(test, feature = "receive"))]
mod tests {
    use core::cell::RefCell;
    use core::convert::Infallible;
    use std::collections::VecDeque;
    use std::rc::Rc;

    use super::*;
    use crate::{Config, Event, Inline, IntentOptions, InterestOptions, Link, Quality, RouteName, Select};

    type Memory = Inline<128, 256, 256, 2>;
    type Line = Rc<RefCell<VecDeque<u8>>>;

    static ROUTE: RouteName = match RouteName::new("Bytes", "driver.test") {
        Ok(name) => name,
        Err(_) => panic!(),
    };

    /// A UART with a FIFO of 4 bytes each way.
    struct Fifo {
        from: Line,
        to: Line,
    }

    const FIFO: usize = 4;

    impl embedded_io::ErrorType for Fifo {
        type Error = Infallible;
    }

    impl embedded_io::Read for Fifo {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            let mut from = self.from.borrow_mut();
            let count = buffer.len().min(from.len());
            assert!(count > 0, "a read that would wait");
            buffer.iter_mut().zip(from.drain(..count)).for_each(|(to, byte)| *to = byte);
            Ok(count)
        }
    }

    impl embedded_io::ReadReady for Fifo {
        fn read_ready(&mut self) -> Result<bool, Infallible> {
            Ok(!self.from.borrow().is_empty())
        }
    }

    impl embedded_io::Write for Fifo {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            let count = bytes.len().min(FIFO - self.to.borrow().len());
            assert!(count > 0, "a write that would wait");
            self.to.borrow_mut().extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl embedded_io::WriteReady for Fifo {
        fn write_ready(&mut self) -> Result<bool, Infallible> {
            Ok(self.to.borrow().len() < FIFO)
        }
    }

    fn side(nonce: u64, quality: Quality) -> Endpoint<Memory> {
        let mut endpoint = Endpoint::new(Memory::new());
        endpoint.start(Config::new("driver"), nonce);
        endpoint.declare_intent(&ROUTE, IntentOptions { quality, ..IntentOptions::default() }).unwrap();
        endpoint.declare_interest(&ROUTE, InterestOptions::default()).unwrap();
        endpoint.handle_connect(Instant::ZERO, Link::serial(0)).unwrap();
        endpoint
    }

    /// Reads all events and messages; publishes 20 messages when somebody wants them; returns how many came.
    fn application(endpoint: &mut Endpoint<Memory>, sent: &mut u8, came: &mut u8) {
        while let Some(event) = endpoint.poll_event() {
            assert!(!matches!(event, Event::Lost(_) | Event::Closed(_)), "{event:?}");
        }
        while let Some(message) = endpoint.poll_message(Select::Any) {
            assert_eq!(message.payload, [*came; 9]);
            *came += 1;
        }
        let route = endpoint.declare_intent(&ROUTE, IntentOptions::reliable()).unwrap();
        if *sent < 20 && endpoint.has_audience(route) && endpoint.publish(route, &[*sent; 9]).is_ok() {
            *sent += 1;
        }
    }

    #[test]
    fn an_embedded_io_port_and_nb_functions_talk_over_small_fifos() {
        let (there, back) = (Line::default(), Line::default());
        let mut a = side(1, Quality::Reliable);
        let mut b = side(2, Quality::Reliable);
        let mut a_driver =
            Driver::<_, { Memory::TRANSMIT_MAX }>::new(Io(Fifo { from: back.clone(), to: there.clone() }));
        let mut b_driver = Driver::<_, { Memory::TRANSMIT_MAX }>::new(Nb {
            read: || there.borrow_mut().pop_front().ok_or(nb::Error::<()>::WouldBlock),
            write: |byte| {
                if back.borrow().len() == FIFO {
                    return Err(nb::Error::WouldBlock);
                }
                back.borrow_mut().push_back(byte);
                Ok(())
            },
        });
        let (mut a_sent, mut a_came, mut b_sent, mut b_came) = (0, 0, 0, 0);
        for turn in 0..20_000 {
            let now = Instant::from_micros(turn * 50);
            a_driver.poll(&mut a, now).unwrap();
            b_driver.poll(&mut b, now).unwrap();
            application(&mut a, &mut a_sent, &mut a_came);
            application(&mut b, &mut b_sent, &mut b_came);
            if (a_came, b_came) == (20, 20) {
                return;
            }
        }
        panic!("{a_came} and {b_came} of 20 messages came: {:?} {:?}", a.stats(), b.stats());
    }

    #[test]
    fn a_fault_of_the_port_is_told_and_loses_nothing_that_was_read() {
        let mut endpoint = side(1, Quality::BestEffort);
        let mut faults = [Ok(0x55), Err(nb::Error::Other("overrun"))].into_iter();
        let mut driver = Driver::<_, { Memory::TRANSMIT_MAX }>::new(Nb {
            read: || faults.next().unwrap_or(Err(nb::Error::WouldBlock)),
            write: |_| Err(nb::Error::WouldBlock),
        });
        assert_eq!(driver.poll(&mut endpoint, Instant::ZERO), Ok(true));
        assert_eq!(endpoint.stats().bytes_in, 1);
        let mut faulty = Driver::<_, { Memory::TRANSMIT_MAX }>::new(Nb {
            read: || Err(nb::Error::Other("overrun")),
            write: |_| Ok(()),
        });
        assert_eq!(faulty.poll(&mut endpoint, Instant::ZERO), Err("overrun"));
    }
}
