//! One of the two endpoints, and what is counted of it: each a function of its own, as an application would call it.

use tieline::driver::Driver;
use tieline::{
    Config, Endpoint, Inline, Instant, IntentOptions, InterestOptions, Link, Message, Route, RouteId, Select,
};

use crate::block::Block;
use crate::silent::Silent;

type Storage = Inline<256, 512, 512, 4>;

/// Routes by the size of their messages.
pub(crate) const SMALL: Route<Block<8>> = Route::new("count.small");
pub(crate) const MEDIUM: Route<Block<64>> = Route::new("count.medium");

/// An endpoint and the buffer for what it sends.
pub(crate) struct Side {
    endpoint: Endpoint<Storage>,
    idle: Driver<Silent, { Storage::TRANSMIT_MAX }>,
    out: [u8; Storage::TRANSMIT_MAX],
    small: Option<RouteId>,
    medium: Option<RouteId>,
}

impl Side {
    pub(crate) const fn new() -> Self {
        Self {
            endpoint: Endpoint::new(Storage::new()),
            idle: Driver::new(Silent),
            out: [0; Storage::TRANSMIT_MAX],
            small: None,
            medium: None,
        }
    }

    /// The side that publishes.
    pub(crate) fn start_publisher(&mut self, reliable: bool) {
        let options = if reliable { IntentOptions::reliable() } else { IntentOptions::best_effort() };
        self.endpoint.start(Config::new("publisher"), 1);
        self.small = self.endpoint.declare_intent(SMALL.name(), options).ok();
        self.medium = self.endpoint.declare_intent(MEDIUM.name(), options).ok();
        let _ = self.endpoint.handle_connect(Instant::ZERO, Link::serial(0));
    }

    /// The side that reads.
    pub(crate) fn start_reader(&mut self) {
        self.endpoint.start(Config::new("reader"), 2);
        self.small = self.endpoint.declare_interest(SMALL.name(), InterestOptions::default()).ok();
        self.medium = self.endpoint.declare_interest(MEDIUM.name(), InterestOptions::default()).ok();
        let _ = self.endpoint.handle_connect(Instant::ZERO, Link::serial(0));
    }

    /// Hands all that is to be sent to the other side; returns whether that was anything.
    pub(crate) fn hand_over(&mut self, to: &mut Self, now: Instant) -> bool {
        let mut any = false;
        while let Some(frame) = self.endpoint.poll_transmit(now, &mut self.out) {
            to.endpoint.handle_input(now, frame);
            any = true;
        }
        while self.endpoint.poll_event().is_some() {}
        any
    }

    /// The place of messages of `N` bytes.
    fn route<const N: usize>(&self) -> Option<RouteId> {
        if N == 8 { self.small } else { self.medium }
    }

    pub(crate) fn has_audience(&self) -> bool {
        [self.small, self.medium]
            .iter()
            .all(|route| route.is_some_and(|route| self.endpoint.has_audience(route)))
    }

    /// Out: from the message to the bytes for the wire.
    #[inline(never)]
    pub(crate) fn send<const N: usize>(&mut self, now: Instant, message: &Block<N>) -> Option<&[u8]> {
        self.endpoint.publish_message(self.route::<N>()?, message).ok()?;
        self.endpoint.poll_transmit(now, &mut self.out)
    }

    /// In: from the bytes of the wire to the message.
    #[inline(never)]
    pub(crate) fn receive<const N: usize>(&mut self, now: Instant, frame: &[u8]) -> Option<Block<N>> {
        self.endpoint.handle_input(now, frame);
        let route = self.route::<N>()?;
        Block::decode(self.endpoint.poll_message(Select::Only(route))?.payload).ok()
    }

    /// What is to be sent now.
    #[inline(never)]
    pub(crate) fn answer(&mut self, now: Instant) -> Option<&[u8]> {
        self.endpoint.poll_transmit(now, &mut self.out)
    }

    /// Takes an acknowledgement. Returns whether a message was delivered.
    #[inline(never)]
    pub(crate) fn confirm(&mut self, now: Instant, frame: &[u8]) -> bool {
        self.endpoint.handle_input(now, frame);
        matches!(self.endpoint.poll_event(), Some(tieline::Event::Delivered(_)))
    }

    /// A turn of a main loop in which nothing happens.
    #[inline(never)]
    pub(crate) fn idle(&mut self, now: Instant) -> bool {
        let came = self.idle.poll(&mut self.endpoint, now);
        came == Ok(false)
            && self.endpoint.poll_event().is_none()
            && self.endpoint.poll_message(Select::Any).is_none()
    }
}
