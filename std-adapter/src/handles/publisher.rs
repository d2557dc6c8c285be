//! Publishing.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::nb;
use tieline::{
    DecodeError, EncodeError, IntentOptions, Message, PublishError, PublishOptions, Quality, RouteName, Sink,
    Ticket,
};

use super::Held;
use crate::connection::{Inner, deadline};
use crate::driver::Stop;
use crate::engine::{Engine, PUBLISHER};
use crate::error::Error;

/// How far the messages of a publisher have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Messages that were taken for sending.
    pub published: u64,
    /// Reliable messages that the peer's application has taken.
    pub delivered: u64,
    /// Reliable messages that were certainly not delivered: never sent, or not taken by a reader that is gone.
    pub not_delivered: u64,
    /// Reliable messages of which nobody can say any more whether they were delivered.
    pub in_doubt: u64,
}

/// Publishes messages that are bytes. Dropping it withdraws the declaration; what was published goes on its way.
#[derive(Debug)]
pub struct RawPublisher {
    held: Held,
    options: IntentOptions,
    timeout: Option<Duration>,
}

impl RawPublisher {
    pub(crate) fn declare(
        inner: &Arc<Inner>,
        name: &'static RouteName,
        options: IntentOptions,
    ) -> Result<Self, Error> {
        // The connection reads all tickets, to know what was delivered and what was not.
        let options = IntentOptions { tickets: options.quality == Quality::Reliable, ..options };
        let held =
            Held::declare(inner, name, PUBLISHER, |engine| engine.endpoint.declare_intent(name, options))?;
        Ok(Self { held, options, timeout: None })
    }

    /// Limits how long publishing waits for room. Without, it waits as long as the connection lives.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Sends a message, waiting for room if there is none.
    ///
    /// # Errors
    /// [`Error::Publish`], [`Error::TimedOut`], [`Error::Ended`]; the message was not sent.
    pub fn publish(&self, payload: &[u8]) -> Result<(), Error> {
        self.submit(|engine, id| plain(engine.endpoint.publish(id, payload), payload))
    }

