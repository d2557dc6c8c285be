//! Waiting for peers at an address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::connection::{Connection, deadline};
use crate::error::Error;
use crate::link::Waiting;
use crate::options::Options;

/// Who has come to a listener has that long to speak Tieline before the next one is heard.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Waits for peers at an address.
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
    waiting: Waiting,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn bind(address: &Address) -> Result<Self, Error> {
        let open = |error| Error::Open { address: address.clone(), cause: Arc::new(error) };
        Ok(Self { waiting: Waiting::bind(address).map_err(open)? })
    }

    /// The address, with the port that the system chose if it was 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.waiting.address()
    }

    /// Waits for a peer, at most for [`Options::timeout`]. Others that come but do not speak Tieline are sent away.
    ///
    /// # Errors
    /// [`Error::NoPeer`] when the time is over; [`Error::Open`] when the system refuses.
    pub fn accept(&self, options: Options) -> Result<Connection, Error> {
        let begin = Instant::now();
        let until = options.timeout.and_then(deadline);
        let mut last = String::new();
        loop {
            let line = self
                .waiting
                .accept(until)
                .map_err(|error| Error::Open { address: self.address().clone(), cause: Arc::new(error) })?;
            let Some(line) = line else {
                return Err(Error::NoPeer {
                    address: Some(self.address().clone()),
                    waited: begin.elapsed(),
                    last,
                });
            };
            let limit = Instant::now() + HANDSHAKE_LIMIT;
            match Connection::establish(line, options, Some(until.map_or(limit, |until| until.min(limit)))) {
                Err(Error::Ended(ended)) => last = ended.to_string(),
                Err(Error::NoPeer { last: hint, .. }) => last = hint,
                other => return other,
            }
        }
    }
}
