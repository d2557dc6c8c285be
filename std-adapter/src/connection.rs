//! Opening connections, ending them, and everything that is not about one route.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tieline::{
    CloseReason, Config, Endpoint, IntentOptions, InterestOptions, Message, Peer, Route, RouteName, RttStats,
    ServiceOptions, Stats,
};

use crate::address::Address;
use crate::driver::{Shared, Stop};
use crate::engine::Engine;
use crate::error::{Ended, Error, is_transient};
use crate::events::Events;
use crate::handles::{
    Caller, Publisher, RawCaller, RawPublisher, RawResponder, RawSubscriber, Responder, Subscriber,
};
use crate::link::{self, Line};
use crate::listener::Listener;
use crate::options::Options;
use crate::storage::Boxed;
use crate::writer::Writer;

/// A first dial is tried again that often.
const DIAL_AGAIN: Duration = Duration::from_millis(100);
/// Two ends of one process have found each other by then.
const PAIR_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait, at the most, for the peer to close the line after us.
const LINGER: Duration = Duration::from_millis(500);
/// The same when the last handle is dropped without a word.
const LINGER_DROP: Duration = Duration::from_millis(100);

/// A connection with one peer. Clones are the same connection; it lives until it is closed or lost, or the last
/// clone and handle are gone: then the peer is told, and nothing is waited for but that, for 100 ms at the most.
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

/// Lives as long as anybody has a handle.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
    keeper: Option<JoinHandle<()>>,
}

/// Opening and closing.
impl Connection {
    /// Goes to an address, or waits at it for one peer, until there is a session. What fails for a reason that may
    /// pass is tried again every 100 ms for as long as [`Options::timeout`] allows.
    ///
    /// # Errors
    /// [`Error::NoPeer`] when the time is over, [`Error::Open`] when trying again makes no sense, [`Error::Ended`]
    /// when who answers cannot be talked to.
    pub fn open(address: &Address, options: Options) -> Result<Self, Error> {
        if address.listens() {
            return Listener::bind(address)?.accept(options);
        }
        let begin = Instant::now();
        let limit = options.timeout.unwrap_or(Options::DIAL_TIMEOUT);
        let deadline = begin + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let last = match Line::dial(address, left) {
                Ok(line) => match Self::establish(line, options, Some(deadline)) {
                    Err(Error::Ended(ended)) if ended.is_transient() => ended.to_string(),
                    Err(Error::NoPeer { last, .. }) => last,
                    other => return other,
                },
                Err(error) if is_transient(&error) => error.to_string(),
                Err(error) => return Err(Error::Open { address: address.clone(), cause: Arc::new(error) }),
            };
            if Instant::now() + DIAL_AGAIN >= deadline {
                return Err(Error::NoPeer { address: Some(address.clone()), waited: begin.elapsed(), last });
            }
            std::thread::sleep(DIAL_AGAIN);
        }
    }

    /// Two connections of this process that are each other's peer.
    ///
    /// # Errors
    /// [`Error::System`], or what is wrong with the options.
    pub fn pair(a: Options, b: Options) -> Result<(Self, Self), Error> {
        let (line_a, line_b) = link::pair().map_err(system)?;
        let (a, b) = (Self::begin(line_a, a)?, Self::begin(line_b, b)?);
        let deadline = Some(Instant::now() + PAIR_LIMIT);
        a.wait_established(deadline)?;
        b.wait_established(deadline)?;
        Ok((a, b))
    }

    pub(crate) fn establish(line: Line, options: Options, deadline: Option<Instant>) -> Result<Self, Error> {
        let connection = Self::begin(line, options)?;
        connection.wait_established(deadline)?;
        Ok(connection)
    }

    /// Starts an endpoint and its keeper on a line.
    fn begin(line: Line, options: Options) -> Result<Self, Error> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(|error| system(io::Error::other(error.to_string())))?;
        let epoch = Instant::now();
        let mut endpoint = Endpoint::new(Boxed::new(&options));
        let config = Config {
            ping_interval: options.ping_interval,
            silence: options.silence,
            resume_for: if line.link.lossless { Duration::ZERO } else { options.resume_for },
            ..Config::new(options.name)
        };
        endpoint.start(config, u64::from_le_bytes(nonce));
        endpoint.handle_connect(tieline::Instant::ZERO, line.link).map_err(Error::Options)?;
        let writer = Writer::new(&line, endpoint.transmit_max());
        let shared = Arc::new(Shared::new(epoch, line, Engine::new(endpoint, writer)).map_err(system)?);
        let keeper = std::thread::Builder::new().name("tieline".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep()
        });
        let keeper = Some(keeper.map_err(system)?);
        Ok(Self { inner: Arc::new(Inner { shared, options, keeper }) })
    }

    fn wait_established(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let begin = Instant::now();
        let established = self.shared().wait(deadline, |engine| engine.established.then_some(()));
        established.map_err(|stop| match stop {
            Stop::Ended(ended) => Error::Ended(ended),
            Stop::TimedOut => {
                let engine = self.shared().lock();
                let last = if !engine.hint.is_empty() {
                    engine.hint.clone()
                } else if engine.endpoint.stats().bytes_in == 0 {
                    "the line is open, but not one byte came: does the peer run, and are its lines the right way round?"
                        .to_owned()
                } else {
                    "something came, but no answer to the greeting".to_owned()
                };
                Error::NoPeer { address: None, waited: begin.elapsed(), last }
            }
        })
    }

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
            engine.is_written() && !engine.endpoint.wants_transmit() && engine.endpoint.unacknowledged() == 0
        };
        // Such a line may be dead for a while and come back: worth waiting for as long as there is a session.
        let told_by = if self.shared().line.link.lossless { Some(linger(until)) } else { until };
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

    /// Counters of the connection.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().lock().endpoint.stats()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut engine = self.shared.lock();
        engine.abandoned = true;
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
        self.shared.line.finish();
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

/// A limit that is too far away is none.
pub(crate) fn deadline(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

fn system(error: io::Error) -> Error {
    Error::System(Arc::new(error))
}
