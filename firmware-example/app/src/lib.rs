//! The application of the example board, without the board: it publishes samples of a sensor, obeys a command, reports
//! that it did, and answers requests, over whatever line it is connected to.
//!
//! It owns the endpoint and nothing else. Whoever runs it (a board's main loop, or a thread on a PC) moves bytes
//! between the line and [`App::endpoint`], and calls [`App::poll`] with the time.
//!
//! ```
//! use tieline::{Inline, Instant, Link};
//! use tieline_app::App;
//!
//! let mut app = App::new(Inline::<256, 512, 512, 8>::new());
//! app.start(0x1234_5678_9abc); // random, or a stored boot counter mixed with a device id
//! app.endpoint().handle_connect(Instant::ZERO, Link::serial(115_200))?;
//!
//! let mut out = [0; 300];
//! let mut now = Instant::ZERO;
//! for _turn in 0..3 {
//!     // bytes that have come: app.endpoint().handle_input(now, bytes)
//!     let wake = app.poll(now);
//!     while let Some(frame) = app.endpoint().poll_transmit(now, &mut out) {
//!         assert!(!frame.is_empty()); // send it
//!     }
//!     now = wake.unwrap_or(now); // or when bytes come
//! }
//! # Ok::<(), tieline::ConnectError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod messages;
mod sensor;
mod small;

pub use messages::{
    COMMAND, GetStatus, IMU, ImuSample, RATE_CHANGED, RATE_MAX, RateChanged, STATUS, SetRate, Status,
};
use sensor::Sensor;
pub use small::{Small, SmallApp};
use tieline::driver::Application;
use tieline::nb;
use tieline::report::{REPORT_MAX, STATS};
use tieline::time::Duration;
use tieline::{
    Config, Endpoint, Event, Incoming, Instant, IntentOptions, InterestOptions, Message, Priority, RequestId,
    RouteId, Select, ServiceOptions, Storage,
};

/// Samples a second until a command says otherwise.
const RATE_AT_START: u32 = 10;
/// Bytes of RX for commands, and as many for requests: each takes 1 to 5 bytes and 8 for its place.
const ROOM: usize = 64;
/// The same for requests that are empty and rare.
const ROOM_ASKED: usize = 32;

/// The application.
#[derive(Debug)]
pub struct App<S> {
    endpoint: Endpoint<S>,
    routes: Option<Routes>,
    sensor: Sensor,
    started_at: Option<Instant>,
    next_sample: Instant,
    /// Samples a second; 0: none.
    rate: u32,
    status: Status,
    /// A command was obeyed and there was no room to report it yet.
    unreported: Option<RateChanged>,
    /// A request that found no room for its answer yet.
    owed: Option<RequestId>,
    /// The same, of somebody who asked how we see the line.
    owed_report: Option<RequestId>,
}

/// What is declared.
#[derive(Debug, Clone, Copy)]
struct Routes {
    imu: RouteId,
    command: RouteId,
    changed: RouteId,
    status: RouteId,
    line: RouteId,
}

impl<S> App<S> {
    /// An application that has not been [started](Self::start): all zero, so that a static one takes no flash.
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self {
            endpoint: Endpoint::new(storage),
            routes: None,
            sensor: Sensor::new(),
            started_at: None,
            next_sample: Instant::ZERO,
            rate: 0,
            status: Status::NONE,
            unreported: None,
            owed: None,
            owed_report: None,
        }
    }
}

impl<S: Storage> App<S> {
    /// Starts the endpoint and declares the routes. `boot_nonce` must differ at each start:
    /// see [`Endpoint::start`].
    pub fn start(&mut self, boot_nonce: u64) {
        self.endpoint.start(Config::new("example board"), boot_nonce);
        self.rate = RATE_AT_START;
        let samples = IntentOptions { priority: Priority::Background, ..IntentOptions::best_effort() };
        let room = Some(ROOM);
        let declared = (
            self.endpoint.declare_intent(IMU.name(), samples),
            self.endpoint
                .declare_interest(COMMAND.name(), InterestOptions { window: room, ..Default::default() }),
            self.endpoint.declare_intent(RATE_CHANGED.name(), IntentOptions::reliable()),
            self.endpoint.declare_service(STATUS.name(), ServiceOptions { room, ttl: None }),
            self.endpoint.declare_service(&STATS, ServiceOptions { room: Some(ROOM_ASKED), ttl: None }),
        );
        // A storage that is too small for five routes shows as an application that says nothing, and counts.
        self.routes = match declared {
            (Ok(imu), Ok(command), Ok(changed), Ok(status), Ok(line)) => {
                Some(Routes { imu, command, changed, status, line })
            }
            _ => {
                self.status.errors += 1;
                None
            }
        };
    }

    /// The endpoint, for whoever moves its bytes.
    pub const fn endpoint(&mut self) -> &mut Endpoint<S> {
        &mut self.endpoint
    }

