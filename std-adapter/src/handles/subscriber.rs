//! Reading.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::limits::MESSAGE_COST;
use tieline::{DecodeError, Incoming, InterestOptions, Message, RouteName, Select};

use super::Held;
use crate::connection::{Inner, deadline};
use crate::engine::{Engine, SUBSCRIBER};
use crate::error::Error;

/// Reads messages that are bytes. Dropping it withdraws the declaration, and what was not taken is gone.
///
/// A thread that waits here drives the connection: nothing stands between the line and it.
#[derive(Debug)]
pub struct RawSubscriber {
    held: Held,
    options: InterestOptions,
    /// When so much was taken, the peer is told before there is nothing left to take, so that it goes on meanwhile.
    report: usize,
}

/// A message that was read and not taken: [`RawSubscriber::take`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peeked {
    message: tieline::Peeked,
    len: usize,
}

impl RawSubscriber {
    pub(crate) fn declare(
        inner: &Arc<Inner>,
        name: &'static RouteName,
        options: InterestOptions,
    ) -> Result<Self, Error> {
        let window = options.window.unwrap_or(inner.options.window);
        let options = InterestOptions { window: Some(window), ..options };
        let held =
            Held::declare(inner, name, SUBSCRIBER, |engine| engine.endpoint.declare_interest(name, options))?;
        Ok(Self { held, options, report: window / 4 })
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn recv(&self) -> Result<Vec<u8>, Error> {
        self.take_next(None, |message| message.payload.to_vec())
    }

    /// Waits for the next message and puts it into `payload`, in place of what is there: takes no new memory.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn recv_into(&self, payload: &mut Vec<u8>) -> Result<(), Error> {
        self.take_next(None, |message| copy(message, payload))
    }

