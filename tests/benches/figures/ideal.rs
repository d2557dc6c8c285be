//! What could be reached at best, and what the simplest sender reaches: formulas, no simulation.
//!
//! Both know the frames of docs/protocol.md; neither pays for acknowledgements, which travel the other way.

use tieline::Framing;
use tieline::packet::{SeqWidth, reliable_len};

/// Largest frame content of all measurements, in bytes.
pub(crate) const FRAME: usize = 256;
/// The check at the end of a frame.
pub(crate) const CHECK: usize = Framing::Serial.check_len();
/// A route number and a distance that take one byte and none.
const NEAR: (u16, u32) = (1, 1);
/// The largest payload that fits a frame whatever its distance is.
pub(crate) const FULL: usize = FRAME - CHECK - reliable_len(1, 128, 0, SeqWidth::One, true);

/// Bytes on the line of a frame with this content: one of COBS and the delimiter. A second one of COBS comes only when
/// 254 bytes in a row are not zero, and the payloads here have more zeros than that.
pub(crate) const fn wire(content: usize) -> usize {
    content + 2
}

/// The time that `bytes` take, in µs.
pub(crate) fn line_us(bytes: usize, baud: u32) -> f64 {
    bytes as f64 * 1e7 / f64::from(baud)
}

/// A way to fill a frame.
#[derive(Clone, Copy)]
struct Filled {
    user: usize,
    content: usize,
}

impl Filled {
    /// Frames that arrive intact, of those that are sent: a damaged byte costs its frame.
    fn intact(self, bit_error: f64) -> f64 {
        let byte_error = 1.0 - (1.0 - bit_error).powi(8);
        (1.0 - byte_error).powi(wire(self.content) as i32)
    }

    /// User bytes per line byte, if the line is never idle and only damaged frames are sent again.
    fn efficiency(self, bit_error: f64) -> f64 {
        self.user as f64 / wire(self.content) as f64 * self.intact(bit_error)
    }
}

/// `count` whole messages in a frame: all but the last one say their length.
const fn batch(count: usize, payload: usize) -> Filled {
    let (route, distance) = NEAR;
    let first = reliable_len(route, distance, payload, SeqWidth::One, false);
    let last = reliable_len(route, distance, payload, SeqWidth::One, true);
    Filled { user: count * payload, content: CHECK + (count - 1) * first + last }
}

/// A piece of a message that fills this content. Before it: kind, flags, route, number, distance, offset, total.
const fn piece(content: usize, payload: usize) -> Option<Filled> {
    let two_varints = 2 * tieline::wire::varint_len(payload as u32);
    match content.checked_sub(CHECK + 5 + two_varints) {
        Some(user) if user > 0 && user < payload => Some(Filled { user, content }),
        _ => None,
    }
}

fn batches(payload: usize) -> impl Iterator<Item = Filled> {
    (1..).map(move |count| batch(count, payload)).take_while(|filled| filled.content <= FRAME)
}

/// The fullest frame.
fn fullest(payload: usize) -> Filled {
    batches(payload).last().or_else(|| piece(FRAME, payload)).expect("something fits a frame")
}

/// What an ideal selective-repeat sender reaches, in user bytes per line byte.
pub(crate) fn selective_repeat(payload: usize, bit_error: f64, adaptive: bool) -> f64 {
    if !adaptive {
        return fullest(payload).efficiency(bit_error);
    }
    let pieces = (1..=FRAME).filter_map(|content| piece(content, payload));
    batches(payload).chain(pieces).map(|filled| filled.efficiency(bit_error)).fold(0.0, f64::max)
}

/// What a sender reaches that sends one message (or the largest piece) and waits for its acknowledgement, and for twice
/// the round trip when it does not come.
pub(crate) fn stop_and_wait(payload: usize, bit_error: f64, baud: u32, delay_us: u64) -> f64 {
    let frame = if payload <= FULL { batch(1, payload) } else { fullest(payload) };
    let ack = Filled { user: 0, content: CHECK + 3 };
    let on_line = line_us(wire(frame.content) + wire(ack.content), baud);
    let round_trip = on_line + 2.0 * delay_us as f64;
    let both_intact = frame.intact(bit_error) * ack.intact(bit_error);
    let retries = 1.0 / both_intact - 1.0;
    let time = round_trip + retries * 2.0 * round_trip;
    line_us(frame.user, baud) / time
}
