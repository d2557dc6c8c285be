//! The loop that is every board's main: moves bytes, lets the application run, and knows for how long there is nothing to do.
//!
//! [`Driver::turn`] is one turn of it, [`Driver::run`] all of it. Invariant: it is over when the port has bytes, when the
//! port has room for which output waits, or when the time has come that the endpoint or the application has named; until
//! then it may sleep. How a board sleeps, and how it wakes itself at a time, is the board's.
//!
//! An interrupt may come between the last look at the port and the instruction that sleeps; what it brought would then lie
//! there until the next interrupt. So [`Wait::sleep`] looks once more, and is to be called with interrupts masked: the
//! processor sleeps with an interrupt pending no longer than it takes to see that.

use core::convert::Infallible;

use super::{Driver, Machine, Port};
use crate::time::Instant;

/// A port that can tell whether there is something to do.
pub trait Ready {
    /// Whether bytes have come.
    fn is_readable(&mut self) -> bool;
    /// Whether there is room for bytes, and enough of it to be worth a turn.
    fn is_writable(&mut self) -> bool;
}

/// What runs on an endpoint.
pub trait Application {
    /// The kind of its endpoint: [`Endpoint`](crate::Endpoint) or [`lite::Endpoint`](crate::lite::Endpoint).
    type Endpoint: Machine;

    /// The endpoint.
    fn endpoint(&mut self) -> &mut Self::Endpoint;

    /// Takes what has come, publishes what is due. Called after bytes came and after bytes left, so that whoever waits for
    /// room gets it. Returns when to call again at the latest; the endpoint's own deadlines need not be among it.
    fn poll(&mut self, now: Instant) -> Option<Instant>;
}

impl<A: Application> Application for &mut A {
    type Endpoint = A::Endpoint;

    fn endpoint(&mut self) -> &mut A::Endpoint {
        (**self).endpoint()
    }

    fn poll(&mut self, now: Instant) -> Option<Instant> {
        (**self).poll(now)
    }
}

/// What the loop runs on.
pub trait Board {
    /// The clock, which never goes back.
    fn now(&mut self) -> Instant;

    /// There is nothing to do: sleep ([`Wait::sleep`]), or return at once, which is what it does unless you write it.
    ///
    /// The clock is looked at before and after: a sleep of less than a turn of the timer keeps a [`Clock`](crate::time::Clock)
    /// going.
    fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
        let _ = wait;
    }
}

/// What is to be done after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The next turn, at once.
    Again,
    /// Nothing before that time, if there is one, unless bytes come or output that was blocked finds room.
    Idle(Option<Instant>),
}

/// There is nothing to do.
#[derive(Debug)]
pub struct Wait<'a, P> {
    port: &'a mut P,
    until: Option<Instant>,
    is_blocked: bool,
}

impl<P: Ready> Wait<'_, P> {
    /// Until when there is nothing to do, if nothing comes. None: for ever.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the port has something to do meanwhile.
    fn is_over(&mut self) -> bool {
        self.port.is_readable() || self.is_blocked && self.port.is_writable()
    }

    /// Calls `sleep` with the time to wake at, unless there is something to do by now. To be called with interrupts masked;
    /// `sleep` sets the alarm and waits for an interrupt, pending ones included. It may return early.
    ///
    /// ```no_run
    /// # use tieline::driver::{Ready, Wait};
    /// # struct Alarm; impl Alarm { fn set(&self, _: Option<tieline::Instant>) {} }
    /// # fn interrupt_free(f: impl FnOnce()) {} fn wfi() {}
    /// fn idle<P: Ready>(alarm: &Alarm, wait: Wait<'_, P>) {
    ///     interrupt_free(|| wait.sleep(|until| { alarm.set(until); wfi() }));
    /// }
    /// ```
    pub fn sleep(mut self, sleep: impl FnOnce(Option<Instant>)) {
        if !self.is_over() {
            sleep(self.until);
        }
    }
}

impl<P: Port, const OUT: usize> Driver<P, OUT> {
    /// One turn: what came, the application, what goes.
    ///
    /// # Errors
    /// The port's. Nothing is lost by it: call again.
    pub fn turn<A: Application>(&mut self, application: &mut A, now: Instant) -> Result<Turn, P::Error> {
        let endpoint = application.endpoint();
        endpoint.handle_timeout(now);
        let came = self.receive(endpoint, now)?;
        let due = application.poll(now);
        let endpoint = application.endpoint();
        if self.send(endpoint, now)? || came {
            return Ok(Turn::Again);
        }
        Ok(Turn::Idle([due, endpoint.poll_timeout()].into_iter().flatten().min()))
    }
}

