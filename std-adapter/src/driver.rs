//! Who does the work of a connection, and when.
//!
//! There is no thread between the line and the thread that waits for a message. Whoever waits (in `recv`, `call`,
//! `flush`, ...) becomes the *driver*: it waits for the line, reads, feeds the endpoint and sends what that wants
//! to send. Others that wait meanwhile are told by the driver when there is news. A thread that publishes writes at
//! once, unless another one is writing, which then takes the new bytes along. A *keeper* thread drives while nobody
//! else does, so that pings are answered and time-outs are kept; whoever comes to wait relieves it.
//!
//! Invariants, all under the one lock: there is at most one driver; whoever stops driving wakes a successor if one
//! waits, and else the keeper if it sleeps; whoever brings the writer back has seen that the endpoint has nothing
//! more to send that the line would take, or sees to it that a driver waits for the line to take more. No deadline is
//! over before what has come meanwhile is heard: a machine that is busy makes nothing late that was there in time.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tieline::CloseReason;

use crate::bell::Bell;
use crate::engine::{Driver, Engine};
use crate::error::Ended;
use crate::link::{self, Line, Step};
use crate::waker::Waker;
use crate::writer::Rest;

/// How long the keeper leaves the line alone after somebody else has driven: one who receives in a loop comes back
/// before, and no peer notices the delay.
const GRACE: Duration = Duration::from_millis(20);

/// So often the line is read before a time-out that is due already: more than a window of datagrams, so that whatever was
/// there in time is heard, and few enough that a flood does not keep time from passing.
const HEARD_FIRST: u32 = 256;

/// What all handles of a connection, and its keeper, share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The endpoint's time is counted from here.
    epoch: Instant,
    engine: Mutex<Engine>,
    /// For threads that wait while another one drives.
    news: Condvar,
    /// For the keeper alone.
    call_keeper: Condvar,
    /// For whoever looks for lines.
    pub(crate) line_news: Condvar,
    /// Of the listener that the peer came to.
    pub(crate) bell: Option<Arc<Bell>>,
    /// Interrupts the driver's wait for the line, unless that is the keeper.
    waker: Waker,
    /// Interrupts the keeper's wait for the line. One of its own, so that no relief takes its wake-up away.
    keeper_waker: Waker,
}

/// Why a wait was in vain.
#[derive(Debug)]
pub(crate) enum Stop {
    TimedOut,
    Ended(Ended),
}

pub(crate) type Guard<'a> = MutexGuard<'a, Engine>;

