//! Tells a thread that waits for many things at once that one of them may be there.
//!
//! Invariant: whoever noted the [count](Bell::count) before looking misses no ring. Nobody takes another lock while
//! holding this one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        *rings += 1;
        self.heard.notify_all();
    }

    /// How often it has rung.
    pub(crate) fn count(&self) -> u64 {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has rung more often than that, or until then.
    pub(crate) fn wait(&self, known: u64, until: Option<Instant>) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |rings: &mut u64| *rings == known;
        match until {
            None => drop(self.heard.wait_while(rings, quiet)),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                drop(self.heard.wait_timeout_while(rings, left, quiet));
            }
        }
    }
}