impl<P: Port + Ready, const OUT: usize> Driver<P, OUT> {
    /// Runs the application on a board, for ever.
    ///
    /// # Errors
    /// The port's: call again to go on.
    pub fn run(
        &mut self,
        application: &mut impl Application,
        board: &mut impl Board,
    ) -> Result<Infallible, P::Error> {
        loop {
            let Turn::Idle(until) = self.turn(application, board.now())? else { continue };
            let is_blocked = self.is_blocked();
            loop {
                let now = board.now();
                let is_late = until.is_some_and(|at| at <= now);
                let mut wait = Wait { port: &mut self.port, until, is_blocked };
                if is_late || wait.is_over() {
                    break;
                }
                board.idle(wait);
            }
        }
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use core::cell::{Cell, RefCell};

    use super::*;
    use crate::driver::{Handler, Queues};
    use crate::{
        Config, Endpoint, Inline, IntentOptions, InterestOptions, Link, RouteId, RouteName, Select, nb,
    };

    type Memory = Inline<128, 256, 512, 2>;

    static ROUTE: RouteName = match RouteName::new("Bytes", "run.test") {
        Ok(name) => name,
        Err(_) => panic!(),
    };

    const PERIOD: core::time::Duration = core::time::Duration::from_millis(20);

    /// Publishes a message every 20 ms and a burst at first; counts what comes.
    struct Periodic {
        endpoint: Endpoint<Memory>,
        route: RouteId,
        next: Instant,
        sent: u32,
        came: u32,
        polls: u32,
    }

    impl Periodic {
        fn new(nonce: u64) -> Self {
            let mut endpoint = Endpoint::new(Memory::new());
            endpoint.start(Config::new("run"), nonce);
            endpoint.declare_interest(&ROUTE, InterestOptions::default()).unwrap();
            let route = endpoint.declare_intent(&ROUTE, IntentOptions::reliable()).unwrap();
            endpoint.handle_connect(Instant::ZERO, Link::serial(115_200)).unwrap();
            Self { endpoint, route, next: Instant::ZERO, sent: 0, came: 0, polls: 0 }
        }
    }

    impl Application for Periodic {
        type Endpoint = Endpoint<Memory>;

        fn endpoint(&mut self) -> &mut Endpoint<Memory> {
            &mut self.endpoint
        }

        fn poll(&mut self, now: Instant) -> Option<Instant> {
            self.polls += 1;
            while self.endpoint.poll_event().is_some() {}
            while self.endpoint.poll_message(Select::Any).is_some() {
                self.came += 1;
            }
            if !self.endpoint.has_audience(self.route) {
                return None;
            }
            if now >= self.next {
                self.next = now + PERIOD;
                let burst = if self.sent == 0 { 4 } else { 1 };
                (0..burst).for_each(|_| {
                    self.sent += u32::from(self.endpoint.publish(self.route, &[7; 40]).is_ok());
                });
            }
            Some(self.next)
        }
    }

    /// The board's UART and clock: a byte takes 100 µs each way; time passes only while it sleeps. The other side of the
    /// line is a second driver, which is asked for each byte.
    struct World<'q> {
        now: Cell<u64>,
        handler: RefCell<Handler<'q>>,
        other: RefCell<(Driver<Wire, { Memory::TRANSMIT_MAX }>, Periodic)>,
        sleeps: Cell<u32>,
    }

    #[derive(Default)]
    struct Wire {
        to_board: std::collections::VecDeque<u8>,
        from_board: std::collections::VecDeque<u8>,
    }

    impl Port for Wire {
        type Error = Infallible;

        fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Infallible> {
            let count = buffer.len().min(self.from_board.len());
            buffer.iter_mut().zip(self.from_board.drain(..count)).for_each(|(to, byte)| *to = byte);
            if count == 0 { Err(nb::Error::WouldBlock) } else { Ok(count) }
        }

        fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Infallible> {
            self.to_board.extend(bytes);
            Ok(bytes.len())
        }
    }

    impl World<'_> {
        fn now(&self) -> Instant {
            Instant::from_micros(self.now.get())
        }

        /// Sleeps until a byte has come or left, or until the alarm.
        fn sleep(&self, until: Option<Instant>) {
            self.sleeps.set(self.sleeps.get() + 1);
            for _ in 0..100_000 {
                let (sent, came) = self.step();
                if sent || came || until.is_some_and(|at| at <= self.now()) {
                    return;
                }
            }
            panic!("a sleep from which nothing wakes");
        }

