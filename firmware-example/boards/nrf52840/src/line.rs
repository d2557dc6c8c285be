//! The endpoint's bytes and deadlines, awaited: what `tieline::driver` does in a loop, in async firmware.
//!
//! Invariant: [`Line::turn`] can be dropped at any await and loses nothing, so it may stand in a `select` beside the
//! application's own work. It knows `embedded_io_async` and embassy's clock, and no microcontroller.

use core::future::pending;
use core::ops::Range;

use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, Write};
use tieline::{Endpoint, Instant, Storage};
use tieline_app::App;

/// How many bytes are read at once.
const READ_BYTES: usize = 64;

/// What time it is.
pub(crate) fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Both directions of a line, whose reads and writes can be cancelled, and the frame that is being sent.
pub(crate) struct Line<R, W, const OUT: usize> {
    rx: R,
    tx: W,
    output: [u8; OUT],
    /// What of `output` has not been written yet.
    waiting: Range<usize>,
}

impl<R: Read, W: Write<Error = R::Error>, const OUT: usize> Line<R, W, OUT> {
    /// A line that has sent nothing yet. `OUT` holds one frame: `Inline::TRANSMIT_MAX`.
    pub(crate) const fn new(rx: R, tx: W) -> Self {
        Self { rx, tx, output: [0; OUT], waiting: 0..0 }
    }

    /// Lets the application do what is due, and waits for what comes first: bytes, room for bytes, or the next deadline.
    ///
    /// # Errors
    /// The line's: bytes were lost, as on any line. Call it again, the protocol recovers.
    pub(crate) async fn turn<S: Storage>(&mut self, app: &mut App<S>) -> Result<(), R::Error> {
        let deadline = app.poll(now());
        self.next_frame(app.endpoint());

        let mut input = [0; READ_BYTES];
        let bytes = self.rx.read(&mut input);
        let room = async {
            match self.output.get(self.waiting.clone()) {
                Some(frame) if !frame.is_empty() => self.tx.write(frame).await,
                _ => pending().await,
            }
        };
        let time = async {
            match deadline {
                Some(at) => Timer::at(embassy_instant(at)).await,
                None => pending().await,
            }
        };
        match select3(bytes, room, time).await {
            Either3::First(count) => take(app, input.get(..count?).unwrap_or_default()),
            Either3::Second(count) => self.waiting.start += count?,
            Either3::Third(()) => {}
        }
        Ok(())
    }

    fn next_frame<S: Storage>(&mut self, endpoint: &mut Endpoint<S>) {
        if self.waiting.is_empty() {
            let buffer = self.output.as_ptr().addr();
            self.waiting = match endpoint.poll_transmit(now(), &mut self.output) {
                // The frame is a part of the buffer, behind the room that framing took.
                Some(frame) => {
                    let start = frame.as_ptr().addr() - buffer;
                    start..start + frame.len()
                }
                None => 0..0,
            };
        }
    }
}

/// Gives all the bytes to the endpoint; it stops after each frame that the application should look at.
fn take<S: Storage>(app: &mut App<S>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = app.endpoint().handle_input(now(), bytes);
        bytes = bytes.get(taken..).unwrap_or_default();
        app.poll(now());
    }
}

/// The first tick of embassy's clock at which `at` has come: it has 32768 a second.
fn embassy_instant(at: Instant) -> embassy_time::Instant {
    embassy_time::Instant::from_micros(at.as_micros()) + Duration::from_ticks(1)
}
