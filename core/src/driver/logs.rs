//! Logs as a route, `Defmt@tieline.log`, on the line that everything else uses: records of a logger wait in a ring, the loop
//! publishes them when nothing better is to be sent.
//!
//! Invariant: what leaves the ring are whole records, in order; one that finds no room is dropped as a whole and counted.
//! What a record says is the logger's business: any `defmt` logger that can hand over bytes will do, and any other one, too.
//! Nothing here waits, and nothing is sent again: a log is worth less than what it is about.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use super::Application;
use crate::endpoint::{Endpoint, IntentOptions, Storage};
use crate::event::RouteId;
use crate::packet::control::Priority;
use crate::route::RouteName;
use crate::time::Instant;

/// The route of the logs: bytes of `defmt`'s stream, some records a message.
pub static LOG: RouteName = match RouteName::new("Defmt", "tieline.log") {
    Ok(name) => name,
    Err(_) => panic!("a valid name"),
};

/// Most bytes of records in a message, so that a log fits the frame of a small board.
const MESSAGE_MAX: usize = 96;

/// Bytes before each record: its length, low byte first.
const LENGTH: usize = 2;

/// Records on their way from a logger to the loop. `N` is a power of two; it takes `N` + 20 bytes of RAM on a 32-bit
/// microcontroller, and a record takes 2 bytes more than it has. A static one lies in `.bss`.
///
/// One may write at a time, and one read: a logger masks interrupts from [`begin`](Self::begin) to [`end`](Self::end), as those of
/// `defmt` do. Who does not, gets mixed records.
#[derive(Debug)]
pub struct LogRing<const N: usize> {
    bytes: [AtomicU8; N],
    /// What was read; it goes on beyond `N`, as all positions do. Written by the loop.
    head: AtomicUsize,
    /// The end of the last whole record. Written by the logger.
    tail: AtomicUsize,
    /// The end of what is there of the record that is being written. Written by the logger.
    end: AtomicUsize,
    /// Records that found no room. Written by the logger.
    lost: AtomicU32,
    /// Of these, what the log has told. Written by the loop.
    told: AtomicU32,
}