    /// Does what is due. Returns when to call it again at the latest; call it also whenever bytes have come.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        if self.started_at.is_none() {
            self.started_at = Some(now);
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(event, now);
        }
        if let Some(routes) = self.routes {
            self.obey(routes, now);
            self.answer(routes.status, now);
            self.tell_of_line(routes.line);
            self.sample(routes.imu, now);
        }
        let wanted = self.routes.is_some_and(|routes| self.endpoint.has_audience(routes.imu));
        let sample = (wanted && self.rate > 0).then_some(self.next_sample);
        [sample, self.endpoint.poll_timeout()].into_iter().flatten().min()
    }

    fn on_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Audience { present: true, .. } => self.next_sample = now,
            Event::Lost(_) | Event::Degraded(_) | Event::RouteConflict { .. } | Event::Diagnosis(_) => {
                self.status.errors += 1;
            }
            _ => {}
        }
    }

    /// Commands are reliable: each is obeyed once, in order. None is taken before the last one is reported: whoever wants
    /// to hear of them and does not listen is told to wait, by the window of its commands.
    fn obey(&mut self, Routes { command, changed, .. }: Routes, now: Instant) {
        while self.report(changed)
            && let Some(message) = self.endpoint.poll_message(Select::Only(command))
        {
            match message.decode::<SetRate>() {
                Ok(SetRate { hertz }) => {
                    self.rate = hertz.min(RATE_MAX);
                    self.next_sample = now;
                    self.status.commands += 1;
                    self.unreported = Some(RateChanged { commands: self.status.commands, hertz: self.rate });
                }
                Err(_) => self.status.errors += 1,
            }
        }
    }

    /// Reports a command; false: there is no room now.
    fn report(&mut self, route: RouteId) -> bool {
        let Some(change) = self.unreported.take() else { return true };
        if !self.endpoint.has_audience(route) {
            return true;
        }
        match self.endpoint.publish_message(route, &change) {
            Ok(_) => true,
            Err(nb::Error::WouldBlock) => {
                self.unreported = Some(change);
                false
            }
            Err(nb::Error::Other(_)) => {
                self.status.errors += 1;
                true
            }
        }
    }

    fn answer(&mut self, service: RouteId, now: Instant) {
        if let Some(request) = self.owed.take() {
            self.respond(request, now);
        }
        while self.owed.is_none() {
            let Some(Incoming { request: Some(request), payload, .. }) =
                self.endpoint.poll_message(Select::Only(service))
            else {
                return;
            };
            if GetStatus::decode(payload).is_ok() {
                self.respond(request, now);
            } else {
                self.status.errors += 1;
                // If there is no room now, the caller's time-out tells it.
                let _ = self.endpoint.respond(request, tieline::code::MALFORMED, &[]);
            }
        }
    }

    fn respond(&mut self, request: RequestId, now: Instant) {
        let up = self.started_at.map_or(Duration::ZERO, |start| now.since(start));
        let uptime_ms = u32::try_from(up.as_millis()).unwrap_or(u32::MAX);
        let status = Status { uptime_ms, rate: self.rate, ..self.status };
        match self.endpoint.respond_message(request, &status) {
            Err(nb::Error::WouldBlock) => self.owed = Some(request),
            Err(nb::Error::Other(_)) => self.status.errors += 1,
            Ok(()) => {}
        }
    }

    /// Answers whoever asks how this side sees the line, as `tieline stats` does.
    fn tell_of_line(&mut self, service: RouteId) {
        loop {
            let asked = || self.endpoint.poll_message(Select::Only(service))?.request;
            let Some(request) = self.owed_report.take().or_else(asked) else { return };
            let mut bytes = [0; REPORT_MAX];
            let Ok(report) = self.endpoint.report().emit(&mut bytes) else { return };
            match self.endpoint.respond(request, tieline::code::OK, report) {
                Ok(()) => {}
                Err(nb::Error::WouldBlock) => {
                    self.owed_report = Some(request);
                    return;
                }
                Err(nb::Error::Other(_)) => self.status.errors += 1,
            }
        }
    }

    fn sample(&mut self, route: RouteId, now: Instant) {
        if self.rate == 0 || now < self.next_sample || !self.endpoint.has_audience(route) {
            return;
        }
        let period = Duration::from_micros(1_000_000 / u64::from(self.rate));
        self.next_sample = self.next_sample + period;
        if self.next_sample < now {
            // Too late for the rhythm: samples are not made up for.
            self.next_sample = now + period;
        }
        let sample = self.sensor.read(now);
        match self.endpoint.publish_message(route, &sample) {
            Ok(_) => self.status.samples += 1,
            Err(nb::Error::WouldBlock) => self.status.dropped += 1,
            Err(nb::Error::Other(_)) => self.status.errors += 1,
        }
    }
}

/// What a board's loop runs.
impl<S: Storage> Application for App<S> {
    type Endpoint = Endpoint<S>;

    fn endpoint(&mut self) -> &mut Endpoint<S> {
        self.endpoint()
    }

    fn poll(&mut self, now: Instant) -> Option<Instant> {
        self.poll(now)
    }
}
