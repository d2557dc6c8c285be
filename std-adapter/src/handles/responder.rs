//! Answering.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::nb;
use tieline::{Message, RequestId, RespondError, RouteName, Select, ServiceOptions, code};

use super::Held;
use crate::connection::{Inner, deadline};
use crate::engine::{Engine, RESPONDER};
use crate::error::Error;

/// Why a handler does not answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u32,
    text: String,
}

impl Refusal {
    /// A code of the application's own, and words for people. Codes below 16 are the protocol's: such a one becomes 16.
    #[must_use]
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code: code.max(code::APPLICATION), text: text.into() }
    }
}

/// Answers requests that are bytes. Dropping it withdraws the service.
#[derive(Debug)]
pub struct RawResponder {
    held: Held,
}

impl RawResponder {
    pub(crate) fn declare(
        inner: &Arc<Inner>,
        name: &'static RouteName,
        options: ServiceOptions,
    ) -> Result<Self, Error> {
        let held =
            Held::declare(inner, name, RESPONDER, |engine| engine.endpoint.declare_service(name, options))?;
        Ok(Self { held })
    }

    /// Waits for the next request.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over.
    pub fn recv(&self) -> Result<RawRequest, Error> {
        self.take(None)
    }

    /// Waits for the next request for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Ended`]
    pub fn recv_timeout(&self, limit: Duration) -> Result<RawRequest, Error> {
        self.take(deadline(limit))
    }

    /// Answers requests until the connection is over; returns an error unless it ended orderly.
    ///
    /// # Errors
    /// [`Error::Ended`]
    pub fn serve(&self, mut handle: impl FnMut(&[u8]) -> Result<Vec<u8>, Refusal>) -> Result<(), Error> {
        loop {
            let request = match self.recv() {
                Ok(request) => request,
                Err(error) => return orderly(error),
            };
            let answered = match handle(&request.payload) {
                Ok(answer) => request.respond(&answer),
                Err(refusal) => request.refuse(&refusal),
            };
            unanswered(answered)?;
        }
    }

    fn take(&self, deadline: Option<Instant>) -> Result<RawRequest, Error> {
        let taken = self.held.inner.shared.wait(deadline, |engine| {
            let message = engine.endpoint.poll_message(Select::Only(self.held.id))?;
            message.request.map(|id| (id, message.payload.to_vec()))
        });
        let (id, payload) = taken?;
        Ok(RawRequest { inner: Arc::clone(&self.held.inner), id, payload })
    }
}

/// A request that waits for its answer, which may be given at any time and by any thread. One that is dropped without
/// an answer ends for the caller when its time is over.
#[derive(Debug)]
pub struct RawRequest {
    inner: Arc<Inner>,
    id: RequestId,
    payload: Vec<u8>,
}

impl RawRequest {
    /// What was asked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Answers.
    ///
    /// # Errors
    /// [`Error::Respond`] when the caller waits no longer or has no room for so much; [`Error::Ended`].
    pub fn respond(self, answer: &[u8]) -> Result<(), Error> {
        self.send(|engine, id| engine.endpoint.respond(id, code::OK, answer))
    }

    /// Refuses.
    ///
    /// # Errors
    /// [`Error::Respond`] when the caller waits no longer; [`Error::Ended`].
    pub fn refuse(self, refusal: &Refusal) -> Result<(), Error> {
        self.fail(refusal.code, &refusal.text)
    }

    fn fail(&self, code: u32, text: &str) -> Result<(), Error> {
        let mut text = text.as_bytes();
        self.send(|engine, id| {
            let sent = engine.endpoint.respond(id, code, text);
            if let Err(nb::Error::Other(RespondError::TooLarge { limit })) = sent {
                // The code matters more than the words.
                text = text.get(..limit).unwrap_or_default();
                return engine.endpoint.respond(id, code, text);
            }
            sent
        })
    }

