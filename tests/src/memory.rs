//! Storage whose sizes are chosen at run time, so that one story can run with any of them.
//!
//! It gives an endpoint the same slices as `Inline` does; only where they lie differs.

use tieline::{Call, Limiter, Parts, Served, Slot, Storage, Tables};

/// How large the parts of a [`Memory`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Largest frame content.
    pub frame: usize,
    /// Room of all interests, services and awaited answers.
    pub rx: usize,
    /// What is not sent or acknowledged.
    pub tx: usize,
    /// Places for routes.
    pub routes: usize,
    /// Requests under way at once, each way.
    pub requests: usize,
}

impl Sizes {
    /// As of a small board: `Inline<256, 512, 512, 8>`.
    pub const BOARD: Self = Self { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 };
    /// The least that a session works with.
    pub const SMALLEST: Self = Self { frame: 80, rx: 128, tx: 256, routes: 2, requests: 1 };
    /// As of a PC.
    pub const PC: Self = Self { frame: 1024, rx: 16_384, tx: 16_384, routes: 32, requests: 16 };
}

impl Default for Sizes {
    fn default() -> Self {
        Self::BOARD
    }
}

/// Storage of run-time sizes.
#[derive(Debug)]
pub struct Memory {
    frame: Vec<u8>,
    rx: Vec<u8>,
    tx: Vec<u8>,
    routes: Vec<Slot>,
    calls: Vec<Call>,
    served: Vec<Served>,
    limiters: Vec<Limiter>,
}

impl Memory {
    /// Empty storage.
    #[must_use]
    pub fn new(sizes: Sizes) -> Self {
        Self {
            frame: vec![0; sizes.frame],
            rx: vec![0; sizes.rx],
            tx: vec![0; sizes.tx],
            routes: vec![Slot::EMPTY; sizes.routes],
            calls: vec![Call::EMPTY; sizes.requests],
            served: vec![Served::EMPTY; sizes.requests],
            limiters: vec![Limiter::EMPTY; sizes.routes],
        }
    }
}

impl Storage for Memory {
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
