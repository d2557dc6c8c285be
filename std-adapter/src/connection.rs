//! Opening connections, ending them, and everything that is not about one route.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tieline::report::STATS;
use tieline::{
    CloseReason, DecodeError, IntentOptions, InterestOptions, LostReason, Message, Peer, Route, RouteName,
    RttStats, ServiceOptions, Stats,
};

use crate::dialer::Dialer;
use crate::driver::{Shared, Stop};
use crate::engine::Engine;
use crate::error::{CallError, Ended, Error};
use crate::events::Events;
use crate::handles::{
    Caller, Publisher, RawCaller, RawPublisher, RawResponder, RawSubscriber, Responder, Subscriber,
};
use crate::observer::PeerRoute;
use crate::options::Options;
use crate::reception::Reception;
use crate::stats::{Report, RouteStats};

/// How long to wait, at the most, for the peer to close the line after us.
const LINGER: Duration = Duration::from_millis(500);
/// The same when the last handle is dropped without a word.
const LINGER_DROP: Duration = Duration::from_millis(100);

/// A connection with one peer. Clones are the same connection; it lives until it is closed or lost, or the last
/// clone and handle are gone: then the peer is told, and nothing is waited for but that, for 100 ms at the most.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
}

/// Lives as long as anybody has a handle.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
    pub(crate) keeper: Option<JoinHandle<()>>,
    pub(crate) source: Source,
}

/// Who brings lines, if anybody does who belongs to the connection.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) _dialer: Option<Dialer>,
    pub(crate) _reception: Option<Reception>,
}

/// Closing.
impl Connection {
    /// Waits until every reliable message that was published is taken by the peer's application, and everything else
    /// is handed to the operating system.
    ///
    /// # Errors
    /// [`Error::TimedOut`] after `limit`; [`Error::Undelivered`] when messages have failed since the last flush;
    /// [`Error::Ended`] when the connection ended before.
    pub fn flush(&self, limit: Duration) -> Result<(), Error> {
        let flushed = self.shared().wait_sent(deadline(limit), Engine::is_flushed);
        let mut engine = self.shared().lock();
        let failed = engine.routes.iter_mut().map(|route| std::mem::take(&mut route.unreported)).sum();
        match flushed {
            Err(stop) => Err(stop.into()),
            Ok(()) if failed > 0 => match &engine.over {
                // Why they failed says more.
                Some(ended) => Err(Error::Ended(ended.clone())),
                None => Err(Error::Undelivered { messages: failed }),
            },
            Ok(()) => Ok(()),
        }
    }

    /// [Flushes](Self::flush), tells the peer that we are done, and sees that it has everything: answers, and what
    /// was taken here. All blocked calls on this connection return.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); the connection is closed anyhow.
    pub fn close(&self, limit: Duration) -> Result<(), Error> {
        let until = deadline(limit);
        let flushed = self.flush(limit);
        // What the peer is to know of what was taken here goes before the end of the session, too.
        let mut engine = self.shared().lock();
        engine.stop_reading();
        self.shared().send(engine);
        let linger = |until: Option<Instant>| {
            let (now, most) = (Instant::now(), Instant::now() + LINGER);
            until.map_or(most, |until| until.clamp(now, most))
        };
        // Acknowledged, that is: on a line that loses, what was only written may be lost.
        let told = |engine: &Engine| {
            let is_away = engine.in_session && !engine.endpoint.is_established();
            let is_acknowledged = engine.is_written() && engine.endpoint.unacknowledged() == 0;
            !is_away && is_acknowledged && !engine.endpoint.wants_transmit()
        };
        // Other lines may be dead for a while and come back: worth waiting for as long as there is a session.
        let told_by = if self.has_lossless_line() { Some(linger(until)) } else { until };
        let _ = self.shared().wait_sent(told_by, told);
        let mut engine = self.shared().lock();
        if engine.over.is_some() {
            return flushed;
        }
        engine.close(0);
        self.shared().announce(&mut engine);
        drop(engine);
        let until = linger(until);
        self.shared().drain(until);
        self.shared().linger(until);
        flushed
    }

    /// Closes the connection at once with a code of the application's own, 16 or above, or one of the protocol's: for an
    /// application that cannot go on. Unlike [`close`](Self::close) it waits for nothing to be delivered, and does not tell the
    /// peer what was taken here and was not told yet: its sender learns that those messages are in doubt.
    pub fn abort(&self, code: u32) {
        let mut engine = self.shared().lock();
        if engine.over.is_some() {
            return;
        }
        engine.close(code);
        self.shared().announce(&mut engine);
        drop(engine);
        let until = Instant::now() + LINGER;
        self.shared().drain(until);
        self.shared().linger(until);
    }

    /// Whether nothing that was written can be lost on the way.
    fn has_lossless_line(&self) -> bool {
        let engine = self.shared().lock();
        engine.endpoint.is_established() && engine.line.as_ref().is_some_and(|line| line.link.lossless)
    }

    /// How the connection ended, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.shared().lock().over.clone()
    }
}

