//! A port that interrupts feed: bytes wait in two queues between the handler of a UART's interrupt and the loop.
//!
//! [`Queues`] is the memory. [`split`](Queues::split) makes two sides of it: a [`Handler`] for the interrupt handler, which
//! never waits, and a [`QueuedPort`] for the loop, which is a [`Port`] and an `embedded_io` port. Invariant: each queue has
//! one writer and one reader, so neither side ever locks or masks anything. Registers, and which interrupt it is, are the
//! board's.
//!
//! Who starts sending when the UART is idle? The loop: after it has put bytes into the queue it calls `kick`, which makes
//! the interrupt happen; the usual one is `|| NVIC::pend(Interrupt::UART0)`, or a write that enables *transmitter empty*. What
//! the handler then does is the same for every reason that it was called for:
//!
//! ```
//! # use tieline::driver::{Handler, Queues};
//! # struct Uart;
//! # impl Uart { fn read(&self) -> Option<u8> { None } fn has_room(&self) -> bool { true } fn write(&self, byte: u8) {} }
//! fn on_interrupt(uart: &Uart, handler: &mut Handler<'_>) {
//!     while handler.can_receive() && let Some(byte) = uart.read() {
//!         handler.receive(byte);
//!     }
//!     while uart.has_room() && let Some(byte) = handler.transmit() {
//!         uart.write(byte);
//!     }
//! }
//! # let mut queues = Queues::<64, 64>::new();
//! # on_interrupt(&Uart, &mut queues.split(|| ()).0);
//! ```

use core::convert::Infallible;
use core::fmt;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

use heapless::spsc::{Consumer, Producer, Queue};

use super::{Port, Ready};

/// The memory of a [`QueuedPort`]: `RX` - 1 bytes that came and `TX` - 1 bytes that go. It takes `RX` + `TX` + 24 bytes of RAM on
/// a 32-bit microcontroller; a static one lies in `.bss`. Powers of two are quickest.
///
/// `RX` holds what comes while the loop does something else: at 115200 bit/s 12 bytes a ms. A byte that finds no room is lost
/// and counted; the protocol repeats what is reliable, but each such byte costs a frame. `TX` lets the loop sleep
/// while the UART sends; what lies in it has left the priorities behind, so more than a frame only delays commands.
pub struct Queues<const RX: usize, const TX: usize> {
    received: Queue<u8, RX>,
    transmit: Queue<u8, TX>,
    shared: Shared,
}

/// What both sides know.
#[derive(Debug)]
struct Shared {
    /// Written by the handler only: a Cortex-M0 has no atomic addition.
    overruns: AtomicU32,
    /// Set by the handler when it leaves bytes in the UART; cleared by the loop, which then calls it.
    is_held: AtomicBool,
}

impl<const RX: usize, const TX: usize> Queues<RX, TX> {
    /// Empty queues.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            received: Queue::new(),
            transmit: Queue::new(),
            shared: Shared { overruns: AtomicU32::new(0), is_held: AtomicBool::new(false) },
        }
    }

    /// The two sides. `kick` makes the interrupt happen that calls the handler.
    pub fn split<K: FnMut()>(&mut self, kick: K) -> (Handler<'_>, QueuedPort<'_, K>) {
        let (received_in, received_out) = self.received.split();
        let (transmit_in, transmit_out) = self.transmit.split();
        let shared = &self.shared;
        (
            Handler { received: received_in, transmit: transmit_out, shared },
            QueuedPort { received: received_out, transmit: transmit_in, shared, kick },
        )
    }
}

impl<const RX: usize, const TX: usize> Default for Queues<RX, TX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const RX: usize, const TX: usize> fmt::Debug for Queues<RX, TX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Whether a queue has memory. Each has; but a queue's sides have forgotten how much when compiled, and divide by it: asked
/// just before, this rules out the panic of a division by zero.
macro_rules! has_memory {
    ($queue:expr) => {
        $queue.capacity() != usize::MAX
    };
}

/// Returns whether there was room. Out of line, like [`dequeue`]: only here is the compiler told that there is memory.
#[inline(never)]
fn enqueue(queue: &mut Producer<'_, u8>, byte: u8) -> bool {
    has_memory!(queue) && queue.enqueue(byte).is_ok()
}

#[inline(never)]
fn dequeue(queue: &mut Consumer<'_, u8>) -> Option<u8> {
    if has_memory!(queue) { queue.dequeue() } else { None }
}

/// How many bytes there is room for.
#[inline(never)]
fn room(queue: &Producer<'_, u8>) -> usize {
    if has_memory!(queue) { queue.capacity().saturating_sub(queue.len()) } else { 0 }
}

/// The side of the interrupt handler.
pub struct Handler<'q> {
    received: Producer<'q, u8>,
    transmit: Consumer<'q, u8>,
    shared: &'q Shared,
}