impl Shared {
    pub(crate) fn new(epoch: Instant, engine: Engine, bell: Option<Arc<Bell>>) -> io::Result<Self> {
        Ok(Self {
            epoch,
            engine: Mutex::new(engine),
            news: Condvar::new(),
            call_keeper: Condvar::new(),
            line_news: Condvar::new(),
            bell,
            waker: Waker::new()?,
            keeper_waker: Waker::new()?,
        })
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before it is shared.
    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        self.engine.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> tieline::Instant {
        tieline::Instant::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn clock(&self, at: tieline::Instant) -> Instant {
        self.epoch + Duration::from_micros(at.as_micros())
    }

    /// Waits until `ready` has something, driving the connection meanwhile if nobody else does.
    pub(crate) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut(&mut Engine) -> Option<R>,
    ) -> Result<R, Stop> {
        self.wait_for(deadline, ready).1
    }

    /// As [`wait`](Self::wait), and keeps the lock.
    fn wait_for<R>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Engine) -> Option<R>,
    ) -> (Guard<'_>, Result<R, Stop>) {
        let mut engine = self.lock();
        let mut drives = false;
        let outcome = loop {
            if let Some(result) = ready(&mut engine) {
                break Ok(result);
            }
            if let Some(ended) = &engine.over {
                break Err(Stop::Ended(ended.clone()));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                break Err(Stop::TimedOut);
            }
            if !drives {
                drives = self.take_over(&mut engine);
            }
            engine = if drives { self.drive(engine, deadline) } else { self.stand_by(engine, deadline) };
        };
        if drives {
            engine.driver = Driver::Nobody;
            if engine.line.as_ref().is_some_and(|line| !line.link.lossless) {
                // What is not acknowledged is sent again: say at once that it has come.
                engine = self.pump(engine).0;
                self.nudge(&mut engine);
            }
        }
        self.appoint(&mut engine);
        (engine, outcome)
    }

    /// As [`wait`](Self::wait), for what makes something to send: sends it at once.
    pub(crate) fn submit<R>(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut(&mut Engine) -> Option<R>,
    ) -> Result<R, Stop> {
        let (engine, outcome) = self.wait_for(deadline, ready);
        let result = outcome?;
        self.send(engine);
        Ok(result)
    }

    /// Sends what the endpoint wants to send; for threads that do not drive.
    pub(crate) fn send(&self, engine: Guard<'_>) {
        let mut engine = self.pump(engine).0;
        engine.taken = 0;
        self.nudge(&mut engine);
    }

    /// Calls the driver, or the keeper, if what a thread has done means work for it that it does not know of.
    fn nudge(&self, engine: &mut Engine) {
        let rest = engine.rest();
        if engine.polling {
            let unknown = match rest {
                Rest::Idle => false,
                Rest::Blocked => !engine.polls_output,
                Rest::Paced(until) => engine.polls_until.is_none_or(|polls_until| until < polls_until),
            };
            if unknown || self.is_sooner(engine) {
                self.wake_driver(engine);
                // Once: it looks at everything anew, and until then nobody tries a line that takes nothing.
                engine.polls_until = Some(self.epoch);
                engine.polls_output |= rest == Rest::Blocked;
            }
        } else if rest != Rest::Idle && engine.driver == Driver::Nobody && !engine.urgent {
            engine.urgent = true;
            self.call_keeper.notify_one();
        }
    }

    /// Whether a deadline of the endpoint is over.
    fn is_due(&self, engine: &Engine) -> bool {
        engine.endpoint.poll_timeout().is_some_and(|at| at <= self.now())
    }

    /// Whether the endpoint must be looked after earlier than the driver plans to.
    fn is_sooner(&self, engine: &Engine) -> bool {
        let Some(due) = self.due(engine) else { return false };
        engine.polls_until.is_none_or(|until| due < until)
    }

    /// Something happened outside of the driver that others may wait for.
    pub(crate) fn announce(&self, engine: &mut Engine) {
        if engine.waiters > 0 {
            self.news.notify_all();
        }
        self.wake_driver(engine);
        engine.urgent |= engine.over.is_some();
        self.call_keeper.notify_one();
        self.pass_on(engine);
    }

    /// Becomes the driver if nobody drives, or if the keeper does and waits for the line.
    fn take_over(&self, engine: &mut Engine) -> bool {
        let free = match engine.driver {
            Driver::Nobody => true,
            Driver::Keeper => engine.polling,
            Driver::Waiter => false,
        };
        if free {
            if engine.driver == Driver::Keeper {
                self.keeper_waker.wake();
            }
            engine.driver = Driver::Waiter;
            engine.turn += 1;
            engine.polling = false;
        }
        free
    }

    /// Ends the driver's wait for the line, so that it looks at the endpoint again.
    fn wake_driver(&self, engine: &Engine) {
        if engine.polling {
            self.waker_of(engine.driver).wake();
        }
    }

    fn waker_of(&self, driver: Driver) -> &Waker {
        match driver {
            Driver::Keeper => &self.keeper_waker,
            Driver::Nobody | Driver::Waiter => &self.waker,
        }
    }

    /// Waits for the driver's news.
    fn stand_by<'a>(&'a self, mut engine: Guard<'a>, deadline: Option<Instant>) -> Guard<'a> {
        engine.waiters += 1;
        engine = match deadline {
            None => self.news.wait(engine).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.news.wait_timeout(engine, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        engine.waiters -= 1;
        engine
    }

    /// Sees to it that somebody drives.
    fn appoint(&self, engine: &mut Engine) {
        if engine.driver != Driver::Nobody {
            return;
        }
        if engine.waiters > 0 {
            self.news.notify_one();
        } else if engine.keeper_asleep || (engine.rest() != Rest::Idle && !engine.urgent) {
            engine.keeper_asleep = false;
            engine.urgent |= engine.rest() != Rest::Idle;
            self.call_keeper.notify_one();
        }
    }

    /// One round of the driver: what is due, what is to be sent, and if there is nothing, the line.
    fn drive<'a>(&'a self, mut engine: Guard<'a>, deadline: Option<Instant>) -> Guard<'a> {
        if self.is_due(&engine)
            && engine.heard_first < HEARD_FIRST
            && let Some(line) = engine.line.clone()
        {
            // We may have been kept from looking: what has come meanwhile is not late on account of that.
            engine.heard_first += 1;
            engine = self.read(engine, &line);
            if engine.more || engine.over.is_some() {
                return engine;
            }
        }
        engine.heard_first = 0;
        let due = self.is_due(&engine);
        if due {
            let now = self.now();
            engine.endpoint.handle_timeout(now);
            engine.digest();
            self.tell(&mut engine);
        }
        let (mut engine, progress) = self.pump(engine);
        // What was due may be what the driver itself waits for.
        if progress || due || engine.over.is_some() {
            self.finish(&engine);
            self.tell(&mut engine);
            return engine;
        }
        let (line, line_turn) = (engine.line.clone(), engine.line_turn);
        if !engine.more {
            let (turn, waker) = (engine.turn, self.waker_of(engine.driver));
            let rest = engine.rest();
            let until = self.until(&engine, deadline, rest);
            engine.polling = true;
            engine.polls_until = until;
            engine.polls_output = rest == Rest::Blocked;
            drop(engine);
            let ready = link::wait(line.as_deref(), rest == Rest::Blocked, waker.fd(), until);
            if ready.woken {
                waker.drain();
            }
            engine = self.lock();
            if engine.turn != turn {
                return engine;
            }
            engine.polling = false;
            if !ready.input {
                return engine;
            }
        }
        match line {
            Some(line) if engine.line_turn == line_turn => self.read(engine, &line),
            _ => engine,
        }
    }

    /// When the driver must look again though nothing comes.
    fn until(&self, engine: &Engine, deadline: Option<Instant>, rest: Rest) -> Option<Instant> {
        let paced = match rest {
            Rest::Paced(until) => Some(until),
            Rest::Idle | Rest::Blocked => None,
        };
        [self.due(engine), paced, deadline].into_iter().flatten().min()
    }

    /// When the endpoint must be looked after.
    fn due(&self, engine: &Engine) -> Option<Instant> {
        // The endpoint's time is in microseconds, rounded down.
        engine.endpoint.poll_timeout().map(|at| self.clock(at) + Duration::from_micros(1))
    }

    /// Reads once and feeds what came.
    fn read<'a>(&'a self, mut engine: Guard<'a>, line: &Line) -> Guard<'a> {
        let Some(mut input) = engine.input.take() else { return engine };
        let line_turn = engine.line_turn;
        drop(engine);
        let step = line.read(&mut input);
        let mut engine = self.lock();
        let now = self.now();
        // Another line may have taken its place meanwhile.
        if engine.line_turn == line_turn {
            engine.more = false;
            match step {
                Ok(Step::Moved(n)) => {
                    tracing::trace!(bytes = n, "read");
                    // A datagram is all that a read takes, and others may be there.
                    engine.more = n == input.len() || line.is_datagram();
                    engine.feed(now, input.get(..n).unwrap_or_default());
                }
                Ok(Step::NotNow) => {
                    if let Some(trouble) = line.trouble() {
                        engine.hint = trouble;
                    }
                    if engine.writer.as_ref().is_some_and(|writer| writer.broken) {
                        engine.lose(now, None);
                    }
                }
                Ok(Step::End) => engine.lose(now, None),
                Err(error) => engine.lose(now, Some(error)),
            }
        }
        engine.input = Some(input);
        self.finish(&engine);
        self.tell(&mut engine);
        engine
    }

    /// When the connection is over, sees to it that the peer notices, too, and does not wait for more.
    fn finish(&self, engine: &Engine) {
        match &engine.over {
            // Whoever closes, or must tell the peer its version, has something to send first.
            None | Some(Ended::Closed(CloseReason::Local | CloseReason::VersionMismatch { .. })) => {}
            Some(_) => {
                engine.line.as_ref().map(|line| line.finish());
            }
        }
    }

    /// Tells the threads that stand by that there is news.
    fn tell(&self, engine: &mut Engine) {
        if engine.waiters > 0 {
            self.news.notify_all();
        }
        self.pass_on(engine);
    }

    /// Writes what the endpoint wants to send, unless another thread is at it. Returns whether something was written.
    pub(crate) fn pump<'a>(&'a self, mut engine: Guard<'a>) -> (Guard<'a>, bool) {
        if engine.polling && engine.polls_output {
            // The line takes nothing now, and the driver waits until it does.
            return (engine, false);
        }
        let Some(mut writer) = engine.writer.take() else { return (engine, false) };
        let mut progress = false;
        while let Some(line) = engine.line.clone() {
            let line_turn = engine.line_turn;
            writer.begin(Some(&line), line_turn);
            writer.fill(&mut engine.endpoint, self.now(), &line);
            if writer.is_empty() {
                break;
            }
            drop(engine);
            let written = writer.write(&line);
            engine = self.lock();
            progress |= !matches!(written, Ok(0));
            if engine.line_turn == line_turn && (writer.broken || !writer.is_empty()) {
                break;
            }
        }
        writer.begin(engine.line.as_deref(), engine.line_turn);
        engine.writer = Some(writer);
        if progress && engine.flushing > 0 {
            self.tell(&mut engine);
            self.wake_driver(&engine);
        }
        (engine, progress)
    }

    /// The keeper's life.
    pub(crate) fn keep(&self) {
        let mut engine = self.lock();
        while engine.over.is_none() && !engine.abandoned {
            if engine.driver != Driver::Nobody {
                engine.keeper_asleep = true;
                engine = self.call_keeper.wait(engine).unwrap_or_else(PoisonError::into_inner);
                engine.keeper_asleep = false;
                continue;
            }
            let turn = engine.turn;
            if !engine.urgent {
                engine =
                    self.call_keeper.wait_timeout(engine, GRACE).unwrap_or_else(PoisonError::into_inner).0;
            }
            if engine.driver != Driver::Nobody || (engine.turn != turn && !engine.urgent) {
                continue;
            }
            engine.urgent = false;
            engine = self.drive_as_keeper(engine);
        }
    }

    fn drive_as_keeper<'a>(&'a self, mut engine: Guard<'a>) -> Guard<'a> {
        engine.driver = Driver::Keeper;
        engine.turn += 1;
        let turn = engine.turn;
        while engine.over.is_none() && !engine.abandoned && engine.waiters == 0 {
            engine = self.drive(engine, None);
            if engine.turn != turn {
                return engine;
            }
        }
        engine.driver = Driver::Nobody;
        engine.polling = false;
        self.tell(&mut engine);
        engine
    }

    /// As [`wait`](Self::wait), for what comes true when something was sent, by whomever.
    pub(crate) fn wait_sent(
        &self,
        deadline: Option<Instant>,
        sent: impl Fn(&Engine) -> bool,
    ) -> Result<(), Stop> {
        self.lock().flushing += 1;
        let outcome = self.wait(deadline, |engine| sent(engine).then_some(()));
        self.lock().flushing -= 1;
        outcome
    }

    /// Writes what is left, for as long as `deadline` allows; the connection is over.
    pub(crate) fn drain(&self, deadline: Instant) {
        let mut engine = self.lock();
        loop {
            engine = self.pump(engine).0;
            let Some(line) = engine.line.clone() else { return };
            let rest = engine.rest();
            let broken = engine.writer.as_ref().is_some_and(|writer| writer.broken);
            let left = !engine.is_written() || rest != Rest::Idle;
            if broken || !left || deadline <= Instant::now() {
                return;
            }
            drop(engine);
            match rest {
                Rest::Blocked => {
                    self.waker.drain();
                    link::wait(Some(&line), true, self.waker.fd(), Some(deadline));
                }
                Rest::Paced(until) => pause(until.min(deadline)),
                // Another thread writes, and will be done in a moment.
                Rest::Idle => pause(deadline.min(Instant::now() + Duration::from_millis(1))),
            }
            engine = self.lock();
        }
    }

    /// Waits until the peer has closed the line, too: what we sent last is then certainly with it.
    pub(crate) fn linger(&self, deadline: Instant) {
        let Some(line) = self.lock().line.clone() else { return };
        if !line.finish() {
            return;
        }
        let mut sink = [0; 4096];
        while deadline > Instant::now() {
            match line.read(&mut sink) {
                Ok(Step::Moved(_)) => {}
                Ok(Step::End) | Err(_) => return,
                Ok(Step::NotNow) => {
                    self.waker.drain();
                    link::wait(Some(&line), false, self.waker.fd(), Some(deadline));
                }
            }
        }
    }
}

fn pause(until: Instant) {
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests;