    /// As [`publish`](Self::publish), with options: the message may expire. Its time begins when there is room for it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(&self, payload: &[u8], options: PublishOptions) -> Result<(), Error> {
        let shared = &self.held.inner.shared;
        self.submit(|engine, id| {
            plain(engine.endpoint.publish_with(shared.now(), id, payload, options), payload)
        })
    }

    /// Sends messages in order, waiting for room where there is none; costs much less than one by one.
    ///
    /// # Errors
    /// As [`publish`](Self::publish). [`progress`](Self::progress) tells how many were sent before.
    pub fn publish_all<P: AsRef<[u8]>>(&self, payloads: &[P]) -> Result<(), Error> {
        let mut rest = payloads.iter();
        let mut next = rest.next();
        let id = self.held.id;
        self.wait(|engine| {
            while let Some(payload) = next {
                match counted(engine, id, |engine| {
                    let payload = payload.as_ref();
                    plain(engine.endpoint.publish(id, payload), payload)
                }) {
                    Ok(()) => next = rest.next(),
                    Err(nb::Error::WouldBlock) => return None,
                    Err(nb::Error::Other(error)) if self.is_passing(engine, error) => return None,
                    Err(nb::Error::Other(error)) => return Some(Err(error)),
                }
            }
            Some(Ok(()))
        })
    }

    /// Sends a message if there is room now. Returns whether there was; if not, nothing was kept.
    ///
    /// # Errors
    /// [`Error::Publish`], [`Error::Ended`]; the message was not sent.
    pub fn try_publish(&self, payload: &[u8]) -> Result<bool, Error> {
        self.try_submit(|engine, id| plain(engine.endpoint.publish(id, payload), payload))
    }

    /// Waits until the peer wants messages of this route.
    ///
    /// # Errors
    /// [`Error::NoAudience`], [`Error::Ended`], or [`Error::Publish`] when the two sides disagree about the route.
    pub fn wait_audience(&self, limit: Duration) -> Result<(), Error> {
        let (id, begin) = (self.held.id, Instant::now());
        let found = self.held.inner.shared.wait(deadline(limit), |engine| {
            if engine.endpoint.is_conflicting(id) {
                return Some(Err(Error::Publish(PublishError::RouteConflict)));
            }
            engine.endpoint.has_audience(id).then_some(Ok(()))
        });
        found.unwrap_or_else(|stop| match stop {
            Stop::TimedOut => Err(Error::NoAudience { route: self.held.name, waited: begin.elapsed() }),
            ended @ Stop::Ended(_) => Err(ended.into()),
        })
    }

    /// Whether the peer wants messages of this route now.
    #[must_use]
    pub fn has_audience(&self) -> bool {
        self.held.inner.shared.lock().endpoint.has_audience(self.held.id)
    }

    /// Largest payload that this route can carry now; `None` without an audience.
    #[must_use]
    pub fn payload_limit(&self) -> Option<usize> {
        self.held.inner.shared.lock().endpoint.payload_limit(self.held.id)
    }

    /// Reliable messages on their way: published, not yet taken by the peer's application, not failed.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.held.inner.shared.lock().endpoint.undelivered(self.held.id)
    }

    /// How far the messages have come. Stays right when the connection has ended.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut engine = self.held.inner.shared.lock();
        engine.digest();
        let declared = engine.declared(self.held.id);
        declared.map_or_else(Progress::default, |declared| Progress {
            published: declared.published.messages,
            delivered: declared.delivered,
            not_delivered: declared.not_delivered,
            in_doubt: declared.in_doubt,
        })
    }

    /// Renews a time to live that was stated in the options, by as much again. Whoever states one does this in time;
    /// without one, a declaration lives as long as the connection.
    ///
    /// # Errors
    /// [`Error::Ended`]
    pub fn renew(&self) -> Result<(), Error> {
        let name = self.held.name;
        self.held.renew(|engine| engine.endpoint.declare_intent(name, self.options))
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> &'static RouteName {
        self.held.name
    }

    fn submit(
        &self,
        mut publish: impl FnMut(&mut Engine, tieline::RouteId) -> nb::Result<Published, PublishError>,
    ) -> Result<(), Error> {
        let id = self.held.id;
        self.wait(|engine| match counted(engine, id, |engine| publish(engine, id)) {
            Ok(()) => Some(Ok(())),
            Err(nb::Error::WouldBlock) => None,
            Err(nb::Error::Other(error)) if self.is_passing(engine, error) => None,
            Err(nb::Error::Other(error)) => Some(Err(error)),
        })
    }

    /// Whether a reliable message has only come at a bad moment: while the peer is looked for, and until it has had time to
    /// say what it wants.
    fn is_passing(&self, engine: &Engine, error: PublishError) -> bool {
        self.options.quality == Quality::Reliable
            && matches!(error, PublishError::Disconnected | PublishError::NoAudience)
            && engine.awaits_declarations()
    }

    fn wait(
        &self,
        mut ready: impl FnMut(&mut Engine) -> Option<Result<(), PublishError>>,
    ) -> Result<(), Error> {
        let sent = self.held.inner.shared.submit(self.timeout.and_then(deadline), |engine| {
            // How the connection ended says more than that it did.
            if engine.over.is_some() { None } else { ready(engine) }
        });
        sent?.map_err(Error::Publish)
    }

    fn try_submit(
        &self,
        publish: impl FnOnce(&mut Engine, tieline::RouteId) -> nb::Result<Published, PublishError>,
    ) -> Result<bool, Error> {
        let id = self.held.id;
        let mut engine = self.held.inner.shared.lock();
        if let Some(ended) = &engine.over {
            return Err(Error::Ended(ended.clone()));
        }
        match counted(&mut engine, id, |engine| publish(engine, id)) {
            Ok(()) => {
                self.held.inner.shared.send(engine);
                Ok(true)
            }
            Err(nb::Error::WouldBlock) => Ok(false),
            Err(nb::Error::Other(error)) => Err(Error::Publish(error)),
        }
    }
}

/// What was published: its ticket, and how many bytes it has.
type Published = (Option<Ticket>, usize);

fn plain(
    published: nb::Result<Option<Ticket>, PublishError>,
    payload: &[u8],
) -> nb::Result<Published, PublishError> {
    published.map(|ticket| (ticket, payload.len()))
}

