//! What is urgent overtakes what waits, over real TCP with a reader that has fallen behind. Bytes are counted, not time.

// Only there is the system told to take little ahead.
#![cfg(any(target_os = "android", target_os = "linux"))]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;
use tieline_std::{
    Address, Connection, IntentOptions, InterestOptions, Listener, Options, Priority, RouteName, route,
};

const LONG: Duration = Duration::from_secs(20);
/// Messages of a transfer; there are two, since a route is never ahead of its reader by more than 512 KiB.
const BULK: usize = 500;
const COMMAND: &[u8] = b"stop the motor now, said once";

/// What a system may be asked to keep for whoever reads: little, so that what is read late is not sent early.
const UNREAD: usize = 16 * 1024;
/// What may be ahead of a command at the sender. 16 KiB are what the system takes before it has sent them, 64 KiB what it
/// may add to that in one of its segments, and 64 KiB what the connection has taken from the endpoint.
const AHEAD: usize = (16 + 64 + 64) * 1024;

fn name(text: &str) -> &'static RouteName {
    route(text).unwrap()
}

/// A man in the middle who notes what is dialled through him, and who can stop reading it.
#[derive(Default)]
struct Gate {
    state: Mutex<Passed>,
    news: Condvar,
}

#[derive(Default)]
struct Passed {
    bytes: Vec<u8>,
    closed: bool,
    /// Nothing is being read.
    rests: bool,
}

impl Gate {
    /// Returns where to dial, and how much can have been sent that he has not read.
    fn before(to: &Address) -> (Arc<Self>, Address, usize) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        // Those who come have it from the listener.
        sockopt::set_socket_recv_buffer_size(&listener, UNREAD).unwrap();
        let unread = sockopt::socket_recv_buffer_size(&listener).unwrap();
        let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let to = to.to_string().trim_start_matches("tcp://").to_owned();
        let gate = Arc::new(Self::default());
        let passes = Arc::clone(&gate);
        thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(to).unwrap();
            let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
            passes.carry(near, far);
        });
        (gate, address, unread)
    }

    fn carry(&self, mut near: TcpStream, mut far: TcpStream) {
        near.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let mut state = self.state.lock().unwrap();
            while state.closed {
                state.rests = true;
                self.news.notify_all();
                state = self.news.wait(state).unwrap();
            }
            state.rests = false;
            drop(state);
            match near.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    self.state.lock().unwrap().bytes.extend(&buffer[..n]);
                    if far.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
                Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            }
        }
    }

    /// From now on nothing is read. Returns how much was.
    fn close(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.closed = true;
        self.news.wait_while(state, |state| !state.rests).unwrap().bytes.len()
    }

    fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.news.notify_all();
    }
}

#[test]
fn a_command_overtakes_transfers_that_the_line_has_not_taken() {
    // Room for the whole transfer at both ends.
    let options = Options { transmit: 4 << 20, receive: 4 << 20, silence: LONG, ..Options::default() };
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let (gate, address, unread) = Gate::before(&listener.address().to_dial());
    let dialled = thread::spawn(move || Connection::open(&address, options).unwrap());
    let b = listener.accept(options).unwrap();
    let a = dialled.join().unwrap();

    let wide = InterestOptions { window: Some(512 * 1024 - 1), ..InterestOptions::default() };
    let bulks = [name("Bulk@overtaking.one"), name("Bulk@overtaking.two")];
    let takers = bulks.map(|name| b.raw_subscriber(name, wide).unwrap());
    let urgent = name("Command@overtaking.command");
    let commands = b.raw_subscriber(urgent, InterestOptions::default()).unwrap();
    let intent = |priority| IntentOptions { priority, ..IntentOptions::reliable() };
    let transfers = bulks.map(|name| a.raw_publisher(name, intent(Priority::Background)).unwrap());
    let command = a.raw_publisher(urgent, intent(Priority::Urgent)).unwrap();
    for publisher in transfers.iter().chain([&command]) {
        publisher.wait_audience(LONG).unwrap();
    }

    let before = gate.close();
    for number in 0..BULK {
        for transfer in &transfers {
            assert!(transfer.try_publish(&[number as u8; 1000]).unwrap(), "no room for message {number}");
        }
    }
    command.publish(COMMAND).unwrap();
    gate.open();
    assert_eq!(commands.recv_timeout(LONG).unwrap(), COMMAND);
    for number in 0..BULK {
        for taker in &takers {
            assert_eq!(taker.recv_timeout(LONG).unwrap(), [number as u8; 1000]);
        }
    }

    let state = gate.state.lock().unwrap();
    let passed = &state.bytes[before..];
    let ahead = passed.windows(COMMAND.len()).position(|bytes| bytes == COMMAND).unwrap();
    println!("{ahead} of {} bytes ahead of the command; the reader's system keeps {unread}", passed.len());
    assert!(passed.len() > 2 * BULK * 1000);
    assert!(ahead <= unread + AHEAD, "{ahead} bytes ahead; {unread} of them may be with the reader");
}
