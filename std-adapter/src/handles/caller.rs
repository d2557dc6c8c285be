//! Asking.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::nb;
use tieline::{CallId, CallOptions, Message, Outcome, RequestError, RouteName, Select};

use crate::connection::{Inner, deadline};
use crate::driver::Stop;
use crate::engine::Engine;
use crate::error::CallError;

/// The endpoint ends each call in time; if it did not, this is when we would stop waiting for it.
const SLACK: Duration = Duration::from_secs(1);

/// Asks the peer's service on a route, in bytes. Any number of threads may ask at once.
#[derive(Debug, Clone)]
pub struct RawCaller {
    inner: Arc<Inner>,
    service: &'static RouteName,
    room: usize,
}

impl RawCaller {
    pub(crate) fn new(inner: &Arc<Inner>, service: &'static RouteName) -> Self {
        Self { inner: Arc::clone(inner), service, room: inner.options.answer_room }
    }

    /// Keeps room for answers of that size; without, [`Options::answer_room`](crate::Options::answer_room).
    #[must_use]
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`CallError`]: each way in which a request can fail is told apart.
    pub fn call(&self, request: &[u8], timeout: Duration) -> Result<Vec<u8>, CallError> {
        let ask =
            |engine: &mut Engine, now, options| engine.endpoint.request(now, self.service, request, options);
        self.ask(timeout, ask, |answer| Ok(answer.to_vec()))
    }

    fn ask<R>(
        &self,
        timeout: Duration,
        mut ask: impl FnMut(&mut Engine, tieline::Instant, CallOptions) -> nb::Result<CallId, RequestError>,
        read: impl Fn(&[u8]) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let shared = &self.inner.shared;
        let until = deadline(timeout);
        let asked = shared.submit(until, |engine| {
            if engine.over.is_some() {
                return None;
            }
            let left = until.map_or(timeout, |until| until.saturating_duration_since(Instant::now()));
            match ask(engine, shared.now(), CallOptions { timeout: left, room: self.room }) {
                Ok(call) => Some(Ok(call)),
                Err(nb::Error::WouldBlock) => None,
                Err(nb::Error::Other(RequestError::Disconnected)) if engine.awaits_peer() => None,
                Err(nb::Error::Other(error)) => Some(Err(CallError::Request(error))),
            }
        });
        let call = asked.map_err(CallError::from)??;
        let end = until.and_then(|until| until.checked_add(SLACK));
        let answered = shared.wait(end, |engine| {
            let answer = engine.endpoint.poll_answer(Select::Only(call))?;
            Some(match answer.outcome {
                Outcome::Ok(payload) => read(payload),
                Outcome::Lost => match &engine.over {
                    Some(ended) => Err(CallError::Ended(ended.clone())),
                    None => Err(CallError::Lost),
                },
                failed => Err(self.failed(failed)),
            })
        });
        answered.map_err(|stop| {
            shared.lock().endpoint.forget_call(call);
            CallError::from(stop)
        })?
    }

    fn failed(&self, outcome: Outcome<'_>) -> CallError {
        match outcome {
            Outcome::Refused { code, payload } => {
                CallError::Refused { code, text: String::from_utf8_lossy(payload).into_owned() }
            }
            Outcome::NoIntent => CallError::NoService,
            Outcome::Busy => CallError::Busy,
            Outcome::TooLarge => CallError::AnswerTooLarge { room: self.room },
            Outcome::Malformed => CallError::Malformed,
            Outcome::TimedOut | Outcome::Lost | Outcome::Ok(_) => CallError::TimedOut,
        }
    }
}

impl From<Stop> for CallError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TimedOut => Self::TimedOut,
            Stop::Ended(ended) => Self::Ended(ended),
        }
    }
}

/// Asks the peer's service on a route: requests of type `Req`, answers of type `Rep`. Any number of threads may ask
/// at once.
pub struct Caller<Req, Rep> {
    raw: RawCaller,
    message: PhantomData<fn(Req) -> Rep>,
}

impl<Req: Message, Rep: Message> Caller<Req, Rep> {
    pub(crate) fn new(raw: RawCaller) -> Self {
        Self { raw, message: PhantomData }
    }

    /// Keeps room for answers of that size; without, [`Options::answer_room`](crate::Options::answer_room).
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        Self { raw: self.raw.with_room(bytes), ..self }
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`CallError`]: each way in which a request can fail is told apart.
    pub fn call(&self, request: &Req, timeout: Duration) -> Result<Rep, CallError> {
        let service = self.raw.service;
        self.raw.ask(
            timeout,
            |engine, now, options| engine.endpoint.request_message(now, service, request, options),
            |answer| Rep::decode(answer).map_err(CallError::Decode),
        )
    }
}

impl<Req, Rep> Clone for Caller<Req, Rep> {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), message: PhantomData }
    }
}

impl<Req, Rep> fmt::Debug for Caller<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caller").field(&self.raw).finish()
    }
}
