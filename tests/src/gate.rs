//! A gate in front of a TCP port: any number of connections pass through it, until somebody cuts them, freezes them, or shuts
//! the gate. For programs that connect again by themselves; what is damaged on a line is the business of [`proxy`].
//!
//! Invariant: bytes pass in order and unchanged, or not at all. Like [`proxy`] it lives in real time.
//!
//! [`proxy`]: crate::proxy

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a thread that has nothing to do looks for orders.
const LOOK: Duration = Duration::from_millis(5);

/// A gate at work. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    /// Where the connections go.
    to: Mutex<String>,
    passing: Mutex<Vec<Passing>>,
    passed: AtomicUsize,
    shut: AtomicBool,
    over: AtomicBool,
}

#[derive(Debug)]
struct Passing {
    ends: [TcpStream; 2],
    /// [`MOVES`] and so on.
    order: Arc<AtomicU8>,
}

const MOVES: u8 = 0;
const FROZEN: u8 = 1;
const OVER: u8 = 2;

impl Gate {
    /// Passes on whoever comes to a port of this machine to `to`, `HOST:PORT`.
    ///
    /// # Errors
    /// No port can be had.
    pub fn new(to: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            to: Mutex::new(to.to_owned()),
            passing: Mutex::default(),
            passed: AtomicUsize::new(0),
            shut: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let thread = std::thread::spawn({
            let state = Arc::clone(&state);
            move || state.accept(&listener)
        });
        Ok(Self { address, state, thread: Some(thread) })
    }

    /// Where it is, `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connections have passed so far.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.state.passed.load(Ordering::SeqCst)
    }

    /// Ends the connections that are passing now.
    pub fn cut(&self) {
        for passing in lock(&self.state.passing).drain(..) {
            passing.cut();
        }
    }

    /// Moves no more bytes of the connections that are passing now, and leaves them open: nobody is told.
    pub fn freeze(&self) {
        for passing in lock(&self.state.passing).iter() {
            passing.order.store(FROZEN, Ordering::SeqCst);
        }
    }

    /// While it is shut, whoever comes is sent away at once.
    pub fn shut(&self, shut: bool) {
        self.state.shut.store(shut, Ordering::SeqCst);
    }

    /// From now on connections go there.
    pub fn lead_to(&self, to: &str) {
        to.clone_into(&mut lock(&self.state.to));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn accept(&self, listener: &TcpListener) {
        while !self.over.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((near, _)) if !self.shut.load(Ordering::SeqCst) => {
                    let to = lock(&self.to).clone();
                    // Who is not there is not there for who comes, either.
                    let _ = TcpStream::connect(to).and_then(|far| self.pass(near, far));
                }
                Ok(_) => {}
                Err(_) => std::thread::sleep(LOOK),
            }
        }
        for passing in lock(&self.passing).drain(..) {
            passing.cut();
        }
    }

    fn pass(&self, near: TcpStream, far: TcpStream) -> io::Result<()> {
        let order = Arc::new(AtomicU8::new(MOVES));
        for (from, to) in [(&near, &far), (&far, &near)] {
            from.set_nonblocking(false)?;
            from.set_nodelay(true)?;
            from.set_read_timeout(Some(LOOK * 4))?;
            let (from, to, order) = (from.try_clone()?, to.try_clone()?, Arc::clone(&order));
            std::thread::spawn(move || copy(from, to, &order));
        }
        lock(&self.passing).push(Passing { ends: [near, far], order });
        self.passed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Passing {
    fn cut(&self) {
        self.order.store(OVER, Ordering::SeqCst);
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, order: &AtomicU8) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match order.load(Ordering::SeqCst) {
            OVER => break,
            FROZEN => {
                std::thread::sleep(LOOK);
                continue;
            }
            _ => {}
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            // It has frozen meanwhile.
            Ok(_) if order.load(Ordering::SeqCst) != MOVES => {}
            Ok(n) => {
                if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
