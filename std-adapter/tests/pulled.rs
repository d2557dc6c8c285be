//! A serial port that is pulled out and put back, each time as another device, while both programs go on.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tieline_std::{
    Address, Connection, Event, IntentOptions, InterestOptions, Options, Policy, RouteName, route,
};
use tieline_tests::Rng;

const LONG: Duration = Duration::from_secs(30);
const BAUD: u32 = 4_000_000;

fn name() -> &'static RouteName {
    route("Count@pulled").unwrap()
}

/// A cable between a port of this machine, as long as that is plugged in, and a board, that is at a TCP port.
struct Cable {
    /// Where the port is found, whatever its number, as under /dev/serial/by-id.
    link: PathBuf,
    board: Address,
    port: Arc<Mutex<Option<File>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    fn new(test: &str) -> Self {
        let link = std::env::temp_dir().join(format!("tieline-{}-{test}", std::process::id()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        let (port, over) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (port, over) = (Arc::clone(&port), Arc::clone(&over));
            move || carry(&listener, &port, &over)
        });
        let board = format!("tcp://127.0.0.1:{number}?framing=serial").parse().unwrap();
        Self { link, board, port, over, thread: Some(thread) }
    }

    fn plug_in(&self) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let _ = std::fs::remove_file(&self.link);
        std::os::unix::fs::symlink(path, &self.link).unwrap();
        *self.port.lock().unwrap() = Some(master.into());
    }

    fn pull_out(&self) {
        *self.port.lock().unwrap() = None;
    }

    fn address(&self) -> Address {
        Address::serial(self.link.to_str().unwrap(), BAUD)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
        let _ = std::fs::remove_file(&self.link);
    }
}

/// Carries bytes both ways; those for a port that is pulled out fall to the floor.
fn carry(listener: &TcpListener, port: &Mutex<Option<File>>, over: &AtomicBool) {
    let (mut board, _): (TcpStream, _) = listener.accept().unwrap();
    board.set_nonblocking(true).unwrap();
    board.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    while !over.load(Ordering::SeqCst) {
        let mut port = port.lock().unwrap();
        let mut moved = false;
        if let Some(port) = port.as_mut() {
            // Before somebody opens the terminal, there is nothing to read from it.
            if let Ok(n) = port.read(&mut buffer) {
                moved = true;
                board.set_nonblocking(false).unwrap();
                let _ = board.write_all(&buffer[..n]);
                board.set_nonblocking(true).unwrap();
            }
        }
        match board.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                moved = true;
                let mut rest = &buffer[..n];
                while let Some(port) = port.as_mut().filter(|_| !rest.is_empty()) {
                    match port.write(rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(_) => break,
                    }
                }
            }
            Err(_) => {}
        }
        drop(port);
        if !moved {
            thread::sleep(Duration::from_micros(500));
        }
    }
}

fn quick() -> Options {
    Options {
        policy: Policy::Reconnect { first: Duration::from_millis(10), most: Duration::from_millis(50) },
        ping_interval: Duration::from_millis(100),
        silence: Duration::from_millis(500),
        timeout: Some(LONG),
        ..Options::default()
    }
}

#[test]
fn a_port_that_is_pulled_and_put_back_as_another_device_loses_nothing() {
    let cable = Cable::new("back");
    // It is waited for, too.
    let address = cable.address();
    let pc = thread::spawn(move || Connection::open(&address, quick()));
    let board_address = cable.board.clone();
    let board = thread::spawn(move || Connection::open(&board_address, quick()));
    thread::sleep(Duration::from_millis(50));
    cable.plug_in();
    let (pc, board) = (pc.join().unwrap().unwrap(), board.join().unwrap().unwrap());
    let publisher = board.raw_publisher(name(), IntentOptions::reliable()).unwrap();
    let subscriber = pc.raw_subscriber(name(), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sends = scope.spawn(|| {
            let mut number = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                publisher.publish(&number.to_le_bytes()).unwrap();
                number += 1;
                thread::sleep(Duration::from_micros(200));
            }
            publisher.publish(&u32::MAX.to_le_bytes()).unwrap();
            number
        });
        let reads = scope.spawn(|| {
            let mut next = 0;
            loop {
                let payload = subscriber.recv_timeout(LONG).unwrap();
                match u32::from_le_bytes(payload.as_slice().try_into().unwrap()) {
                    u32::MAX => return next,
                    number => assert_eq!(number, next, "lost, doubled or out of order"),
                }
                next += 1;
            }
        });
        let mut rng = Rng::new(7);
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(100 + rng.below(100)));
            cable.pull_out();
            thread::sleep(Duration::from_millis(rng.below(700)));
            cable.plug_in();
        }
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::SeqCst);
        assert_eq!(sends.join().unwrap(), reads.join().unwrap());
    });
    board.flush(LONG).unwrap();
    let events = pc.events();
    let mut resumed = false;
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Event::Lost(_) | Event::Ended(_)), "{event:?}");
        resumed |= matches!(event, Event::Established { resumed: true, .. });
    }
    assert!(resumed);
}
