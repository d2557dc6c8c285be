//! The endpoint's memory on a PC: sized when the connection is opened.

use tieline::{Call, Limiter, Parts, Served, Slot, Storage, Tables};

use crate::options::Options;
use crate::stats;

/// [`Storage`] on the heap.
#[derive(Debug)]
pub(crate) struct Boxed {
    frame: Box<[u8]>,
    rx: Box<[u8]>,
    tx: Box<[u8]>,
    routes: Box<[Slot]>,
    calls: Box<[Call]>,
    served: Box<[Served]>,
    limiters: Box<[Limiter]>,
}

impl Boxed {
    pub(crate) fn new(options: &Options) -> Self {
        let frame = options.frame.clamp(tieline::limits::FRAME_MIN, 1 << 20);
        let requests = options.requests.min(255);
        let routes = options.routes.saturating_add(1).min(u16::MAX as usize - 1);
        // Offsets in the stores have 32 bits.
        let store = |bytes: usize| vec![0; bytes.min(1 << 30)].into_boxed_slice();
        Self {
            frame: store(frame),
            // The connection has a service of its own.
            rx: store(options.receive.saturating_add(stats::ROOM)),
            tx: store(options.transmit),
            routes: vec![Slot::EMPTY; routes].into(),
            calls: (0..requests).map(|_| Call::EMPTY).collect(),
            served: (0..requests).map(|_| Served::EMPTY).collect(),
            // Each route may have one each way.
            limiters: vec![Limiter::EMPTY; 2 * routes].into(),
        }
    }
}

impl Storage for Boxed {
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
        self.frame.len()
    }

    fn tx_len(&self) -> usize {
        self.tx.len()
    }
}
