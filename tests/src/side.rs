//! One side: an endpoint with its application and its clock, that can lose its power and start again.

use std::time::Duration;

use tieline::{
    Config, DeclareError, Endpoint, Event, Instant, IntentOptions, InterestOptions, Link, PublishError,
    PublishOptions, RouteId, RouteName, ServiceOptions, Ticket,
};

use crate::app::{App, Declaration, Handle, Reading, Serving, What};
use crate::feed::Feed;
use crate::memory::{Memory, Sizes};

/// One side.
#[derive(Debug)]
pub struct Side {
    /// Its endpoint.
    pub endpoint: Endpoint<Memory>,
    /// Its application.
    pub app: App,
    /// Storage that its endpoint gets at the next start.
    pub sizes: Sizes,
    /// Name and timers that its endpoint gets at the next start.
    pub config: Config,
    /// What its endpoint is told of the line at the next connection.
    pub link: Link,
    /// What its clock shows at a start, µs.
    pub clock_us: u64,
    born: u64,
    /// Has power.
    alive: bool,
    /// Something has happened to it that its application has not seen.
    stirred: bool,
    out: Vec<u8>,
}

impl Side {
    pub(crate) fn new(sizes: Sizes, config: Config, link: Link, clock_us: u64) -> Self {
        Self {
            endpoint: Endpoint::new(Memory::new(sizes)),
            app: App::new(),
            sizes,
            config,
            link,
            clock_us,
            born: 0,
            alive: false,
            stirred: true,
            out: Vec::new(),
        }
    }

