//! The loop and the queues that interrupts feed, with whatever happens between.

use core::convert::Infallible;
use core::hint::black_box;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use tieline::driver::{
    Application, Board, Driver, Handler, Io, LogRing, Logged, Nb, Port, QueuedPort, Ready, Turn, Wait,
};
use tieline::nb;
use tieline::time::{Clock, TickExtender};
use tieline::{Endpoint, Instant};

use crate::any::{self, any, coin, maybe, tell};
use crate::{OUT, Storage};

/// An application that wants anything.
pub(crate) struct Anything<'e>(pub(crate) &'e mut Endpoint<Storage>);

impl Application for Anything<'_> {
    type Endpoint = Endpoint<Storage>;

    fn endpoint(&mut self) -> &mut Endpoint<Storage> {
        self.0
    }

    fn poll(&mut self, now: Instant) -> Option<Instant> {
        maybe(now + any::span())
    }
}

/// Every kind of clock.
#[derive(Default)]
pub(crate) struct Clocks {
    common: Clock<12_500_000, 24>,
    uneven: Clock<7_372_801>,
    ticks: TickExtender<16>,
}

impl Clocks {
    fn any(&mut self) -> Instant {
        let at = Instant::from_micros(self.ticks.extend_down(any()));
        tell(self.common.ticks_until(at));
        tell(self.uneven.ticks_until(at));
        if coin() { self.common.count_down(any()) } else { self.uneven.count_up(any()) }
    }
}

impl Board for Clocks {
    fn now(&mut self) -> Instant {
        self.any()
    }

    fn idle<P: Ready>(&mut self, wait: Wait<'_, P>) {
        tell(wait.until().map_or(0, Instant::as_micros));
        wait.sleep(|until| tell(until.is_some()));
    }
}

/// An interrupt.
pub(crate) fn interrupt(handler: &mut Handler<'_>) {
    // The compiler is to know no more of it than it would in an interrupt handler.
    let handler = black_box(handler);
    match any() {
        0 => handler.receive(any() as u8),
        1 => tell(handler.transmit().unwrap_or_default()),
        2 => tell(handler.can_receive()),
        _ => handler.count_overruns(any()),
    }
}

/// The port by itself.
pub(crate) fn port<K: FnMut()>(port: &mut QueuedPort<'_, K>, buffer: &mut [u8]) {
    let port = black_box(port);
    let Ok(count) = match any() {
        0 => Read::read(port, buffer),
        1 => Write::write(port, buffer),
        2 => Ok(Port::read(port, buffer).unwrap_or_default()),
        3 => Ok(Port::write(port, buffer).unwrap_or_default()),
        4 => port.flush().map(|()| 0),
        5 => port.read_ready().map(usize::from),
        6 => port.write_ready().map(usize::from),
        7 => Ok(usize::from(port.is_readable()) + usize::from(port.is_writable())),
        _ => Ok(port.overruns() as usize),
    };
    tell(count as u32);
}

/// A turn, or all of them.
pub(crate) fn turn<P: Port + Ready>(driver: &mut Driver<P, OUT>, endpoint: &mut Endpoint<Storage>) {
    let mut clocks = Clocks::default();
    let mut application = Anything(endpoint);
    if coin() {
        let turn = driver.turn(&mut application, clocks.now());
        tell(turn.is_ok_and(|turn| turn == Turn::Again));
    } else {
        let end: Result<Infallible, _> = driver.run(&mut application, &mut clocks);
        tell(end.is_err());
    }
}

/// Logs.
pub(crate) fn logs(logged: &mut Logged<'_, Anything<'_>, 256>, ring: &LogRing<256>, record: &[u8]) {
    match any() {
        0 => ring.begin(),
        1 => ring.write(record),
        2 => ring.end(),
        3 => tell(ring.lost()),
        _ => tell(logged.poll(Instant::ZERO).is_some()),
    }
}

/// Ports that can be asked whether they are ready.
pub(crate) fn ready<R: FnMut() -> nb::Result<u8, u32>, W: FnMut(u8) -> nb::Result<(), u32>>(
    endpoint: &mut Endpoint<Storage>,
    functions: &mut Driver<Nb<R, W>, OUT>,
    bytes: &mut Driver<Io<any::Bytes>, OUT>,
) {
    if coin() { turn(functions, endpoint) } else { turn(bytes, endpoint) }
}
