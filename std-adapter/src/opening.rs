//! How connections come about.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tieline::{Config, Endpoint, Framing};

use crate::address::Address;
use crate::bell::Bell;
use crate::connection::{Connection, Inner, LONGEST, Source};
use crate::dialer::{Backoff, Dialer, open_error};
use crate::driver::{Shared, Stop};
use crate::engine::{Engine, Outlook};
use crate::error::{Ended, Error};
use crate::link::{self, Line, Waiting};
use crate::listener::Listener;
use crate::observer::Observer;
use crate::options::{Options, Policy};
use crate::reception::Reception;
use crate::storage::Boxed;
use crate::waker::Cancel;

/// With [`Policy::Once`] a first dial is tried again that often.
const DIAL_AGAIN: Duration = Duration::from_millis(100);
/// Two ends of one process have found each other by then.
const PAIR_LIMIT: Duration = Duration::from_secs(5);

/// Where the lines of a connection come from.
pub(crate) enum Origin {
    /// There is one; others may be brought.
    Line { line: Line, heard: Vec<u8>, outlook: Outlook, bell: Option<Arc<Bell>> },
    /// They are looked for.
    Dialed { addresses: Vec<Address>, backoff: Backoff },
    /// They come.
    Awaited(Waiting),
}

/// Opening.
impl Connection {
    /// Goes to an address, or waits at it for one peer, until there is a session. What fails for a reason that may
    /// pass is tried again for as long as [`Options::timeout`] allows; what happens later says [`Options::policy`].
    ///
    /// # Errors
    /// [`Error::NoPeer`] when the time is over, [`Error::Open`] when trying again makes no sense, [`Error::Ended`]
    /// when who answers cannot be talked to.
    pub fn open(address: &Address, options: Options) -> Result<Self, Error> {
        Self::open_any(std::slice::from_ref(address), options)
    }