/// Handles for routes. Dropping one withdraws what it declared.
impl Connection {
    /// Declares that messages are published on a route.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn publisher<T: Message>(
        &self,
        route: &'static Route<T>,
        options: IntentOptions,
    ) -> Result<Publisher<T>, Error> {
        Ok(Publisher::new(self.raw_publisher(route.name(), options)?))
    }

    /// As [`publisher`](Self::publisher), for messages that are bytes.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn raw_publisher(
        &self,
        route: &'static RouteName,
        options: IntentOptions,
    ) -> Result<RawPublisher, Error> {
        RawPublisher::declare(&self.inner, route, options)
    }

    /// Declares that the messages of a route are wanted.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn subscriber<T: Message>(&self, route: &'static Route<T>) -> Result<Subscriber<T>, Error> {
        self.subscriber_with(route, InterestOptions::default())
    }

    /// As [`subscriber`](Self::subscriber), with options: how far the publisher may be ahead, and a time to live.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn subscriber_with<T: Message>(
        &self,
        route: &'static Route<T>,
        options: InterestOptions,
    ) -> Result<Subscriber<T>, Error> {
        Ok(Subscriber::new(self.raw_subscriber(route.name(), options)?))
    }

    /// As [`subscriber_with`](Self::subscriber_with), for messages that are bytes.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn raw_subscriber(
        &self,
        route: &'static RouteName,
        options: InterestOptions,
    ) -> Result<RawSubscriber, Error> {
        RawSubscriber::declare(&self.inner, route, options)
    }

    /// Asks the peer's service on a route; its answers are of type `Rep`.
    #[must_use]
    pub fn caller<Req: Message, Rep: Message>(&self, route: &'static Route<Req>) -> Caller<Req, Rep> {
        Caller::new(self.raw_caller(route.name()))
    }

    /// As [`caller`](Self::caller), for requests and answers that are bytes.
    #[must_use]
    pub fn raw_caller(&self, route: &'static RouteName) -> RawCaller {
        RawCaller::new(&self.inner, route)
    }

    /// Declares that requests on a route are answered, with answers of type `Rep`.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn responder<Req: Message, Rep: Message>(
        &self,
        route: &'static Route<Req>,
    ) -> Result<Responder<Req, Rep>, Error> {
        Ok(Responder::new(self.raw_responder(route.name())?))
    }

    /// As [`responder`](Self::responder), for requests and answers that are bytes.
    ///
    /// # Errors
    /// [`Error::Declare`], [`Error::Ended`]
    pub fn raw_responder(&self, route: &'static RouteName) -> Result<RawResponder, Error> {
        let options = ServiceOptions { room: Some(self.inner.options.request_room), ttl: None };
        RawResponder::declare(&self.inner, route, options)
    }
}

/// What is known of the connection.
impl Connection {
    /// Link state, audiences, conflicts, failures, as they come. All the receivers of one connection share its events:
    /// what one takes, the others do not see.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.inner)
    }

    /// Who is on the other side, while there is a session.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.shared().lock().endpoint.peer().cloned()
    }

    /// Round-trip times so far.
    #[must_use]
    pub fn rtt(&self) -> RttStats {
        self.shared().lock().endpoint.rtt()
    }

    /// Waits for the next round trip to be measured (one every [`Options::ping_interval`]) and returns all so far.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Ended`]
    pub fn next_rtt(&self, known: u32, limit: Duration) -> Result<RttStats, Error> {
        let news = |engine: &mut Engine| Some(engine.endpoint.rtt()).filter(|rtt| rtt.samples != known);
        Ok(self.shared().wait(deadline(limit), news)?)
    }

    /// How this side sees the line, as a snapshot.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared().lock().endpoint.report()
    }

    /// How the peer sees the line, as it says itself. Programs answer that, boards if their application does.
    ///
    /// # Errors
    /// [`CallError::NoService`] when the peer does not tell; as any call.
    pub fn peer_report(&self, limit: Duration) -> Result<Report, CallError> {
        let answer = self.raw_caller(&STATS).call(&[], limit)?;
        Report::parse(&answer).ok_or(CallError::Decode(DecodeError))
    }

    /// What the peer has declared in this session so far, whether anything is declared for it here or not; nothing without
    /// [`Options::observe`].
    #[must_use]
    pub fn peer_routes(&self) -> Vec<PeerRoute> {
        self.shared().lock().observer.as_ref().map_or_else(Vec::new, |observer| observer.routes())
    }

    /// What went over each route that has a handle here, and over those whose messages are still under way.
    #[must_use]
    pub fn route_stats(&self) -> Vec<RouteStats> {
        self.shared().lock().route_stats()
    }

    /// Counters of the connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().lock().endpoint.stats()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn shared_arc(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Whether there was a session with the peer.
    pub(crate) fn is_established(&self) -> bool {
        self.shared().lock().established
    }

    /// Ends it if there was no session yet, without a word to whoever is there: a CLOSE would be final, and a peer that
    /// means it comes again when it has lost its line. Returns whether it did.
    pub(crate) fn give_up(&self) -> bool {
        let mut engine = self.shared().lock();
        if engine.established {
            return false;
        }
        engine.end(Ended::Lost { reason: LostReason::LinkDown, cause: None });
        self.shared().announce(&mut engine);
        true
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut engine = self.shared.lock();
        engine.abandoned = true;
        engine.line_news = true;
        let closes = engine.over.is_none() && engine.established;
        if closes {
            engine = self.shared.pump(engine).0;
            engine.close(0);
        }
        let says_version = matches!(engine.over, Some(Ended::Closed(CloseReason::VersionMismatch { .. })));
        self.shared.announce(&mut engine);
        drop(engine);
        if closes || says_version {
            // Closing a line on which something still comes may take back what was sent last.
            let until = Instant::now() + LINGER_DROP;
            self.shared.drain(until);
            self.shared.linger(until);
        }
        let line = self.shared.lock().set_line(None);
        if let Some(line) = line {
            line.finish();
        }
        self.source = Source::default();
        if let Some(keeper) = self.keeper.take() {
            // It never panics, and if it did it could do no harm here.
            let _ = keeper.join();
        }
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TimedOut => Self::TimedOut,
            Stop::Ended(ended) => Self::Ended(ended),
        }
    }
}

/// No wait is longer: "never", as an option may say it, is a time that can be reckoned with, too.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A limit that is too far away is none.
pub(crate) fn deadline(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}
