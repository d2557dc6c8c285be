//! Looks for lines: dials addresses, and opens ports, for as long as a connection needs one.
//!
//! Invariant: a line that works is never given up for one that may not; one that is silent is kept until another one is
//! there. Whoever ends the connection waits for this thread no longer than a system call that cannot be interrupted.
//! What is said over a line is not its business.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::driver::Shared;
use crate::engine::Engine;
use crate::error::{Ended, Error, is_transient};
use crate::link::Line;
use crate::waker::Cancel;

/// A dialled host has so long to answer: a SYN that is lost is repeated after 1 and after 3 s (RFC 6298, section 2).
const DIAL_LIMIT: Duration = Duration::from_secs(4);
/// A device that was just plugged in belongs to nobody for a moment: a refusal that lasts longer is meant.
const SETTLE: Duration = Duration::from_secs(3);

/// The thread that looks for lines.
#[derive(Debug)]
pub(crate) struct Dialer {
    cancel: Arc<Cancel>,
    thread: Option<JoinHandle<()>>,
}

impl Dialer {
    /// Begins to look for a line.
    pub(crate) fn start(shared: &Arc<Shared>, address: Address, backoff: Backoff) -> io::Result<Self> {
        let cancel = Arc::new(Cancel::new()?);
        let search = Search {
            shared: Arc::clone(shared),
            cancel: Arc::clone(&cancel),
            address,
            backoff,
            refused_since: None,
        };
        let thread =
            std::thread::Builder::new().name("tieline-dial".to_owned()).spawn(move || search.run())?;
        Ok(Self { cancel, thread: Some(thread) })
    }
}

impl Drop for Dialer {
    /// The connection is over or abandoned, and the thread was told.
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take().filter(|_| !self.cancel.looks_up()) {
            // It never panics, and if it did it could do no harm here.
            let _ = thread.join();
        }
    }
}

struct Search {
    shared: Arc<Shared>,
    cancel: Arc<Cancel>,
    address: Address,
    backoff: Backoff,
    /// Since when it is refused for a reason that usually does not pass.
    refused_since: Option<Instant>,
}

impl Search {
    fn run(mut self) {
        let mut handshakes = 0;
        // The first time at once.
        let mut not_before = Instant::now();
        while let Some(now_known) = self.await_need(not_before) {
            if now_known != handshakes {
                handshakes = now_known;
                self.backoff.reset();
                self.refused_since = None;
                // The line was there a moment ago: if everybody loses the same peer, not everybody comes at once.
                not_before = Instant::now() + self.backoff.next();
                continue;
            }
            if let Err(error) = self.try_once()
                && self.is_final(&error)
            {
                let (address, cause) = (self.address.clone(), Arc::new(error));
                self.shared.end(Ended::Unreachable { address, cause });
                return;
            }
            not_before = Instant::now() + self.backoff.next();
        }
    }

    /// Waits until a line is needed, but not before that; returns how many handshakes there have been. `None`: the
    /// connection is over.
    fn await_need(&self, not_before: Instant) -> Option<u64> {
        let mut engine = self.shared.lock();
        loop {
            if engine.over.is_some() || engine.abandoned || self.cancel.is_cancelled() {
                return None;
            }
            let until = match needed_at(&engine) {
                Some(at) if at.max(not_before) <= Instant::now() => return Some(engine.handshakes),
                Some(at) => Some(at.max(not_before)),
                None => None,
            };
            engine = self.shared.await_line_news(engine, until);
        }
    }

    fn try_once(&self) -> io::Result<()> {
        let line = Line::dial(&self.address, DIAL_LIMIT, &self.cancel).inspect_err(|error| {
            let mut engine = self.shared.lock();
            if engine.line.is_none() {
                engine.hint = error.to_string();
            }
        })?;
        self.shared.attach(line, &[], true).map_err(io::Error::other)
    }

    /// Whether it is of no use to try again.
    fn is_final(&mut self, error: &io::Error) -> bool {
        if is_transient(error) {
            self.refused_since = None;
            return false;
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        !self.shared.lock().established || since.elapsed() >= SETTLE
    }
}

/// When a line is needed; `None`: there is one.
fn needed_at(engine: &Engine) -> Option<Instant> {
    match &engine.line {
        None => Some(Instant::now()),
        Some(line) => engine.in_vain_at.filter(|_| line.can_be_half_open()),
    }
}

/// Capped exponential backoff with jitter: each wait is a random part, between a half and all, of one that doubles.
/// ("Equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        // Never in a tight loop, whatever the options say.
        let first = first.max(Duration::from_millis(1));
        Self { first, most: most.max(first), next: first }
    }

    /// How long to wait before the next try.
    pub(crate) fn next(&mut self) -> Duration {
        let all = self.next;
        self.next = all.saturating_mul(2).min(self.most);
        let mut random = [0; 4];
        // Without chance it is only a little less polite.
        let _ = getrandom::fill(&mut random);
        let part = f64::from(u32::from_le_bytes(random)) / (f64::from(u32::MAX) + 1.0);
        all.mul_f64(0.5 + part / 2.0)
    }

    /// It has worked: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// What opening one line comes to, for those who do it themselves.
pub(crate) fn open_error(address: &Address, error: io::Error) -> Error {
    Error::Open { address: address.clone(), cause: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_vary_by_a_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000));
        for expected in [100, 200, 400, 800, 1000, 1000, 1000] {
            let wait = backoff.next();
            assert!((ms(expected) / 2..=ms(expected)).contains(&wait), "{expected}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= ms(100));
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert!((0..10).all(|_| !backoff.next().is_zero()));
        let mut many = Vec::new();
        for _ in 0..100 {
            many.push(Backoff::new(ms(1000), ms(1000)).next());
        }
        many.sort();
        assert!(many[90] - many[10] > ms(100), "they differ");
    }
}