    fn send(
        &self,
        mut respond: impl FnMut(&mut Engine, RequestId) -> nb::Result<(), RespondError>,
    ) -> Result<(), Error> {
        let sent = self.inner.shared.submit(None, |engine| {
            if engine.over.is_some() {
                return None;
            }
            match respond(engine, self.id) {
                Ok(()) => Some(Ok(())),
                Err(nb::Error::WouldBlock) => None,
                Err(nb::Error::Other(error @ RespondError::TooLarge { .. })) => {
                    // The caller shall not wait for what will not come.
                    match engine.endpoint.respond(self.id, code::TOO_LARGE, &[]) {
                        Err(nb::Error::WouldBlock) => None,
                        _ => Some(Err(Error::Respond(error))),
                    }
                }
                Err(nb::Error::Other(error)) => Some(Err(Error::Respond(error))),
            }
        });
        sent?
    }
}

/// The end of a connection as the end of a loop.
fn orderly(error: Error) -> Result<(), Error> {
    match error {
        Error::Ended(ended) if ended.is_orderly() => Ok(()),
        error => Err(error),
    }
}

/// An answer that came too late is the caller's loss and was counted there; it ends no service.
fn unanswered(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Respond(_)) => Ok(()),
        Err(Error::Ended(_)) => Ok(()),
        other => other,
    }
}

/// Answers requests of type `Req` with answers of type `Rep`. Dropping it withdraws the service.
pub struct Responder<Req, Rep> {
    raw: RawResponder,
    message: PhantomData<fn(Req) -> Rep>,
}

impl<Req: Message, Rep: Message> Responder<Req, Rep> {
    pub(crate) fn new(raw: RawResponder) -> Self {
        Self { raw, message: PhantomData }
    }

    /// Waits for the next request. What is no `Req` is answered as malformed and not seen here.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over.
    pub fn recv(&self) -> Result<Request<Req, Rep>, Error> {
        self.take(None)
    }

    /// Waits for the next request for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Ended`]
    pub fn recv_timeout(&self, limit: Duration) -> Result<Request<Req, Rep>, Error> {
        self.take(deadline(limit))
    }

    /// Answers requests until the connection is over; returns an error unless it ended orderly.
    ///
    /// # Errors
    /// [`Error::Ended`]
    pub fn serve(&self, mut handle: impl FnMut(Req) -> Result<Rep, Refusal>) -> Result<(), Error> {
        loop {
            let Request { raw, message, .. } = match self.recv() {
                Ok(request) => request,
                Err(error) => return orderly(error),
            };
            let answered = match handle(message) {
                Ok(answer) => raw.send(|engine, id| engine.endpoint.respond_message(id, &answer)),
                Err(refusal) => raw.refuse(&refusal),
            };
            unanswered(answered)?;
        }
    }

    fn take(&self, deadline: Option<Instant>) -> Result<Request<Req, Rep>, Error> {
        loop {
            let raw = self.raw.take(deadline)?;
            match Req::decode(&raw.payload) {
                Ok(message) => return Ok(Request { raw, message, answer: PhantomData }),
                Err(_) => unanswered(raw.fail(code::MALFORMED, ""))?,
            }
        }
    }
}

impl<Req, Rep> fmt::Debug for Responder<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Responder").field(&self.raw).finish()
    }
}

/// A request of type `Req` that waits for its answer, which may be given at any time and by any thread. One that is
/// dropped without an answer ends for the caller when its time is over.
#[derive(Debug)]
pub struct Request<Req, Rep> {
    raw: RawRequest,
    message: Req,
    answer: PhantomData<fn(Rep)>,
}

impl<Req, Rep: Message> Request<Req, Rep> {
    /// What was asked.
    #[must_use]
    pub fn message(&self) -> &Req {
        &self.message
    }

    /// Answers.
    ///
    /// # Errors
    /// [`Error::Respond`] when the caller waits no longer or has no room for so much; [`Error::Ended`].
    pub fn respond(self, answer: &Rep) -> Result<(), Error> {
        self.raw.send(|engine, id| engine.endpoint.respond_message(id, answer))
    }

    /// Refuses.
    ///
    /// # Errors
    /// [`Error::Respond`] when the caller waits no longer; [`Error::Ended`].
    pub fn refuse(self, refusal: &Refusal) -> Result<(), Error> {
        self.raw.refuse(refusal)
    }
}
