//! The memory of an endpoint: arrays on boards, whatever implements [`Storage`] elsewhere.

use crate::capability;
use crate::inbox::{self, Region};
use crate::limiter::Limiter;
use crate::limits::FRAME_MIN;
use crate::results::{Call, Served};
use crate::routes::Slot;

/// Where an endpoint keeps what it must remember. The sizes must not change while the endpoint lives.
pub trait Storage {
    /// All of it, to change.
    fn parts(&mut self) -> Parts<'_>;
    /// The table of routes, to look at.
    fn routes(&self) -> &[Slot];
    /// Length of the frame buffer: the largest frame content in bytes, received and sent.
    fn frame_len(&self) -> usize;
    /// Length of the transmit store, in bytes.
    fn tx_len(&self) -> usize;
}

/// The parts of a [`Storage`].
#[derive(Debug)]
pub struct Parts<'a> {
    /// Holds the frame that is coming in: as long as the largest frame content, at least 80 bytes.
    pub frame: &'a mut [u8],
    /// Everything else.
    pub tables: Tables<'a>,
}

/// What the endpoint's machines work on.
#[derive(Debug)]
pub struct Tables<'a> {
    /// Messages, requests and answers that the application has not taken: divided among interests, services and calls.
    pub rx: &'a mut [u8],
    /// What is not sent, or not acknowledged, and samples that are kept: in blocks of 32 bytes.
    pub tx: &'a mut [u8],
    /// One place for each route.
    pub routes: &'a mut [Slot],
    /// One place for each request of ours that awaits its answer.
    pub calls: &'a mut [Call],
    /// One place for each request of the peer's that awaits ours. At most 255 are used.
    pub served: &'a mut [Served],
    /// One place for each rate limit.
    pub limiters: &'a mut [Limiter],
}

impl Tables<'_> {
    /// A new region of `capacity` bytes of RX; the error says how much is free.
    pub(crate) fn allocate(&mut self, capacity: usize) -> Result<Region, usize> {
        self.sweep();
        let used = self.rx_used();
        let free = self.rx.len().saturating_sub(used);
        if capacity > free {
            return Err(free);
        }
        Ok(Region::new(used, capacity))
    }

    /// Gives a region back that no table holds any more.
    pub(crate) fn release(&mut self, region: Region) {
        if region.capacity() == 0 {
            return;
        }
        let used = self.rx_used() + region.capacity();
        let slots = self.routes.iter_mut().map(|slot| &mut slot.inbox);
        let calls = self.calls.iter_mut().map(|call| &mut call.region);
        inbox::release(region, self.rx, used, slots.chain(calls));
    }

    /// Gives back the room of answers that have been read. Not done at once: the application may still look at them.
    fn sweep(&mut self) {
        while capability::REQUESTS
            && let Some(call) = self.calls.iter_mut().find(|call| call.is_spent())
        {
            let region = call.region.give_up();
            self.release(region);
        }
    }

    fn rx_used(&self) -> usize {
        let slots: usize = self.routes.iter().map(|slot| slot.inbox.capacity()).sum();
        let calls: usize = self.calls.iter().map(|call| call.region.capacity()).sum();
        slots + calls
    }
}

/// Requests under way at once, each way, with [`Inline`].
const INLINE_REQUESTS: usize = if capability::REQUESTS { 4 } else { 0 };

/// Rate limits with [`Inline`].
const INLINE_LIMITERS: usize = if capability::RATES { 2 } else { 0 };

/// Storage in arrays: for boards, without a heap. All zero while new, so that a static one lies in `.bss`.
///
/// | parameter | what it is | RAM price |
/// |---|---|---|
/// | `FRAME` | largest frame content, at least 80 | `FRAME` bytes |
/// | `RX` | room of all interests, services and awaited answers | `RX` bytes |
/// | `TX` | what is not sent or acknowledged, in blocks of 32 bytes; each class uses three quarters at the most | `TX` bytes |
/// | `ROUTES` | routes declared here | one [`Slot`] each |
///
/// A message may be larger than a frame, up to what its reader's window and `TX` hold: of `TX` = 512 bytes 256, of 4096
/// 2626, of 8192 5506 ([`payload_limit`](crate::Endpoint::payload_limit) tells). Samples that routes keep have a quarter of
/// `TX` together.
#[derive(Debug)]
pub struct Inline<const FRAME: usize, const RX: usize, const TX: usize, const ROUTES: usize> {
    frame: [u8; FRAME],
    rx: [u8; RX],
    tx: [u8; TX],
    routes: [Slot; ROUTES],
    calls: [Call; INLINE_REQUESTS],
    served: [Served; INLINE_REQUESTS],
    limiters: [Limiter; INLINE_LIMITERS],
}

impl<const FRAME: usize, const RX: usize, const TX: usize, const ROUTES: usize>
    Inline<FRAME, RX, TX, ROUTES>
{
    /// Bytes that a buffer for [`poll_transmit`](crate::Endpoint::poll_transmit) needs.
    pub const TRANSMIT_MAX: usize = crate::framing::Framing::wire_max(FRAME);

    /// Empty storage.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(FRAME >= FRAME_MIN, "FRAME is at least 80 bytes");
            // Three blocks for control records, which a frame of 80 bytes fills, and three for best effort.
            assert!(TX >= 192, "TX is at least 192 bytes");
            assert!(ROUTES < u16::MAX as usize, "ROUTES is less than 65535");
            assert!(RX < u32::MAX as usize && TX < u32::MAX as usize, "RX and TX are less than 4 GiB");
        }
        Self {
            frame: [0; FRAME],
            rx: [0; RX],
            tx: [0; TX],
            routes: [Slot::EMPTY; ROUTES],
            calls: [Call::EMPTY; INLINE_REQUESTS],
            served: [Served::EMPTY; INLINE_REQUESTS],
            limiters: [Limiter::EMPTY; INLINE_LIMITERS],
        }
    }
}

impl<const FRAME: usize, const RX: usize, const TX: usize, const ROUTES: usize> Default
    for Inline<FRAME, RX, TX, ROUTES>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const FRAME: usize, const RX: usize, const TX: usize, const ROUTES: usize> Storage
    for Inline<FRAME, RX, TX, ROUTES>
{
    // Called by nearly every method of an endpoint.
    #[inline(never)]
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            frame: &mut self.frame,
            tables: Tables {
                rx: &mut self.rx,
                tx: &mut self.tx,
                routes: &mut self.routes,
                calls: &mut self.calls,
                served: &mut self.served,
                limiters: &mut self.limiters,
            },
        }
    }

    fn routes(&self) -> &[Slot] {
        &self.routes
    }

    fn frame_len(&self) -> usize {
        FRAME
    }

    fn tx_len(&self) -> usize {
        TX
    }
}
