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
use crate::connection::LONGEST;
use crate::driver::Shared;
use crate::engine::Engine;
use crate::error::{Ended, Error, is_transient};
use crate::link::Line;
use crate::probe;
use crate::waker::Cancel;

/// A dialled host has so long to answer: a SYN that is lost is repeated after 1 and after 3 s (RFC 6298, section 2).
const DIAL_LIMIT: Duration = Duration::from_secs(4);
/// A device that was just plugged in belongs to nobody for a moment: a refusal that lasts longer is meant.
const SETTLE: Duration = Duration::from_secs(3);

/// A better address is asked once in so many of the longest waits between two tries: nothing is in need.
const BETTER_EVERY: u32 = 5;
/// Each time that somebody answered there and there was no session all the same, which costs the session that there is a
/// moment, it is asked half as often, down to once in so many of those times.
const BETTER_RARELY: u32 = 64;
/// A line that lasted for as long as the longest wait between two tries has worked, and so has any that lasted for this: as
/// long as a session is kept. One that dies sooner each time, right after the handshake say, would else be dialled at the pace of
/// first tries without end.
const HAS_WORKED: Duration = Duration::from_secs(10);

/// The thread that looks for lines.
#[derive(Debug)]
pub(crate) struct Dialer {
    cancel: Arc<Cancel>,
    thread: Option<JoinHandle<()>>,
}

