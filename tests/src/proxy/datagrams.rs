//! A bad network between two UDP sockets: datagrams are lost, repeated and held back until others have passed them.
//!
//! Invariant: a datagram is passed on whole and unchanged, or not at all; at most [`HELD_MAX`] are held back.

use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Stop;
use crate::rng::Rng;

/// Datagrams that are held back at once; more are passed on at once.
const HELD_MAX: usize = 4096;

/// What happens to datagrams, both ways. All probabilities default to 0.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct DatagramFaults {
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that it is passed on twice.
    pub duplication: f64,
    /// Probability that it, or its second copy, is held back.
    pub holding: f64,
    /// For how long, at the most, ms.
    pub hold_ms: u64,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Datagrams that came.
    pub came: u64,
    /// Lost ones.
    pub lost: u64,
    /// Those that were passed on twice.
    pub duplicated: u64,
    /// Those that were held back.
    pub held: u64,
}

/// A proxy for datagrams at work, on a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct DatagramProxy {
    near: SocketAddr,
    stop: Stop,
    /// Nothing passes.
    down: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<DatagramCounts>>>,
}

impl DatagramProxy {
    /// Passes on to `dial` what comes to a port of this machine, and back to whoever has sent there last.
    ///
    /// # Errors
    /// The system gives no sockets, or no thread.
    pub fn start(dial: &str, faults: DatagramFaults, seed: u64) -> io::Result<Self> {
        let near = UdpSocket::bind("127.0.0.1:0")?;
        let far = UdpSocket::bind("127.0.0.1:0")?;
        far.connect(dial)?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let address = near.local_addr()?;
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let down = Arc::<AtomicBool>::default();
        let relay = Relay {
            near,
            far,
            peer: None,
            faults,
            rng: Rng::new(seed),
            held: BinaryHeap::new(),
            counts: DatagramCounts::default(),
            down: Arc::clone(&down),
        };
        let thread =
            std::thread::Builder::new().name("proxy".to_owned()).spawn(move || relay.run(&stopped))?;
        Ok(Self { near: address, stop: Stop(Arc::new(stop)), down, thread: Some(thread) })
    }

    /// The port that it listens at.
    #[must_use]
    pub fn near(&self) -> SocketAddr {
        self.near
    }

    /// From now on nothing passes, or everything again.
    pub fn cut(&self, cut: bool) {
        self.down.store(cut, Ordering::SeqCst);
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the system has refused.
    pub fn stop(mut self) -> io::Result<DatagramCounts> {
        self.join()
    }

    fn join(&mut self) -> io::Result<DatagramCounts> {
        self.stop.stop();
        let Some(thread) = self.thread.take() else { return Ok(DatagramCounts::default()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the proxy panicked")))
    }
}

impl Drop for DatagramProxy {
    fn drop(&mut self) {
        // Whoever wants to know how it went has stopped it.
        let _ = self.join();
    }
}

struct Relay {
    near: UdpSocket,
    far: UdpSocket,
    /// Who has sent to the near port last.
    peer: Option<SocketAddr>,
    faults: DatagramFaults,
    rng: Rng,
    /// The one that is due first is the greatest.
    held: BinaryHeap<Held>,
    counts: DatagramCounts,
    down: Arc<AtomicBool>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: std::cmp::Reverse<Instant>,
    there: bool,
    datagram: Vec<u8>,
}

impl Relay {
    fn run(mut self, stop: &OwnedFd) -> io::Result<DatagramCounts> {
        loop {
            let left = self.held.peek().map(|held| held.due.0.saturating_duration_since(Instant::now()));
            let limit = left.map(|left| Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut fds = [stop.as_fd(), self.near.as_fd(), self.far.as_fd()]
                .map(|fd| (fd, PollFlags::IN))
                .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
            let _ = poll(&mut fds, limit.as_ref());
            if !fds[0].revents().is_empty() {
                return Ok(self.counts);
            }
            self.take(true);
            self.take(false);
            while self.held.peek().is_some_and(|held| held.due.0 <= Instant::now()) {
                let Some(Held { there, datagram, .. }) = self.held.pop() else { break };
                self.pass(there, &datagram);
            }
        }
    }

    fn take(&mut self, there: bool) {
        let mut buffer = [0; 65_536];
        loop {
            let received = if there {
                self.near.recv_from(&mut buffer).map(|(n, peer)| {
                    self.peer = Some(peer);
                    n
                })
            } else {
                self.far.recv(&mut buffer)
            };
            match received {
                Ok(n) => self.decide(there, &buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody is there to be reached; that was of an earlier one.
                Err(_) => {}
            }
        }
    }

    fn decide(&mut self, there: bool, datagram: &[u8]) {
        self.counts.came += 1;
        if self.down.load(Ordering::SeqCst) || self.rng.chance(self.faults.loss) {
            self.counts.lost += 1;
            return;
        }
        let mut copies = 1;
        if self.rng.chance(self.faults.duplication) {
            self.counts.duplicated += 1;
            copies = 2;
        }
        for _ in 0..copies {
            if self.rng.chance(self.faults.holding) && self.held.len() < HELD_MAX {
                self.counts.held += 1;
                let span = Duration::from_micros(self.rng.between(1, self.faults.hold_ms * 1000));
                let due = std::cmp::Reverse(Instant::now() + span);
                self.held.push(Held { due, there, datagram: datagram.to_vec() });
            } else {
                self.pass(there, datagram);
            }
        }
    }

    fn pass(&self, there: bool, datagram: &[u8]) {
        // What the system refuses is lost, as on any network.
        let _ = match (there, self.peer) {
            (true, _) => self.far.send(datagram),
            (false, Some(peer)) => self.near.send_to(datagram, peer),
            (false, None) => Ok(0),
        };
    }
}