    /// Power comes: a new endpoint, with what the application declares.
    pub(crate) fn start(&mut self, now: u64, boot_nonce: u64) {
        self.endpoint = Endpoint::new(Memory::new(self.sizes));
        self.endpoint.start(self.config, boot_nonce);
        self.out = vec![0; self.endpoint.transmit_max()];
        self.born = now;
        self.app.epoch = (now, self.clock_us);
        self.alive = true;
        for at in 0..self.app.declarations.len() {
            if self.app.declarations[at].lives {
                self.declare(at).expect("what was declared before fits again");
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.alive = false;
        self.app.die();
    }

    pub(crate) fn connect(&mut self, now: u64) {
        let at = self.clock(now);
        self.endpoint.handle_connect(at, self.link).expect("started, and its frames are large enough");
    }

    pub(crate) fn disconnect(&mut self, now: u64) {
        let at = self.clock(now);
        self.endpoint.handle_disconnect(at);
    }

    /// What its clock shows at `now`.
    #[must_use]
    pub fn clock(&self, now: u64) -> Instant {
        Instant::from_micros(now - self.born + self.clock_us)
    }

    /// Whether it would use the line.
    pub(crate) fn wants_line(&self) -> bool {
        self.alive && self.endpoint.wants_transmit()
    }

    pub(crate) fn next_wake(&self, now: u64) -> Option<u64> {
        if !self.alive {
            return None;
        }
        let deadline = self.endpoint.poll_timeout();
        let deadline = deadline.map(|at| at.as_micros().saturating_sub(self.clock_us) + self.born);
        deadline.into_iter().chain(self.app.next_wake(now)).min()
    }

    pub(crate) fn input(&mut self, now: u64, bytes: &[u8]) {
        let at = self.clock(now);
        let mut rest = bytes;
        while self.alive && !rest.is_empty() {
            let taken = self.endpoint.handle_input(at, rest);
            assert!(taken > 0 && taken <= rest.len(), "{taken} of {} bytes were taken", rest.len());
            rest = &rest[taken..];
            self.app.run(&mut self.endpoint, now);
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        let at = self.clock(now);
        self.stirred |= self.app.is_due(now);
        if self.alive && self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= at) {
            self.endpoint.handle_timeout(at);
            self.stirred = true;
            let next = self.endpoint.poll_timeout();
            assert!(next.is_none_or(|next| next > at), "a deadline of {next:?} is not met at {at:?}");
        }
    }

    pub(crate) fn run_app(&mut self, now: u64) {
        if self.alive && std::mem::take(&mut self.stirred) {
            if self.app.tells_time {
                let at = self.clock(now);
                self.endpoint.handle_timeout(at);
            }
            self.app.run(&mut self.endpoint, now);
        }
    }

    pub(crate) const fn stir(&mut self) {
        self.stirred = true;
    }

    pub(crate) fn transmit(&mut self, now: u64) -> Option<&[u8]> {
        let at = self.clock(now);
        if !self.alive {
            return None;
        }
        let frame = self.endpoint.poll_transmit(at, &mut self.out);
        self.stirred |= frame.is_some();
        frame
    }

    /// The application publishes on a route, now and after each restart.
    ///
    /// # Panics
    /// When it may not.
    pub fn intent(&mut self, name: &'static RouteName, options: IntentOptions) -> Handle {
        self.add(name, What::Intent(options)).expect("an intent that is allowed")
    }

    /// The application reads a route, now and after each restart.
    ///
    /// # Panics
    /// When it may not.
    pub fn interest(&mut self, name: &'static RouteName, options: InterestOptions) -> Handle {
        self.add(name, What::Interest(options)).expect("an interest that is allowed")
    }

    /// The application answers requests on a route, now and after each restart.
    ///
    /// # Panics
    /// When it may not.
    pub fn service(&mut self, name: &'static RouteName, serving: Serving) -> Handle {
        let handle =
            self.add(name, What::Service(ServiceOptions::default())).expect("a service that is allowed");
        self.app.declarations[handle.0].serving = serving;
        handle
    }

    /// The same with this room for requests; None if RX has none.
    pub fn try_service(&mut self, name: &'static RouteName, serving: Serving, room: usize) -> Option<Handle> {
        let options = ServiceOptions { room: Some(room), ..Default::default() };
        let handle = self.add(name, What::Service(options)).ok()?;
        self.app.declarations[handle.0].serving = serving;
        Some(handle)
    }

    fn add(&mut self, name: &'static RouteName, what: What) -> Result<Handle, DeclareError> {
        let at = self.app.declarations.len();
        let (reading, serving) = (Reading::Always, Serving::Echo);
        self.app.declarations.push(Declaration {
            name,
            what,
            id: None,
            lives: true,
            reading,
            serving,
            read_at: 0,
            heard: 0,
            heard_bytes: 0,
            keeps: true,
        });
        self.declare(at).inspect_err(|_| drop(self.app.declarations.pop()))?;
        Ok(Handle(at))
    }

    fn declare(&mut self, at: usize) -> Result<(), DeclareError> {
        let declared = &mut self.app.declarations[at];
        let id = match declared.what {
            What::Intent(options) => self.endpoint.declare_intent(declared.name, options)?,
            What::Interest(options) => self.endpoint.declare_interest(declared.name, options)?,
            What::Service(options) => self.endpoint.declare_service(declared.name, options)?,
        };
        declared.id = Some(id);
        declared.lives = true;
        Ok(())
    }

    /// Declares once more what was withdrawn, or whose time to live is to be renewed.
    ///
    /// # Errors
    /// [`DeclareError`]
    pub fn redeclare(&mut self, handle: Handle) -> Result<(), DeclareError> {
        self.declare(handle.0)
    }

    /// Declares an intent or interest with another time to live, if it is not withdrawn.
    ///
    /// # Errors
    /// [`DeclareError`]
    pub fn set_ttl(&mut self, handle: Handle, ttl: Option<Duration>) -> Result<(), DeclareError> {
        let declared = &mut self.app.declarations[handle.0];
        match &mut declared.what {
            What::Intent(options) => options.ttl = ttl,
            What::Interest(options) => options.ttl = ttl,
            What::Service(options) => options.ttl = ttl,
        }
        if declared.lives { self.declare(handle.0) } else { Ok(()) }
    }

    /// Publishes now with options.
    ///
    /// # Errors
    /// As [`Endpoint::publish_with`].
    pub fn publish_with(
        &mut self,
        now: u64,
        handle: Handle,
        payload: &[u8],
        options: PublishOptions,
    ) -> nb::Result<Option<Ticket>, PublishError> {
        let (id, at) = (self.app.id(handle), self.clock(now));
        let ticket = self.endpoint.publish_with(at, id, payload, options)?;
        self.app.on_published(handle, ticket, None);
        Ok(ticket)
    }

    /// Takes a declaration back.
    pub fn withdraw(&mut self, handle: Handle) {
        let declared = &mut self.app.declarations[handle.0];
        declared.lives = false;
        let Some(id) = declared.id.take() else { return };
        match declared.what {
            What::Intent(_) => self.endpoint.withdraw_intent(id),
            What::Interest(_) => self.endpoint.withdraw_interest(id),
            What::Service(_) => self.endpoint.withdraw_service(id),
        }
    }

    /// How an interest is read from now on.
    pub fn reads(&mut self, handle: Handle, reading: Reading) {
        self.app.declarations[handle.0].reading = reading;
    }

    /// From now on the messages of an interest are counted and not kept: for runs that read millions of bytes.
    pub fn counts_only(&mut self, handle: Handle) {
        self.app.declarations[handle.0].keeps = false;
    }

    /// How a service answers from now on.
    pub fn serves(&mut self, handle: Handle, serving: Serving) {
        self.app.declarations[handle.0].serving = serving;
    }

    /// The route's present id.
    ///
    /// # Panics
    /// When it is not declared now.
    #[must_use]
    pub fn id(&self, handle: Handle) -> RouteId {
        self.app.id(handle)
    }

    /// Publishes now.
    ///
    /// # Errors
    /// As [`Endpoint::publish`].
    pub fn publish(&mut self, handle: Handle, payload: &[u8]) -> nb::Result<Option<Ticket>, PublishError> {
        let id = self.app.id(handle);
        let ticket = self.endpoint.publish(id, payload)?;
        self.app.on_published(handle, ticket, None);
        Ok(ticket)
    }

    /// Publishes by itself from now on.
    pub fn feed(&mut self, feed: Feed) {
        self.app.feeds.push(feed);
    }

    /// Whether somebody wants messages on a route.
    #[must_use]
    pub fn has_audience(&self, handle: Handle) -> bool {
        self.endpoint.has_audience(self.app.id(handle))
    }

    /// Whether an event has happened.
    #[must_use]
    pub fn saw(&self, event: Event) -> bool {
        self.app.saw(event)
    }
}