impl Handler<'_> {
    /// Whether there is room for a byte. Asked before a byte is read, it loses none to a slow loop, if the line can hold: by
    /// RTS, as USB does, or as an emulator does. If there is none the loop makes the interrupt happen when it has made some:
    /// until then mask the UART's own, which would come again at once.
    pub fn can_receive(&mut self) -> bool {
        if room(&self.received) > 0 {
            return true;
        }
        self.shared.is_held.store(true, Ordering::Relaxed);
        // On another core the loop may have made room meanwhile, and have looked before it was told.
        fence(Ordering::SeqCst);
        room(&self.received) > 0
    }

    /// A byte came. Without room for it, it is lost and counted.
    pub fn receive(&mut self, byte: u8) {
        if !enqueue(&mut self.received, byte) {
            self.count_overruns(1);
        }
    }

    /// The next byte to send, if there is one: ask only when the UART can take it.
    pub fn transmit(&mut self) -> Option<u8> {
        dequeue(&mut self.transmit)
    }

    /// The UART itself has lost bytes, before anybody could read them.
    pub fn count_overruns(&mut self, bytes: u32) {
        let before = self.shared.overruns.load(Ordering::Relaxed);
        self.shared.overruns.store(before.wrapping_add(bytes), Ordering::Relaxed);
    }
}

impl fmt::Debug for Handler<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("shared", self.shared).finish_non_exhaustive()
    }
}

/// The side of the loop.
///
/// As an `embedded_io` port it waits, as those do: `read` for a byte, `write` for room. As a [`Port`] it never does.
pub struct QueuedPort<'q, K> {
    received: Consumer<'q, u8>,
    transmit: Producer<'q, u8>,
    shared: &'q Shared,
    kick: K,
}

impl<K: FnMut()> QueuedPort<'_, K> {
    /// Bytes that came and were lost since the start, for want of room in the queue or in the UART; modulo 2^32.
    #[must_use]
    pub fn overruns(&self) -> u32 {
        self.shared.overruns.load(Ordering::Relaxed)
    }

    /// Moves what is there; returns how many bytes.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for place in buffer {
            let Some(byte) = dequeue(&mut self.received) else { break };
            *place = byte;
            count += 1;
        }
        fence(Ordering::SeqCst);
        if count > 0 && self.shared.is_held.load(Ordering::Relaxed) {
            self.shared.is_held.store(false, Ordering::Relaxed);
            (self.kick)();
        }
        count
    }

    /// Moves what there is room for and has it sent; returns how many bytes.
    fn give(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            if !enqueue(&mut self.transmit, *byte) {
                break;
            }
            count += 1;
        }
        if count > 0 {
            (self.kick)();
        }
        count
    }
}

impl<K> fmt::Debug for QueuedPort<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedPort").field("shared", self.shared).finish_non_exhaustive()
    }
}

impl<K: FnMut()> Port for QueuedPort<'_, K> {
    type Error = Infallible;

    fn read(&mut self, buffer: &mut [u8]) -> nb::Result<usize, Infallible> {
        match self.take(buffer) {
            0 => Err(nb::Error::WouldBlock),
            count => Ok(count),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> nb::Result<usize, Infallible> {
        match self.give(bytes) {
            0 => Err(nb::Error::WouldBlock),
            count => Ok(count),
        }
    }
}

impl<K: FnMut()> Ready for QueuedPort<'_, K> {
    fn is_readable(&mut self) -> bool {
        self.received.ready()
    }

    /// When half of the queue is free: a loop that was woken for each byte would do little else.
    fn is_writable(&mut self) -> bool {
        room(&self.transmit) >= self.transmit.capacity() / 2
    }
}

impl<K> embedded_io::ErrorType for QueuedPort<'_, K> {
    type Error = Infallible;
}

impl<K: FnMut()> embedded_io::Read for QueuedPort<'_, K> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            let count = self.take(buffer);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            spin_loop();
        }
    }
}

impl<K: FnMut()> embedded_io::ReadReady for QueuedPort<'_, K> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.received.ready())
    }
}

impl<K: FnMut()> embedded_io::Write for QueuedPort<'_, K> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        loop {
            let count = self.give(bytes);
            if count > 0 || bytes.is_empty() {
                return Ok(count);
            }
            spin_loop();
        }
    }

    /// Waits until the handler has taken all: the last bytes may still be in the UART.
    fn flush(&mut self) -> Result<(), Infallible> {
        while room(&self.transmit) < self.transmit.capacity() {
            spin_loop();
        }
        Ok(())
    }
}

