//! Broadcast and multicast over UDP: messages to whoever listens, without a connection.
//!
//! Invariant: nothing is sent but what is published, and a datagram goes whole or not at all. Who listens is not known
//! here; what is lost, only its readers know.

mod publisher;
mod socket;
mod subscriber;

use std::io;
use std::sync::Arc;

use tieline::{Message, Route, RouteName};

pub use publisher::{BroadcastPublisher, RawBroadcastPublisher};
pub use subscriber::{BroadcastSubscriber, Heard, RawBroadcastSubscriber};

use crate::address::Address;
use crate::error::Error;
use socket::Way;

/// Messages to all that listen to a multicast group, or are in a network.
///
/// There is no session: nobody asks for messages, nothing is acknowledged or repeated, and a message fits a datagram.
/// A reader is told by whom a message is and how many before it have not come.
///
/// ```
/// use std::time::Duration;
///
/// use serde::{Deserialize, Serialize};
/// use tieline_std::{Broadcast, Named, Route};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Celsius(f32);
/// impl Named for Celsius { const TYPE: &'static str = "Celsius"; }
///
/// const ROOF: Route<Celsius> = Route::new("roof.temperature");
///
/// # fn main() -> Result<(), tieline_std::Error> {
/// // Without `interface` the system chooses the network.
/// let group = Broadcast::open(&"udp://239.255.4.2:42424?multicast&interface=lo&hops=0".parse()?)?;
/// let readers = group.subscriber(&ROOF)?;
/// group.publisher(&ROOF)?.publish(&Celsius(21.5))?;
///
/// let heard = readers.recv_timeout(Duration::from_secs(5))?;
/// assert_eq!((heard.message, heard.lost), (Celsius(21.5), 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Broadcast {
    address: Address,
    way: Way,
    sender: u64,
    nonce: u32,
}

impl Broadcast {
    /// Looks the address up, one with `?multicast` or `?broadcast`. What is published through it comes from a random sender,
    /// another one each time.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn open(address: &Address) -> Result<Self, Error> {
        let failed = |cause| open_error(address, cause);
        let way = Way::of(address).map_err(failed)?;
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let [a, b, c, d, sender @ ..] = random;
        let (nonce, sender) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(sender));
        Ok(Self { address: address.clone(), way, sender, nonce })
    }

    /// Names the sender, as which no other one on the same network publishes: its readers then know it again when it starts
    /// anew.
    #[must_use]
    pub fn with_sender(self, sender: u64) -> Self {
        Self { sender, ..self }
    }

    /// Where it reaches and hears.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Publishes on a route. One route has one publisher for each sender.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn publisher<T: Message>(&self, route: &'static Route<T>) -> Result<BroadcastPublisher<T>, Error> {
        Ok(BroadcastPublisher::new(self.raw_publisher(route.name())?))
    }

    /// As [`publisher`](Self::publisher), for messages that are bytes.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn raw_publisher(&self, route: &RouteName) -> Result<RawBroadcastPublisher, Error> {
        let codec = tieline::broadcast::Publisher::new(route, self.sender, self.nonce);
        RawBroadcastPublisher::open(&self.address, &self.way, codec)
            .map_err(|cause| open_error(&self.address, cause))
    }

    /// Reads a route, from now on.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn subscriber<T: Message>(&self, route: &'static Route<T>) -> Result<BroadcastSubscriber<T>, Error> {
        Ok(BroadcastSubscriber::new(self.raw_subscriber(route.name())?))
    }

    /// As [`subscriber`](Self::subscriber), for messages that are bytes.
    ///
    /// # Errors
    /// [`Error::Open`]
    pub fn raw_subscriber(&self, route: &RouteName) -> Result<RawBroadcastSubscriber, Error> {
        RawBroadcastSubscriber::open(&self.way, route).map_err(|cause| open_error(&self.address, cause))
    }
}

fn open_error(address: &Address, cause: io::Error) -> Error {
    Error::Open { address: address.clone(), cause: Arc::new(cause) }
}