        /// The next 100 µs. Returns whether a byte has left and whether one has come: both are interrupts.
        fn step(&self) -> (bool, bool) {
            self.now.set(self.now.get() + 100);
            let mut other = self.other.borrow_mut();
            let (driver, application) = &mut *other;
            let sent = self.handler.borrow_mut().transmit();
            driver.port().from_board.extend(sent);
            while driver.turn(application, self.now()) == Ok(Turn::Again) {}
            let came = driver.port().to_board.pop_front();
            if let Some(byte) = came {
                self.handler.borrow_mut().receive(byte);
            }
            (sent.is_some(), came.is_some())
        }
    }

    /// A port that fails once its time is over, to get out of the loop.
    struct Until<'w, 'q, P>(P, &'w World<'q>, u64);

    impl<P: Port<Error = Infallible>> Port for Until<'_, '_, P> {
        type Error = ();

        fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, ()> {
            if self.1.now.get() >= self.2 {
                return Err(nb::Error::Other(()));
            }
            self.0.read(buffer).map_err(|_| nb::Error::WouldBlock)
        }

        fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, ()> {
            self.0.write(bytes).map_err(|_| nb::Error::WouldBlock)
        }
    }

    impl<P: Ready> Ready for Until<'_, '_, P> {
        fn is_readable(&mut self) -> bool {
            self.0.is_readable()
        }

        fn is_writable(&mut self) -> bool {
            self.0.is_writable()
        }
    }

    fn world<'q>(handler: Handler<'q>) -> World<'q> {
        World {
            now: Cell::new(0),
            handler: RefCell::new(handler),
            other: RefCell::new((Driver::new(Wire::default()), Periodic::new(2))),
            sleeps: Cell::new(0),
        }
    }

    /// The board. If it is late, whatever happens next happens after the loop has looked and before it sleeps.
    struct Sleeper<'w, 'q> {
        world: &'w World<'q>,
        is_late: bool,
    }

    impl Board for Sleeper<'_, '_> {
        fn now(&mut self) -> Instant {
            self.world.now()
        }

        fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
            let (_, came) = if self.is_late { self.world.step() } else { (false, false) };
            wait.sleep(|until| {
                assert!(!came, "it sleeps over a byte that has come");
                self.world.sleep(until);
            });
        }
    }

    /// Two seconds of a board that sleeps whenever it may.
    fn two_seconds(is_late: bool) -> (u32, u32, u32) {
        let mut queues = Queues::<64, 64>::new();
        let (handler, port) = queues.split((|| ()) as fn());
        let world = world(handler);
        let mut application = Periodic::new(1);
        let mut driver = Driver::<_, { Memory::TRANSMIT_MAX }>::new(Until(port, &world, 2_000_000));
        let ended = driver.run(&mut application, &mut Sleeper { world: &world, is_late });
        assert_eq!(ended.err(), Some(()));
        assert_eq!(driver.port().0.overruns(), 0);
        let other = world.other.borrow();
        assert!(application.sent >= 95, "only {} messages in 2 s", application.sent);
        assert!(application.sent - other.1.came <= 2, "{} of {} came", other.1.came, application.sent);
        assert!(other.1.sent - application.came <= 2, "{} of {} came", application.came, other.1.sent);
        (application.sent + application.came, application.polls, world.sleeps.get())
    }

    #[test]
    fn it_sleeps_until_something_is_to_be_done_and_misses_nothing() {
        let (messages, polls, sleeps) = two_seconds(false);
        // Bytes that come wake it, and each message has some 50 in and 50 out, with acknowledgements; what it sends does not.
        assert!(sleeps > 0 && polls < 120 * messages, "{polls} turns for {messages} messages");
    }

    #[test]
    fn what_comes_before_the_sleep_is_seen() {
        two_seconds(true);
    }

    #[test]
    fn a_wait_is_over_when_bytes_came_or_blocked_output_has_room() {
        let mut queues = Queues::<8, 8>::new();
        let (mut handler, mut port) = queues.split(|| ());
        let until = Some(Instant::from_micros(5));
        let mut slept = 0;
        let mut sleep = |port: &mut _, is_blocked| {
            let before = slept;
            Wait { port, until, is_blocked }.sleep(|at| {
                assert_eq!(at, until);
                slept += 1;
            });
            slept > before
        };
        assert!(sleep(&mut port, false));
        assert!(!sleep(&mut port, true), "there is room");
        assert_eq!(Port::write(&mut port, &[1; 7]), Ok(7));
        assert!(sleep(&mut port, true));
        handler.receive(1);
        assert!(!sleep(&mut port, true), "a byte came");
        let mut buffer = [0];
        assert_eq!(Port::read(&mut port, &mut buffer), Ok(1));
        (0..4).for_each(|_| assert!(handler.transmit().is_some()));
        assert!(sleep(&mut port, false) && !sleep(&mut port, true), "there is room again");
    }
}
