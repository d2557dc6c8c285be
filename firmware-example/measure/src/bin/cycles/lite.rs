//! As `side`, with the small machine: each of the two publishes and reads both routes, so that they are of one type.

use tieline::driver::Driver;
use tieline::{Instant, Message, Route, RouteId, RouteName, Select, lite};

use crate::block::Block;
use crate::silent::Silent;

/// Routes by the size of their messages.
const SMALL: Route<Block<8>> = Route::new("count.small");
const MEDIUM: Route<Block<64>> = Route::new("count.medium");

struct Both;

impl lite::Device<2, 2> for Both {
    const NAME: &'static str = "both";
    const PUBLISHES: [RouteName; 2] = [*SMALL.name(), *MEDIUM.name()];
    const READS: [RouteName; 2] = [*SMALL.name(), *MEDIUM.name()];
}

type Endpoint = lite::Endpoint<Both, 128, 2, 2>;

/// An endpoint and the buffer for what it sends.
pub(crate) struct Side {
    endpoint: Endpoint,
    idle: Driver<Silent, { Endpoint::TRANSMIT_MAX }>,
    out: [u8; Endpoint::TRANSMIT_MAX],
}

impl Side {
    pub(crate) const fn new() -> Self {
        Self { endpoint: Endpoint::new(), idle: Driver::new(Silent), out: [0; Endpoint::TRANSMIT_MAX] }
    }

    /// The side that publishes; nothing is reliable here.
    pub(crate) fn start_publisher(&mut self, _: bool) {
        self.endpoint.start(1);
        let _ = self.endpoint.handle_connect(Instant::ZERO);
    }

    /// The side that reads.
    pub(crate) fn start_reader(&mut self) {
        self.endpoint.start(2);
        let _ = self.endpoint.handle_connect(Instant::ZERO);
    }

    /// Hands all that is to be sent to the other side; returns whether that was anything.
    pub(crate) fn hand_over(&mut self, to: &mut Self, now: Instant) -> bool {
        let mut any = false;
        while let Some(frame) = self.endpoint.poll_transmit(now, &mut self.out) {
            let mut rest = frame;
            while !rest.is_empty() {
                let taken = to.endpoint.handle_input(now, rest);
                rest = rest.get(taken..).unwrap_or_default();
            }
            any = true;
        }
        while self.endpoint.poll_event().is_some() {}
        any
    }

    /// The place of messages of `N` bytes.
    const fn index<const N: usize>() -> usize {
        if N == 8 { 0 } else { 1 }
    }

    pub(crate) fn has_audience(&self) -> bool {
        let all: [RouteId; 2] = [lite::published(0), lite::published(1)];
        all.iter().all(|route| self.endpoint.has_audience(*route))
    }

    /// Out: from the message to the bytes for the wire.
    #[inline(never)]
    pub(crate) fn send<const N: usize>(&mut self, now: Instant, message: &Block<N>) -> Option<&[u8]> {
        self.endpoint.publish_message(lite::published(Self::index::<N>()), message).ok()?;
        self.endpoint.poll_transmit(now, &mut self.out)
    }

    /// In: from the bytes of the wire to the message.
    #[inline(never)]
    pub(crate) fn receive<const N: usize>(&mut self, now: Instant, frame: &[u8]) -> Option<Block<N>> {
        self.endpoint.handle_input(now, frame);
        let route = lite::read(Self::index::<N>());
        Block::decode(self.endpoint.poll_message(Select::Only(route))?.payload).ok()
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
