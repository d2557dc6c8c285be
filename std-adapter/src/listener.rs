//! Accepting peers at an address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::connection::{Connection, deadline};
use crate::engine::Outlook;
use crate::error::Error;
use crate::link::Waiting;
use crate::opening::{Origin, begin, system};
use crate::options::{Options, Policy};
use crate::reception::{Reception, Visitor};

/// Who has greeted has that long to complete the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Handshakes at once; when another one begins, the one that takes longest is given up.
const HANDSHAKES: usize = 16;

/// Waits for peers at an address, several of them if need be.
///
/// A peer is known by its [name](Options::name), so several of them have names of their own. One that comes back, after its line
/// was lost or after it has started anew, is given to the connection that it had; [`accept`](Self::accept) returns new ones
/// only. A connection waits for its peer for as long as the session is kept ([`Options::resume_for`]), then it ends; at
/// most 64 wait. Who comes and does not speak Tieline is sent away and holds up nobody.
///
/// ```
/// use tieline_std::{Address, Connection, Listener, Options};
///
/// let listener = Listener::bind(&"tcp://127.0.0.1:0?listen".parse()?)?;
/// let port = listener.address().clone();
/// let here = std::thread::spawn(move || listener.accept(Options::default()));
/// let there = Connection::open(&port.to_dial(), Options { name: "there", ..Options::default() })?;
/// let here = here.join().unwrap()?;
/// assert_eq!(here.peer().unwrap().name, "there");
/// # drop(there);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    address: Address,
    reception: Reception,
    /// Connections whose handshake is not complete, the oldest first.
    openings: Mutex<Vec<(Connection, Instant)>>,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::System`] when the system gives no thread.
    pub fn bind(address: &Address) -> Result<Self, Error> {
        let open = |error| Error::Open { address: address.clone(), cause: Arc::new(error) };
        let waiting = Waiting::bind(address).map_err(open)?;
        let address = waiting.address().clone();
        let reception = Reception::start(waiting, None).map_err(system)?;
        Ok(Self { address, reception, openings: Mutex::default() })
    }

    /// The address, with the port that the system chose if it was 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for a new peer, at most for [`Options::timeout`].
    ///
    /// # Errors
    /// [`Error::NoPeer`] when the time is over; [`Error::Options`] or [`Error::System`] when nobody can be accepted.
    pub fn accept(&self, options: Options) -> Result<Connection, Error> {
        let begin = Instant::now();
        let until = options.timeout.and_then(deadline);
        let desk = self.reception.desk();
        loop {
            let known = desk.bell.count();
            while let Some(visitor) = desk.next_arrival() {
                self.admit(visitor, options)?;
            }
            let (established, next_limit) = self.look();
            if let Some(connection) = established {
                return Ok(connection);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                let (address, last) = (Some(self.address.clone()), desk.last());
                return Err(Error::NoPeer { address, waited: begin.elapsed(), last });
            }
            desk.bell.wait(known, [until, next_limit].into_iter().flatten().min());
        }
    }

    /// Begins a handshake.
    fn admit(&self, visitor: Visitor, options: Options) -> Result<(), Error> {
        let desk = self.reception.desk();
        let Visitor { line, heard, name, boot } = visitor;
        let outlook = match options.policy {
            Policy::Reconnect { .. } => Outlook::MayReturn,
            Policy::Once => Outlook::Ends,
        };
        let origin = Origin::Line { line, heard, outlook, bell: Some(Arc::clone(&desk.bell)) };
        let connection = begin(origin, options)?;
        if outlook == Outlook::MayReturn {
            desk.register(name, boot, connection.shared_arc(), options.ping_interval);
        }
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = (openings.len() >= HANDSHAKES).then(|| openings.remove(0));
        openings.push((connection, Instant::now() + HANDSHAKE_LIMIT));
        drop(openings);
        // Dropping a connection may take a moment.
        drop(oldest);
        Ok(())
    }

    /// The first connection that is established, and when to look again.
    fn look(&self) -> (Option<Connection>, Option<Instant>) {
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given_up = Vec::new();
        let mut found = None;
        let mut index = 0;
        while let Some((connection, limit)) = openings.get(index) {
            if connection.is_established() {
                found = Some(openings.remove(index).0);
                break;
            }
            if connection.ended().is_some() || *limit <= Instant::now() {
                given_up.push(openings.remove(index).0);
            } else {
                index += 1;
            }
        }
        let next_limit = openings.iter().map(|(_, limit)| *limit).min();
        drop(openings);
        for connection in given_up {
            let last = match connection.ended() {
                Some(ended) => ended.to_string(),
                None => "somebody greeted, and did not answer".to_owned(),
            };
            self.reception.desk().note_last(last);
        }
        (found, next_limit)
    }
}