impl<K: FnMut()> embedded_io::WriteReady for QueuedPort<'_, K> {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(room(&self.transmit) > 0)
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use std::vec::Vec;

    use embedded_io::{Read, ReadReady, Write, WriteReady};

    use super::*;

    #[test]
    fn bytes_go_both_ways_in_order_and_the_handler_is_called_for_each_batch() {
        let mut queues = Queues::<8, 8>::new();
        let kicks = Cell::new(0);
        let (mut handler, mut port) = queues.split(|| kicks.set(kicks.get() + 1));
        let mut buffer = [0; 16];
        for round in 0..20 {
            assert_eq!(Port::read(&mut port, &mut buffer), Err(nb::Error::WouldBlock));
            (0..5).for_each(|byte| handler.receive(round + byte));
            assert_eq!(port.read_ready(), Ok(true));
            assert_eq!(Port::read(&mut port, &mut buffer), Ok(5));
            assert_eq!(buffer[..5], [round, round + 1, round + 2, round + 3, round + 4]);

            assert_eq!(Port::write(&mut port, &[round; 10]), Ok(7));
            assert_eq!((port.write_ready(), port.is_writable()), (Ok(false), false));
            assert_eq!(Port::write(&mut port, &[round]), Err(nb::Error::WouldBlock));
            assert_eq!(handler.transmit(), Some(round));
            assert_eq!((port.write_ready(), port.is_writable()), (Ok(true), false));
            let rest: Vec<_> = core::iter::from_fn(|| handler.transmit()).collect();
            assert_eq!(rest, [round; 6]);
            assert!(port.is_writable() && port.flush().is_ok());
        }
        assert_eq!(kicks.get(), 20);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_changes_nothing_else() {
        let mut queues = Queues::<4, 4>::new();
        let (mut handler, mut port) = queues.split(|| ());
        (1..=9).for_each(|byte| handler.receive(byte));
        handler.count_overruns(2);
        let mut buffer = [0; 9];
        assert_eq!(Read::read(&mut port, &mut buffer), Ok(3));
        assert_eq!(buffer[..3], [1, 2, 3]);
        assert_eq!(port.overruns(), 8);
    }

    #[test]
    fn a_line_that_can_hold_loses_nothing_and_is_told_to_go_on() {
        let mut queues = Queues::<4, 4>::new();
        let kicks = Cell::new(0);
        let (mut handler, mut port) = queues.split(|| kicks.set(kicks.get() + 1));
        let mut came = Vec::new();
        let mut next = 0_u8;
        for round in 1..=10 {
            while handler.can_receive() {
                handler.receive(next);
                next += 1;
            }
            let mut buffer = [0; 2];
            assert_eq!(Read::read(&mut port, &mut buffer), Ok(2));
            came.extend(buffer);
            assert_eq!(kicks.get(), round);
            let count = Read::read(&mut port, &mut buffer).unwrap();
            came.extend(&buffer[..count]);
            assert_eq!(kicks.get(), round, "it is told once");
        }
        assert!(came.iter().copied().eq(0..30) && port.overruns() == 0);
    }

    #[test]
    fn the_memory_is_what_its_documentation_says() {
        const INDEX: usize = size_of::<usize>();
        // Two queues with two indices each, the count, and the flag, padded.
        let shared = 8_usize.next_multiple_of(INDEX);
        assert_eq!(size_of::<Queues<256, 64>>(), 256 + 64 + 4 * INDEX + shared);
    }

    /// The interrupt is a thread here: both sides run at once, as on two cores.
    #[test]
    fn a_port_that_waits_loses_nothing() {
        const BYTES: usize = 3000;
        let sent: Vec<u8> = (0..BYTES).map(|byte| ((byte * 7) >> 3) as u8).collect();
        let mut queues = Queues::<64, 32>::new();
        let (mut handler, mut port) = queues.split(|| ());
        let mut echoed: Vec<u8> = Vec::new();
        std::thread::scope(|scope| {
            // Echoes; keeps a byte for which there is no room, as a UART that is told to hold would.
            scope.spawn(move || {
                for _ in 0..BYTES {
                    let byte = loop {
                        match handler.transmit() {
                            Some(byte) => break byte,
                            None => std::thread::yield_now(),
                        }
                    };
                    while !handler.can_receive() {
                        std::thread::yield_now();
                    }
                    handler.receive(byte);
                }
            });
            let mut rest = &sent[..];
            let mut buffer = [0; 40];
            while echoed.len() < BYTES {
                if !rest.is_empty() && port.write_ready() == Ok(true) {
                    let count = Write::write(&mut port, rest).unwrap();
                    rest = &rest[count..];
                }
                if port.read_ready() == Ok(true) || rest.is_empty() {
                    let count = Read::read(&mut port, &mut buffer).unwrap();
                    echoed.extend(&buffer[..count]);
                }
            }
            assert_eq!(port.overruns(), 0);
        });
        assert!(echoed == sent);
    }
}