    /// Waits for the next message for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Vec<u8>, Error> {
        self.take_next(deadline(limit), |message| message.payload.to_vec())
    }

    /// The next message if one has come, in `payload`; returns whether there was one. It does not look at the line:
    /// the connection does that by itself.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn try_recv_into(&self, payload: &mut Vec<u8>) -> Result<bool, Error> {
        Ok(self.try_take(|message| copy(message, payload))?.is_some())
    }

    /// Waits for the next message for a while and puts it into `payload`, without taking it: its sender does not hear that it
    /// was delivered before [`take`](Self::take). For those who have something to do that may fail, as to write it to a disk.
    /// Without a `take` the next call has the same message.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn peek_timeout(&self, limit: Duration, payload: &mut Vec<u8>) -> Result<Peeked, Error> {
        let shared = &self.held.inner.shared;
        Ok(shared.wait(deadline(limit), |engine| self.peek(engine, payload))?)
    }

    /// The same if a message has come; None if not. It does not look at the line: the connection does that by itself.
    ///
    /// # Errors
    /// [`Error::Ended`] when the connection is over and all that came was taken.
    pub fn try_peek(&self, payload: &mut Vec<u8>) -> Result<Option<Peeked>, Error> {
        let mut engine = self.held.inner.shared.lock();
        match (self.peek(&mut engine, payload), &engine.over) {
            (None, Some(ended)) => Err(Error::Ended(ended.clone())),
            (peeked, _) => Ok(peeked),
        }
    }

    /// Takes a message that was peeked: its sender hears that it was delivered. False if it is not the next one any more: it
    /// was taken or discarded meanwhile, or a session has begun since, in which it is handed out once more.
    pub fn take(&self, peeked: Peeked) -> bool {
        let shared = &self.held.inner.shared;
        let mut engine = shared.lock();
        if !engine.endpoint.take_peeked(peeked.message) {
            return false;
        }
        if self.count(&mut engine, peeked.len) {
            shared.send(engine);
        }
        true
    }

    fn peek(&self, engine: &mut Engine, payload: &mut Vec<u8>) -> Option<Peeked> {
        let (message, peeked) = engine.endpoint.peek_message(self.held.id)?;
        copy(&message, payload);
        Some(Peeked { message: peeked, len: payload.len() })
    }

    /// Renews a time to live that was stated in the options, by as much again. Whoever states one does this in time;
    /// without one, a declaration lives as long as the connection.
    ///
    /// # Errors
    /// [`Error::Ended`]
    pub fn renew(&self) -> Result<(), Error> {
        let name = self.held.name;
        self.held.renew(|engine| engine.endpoint.declare_interest(name, self.options))
    }

    /// The route.
    #[must_use]
    pub fn route(&self) -> &'static RouteName {
        self.held.name
    }

    fn take_next<R>(
        &self,
        deadline: Option<Instant>,
        mut read: impl FnMut(&Incoming<'_>) -> R,
    ) -> Result<R, Error> {
        let shared = &self.held.inner.shared;
        let (message, due) = shared.wait(deadline, |engine| self.next(engine, &mut read))?;
        if due {
            shared.send(shared.lock());
        }
        Ok(message)
    }

    fn try_take<R>(&self, mut read: impl FnMut(&Incoming<'_>) -> R) -> Result<Option<R>, Error> {
        let shared = &self.held.inner.shared;
        let mut engine = shared.lock();
        match (self.next(&mut engine, &mut read), &engine.over) {
            (Some((message, due)), _) => {
                if due {
                    shared.send(engine);
                }
                Ok(Some(message))
            }
            (None, Some(ended)) => Err(Error::Ended(ended.clone())),
            (None, None) => Ok(None),
        }
    }

    /// The next message, and whether it is time to tell the peer what was taken.
    fn next<R>(&self, engine: &mut Engine, read: &mut impl FnMut(&Incoming<'_>) -> R) -> Option<(R, bool)> {
        let message = engine.endpoint.poll_message(Select::Only(self.held.id))?;
        let result = read(&message);
        let len = message.payload.len();
        Some((result, self.count(engine, len)))
    }

    /// A message of that length was taken. Returns whether it is time to tell the peer.
    fn count(&self, engine: &mut Engine, len: usize) -> bool {
        engine.taken += len + MESSAGE_COST;
        if let Some(declared) = engine.declared(self.held.id) {
            declared.received.add(len);
        }
        engine.taken >= self.report
    }
}

fn decode<T: Message>(message: &Incoming<'_>) -> Result<T, DecodeError> {
    message.decode()
}

fn copy(message: &Incoming<'_>, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(message.payload);
}

/// Reads messages of type `T`. Dropping it withdraws the declaration, and what was not taken is gone.
///
/// A thread that waits here drives the connection: nothing stands between the line and it. As an iterator it yields
/// messages, and errors for what was none; it ends with the connection, after an error unless that ended orderly.
pub struct Subscriber<T> {
    raw: RawSubscriber,
    ended: bool,
    message: PhantomData<fn() -> T>,
}

impl<T: Message> Subscriber<T> {
    pub(crate) fn new(raw: RawSubscriber) -> Self {
        Self { raw, ended: false, message: PhantomData }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::Decode`] when what came is not a `T`; [`Error::Ended`] when the connection is over and all that came
    /// was taken.
    pub fn recv(&self) -> Result<T, Error> {
        Ok(self.raw.take_next(None, decode)??)
    }

    /// Waits for the next message for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as [`recv`](Self::recv).
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, Error> {
        Ok(self.raw.take_next(deadline(limit), decode)??)
    }

    /// The next message if one has come. It does not look at the line: the connection does that by itself.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<T>, Error> {
        Ok(self.raw.try_take(decode)?.transpose()?)
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

impl<T: Message> Iterator for Subscriber<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.recv();
        if let Err(Error::Ended(ended)) = &next {
            self.ended = true;
            if ended.is_orderly() {
                return None;
            }
        }
        Some(next)
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscriber").field(&self.raw).finish()
    }
}
