//! A proxy that is a bad line: it passes real bytes between two programs and damages them on the way.
//!
//! The one part of this crate that lives in real time. It stands between two TCP connections, or between the
//! far sides of two pseudo-terminals ([`DatagramProxy`]: between two UDP sockets), and knows nothing of what it carries.
//! `cargo run -p tieline-tests --bin proxy -- --help` is the same as a program.
//!
//! Invariant: it holds a bounded number of bytes, so a side that does not read holds up its writer, as a line
//! does, and nobody else.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{Shutdown, TcpListener, TcpStream};
//! use tieline_tests::proxy::{Faults, Plan, Proxy};
//!
//! let far = TcpListener::bind("127.0.0.1:0")?;
//! let faults = Faults { bit_error: 1e-3, ..Faults::NONE };
//! let plan = Plan { seed: 7, there: faults, ..Plan::default() };
//! let proxy = Proxy::tcp("127.0.0.1:0", &far.local_addr()?.to_string(), &plan)?;
//!
//! let mut near = TcpStream::connect(&proxy.ends()[0])?;
//! let (mut far, _) = far.accept()?;
//! near.write_all(&[0; 10_000])?;
//! near.shutdown(Shutdown::Write)?;
//! let mut came = Vec::new();
//! far.read_to_end(&mut came)?;
//! drop((near, far));
//!
//! let flips: u32 = came.iter().map(|byte| byte.count_ones()).sum();
//! assert_eq!(proxy.wait()?.there.flips, flips.into());
//! # Ok::<(), std::io::Error>(())
//! ```

mod datagrams;
mod end;
mod faults;
mod relay;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use end::{End, Terminal, accept, dial};
use relay::Relay;

pub use datagrams::{DatagramCounts, DatagramFaults, DatagramProxy};
pub use faults::{Counts, Cuts, Faults};

/// What a proxy does to the bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Where chance begins.
    pub seed: u64,
    /// From the first end (TCP: who comes) to the second (TCP: who is dialled).
    pub there: Faults,
    /// From the second end to the first.
    pub back: Faults,
    /// Outages of both directions at once: somebody pulls the cable.
    pub cuts: Option<Cuts>,
}

impl Plan {
    /// The same faults both ways.
    #[must_use]
    pub const fn both(seed: u64, faults: Faults) -> Self {
        Self { seed, there: faults, back: faults, cuts: None }
    }
}

/// What a proxy has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Outages of both directions at once.
    pub cuts: u64,
    /// From the first end to the second.
    pub there: Counts,
    /// From the second end to the first.
    pub back: Counts,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there: {}\nback: {}\ncuts of both: {}", self.there, self.back, self.cuts)
    }
}

/// A proxy at work, on a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Proxy {
    ends: [String; 2],
    stop: Stop,
    /// Which directions somebody has cut by hand.
    down: Arc<[AtomicBool; 2]>,
    thread: Option<JoinHandle<io::Result<Report>>>,
}

impl Proxy {
    /// Listens at `listen` for one peer, for which it then dials `dial` (10 s long if nobody is there yet).
    /// Both are `HOST:PORT`; port 0 lets the system choose the one to listen at.
    ///
    /// # Errors
    /// The address cannot be listened at, or the system gives no thread.
    pub fn tcp(listen: &str, dial: &str, plan: &Plan) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let ends = [listener.local_addr()?.to_string(), dial.to_owned()];
        let (address, plan) = (dial.to_owned(), *plan);
        Self::start(ends, move |stop, down| {
            let Some(near) = accept(&listener, stop.as_fd())? else { return Ok(Report::default()) };
            // One peer is all that it takes; who comes later shall not wait.
            drop(listener);
            let Some(far) = self::dial(&address, stop.as_fd())? else { return Ok(Report::default()) };
            Relay::new([End::socket(near)?, End::socket(far)?], &plan).run(stop.as_fd(), &down)
        })
    }

    /// Stands between two new pseudo-terminals, whose paths are its [`ends`](Self::ends).
    ///
    /// # Errors
    /// The system gives no terminals, or no thread.
    pub fn terminals(plan: &Plan) -> io::Result<Self> {
        let (near, far) = (Terminal::open()?, Terminal::open()?);
        let ends = [near.path.clone(), far.path.clone()];
        let relay = Relay::new([End::Terminal(near), End::Terminal(far)], plan);
        Self::start(ends, move |stop, down| relay.run(stop.as_fd(), &down))
    }

    fn start(
        ends: [String; 2],
        work: impl FnOnce(OwnedFd, Arc<[AtomicBool; 2]>) -> io::Result<Report> + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let down = Arc::<[AtomicBool; 2]>::default();
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn({
            let down = Arc::clone(&down);
            move || work(stopped, down)
        })?;
        Ok(Self { ends, stop: Stop(Arc::new(stop)), down, thread: Some(thread) })
    }

    /// Where programs find the two ends: `HOST:PORT`, or the path of a terminal.
    #[must_use]
    pub fn ends(&self) -> &[String; 2] {
        &self.ends
    }

    /// From now on `there` and `back` say which directions are cut, besides the outages of the plan.
    pub fn cut(&self, there: bool, back: bool) {
        for (direction, down) in self.down.iter().zip([there, back]) {
            direction.store(down, Ordering::SeqCst);
        }
    }

    /// Stops it from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until both ends are closed. Once one is, the other one has 5 s without a byte to close, too: a
    /// terminal's program cannot be told that nothing more will come.
    ///
    /// # Errors
    /// Nobody was there to be dialled.
    pub fn wait(mut self) -> io::Result<Report> {
        self.join()
    }

    /// Closes both ends, whatever is under way.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn stop(mut self) -> io::Result<Report> {
        self.stop.stop();
        self.join()
    }

    fn join(&mut self) -> io::Result<Report> {
        let Some(thread) = self.thread.take() else { return Ok(Report::default()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the proxy panicked")))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.stop();
        // Whoever wants to know how it went has waited for it.
        let _ = self.join();
    }
}

/// Stops a [`Proxy`], from any thread.
#[derive(Debug, Clone)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// Both ends are closed at once. More than one call is no harm.
    pub fn stop(&self) {
        // It fails when the proxy has ended already.
        let _ = rustix::io::write(&*self.0, &[0]);
    }
}