impl<const N: usize> LogRing<N> {
    const MASK: usize = {
        assert!(N.is_power_of_two() && N >= 64 && N <= 0x1_0000, "N is a power of two between 64 and 65536");
        N - 1
    };

    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; N],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            lost: AtomicU32::new(0),
            told: AtomicU32::new(0),
        }
    }

    /// A record begins.
    pub fn begin(&self) {
        self.end.store(self.tail.load(Ordering::Relaxed).wrapping_add(LENGTH), Ordering::Relaxed);
    }

    /// More of the record. What finds no room is counted at its end.
    pub fn write(&self, bytes: &[u8]) {
        let mut end = self.end.load(Ordering::Relaxed);
        for byte in bytes {
            if self.has_room(end) {
                self.put(end, *byte);
            }
            end = end.wrapping_add(1);
        }
        self.end.store(end, Ordering::Relaxed);
    }

    /// The record ends: the loop may have it.
    pub fn end(&self) {
        let (tail, end) = (self.tail.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        // What was written last found room, so all of it did: the loop only makes more.
        if self.has_room(end.wrapping_sub(1)) {
            let len = end.wrapping_sub(tail).wrapping_sub(LENGTH);
            self.put(tail, len as u8);
            self.put(tail.wrapping_add(1), (len >> 8) as u8);
            self.tail.store(end, Ordering::Release);
        } else {
            let lost = self.lost.load(Ordering::Relaxed);
            self.lost.store(lost.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Records that were lost since the start, for want of room; modulo 2^32.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many of those the log has not told yet.
    fn untold(&self) -> u32 {
        let lost = self.lost();
        let untold = lost.wrapping_sub(self.told.load(Ordering::Relaxed));
        self.told.store(lost, Ordering::Relaxed);
        untold
    }

    /// Copies as many whole records as `buffer` holds, or a part of one that is longer; returns how many bytes, and what
    /// [`drop_front`](Self::drop_front) is to be told when they are used.
    fn front(&self, buffer: &mut [u8], offset: usize) -> Front {
        let tail = self.tail.load(Ordering::Acquire);
        let mut front = Front { len: 0, head: self.head.load(Ordering::Relaxed), offset };
        while front.head != tail {
            let length = [self.get(front.head), self.get(front.head.wrapping_add(1))];
            let record = usize::from(u16::from_le_bytes(length));
            let begin = front.head.wrapping_add(LENGTH);
            let rest = record.saturating_sub(front.offset);
            let room = buffer.get_mut(front.len..).unwrap_or_default();
            if rest > room.len() && front.len > 0 {
                break;
            }
            let part = rest.min(room.len());
            for (place, at) in room.iter_mut().take(part).zip(front.offset..) {
                *place = self.get(begin.wrapping_add(at));
            }
            front.len += part;
            if part < rest {
                front.offset += part;
                break;
            }
            front.head = begin.wrapping_add(record);
            front.offset = 0;
        }
        front
    }

    /// Whether the byte at a position is free, or the writer's own.
    fn has_room(&self, at: usize) -> bool {
        at.wrapping_sub(self.head.load(Ordering::Acquire)) < N
    }

    fn put(&self, at: usize, byte: u8) {
        if let Some(place) = self.bytes.get(at & Self::MASK) {
            place.store(byte, Ordering::Relaxed);
        }
    }

    fn get(&self, at: usize) -> u8 {
        self.bytes.get(at & Self::MASK).map_or(0, |place| place.load(Ordering::Relaxed))
    }
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What was copied of a ring, and where it goes on behind.
#[derive(Debug, PartialEq, Eq)]
struct Front {
    len: usize,
    head: usize,
    /// How much of the record at `head` was copied.
    offset: usize,
}

/// An application whose board's logs are published as [`LOG`], best effort and with the least priority. It takes one more
/// route.
///
/// What nobody listens to stays in the ring until that is full: who connects later reads how it began. Records that come from
/// interrupts while the loop sleeps wait for its next turn.
#[derive(Debug)]
pub struct Logged<'r, A, const N: usize> {
    application: A,
    ring: &'r LogRing<N>,
    /// Declared at the first turn.
    route: Option<RouteId>,
    /// How much of the first record of the ring has been published.
    offset: usize,
}

impl<'r, S: Storage, A: Application<Endpoint = Endpoint<S>>, const N: usize> Logged<'r, A, N> {
    /// An application with the logs in a ring. Its endpoint is not started anew from here on.
    #[must_use]
    pub const fn new(application: A, ring: &'r LogRing<N>) -> Self {
        Self { application, ring, route: None, offset: 0 }
    }

    fn publish(&mut self) {
        let endpoint = self.application.endpoint();
        if self.route.is_none() {
            let options = IntentOptions { priority: Priority::Background, ..IntentOptions::best_effort() };
            self.route = endpoint.declare_intent(&LOG, options).ok();
        }
        let Some(limit) = self.route.and_then(|route| endpoint.payload_limit(route)) else { return };
        let mut buffer = [0; MESSAGE_MAX];
        let room = buffer.get_mut(..limit.min(MESSAGE_MAX)).unwrap_or_default();
        while let Some(route) = self.route {
            let front = self.ring.front(room, self.offset);
            let message = room.get(..front.len).unwrap_or_default();
            if message.is_empty() || endpoint.publish(route, message).is_err() {
                // No room now, or nobody there: it is tried again at the next turn.
                return;
            }
            self.ring.head.store(front.head, Ordering::Release);
            self.offset = front.offset;
            let untold = self.ring.untold();
            if untold > 0 {
                #[cfg(feature = "defmt")]
                defmt::warn!("{=u32} log records were lost", untold);
            }
        }
    }
}

impl<S: Storage, A: Application<Endpoint = Endpoint<S>>, const N: usize> Application for Logged<'_, A, N> {
    type Endpoint = Endpoint<S>;

    fn endpoint(&mut self) -> &mut Endpoint<S> {
        self.application.endpoint()
    }

    fn poll(&mut self, now: Instant) -> Option<Instant> {
        let due = self.application.poll(now);
        self.publish();
        due
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn log<const N: usize>(ring: &LogRing<N>, record: &[u8]) {
        ring.begin();
        let (first, second) = record.split_at(record.len() / 2);
        ring.write(first);
        ring.write(second);
        ring.end();
    }

    /// Takes a message of at most `room` bytes.
    fn take<const N: usize>(ring: &LogRing<N>, room: usize, offset: &mut usize) -> Vec<u8> {
        let mut buffer = std::vec![0; room];
        let front = ring.front(&mut buffer, *offset);
        ring.head.store(front.head, Ordering::Release);
        *offset = front.offset;
        buffer.truncate(front.len);
        buffer
    }

    #[test]
    fn records_leave_whole_and_in_order_however_the_ring_turns() {
        let ring = LogRing::<64>::new();
        let mut offset = 0;
        for round in 0..200_u8 {
            log(&ring, &[round; 9]);
            let second = std::vec![round.wrapping_add(1); usize::from(round % 20) + 1];
            log(&ring, &second);
            let both = [&[round; 9], &second[..]].concat();
            let mut came = Vec::new();
            while came.len() < both.len() {
                let message = take(&ring, 20, &mut offset);
                assert!(!message.is_empty());
                came.extend(message);
            }
            assert_eq!(came, both);
            assert!(take(&ring, 20, &mut offset).is_empty() && offset == 0);
        }
        assert_eq!(ring.lost(), 0);
    }

    /// An endpoint, and nothing else.
    #[cfg(feature = "full")]
    struct Bare(Endpoint<crate::Inline<128, 256, 256, 2>>);

    #[cfg(feature = "full")]
    impl Application for Bare {
        type Endpoint = Endpoint<crate::Inline<128, 256, 256, 2>>;

        fn endpoint(&mut self) -> &mut Self::Endpoint {
            &mut self.0
        }

        fn poll(&mut self, _: Instant) -> Option<Instant> {
            None
        }
    }

    #[test]
    #[cfg(feature = "full")]
    fn who_connects_later_reads_the_logs_from_the_beginning() {
        let start = |nonce| {
            let mut endpoint = Endpoint::new(crate::Inline::new());
            endpoint.start(crate::Config::new("logs"), nonce);
            endpoint.handle_connect(Instant::ZERO, crate::Link::serial(115_200)).unwrap();
            Bare(endpoint)
        };
        let ring = LogRing::<256>::new();
        let mut board = Logged::new(start(1), &ring);
        let mut pc = start(2);
        let interest = pc.0.declare_interest(&LOG, crate::InterestOptions::default()).unwrap();
        let (mut logged, mut came) = (Vec::new(), Vec::new());
        let mut out = [0; 300];
        for turn in 0..400_u64 {
            let now = Instant::from_millis(turn);
            if turn % 8 == 0 && turn < 320 {
                let record = [turn as u8; 10];
                log(&ring, &record);
                logged.extend(record);
            }
            board.poll(now);
            // A line to which nobody listens for a while.
            while let Some(frame) = board.endpoint().poll_transmit(now, &mut out) {
                if turn > 60 {
                    pc.0.handle_input(now, frame);
                }
            }
            while let Some(frame) = pc.0.poll_transmit(now, &mut out) {
                if turn > 60 {
                    board.endpoint().handle_input(now, frame);
                }
            }
            for endpoint in [&mut pc.0, board.endpoint()] {
                endpoint.handle_timeout(now);
                while endpoint.poll_event().is_some() {}
            }
            while let Some(message) = pc.0.poll_message(crate::Select::Only(interest)) {
                came.extend_from_slice(message.payload);
            }
        }
        assert_eq!((came, ring.lost()), (logged, 0));
    }

    #[test]
    fn a_record_without_room_is_dropped_as_a_whole_and_counted() {
        let ring = LogRing::<64>::new();
        let mut offset = 0;
        // 11 bytes each, so five fit.
        (0..8).for_each(|number| log(&ring, &[number; 9]));
        assert_eq!((ring.lost(), ring.untold(), ring.untold()), (3, 3, 0));
        // A shorter one still fits.
        log(&ring, &[8; 7]);
        assert_eq!(ring.lost(), 3);
        let mut came = Vec::new();
        loop {
            let message = take(&ring, 30, &mut offset);
            if message.is_empty() {
                break;
            }
            came.extend(message);
        }
        let mut expected: Vec<u8> = (0..5).flat_map(|number| [number; 9]).collect();
        expected.extend([8; 7]);
        assert_eq!(came, expected);
        // More than the ring, then one that fits again.
        log(&ring, &[9; 100]);
        log(&ring, &[10; 62]);
        assert_eq!(ring.lost(), 4);
        assert_eq!(take(&ring, 62, &mut offset), [10; 62]);
    }

    #[test]
    fn a_record_longer_than_a_message_leaves_in_parts() {
        let ring = LogRing::<128>::new();
        let record: Vec<u8> = (0..100).collect();
        log(&ring, &[1, 2, 3]);
        log(&ring, &record);
        log(&ring, &[4]);
        let mut offset = 0;
        // Whole records first; a long one begins a message of its own.
        assert_eq!(take(&ring, 40, &mut offset), [1, 2, 3]);
        assert_eq!(take(&ring, 40, &mut offset), record[..40]);
        assert_eq!(take(&ring, 40, &mut offset), record[40..80]);
        let mut rest = record[80..].to_vec();
        rest.push(4);
        assert_eq!(take(&ring, 40, &mut offset), rest);
    }
}