/// Publishes a message of which it is not known before how many bytes it has.
fn sized<T: Message>(
    message: &T,
    publish: impl FnOnce(&Measured<'_, T>) -> nb::Result<Option<Ticket>, PublishError>,
) -> nb::Result<Published, PublishError> {
    let measured = Measured { message, len: Cell::new(0) };
    publish(&measured).map(|ticket| (ticket, measured.len.get()))
}

/// Notes how many bytes a message has when it is encoded.
struct Measured<'m, T> {
    message: &'m T,
    len: Cell<usize>,
}

impl<T: Message> Message for Measured<'_, T> {
    const TYPE: &'static str = T::TYPE;
    const SCHEMA: u32 = T::SCHEMA;

    fn encode(&self, out: &mut Sink<'_>) -> Result<(), EncodeError> {
        let before = out.len();
        let encoded = self.message.encode(out);
        self.len.set(out.len() - before);
        encoded
    }

    /// It is only ever sent.
    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError)
    }
}

/// Publishes and counts.
fn counted(
    engine: &mut Engine,
    id: tieline::RouteId,
    publish: impl FnOnce(&mut Engine) -> nb::Result<Published, PublishError>,
) -> nb::Result<(), PublishError> {
    let (ticket, bytes) = publish(engine)?;
    // A sample that is only kept for whoever comes is not on its way.
    let sent = ticket.is_some() || engine.endpoint.has_audience(id);
    if let Some(declared) = engine.declared(id).filter(|_| sent) {
        declared.published.add(bytes);
    }
    Ok(())
}

/// Publishes messages of type `T`. Dropping it withdraws the declaration; what was published goes on its way.
pub struct Publisher<T> {
    raw: RawPublisher,
    message: PhantomData<fn(T)>,
}

impl<T: Message> Publisher<T> {
    pub(crate) fn new(raw: RawPublisher) -> Self {
        Self { raw, message: PhantomData }
    }

    /// Limits how long publishing waits for room. Without, it waits as long as the connection lives.
    #[must_use]
    pub fn with_timeout(self, limit: Duration) -> Self {
        Self { raw: self.raw.with_timeout(limit), ..self }
    }

    /// Sends a message, waiting for room if there is none.
    ///
    /// # Errors
    /// [`Error::Publish`], [`Error::TimedOut`], [`Error::Ended`]; the message was not sent.
    pub fn publish(&self, message: &T) -> Result<(), Error> {
        self.raw.submit(|engine, id| sized(message, |message| engine.endpoint.publish_message(id, message)))
    }

    /// As [`publish`](Self::publish), with options: the message may expire. Its time begins when there is room for it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(&self, message: &T, options: PublishOptions) -> Result<(), Error> {
        let shared = &self.raw.held.inner.shared;
        self.raw.submit(|engine, id| {
            sized(message, |message| engine.endpoint.publish_message_with(shared.now(), id, message, options))
        })
    }

    /// Sends a message if there is room now. Returns whether there was; if not, nothing was kept.
    ///
    /// # Errors
    /// [`Error::Publish`], [`Error::Ended`]; the message was not sent.
    pub fn try_publish(&self, message: &T) -> Result<bool, Error> {
        self.raw
            .try_submit(|engine, id| sized(message, |message| engine.endpoint.publish_message(id, message)))
    }

    /// Waits until the peer wants messages of this route.
    ///
    /// # Errors
    /// [`Error::NoAudience`], [`Error::Ended`], or [`Error::Publish`] when the two sides disagree about the route.
    pub fn wait_audience(&self, limit: Duration) -> Result<(), Error> {
        self.raw.wait_audience(limit)
    }

    /// Whether the peer wants messages of this route now.
    #[must_use]
    pub fn has_audience(&self) -> bool {
        self.raw.has_audience()
    }

    /// Reliable messages on their way: published, not yet taken by the peer's application, not failed.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.raw.undelivered()
    }

    /// How far the messages have come. Stays right when the connection has ended.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.raw.progress()
    }

    /// Renews a time to live that was stated in the options, by as much again. Whoever states one does this in time;
    /// without one, a declaration lives as long as the connection.
    ///
    /// # Errors
    /// [`Error::Ended`]
    pub fn renew(&self) -> Result<(), Error> {
        self.raw.renew()
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publisher").field(&self.raw).finish()
    }
}