    /// As [`open`](Self::open), and tells `note` once, after `patience`, if there is no session by then: with the
    /// [`Error::NoPeer`] that giving up would return, for people who would wonder. With [`Policy::Once`] nothing is told.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_noting(
        address: &Address,
        options: Options,
        patience: Duration,
        note: impl FnOnce(&Error),
    ) -> Result<Self, Error> {
        Self::open_with(std::slice::from_ref(address), options, Some((patience, note)))
    }

    /// As [`open`](Self::open), with several ways to one peer, the best one first: a board's UART and its network, say. The
    /// session goes on over the next one when the line is lost or silent, and comes back to a better one when somebody answers
    /// there again, which is asked every 5 times [`Policy::Reconnect::most`](Policy), and less and less often, up to 64 times as
    /// long, when that has no place for us.
    ///
    /// The peer must know that it is the same session: it is one endpoint, reached by all of the addresses. With
    /// [`Policy::Once`] the first address that works is the only one.
    ///
    /// # Errors
    /// As [`open`](Self::open); an address that listens stands alone.
    pub fn open_any(addresses: &[Address], options: Options) -> Result<Self, Error> {
        Self::open_with(addresses, options, None::<(Duration, fn(&Error))>)
    }

    fn open_with(
        addresses: &[Address],
        options: Options,
        noted: Option<(Duration, impl FnOnce(&Error))>,
    ) -> Result<Self, Error> {
        let (address, others) = addresses.split_first().ok_or_else(|| {
            system(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to open"))
        })?;
        if let Some(listens) = addresses.iter().find(|address| address.listens() && !others.is_empty()) {
            let text = "an address that listens stands alone: it cannot be one of several";
            return Err(open_error(listens, io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        let Policy::Reconnect { first, most } = options.policy else { return open_once(addresses, options) };
        let (origin, limit) = if address.listens() {
            let waiting = Waiting::bind(address).map_err(|error| open_error(address, error))?;
            (Origin::Awaited(waiting), options.timeout)
        } else {
            let limit = options.timeout.unwrap_or(Options::DIAL_TIMEOUT);
            let backoff = Backoff::new(first, most);
            (Origin::Dialed { addresses: addresses.to_vec(), backoff }, Some(limit))
        };
        let connection = begin(origin, options)?;
        let begin = Instant::now();
        let wait = |limit: Option<Duration>| {
            let until = limit.and_then(|limit| begin.checked_add(limit));
            connection.wait_established(until).map_err(|error| match error {
                Error::NoPeer { last, .. } => {
                    Error::NoPeer { address: Some(address.clone()), waited: begin.elapsed(), last }
                }
                Error::Ended(Ended::Unreachable { address, cause }) => Error::Open { address, cause },
                error => error,
            })
        };
        if let Some((patience, note)) = noted
            && limit.is_none_or(|limit| limit > patience)
        {
            match wait(Some(patience)) {
                Err(error @ Error::NoPeer { .. }) => note(&error),
                other => {
                    other?;
                    return Ok(connection);
                }
            }
        }
        wait(limit)?;
        Ok(connection)
    }

    /// Two connections of this process that are each other's peer. When one ends, so does the other.
    ///
    /// # Errors
    /// [`Error::System`], or what is wrong with the options.
    pub fn pair(a: Options, b: Options) -> Result<(Self, Self), Error> {
        let (line_a, line_b) = link::pair().map_err(system)?;
        let (a, b) = (begin_on(line_a, a)?, begin_on(line_b, b)?);
        let until = Some(Instant::now() + PAIR_LIMIT);
        a.wait_established(until)?;
        b.wait_established(until)?;
        Ok((a, b))
    }

    /// A connection over any reader and writer: a child's pipes, an SSH channel, what some other library has opened.
    /// `framing` is [`Stream`](Framing::Stream) if nothing is ever lost or changed on the way, else
    /// [`Serial`](Framing::Serial). Waits for the peer for [`Options::timeout`], 10 s unless it says otherwise. Nobody can open
    /// them anew: when the line is lost the connection ends.
    ///
    /// Two threads carry the bytes. The one that writes drops the writer when the connection ends; the one that reads ends when
    /// the reader does, so a reader that never ends keeps it.
    ///
    /// ```
    /// use tieline_std::{Connection, Framing, Options};
    ///
    /// let (here_in, there_out) = std::io::pipe()?;
    /// let (there_in, here_out) = std::io::pipe()?;
    /// let there = std::thread::spawn(move || {
    ///     Connection::over(there_in, there_out, Framing::Stream, Options { name: "there", ..Options::default() })
    /// });
    /// let here = Connection::over(here_in, here_out, Framing::Stream, Options::default())?;
    /// assert_eq!(here.peer().unwrap().name, "there");
    /// # drop(there.join().unwrap()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoPeer`], [`Error::Ended`]; [`Error::System`] when the system gives no threads, or for
    /// [`Datagram`](Framing::Datagram) framing.
    pub fn over(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        framing: Framing,
        options: Options,
    ) -> Result<Self, Error> {
        let line = link::over(reader, writer, framing).map_err(system)?;
        let connection = begin_on(line, options)?;
        let limit = options.timeout.unwrap_or(Options::DIAL_TIMEOUT);
        connection.wait_established(crate::connection::deadline(limit))?;
        Ok(connection)
    }

    pub(crate) fn wait_established(&self, until: Option<Instant>) -> Result<(), Error> {
        let begin = Instant::now();
        let established = self.shared().wait(until, |engine| engine.established.then_some(()));
        established.map_err(|stop| match stop {
            Stop::Ended(ended) => Error::Ended(ended),
            Stop::TimedOut => {
                let engine = self.shared().lock();
                let last = if !engine.hint.is_empty() || engine.line.is_none() {
                    engine.hint.clone()
                } else if engine.endpoint.stats().bytes_in == 0 {
                    "the line is open, but not one byte came: does the peer run, are its lines the right way round, or has it another peer already?"
                        .to_owned()
                } else {
                    "something came, but no answer to the greeting".to_owned()
                };
                Error::NoPeer { address: None, waited: begin.elapsed(), last }
            }
        })
    }
}

/// One line, and no other one after it.
fn open_once(addresses: &[Address], options: Options) -> Result<Connection, Error> {
    if let [address] = addresses
        && address.listens()
    {
        return Listener::bind(address)?.accept(options);
    }
    let begin = Instant::now();
    let until = begin + options.timeout.unwrap_or(Options::DIAL_TIMEOUT).min(LONGEST);
    let cancel = Cancel::new().map_err(system)?;
    loop {
        let mut failed = None;
        for (index, address) in addresses.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            match open_line(address, options, left / others, &cancel) {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = failed.or(Some((address, error))),
            }
        }
        let last = match failed {
            Some((_, error)) if !error.is_transient() => return Err(error),
            Some((_, Error::NoPeer { last, .. })) => last,
            Some((_, Error::Open { cause, .. })) => cause.to_string(),
            Some((_, error)) => error.to_string(),
            None => String::new(),
        };
        if Instant::now() + DIAL_AGAIN >= until {
            let address = addresses.first().cloned();
            return Err(Error::NoPeer { address, waited: begin.elapsed(), last });
        }
        std::thread::sleep(DIAL_AGAIN);
    }
}

fn open_line(
    address: &Address,
    options: Options,
    limit: Duration,
    cancel: &Cancel,
) -> Result<Connection, Error> {
    let until = Instant::now() + limit;
    let line = Line::dial(address, limit, cancel).map_err(|error| open_error(address, error))?;
    let connection = begin_on(line, options)?;
    connection.wait_established(Some(until))?;
    Ok(connection)
}

/// Starts a connection on a line that nobody can bring back.
fn begin_on(line: Line, options: Options) -> Result<Connection, Error> {
    begin(Origin::Line { line, heard: Vec::new(), outlook: Outlook::Ends, bell: None }, options)
}

/// Starts an endpoint, its keeper and whoever brings its lines.
pub(crate) fn begin(origin: Origin, options: Options) -> Result<Connection, Error> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(|error| system(io::Error::other(error.to_string())))?;
    let epoch = Instant::now();
    let (outlook, bell, ends_with_line) = match &origin {
        Origin::Line { outlook, bell, line, .. } => {
            (*outlook, bell.clone(), *outlook == Outlook::Ends && line.link.lossless)
        }
        Origin::Dialed { .. } => (Outlook::Returns, None, false),
        Origin::Awaited(_) => (Outlook::Awaits, None, false),
    };
    let mut endpoint = Endpoint::new(Boxed::new(&options));
    let config = Config {
        ping_interval: options.ping_interval,
        silence: options.silence,
        resume_for: if ends_with_line { Duration::ZERO } else { options.resume_for },
        ..Config::new(options.name)
    };
    endpoint.start(config, u64::from_le_bytes(nonce));
    let mut engine = Engine::new(endpoint, outlook);
    engine.report_to_peer();
    engine.observer = options.observe.then(|| Box::new(Observer::new(options.frame)));
    engine.tell_connecting();
    let mut shared = Shared::new(epoch, engine, bell).map_err(system)?;
    let (shared, source) = match origin {
        Origin::Line { line, heard, .. } => {
            shared.engine_mut().attach(tieline::Instant::ZERO, line, &heard).map_err(Error::Options)?;
            return finish(Arc::new(shared), Source::default(), options);
        }
        Origin::Dialed { addresses, backoff } => {
            let shared = Arc::new(shared);
            let dialer = Dialer::start(&shared, addresses, backoff, options.name).map_err(system)?;
            (shared, Source { _dialer: Some(dialer), _reception: None })
        }
        Origin::Awaited(waiting) => {
            let shared = Arc::new(shared);
            let only = Some((&shared, options.ping_interval));
            let reception = Reception::start(waiting, only).map_err(system)?;
            (shared, Source { _dialer: None, _reception: Some(reception) })
        }
    };
    finish(shared, source, options)
}

fn finish(shared: Arc<Shared>, source: Source, options: Options) -> Result<Connection, Error> {
    let keeper = std::thread::Builder::new().name("tieline".to_owned()).spawn({
        let shared = Arc::clone(&shared);
        move || shared.keep()
    });
    let keeper = Some(keeper.map_err(system)?);
    Ok(Connection { inner: Arc::new(Inner { shared, options, keeper, source }) })
}

pub(crate) fn system(error: io::Error) -> Error {
    Error::System(Arc::new(error))
}