impl Dialer {
    /// Begins to look for a line, at the first of the addresses where there is one.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        addresses: Vec<Address>,
        backoff: Backoff,
        name: &'static str,
    ) -> io::Result<Self> {
        let cancel = Arc::new(Cancel::new()?);
        let search = Search {
            shared: Arc::clone(shared),
            cancel: Arc::clone(&cancel),
            addresses,
            current: 0,
            name,
            better_every: backoff.most * BETTER_EVERY,
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
    /// Ours.
    name: &'static str,
    /// The best one first.
    addresses: Vec<Address>,
    /// Which of them the line belongs to.
    current: usize,
    backoff: Backoff,
    /// How often better addresses are asked.
    better_every: Duration,
    /// Since when all are refused for reasons that usually do not pass.
    refused_since: Option<Instant>,
}

/// Why the thread has to do something.
enum Need {
    /// There is no line, or none that works. So many handshakes there have been, and the line lasted so long after the last.
    Line { handshakes: u64, lasted: Duration },
    /// It works, and is not the best.
    Better,
}

/// What looking for a better line comes to.
enum Found {
    Nobody,
    Better,
    /// Somebody answered, and had no session for us.
    NoSession,
}

impl Search {
    fn run(mut self) {
        let mut known = 0;
        // The first time at once.
        let mut not_before = Instant::now();
        let mut better_at = not_before;
        while let Some(need) = self.await_need(not_before, better_at) {
            match need {
                Need::Better => {
                    let least = self.backoff.most * BETTER_EVERY;
                    self.better_every = match self.look_for_better() {
                        Found::Nobody => self.better_every,
                        Found::Better => least,
                        Found::NoSession => (self.better_every * 2).min(least * BETTER_RARELY),
                    };
                }
                Need::Line { handshakes, lasted } if handshakes != known => {
                    known = handshakes;
                    if lasted >= self.backoff.most.min(HAS_WORKED) {
                        self.backoff.reset();
                    }
                    self.refused_since = None;
                    // The line was there a moment ago: if everybody loses the same peer, not everybody comes at once.
                    not_before = Instant::now() + self.backoff.next();
                }
                Need::Line { .. } => {
                    if let Some(ended) = self.round() {
                        self.shared.end(ended);
                        return;
                    }
                    not_before = Instant::now() + self.backoff.next();
                }
            }
            better_at = Instant::now() + self.better_every;
        }
    }

    /// Waits until a line is needed, but not before the first of the two, or until it is time to look for a better one.
    /// `None`: the connection is over.
    fn await_need(&self, not_before: Instant, better_at: Instant) -> Option<Need> {
        let mut engine = self.shared.lock();
        loop {
            if engine.over.is_some() || engine.abandoned || self.cancel.is_cancelled() {
                return None;
            }
            let line_at = needed_at(&engine, self.addresses.len() > 1).map(|at| at.max(not_before));
            let now = Instant::now();
            if line_at.is_some_and(|at| at <= now) {
                let until = engine.without_line.unwrap_or(now);
                let lasted = until.saturating_duration_since(engine.handshake_at);
                return Some(Need::Line { handshakes: engine.handshakes, lasted });
            }
            let is_second = self.current > 0 && engine.endpoint.is_established();
            if is_second && better_at <= now {
                return Some(Need::Better);
            }
            let until = line_at.into_iter().chain(is_second.then_some(better_at)).min();
            engine = self.shared.await_line_news(engine, until);
        }
    }

    /// Tries the addresses in turn, up to one where there is a session. Returns how the connection ends, if there is no use in
    /// trying again.
    fn round(&mut self) -> Option<Ended> {
        let mut refused = None;
        let mut hope = false;
        for index in 0..self.addresses.len() {
            if index == self.current && self.is_at_an_open_port() {
                // It is being listened to, and cannot be opened twice.
                hope = true;
                continue;
            }
            match self.open(index).and_then(|line| self.attach(index, line, true)) {
                Ok(()) => {
                    hope = true;
                    if self.addresses.len() == 1 || self.holds() {
                        break;
                    }
                }
                Err(error) if is_transient(&error) => hope = true,
                Err(error) => refused = refused.or(Some((index, error))),
            }
        }
        let (index, error) = match refused {
            Some(refused) if !hope => refused,
            _ => {
                self.refused_since = None;
                return None;
            }
        };
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        let is_final = !self.shared.lock().established || since.elapsed() >= SETTLE;
        let address = self.addresses.get(index)?.clone();
        is_final.then(|| Ended::Unreachable { address, cause: Arc::new(error) })
    }

    /// Asks better addresses than the current one whether somebody is there, and moves if so.
    fn look_for_better(&mut self) -> Found {
        let mut found = Found::Nobody;
        for index in 0..self.current {
            let Ok(line) = self.open(index) else { continue };
            if !probe::ask(&line, self.name, &self.cancel) {
                continue;
            }
            // A connection on which somebody has only asked is done with.
            let line = if line.is_connection() { self.open(index) } else { Ok(line) };
            if line.and_then(|line| self.attach(index, line, false)).is_ok() {
                if self.holds() {
                    return Found::Better;
                }
                found = Found::NoSession;
            }
        }
        found
    }

    fn open(&self, index: usize) -> io::Result<Line> {
        let address = self.addresses.get(index).ok_or(io::ErrorKind::NotFound)?;
        let opened = Line::dial(address, DIAL_LIMIT, &self.cancel);
        tracing::debug!(%address, error = opened.as_ref().err().map(tracing::field::display), "opened");
        opened.inspect_err(|error| {
            let mut engine = self.shared.lock();
            if engine.line.is_none() {
                engine.hint = error.to_string();
            }
        })
    }

    fn attach(&mut self, index: usize, line: Line, needed: bool) -> io::Result<()> {
        if self.shared.attach(line, &[], needed).map_err(io::Error::other)? {
            self.current = index;
        }
        Ok(())
    }

    fn is_at_an_open_port(&self) -> bool {
        self.shared.lock().line.as_ref().is_some_and(|line| !line.can_be_half_open())
    }

    /// Waits until there is a session on the line, or no hope for one on this line.
    fn holds(&self) -> bool {
        let mut engine = self.shared.lock();
        loop {
            if engine.endpoint.is_established() || engine.over.is_some() || engine.abandoned {
                return true;
            }
            let Some(until) = engine.in_vain_at.filter(|_| engine.line.is_some()) else { return false };
            if until <= Instant::now() {
                return false;
            }
            engine = self.shared.await_line_news(engine, Some(until));
        }
    }
}

/// When a line is needed; `None`: there is one.
fn needed_at(engine: &Engine, has_others: bool) -> Option<Instant> {
    match &engine.line {
        None => Some(Instant::now()),
        Some(line) => engine.in_vain_at.filter(|_| has_others || line.can_be_half_open()),
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
        let first = first.clamp(Duration::from_millis(1), LONGEST);
        Self { first, most: most.clamp(first, LONGEST), next: first }
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
    fn never_is_a_wait_too() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        let waits = [backoff.next(), backoff.most * BETTER_EVERY];
        assert!(waits.into_iter().all(|wait| Instant::now().checked_add(wait).is_some()));
    }

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
