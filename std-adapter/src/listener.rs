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
/// Handshakes at once; others that have greeted wait for their turn.
const HANDSHAKES: usize = 16;
/// While others wait, a handshake that takes longer than this is given up: three ways of a slow network, and less than who
/// means it waits before it comes again.
const HANDSHAKE_LEAST: Duration = Duration::from_millis(500);

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
    /// Connections that nobody has accepted yet, and since when they are, the oldest first.
    openings: Mutex<Vec<(Connection, Instant)>>,
}

/// What looking at the handshakes comes to.
struct Look {
    established: Option<Connection>,
    /// Another one may begin.
    has_room: bool,
    /// When to look again.
    again_at: Option<Instant>,
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
            // Who is established is never in anybody's way: it is handed out before another one is let in.
            let mut look = self.look(desk.has_arrivals());
            while look.established.is_none()
                && look.has_room
                && let Some(visitor) = desk.next_arrival()
            {
                self.admit(visitor, options)?;
                look = self.look(desk.has_arrivals());
            }
            if let Some(connection) = look.established {
                return Ok(connection);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                let (address, last) = (Some(self.address.clone()), desk.last());
                return Err(Error::NoPeer { address, waited: begin.elapsed(), last });
            }
            desk.bell.wait(known, [until, look.again_at].into_iter().flatten().min());
        }
    }

    /// Begins a handshake.
    fn admit(&self, visitor: Visitor, options: Options) -> Result<(), Error> {
        let desk = self.reception.desk();
        let Visitor { line, heard, name, nonce } = visitor;
        let outlook = match options.policy {
            Policy::Reconnect { .. } => Outlook::MayReturn,
            Policy::Once => Outlook::Ends,
        };
        let origin = Origin::Line { line, heard, outlook, bell: Some(Arc::clone(&desk.bell)) };
        let connection = begin(origin, options)?;
        if outlook == Outlook::MayReturn {
            desk.register(name, nonce, connection.shared_arc(), options.ping_interval);
        }
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        openings.push((connection, Instant::now()));
        Ok(())
    }

    /// Looks for a connection that is established, and gives up those that will not be. Others wait, or not.
    fn look(&self, others_wait: bool) -> Look {
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut given_up = Vec::new();
        let mut established = None;
        let mut index = 0;
        while let Some((connection, since)) = openings.get(index) {
            let limit =
                if others_wait && openings.len() >= HANDSHAKES { HANDSHAKE_LEAST } else { HANDSHAKE_LIMIT };
            let takes_too_long = *since + limit <= now;
            if connection.is_established() {
                established = Some(openings.remove(index).0);
                break;
            }
            let ended = connection.ended();
            // It may be established by now.
            if ended.is_some() || (takes_too_long && connection.give_up()) {
                given_up.push((openings.remove(index).0, ended));
            } else if !connection.is_established() {
                index += 1;
            }
        }
        let has_room = openings.len() < HANDSHAKES;
        let limit = if others_wait && !has_room { HANDSHAKE_LEAST } else { HANDSHAKE_LIMIT };
        let again_at = openings.iter().map(|(_, since)| *since + limit).min();
        drop(openings);
        // Dropping a connection may take a moment.
        for (_, ended) in given_up {
            let last = match ended {
                Some(ended) => ended.to_string(),
                None => "somebody greeted, and did not answer".to_owned(),
            };
            self.reception.desk().note_last(last);
        }
        Look { established, has_room, again_at }
    }
}
