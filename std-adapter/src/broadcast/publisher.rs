//! Publishing to all.

use std::io;
use std::marker::PhantomData;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};

use tieline::broadcast::{EmitError, OVERHEAD, Publisher};
use tieline::{Message, PublishError};

use super::socket::Way;
use crate::address::Address;
use crate::error::Error;

/// Publishes messages that are bytes to whoever listens.
#[derive(Debug)]
pub struct RawBroadcastPublisher {
    address: Address,
    socket: UdpSocket,
    /// Largest payload.
    limit: usize,
    codec: Mutex<Codec>,
}

#[derive(Debug)]
struct Codec {
    publisher: Publisher,
    datagram: Box<[u8]>,
}

impl RawBroadcastPublisher {
    pub(super) fn open(address: &Address, way: &Way, publisher: Publisher) -> io::Result<Self> {
        let (socket, datagram_max) = way.sender()?;
        let codec = Mutex::new(Codec { publisher, datagram: vec![0; datagram_max].into() });
        Ok(Self { address: address.clone(), socket, limit: datagram_max - OVERHEAD, codec })
    }

    /// Sends a message. Whether anybody hears it is not known.
    ///
    /// # Errors
    /// [`Error::Publish`] when it does not fit a datagram; [`Error::Send`] when the system refuses it.
    pub fn publish(&self, payload: &[u8]) -> Result<(), Error> {
        self.send(|codec| {
            codec
                .publisher
                .emit(payload, &mut codec.datagram)
                .map_err(|_| PublishError::TooLarge { limit: self.limit })
        })
    }

    /// Largest message that fits a datagram, in bytes.
    #[must_use]
    pub fn message_max(&self) -> usize {
        self.limit
    }

    fn publish_message<M: Message>(&self, message: &M) -> Result<(), Error> {
        self.send(|codec| {
            codec.publisher.emit_message(message, &mut codec.datagram).map_err(|error| match error {
                EmitError::TooLarge { limit } => PublishError::TooLarge { limit },
                EmitError::Encode => PublishError::Encode,
            })
        })
    }

    fn send(
        &self,
        emit: impl for<'c> FnOnce(&'c mut Codec) -> Result<&'c [u8], PublishError>,
    ) -> Result<(), Error> {
        let mut codec = self.codec.lock().unwrap_or_else(PoisonError::into_inner);
        let datagram = emit(&mut codec).map_err(Error::Publish)?;
        // The first try may tell of an earlier datagram.
        let sent = self.socket.send(datagram).or_else(|_| self.socket.send(datagram));
        sent.map(drop).map_err(|cause| Error::Send { address: self.address.clone(), cause: Arc::new(cause) })
    }
}

/// Publishes messages of one type to whoever listens.
#[derive(Debug)]
pub struct BroadcastPublisher<T> {
    raw: RawBroadcastPublisher,
    message: PhantomData<fn(&T)>,
}

impl<T: Message> BroadcastPublisher<T> {
    pub(super) fn new(raw: RawBroadcastPublisher) -> Self {
        Self { raw, message: PhantomData }
    }

    /// Sends a message. Whether anybody hears it is not known.
    ///
    /// # Errors
    /// [`Error::Publish`] when it does not fit a datagram; [`Error::Send`] when the system refuses it.
    pub fn publish(&self, message: &T) -> Result<(), Error> {
        self.raw.publish_message(message)
    }
}
