//! The application for boards with little flash: it publishes the samples and obeys the command, and that is all.
//!
//! Its endpoint is [`lite`]: to a peer it is a board like the others, without requests.

use tieline::driver::Application;
use tieline::lite::{self, Device, published, read};
use tieline::time::Duration;
use tieline::{Instant, RouteName, Select};

use crate::sensor::Sensor;
use crate::{COMMAND, IMU, RATE_AT_START, RATE_MAX, SetRate};

/// What it is to its peer.
#[derive(Debug)]
pub struct Small;

impl Device<1, 1> for Small {
    const NAME: &'static str = "small board";
    const PUBLISHES: [RouteName; 1] = [*IMU.name()];
    const READS: [RouteName; 1] = [*COMMAND.name()];
}

/// Its endpoint: frames of 80 bytes, one route out, one in.
type Endpoint = lite::Endpoint<Small, 80, 1, 1>;

/// The application.
#[derive(Debug)]
pub struct SmallApp {
    endpoint: Endpoint,
    sensor: Sensor,
    next_sample: Instant,
    /// Between samples; zero: none.
    period: Duration,
}

impl SmallApp {
    /// Bytes that a frame takes on the wire at most.
    pub const TRANSMIT_MAX: usize = Endpoint::TRANSMIT_MAX;

    /// An application that has not been [started](Self::start): all zero, so that a static one takes no flash.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            endpoint: Endpoint::new(),
            sensor: Sensor::new(),
            next_sample: Instant::ZERO,
            period: Duration::ZERO,
        }
    }

    /// Starts the endpoint. `boot_nonce` must differ at each start: see [`lite::Endpoint::start`].
    pub fn start(&mut self, boot_nonce: u64) {
        self.endpoint.start(boot_nonce);
        self.sample_at(RATE_AT_START);
    }

    fn sample_at(&mut self, hertz: u32) {
        self.period = match hertz.min(RATE_MAX) {
            0 => Duration::ZERO,
            hertz => Duration::from_micros((1_000_000 / hertz).into()),
        };
    }
}

impl Default for SmallApp {
    fn default() -> Self {
        Self::new()
    }
}

impl Application for SmallApp {
    type Endpoint = Endpoint;

    fn endpoint(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    fn poll(&mut self, now: Instant) -> Option<Instant> {
        while let Some(message) = self.endpoint.poll_message(Select::Only(read(0))) {
            if let Ok(SetRate { hertz }) = message.decode() {
                self.sample_at(hertz);
                self.next_sample = now;
            }
        }
        if self.period == Duration::ZERO || !self.endpoint.has_audience(published(0)) {
            return None;
        }
        if now >= self.next_sample {
            // Samples that are missed are not made up for.
            let next = self.next_sample + self.period;
            self.next_sample = if next < now { now + self.period } else { next };
            let _ = self.endpoint.publish_message(published(0), &self.sensor.read(now));
        }
        Some(self.next_sample)
    }
}

#[cfg(test)]
mod tests {
    use tieline::{Config, Inline, IntentOptions, InterestOptions, Link};

    use super::*;
    use crate::ImuSample;

    type Pc = tieline::Endpoint<Inline<256, 512, 512, 2>>;

    /// Lets both run for a second of virtual time, a millisecond at a time; returns what samples came.
    fn second(pc: &mut Pc, board: &mut SmallApp, from: Instant) -> usize {
        let mut line = [0; 300];
        let mut samples = 0;
        for ms in 0..1000 {
            let now = from + Duration::from_millis(ms);
            pc.handle_timeout(now);
            board.endpoint.handle_timeout(now);
            let _ = board.poll(now);
            while let Some(frame) = board.endpoint.poll_transmit(now, &mut line) {
                pc.handle_input(now, frame);
            }
            while let Some(frame) = pc.poll_transmit(now, &mut line) {
                board.endpoint.handle_input(now, frame);
            }
            while let Some(message) = pc.poll_message(Select::Any) {
                assert!(message.decode::<ImuSample>().is_ok());
                samples += 1;
            }
        }
        samples
    }

    #[test]
    fn it_publishes_at_the_rate_that_it_is_told() {
        let mut board = SmallApp::new();
        board.start(1);
        let mut pc = Pc::new(Inline::new());
        pc.start(Config::new("pc"), 2);
        let command = pc.declare_intent(COMMAND.name(), IntentOptions::reliable()).unwrap();
        pc.declare_interest(IMU.name(), InterestOptions::default()).unwrap();
        pc.handle_connect(Instant::ZERO, Link::serial(115_200)).unwrap();
        board.endpoint.handle_connect(Instant::ZERO).unwrap();
        let seconds = |number| Instant::ZERO + Duration::from_secs(number);

        assert!((8..=11).contains(&second(&mut pc, &mut board, seconds(0))));
        pc.publish_message(command, &SetRate { hertz: 100 }).unwrap();
        assert!((95..=105).contains(&second(&mut pc, &mut board, seconds(1))));
        pc.publish_message(command, &SetRate { hertz: 0 }).unwrap();
        second(&mut pc, &mut board, seconds(2));
        assert_eq!(second(&mut pc, &mut board, seconds(3)), 0);
    }
}
