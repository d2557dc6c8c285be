//! Hearing what is sent to all.

use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tieline::broadcast::{BroadcastStats, Header, Reading, Received, Subscriber};
use tieline::{Message, RouteName};

use super::socket::Way;
use crate::connection::deadline;
use crate::error::Error;
use crate::link::timespec;

/// Senders that are told apart at once.
const SENDERS: usize = 64;
/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_535;

/// A message that was sent to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard<T> {
    /// The message.
    pub message: T,
    /// Who has sent it: see [`Broadcast::with_sender`](super::Broadcast::with_sender).
    pub sender: u64,
    /// From where.
    pub from: SocketAddr,
    /// Counts the sender's messages on this route since its start, modulo 2^32.
    pub sequence: u32,
    /// How many of its messages between the last one of this start and this have not come.
    pub lost: u32,
    /// The sender has started anew since its last message; again and again, if two devices have the same id.
    pub restarted: bool,
}

impl<T> Heard<T> {
    fn new(message: T, of: &Received<'_>, from: SocketAddr) -> Self {
        let Received { sender, sequence, lost, restarted, .. } = *of;
        Self { message, sender, from, sequence, lost, restarted }
    }
}

/// Reads messages that are bytes. What comes while nobody reads waits in the system, as far as it has room, and is lost
/// beyond that.
#[derive(Debug)]
pub struct RawBroadcastSubscriber {
    socket: UdpSocket,
    ear: Mutex<Ear>,
}

#[derive(Debug)]
struct Ear {
    subscriber: Subscriber<SENDERS>,
    datagram: Box<[u8]>,
}

impl RawBroadcastSubscriber {
    pub(super) fn open(way: &Way, route: &RouteName) -> io::Result<Self> {
        let ear = Ear { subscriber: Subscriber::new(route), datagram: vec![0; DATAGRAM_MAX].into() };
        Ok(Self { socket: way.receiver()?, ear: Mutex::new(ear) })
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::System`]
    pub fn recv(&self) -> Result<Heard<Vec<u8>>, Error> {
        self.take(None, bytes)
    }

    /// Waits for the next message for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::System`]
    pub fn recv_timeout(&self, limit: Duration) -> Result<Heard<Vec<u8>>, Error> {
        self.take(deadline(limit), bytes)
    }

    /// The next message if one has come.
    ///
    /// # Errors
    /// [`Error::System`]
    pub fn try_recv(&self) -> Result<Option<Heard<Vec<u8>>>, Error> {
        self.try_take(bytes)
    }

    /// What has come and what has not.
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.lock().subscriber.stats()
    }

    /// Whom it hears, each with the number of its newest message.
    #[must_use]
    pub fn senders(&self) -> Vec<Header> {
        self.lock().subscriber.senders().collect()
    }

    fn take<R>(
        &self,
        until: Option<Instant>,
        mut make: impl FnMut(&Received<'_>, SocketAddr) -> Result<R, Error>,
    ) -> Result<R, Error> {
        loop {
            if let Some(result) = self.try_take(&mut make)? {
                return Ok(result);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(Error::TimedOut);
            }
            let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            // A signal may interrupt it; then the loop looks again.
            let _ = poll(&mut fds, left.map(timespec).as_ref());
        }
    }

    fn try_take<R>(
        &self,
        mut make: impl FnMut(&Received<'_>, SocketAddr) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        let mut ear = self.lock();
        let Ear { subscriber, datagram } = &mut *ear;
        loop {
            match self.socket.recv_from(datagram) {
                Ok((n, from)) => {
                    if let Reading::Message(received) = subscriber.read(datagram.get(..n).unwrap_or_default())
                    {
                        return make(&received, from).map(Some);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::System(Arc::new(error))),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ear> {
        self.ear.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(received: &Received<'_>, from: SocketAddr) -> Result<Heard<Vec<u8>>, Error> {
    Ok(Heard::new(received.payload.to_vec(), received, from))
}

/// Reads messages of one type.
#[derive(Debug)]
pub struct BroadcastSubscriber<T> {
    raw: RawBroadcastSubscriber,
    message: PhantomData<fn() -> T>,
}

impl<T: Message> BroadcastSubscriber<T> {
    pub(super) fn new(raw: RawBroadcastSubscriber) -> Self {
        Self { raw, message: PhantomData }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::Decode`] when one is not of that type; [`Error::System`]
    pub fn recv(&self) -> Result<Heard<T>, Error> {
        self.raw.take(None, decoded)
    }

    /// Waits for the next message for a while.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; as [`recv`](Self::recv)
    pub fn recv_timeout(&self, limit: Duration) -> Result<Heard<T>, Error> {
        self.raw.take(deadline(limit), decoded)
    }

    /// The next message if one has come.
    ///
    /// # Errors
    /// As [`recv`](Self::recv)
    pub fn try_recv(&self) -> Result<Option<Heard<T>>, Error> {
        self.raw.try_take(decoded)
    }

    /// What has come and what has not.
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.raw.stats()
    }

    /// Whom it hears, each with the number of its newest message.
    #[must_use]
    pub fn senders(&self) -> Vec<Header> {
        self.raw.senders()
    }
}

fn decoded<T: Message>(received: &Received<'_>, from: SocketAddr) -> Result<Heard<T>, Error> {
    Ok(Heard::new(received.decode()?, received, from))
}
