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
