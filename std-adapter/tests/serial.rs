//! A real pseudo-terminal: on one side `serial://`, on the other a small port server that carries the bytes over TCP,
//! to `tcp://...?framing=serial`.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tieline_std::{
    Address, Connection, Error, IntentOptions, InterestOptions, Options, Priority, RouteName, route,
};

const LONG: Duration = Duration::from_secs(20);

/// A serial line whose far end is on a TCP port.
struct Line {
    device: Address,
    server: Address,
    /// All that has left the terminal.
    sent: Arc<Mutex<Vec<u8>>>,
    /// Keeps the terminal open; hanging it up unplugs the line.
    _plug: Option<File>,
}

fn line(baud: u32) -> Line {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let plug = File::options().read(true).write(true).open(&path).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::<Mutex<Vec<u8>>>::default();
    let notes = Arc::clone(&sent);
    thread::spawn(move || serve(master, &listener, &notes));
    Line {
        device: Address::serial(path, baud),
        server: format!("tcp://127.0.0.1:{port}?framing=serial").parse().unwrap(),
        sent,
        _plug: Some(plug),
    }
}

/// Passes bytes on, both ways.
fn serve(master: OwnedFd, listener: &TcpListener, sent: &Arc<Mutex<Vec<u8>>>) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let (terminal, socket) = (File::from(master), stream);
    let (mut from_terminal, mut to_socket) = (terminal.try_clone().unwrap(), socket.try_clone().unwrap());
    let sent = Arc::clone(sent);
    thread::spawn(move || {
        pass(&mut from_terminal, &mut to_socket, |bytes| sent.lock().unwrap().extend(bytes));
        let _ = to_socket.shutdown(std::net::Shutdown::Both);
    });
    let (mut from_socket, mut to_terminal): (TcpStream, File) = (socket, terminal);
    pass(&mut from_socket, &mut to_terminal, |_| {});
}

fn pass(from: &mut impl Read, to: &mut impl Write, note: impl Fn(&[u8])) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        note(&buffer[..n]);
        if to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

fn connected(baud: u32) -> (Connection, Connection, Line) {
    let line = line(baud);
    let device = line.device.clone();
    let pc = thread::spawn(move || Connection::open(&device, Options::default()).unwrap());
    let board = Connection::open(&line.server, Options::default()).unwrap();
    (pc.join().unwrap(), board, line)
}

/// Opens that address in vain, and is told these words; on a busy machine the time may be over before anybody has looked.
fn said_in_time(address: &Address, words: &[&str]) {
    let options = Options { timeout: Some(Duration::from_millis(200)), ..Options::default() };
    let mut said = String::new();
    for _ in 0..10 {
        said = Connection::open(address, options).unwrap_err().to_string();
        if words.iter().all(|words| said.contains(words)) {
            return;
        }
    }
    panic!("{said}");
}

fn name(text: &str) -> &'static RouteName {
    route(text).unwrap()
}

#[test]
fn reliable_messages_cross_a_serial_line_both_ways() {
    const COUNT: u32 = 2000;
    let (pc, board, _line) = connected(4_000_000);
    thread::scope(|scope| {
        for (here, there, text) in [(&pc, &board, "Line@serial.down"), (&board, &pc, "Line@serial.up")] {
            let publisher = here.raw_publisher(name(text), IntentOptions::reliable()).unwrap();
            let subscriber = there.raw_subscriber(name(text), InterestOptions::default()).unwrap();
            scope.spawn(move || {
                publisher.wait_audience(LONG).unwrap();
                for number in 0..COUNT {
                    publisher.publish(format!("{text} {number}").as_bytes()).unwrap();
                }
                here.flush(LONG).unwrap();
            });
            scope.spawn(move || {
                for number in 0..COUNT {
                    let line = subscriber.recv_timeout(LONG).unwrap();
                    assert_eq!(line, format!("{text} {number}").into_bytes());
                }
            });
        }
    });
    let (here, there) = (pc.stats(), board.stats());
    assert_eq!((here.check_failures, there.check_failures), (0, 0));
}

#[test]
fn what_is_urgent_overtakes_what_is_not_sent_yet() {
    const STOP: &[u8] = b"stop it, said once";
    let (pc, board, line) = connected(115_200);
    let background = IntentOptions { priority: Priority::Background, ..IntentOptions::best_effort() };
    let urgent = IntentOptions { priority: Priority::Urgent, ..IntentOptions::reliable() };
    let bulk = pc.raw_publisher(name("Bulk@serial.bulk"), background).unwrap();
    let stop = pc.raw_publisher(name("Stop@serial.stop"), urgent).unwrap();
    let read_bulk = board.raw_subscriber(bulk.route(), InterestOptions::default()).unwrap();
    let read_stop = board.raw_subscriber(stop.route(), InterestOptions::default()).unwrap();
    bulk.wait_audience(LONG).unwrap();
    stop.wait_audience(LONG).unwrap();

    // 40 messages of 35 ms line time each: more than a second of it. Where the command stands among them shows, unless this
    // thread was away from the processor before it had said it.
    let mut away = Duration::MAX;
    for _ in 0..20 {
        let before = line.sent.lock().unwrap().len();
        let begin = Instant::now();
        bulk.publish_all(&[[7_u8; 400]; 40]).unwrap();
        stop.publish(STOP).unwrap();
        away = begin.elapsed();
        assert_eq!(read_stop.recv_timeout(LONG).unwrap(), STOP);
        for _ in 0..40 {
            read_bulk.recv_timeout(LONG).unwrap();
        }
        let all_after = begin.elapsed();
        assert!(all_after > Duration::from_millis(1000), "the line has a rate: {all_after:?}");
        if away < Duration::from_millis(200) {
            let sent = line.sent.lock().unwrap();
            let ahead = sent[before..].windows(STOP.len()).position(|bytes| bytes == STOP).unwrap();
            assert!(ahead < 40 * 400 / 2, "{ahead} bytes ahead of the command");
            return;
        }
    }
    panic!("this machine is too busy: it takes {away:?} to publish");
}

#[test]
fn requests_cross_a_serial_line() {
    let (pc, board, _line) = connected(921_600);
    let service = board.raw_responder(name("Echo@serial.echo")).unwrap();
    let server = thread::spawn(move || service.serve(|request| Ok(request.to_vec())));
    let call = pc.raw_caller(name("Echo@serial.echo"));
    for turn in 0..200_u32 {
        let answer = call.call(&turn.to_le_bytes(), LONG).unwrap();
        assert_eq!(answer, turn.to_le_bytes());
    }
    pc.close(LONG).unwrap();
    server.join().unwrap().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_without_a_dtr_line_is_said_at_once() {
    let line = line(115_200);
    for level in ["on", "off"] {
        let address: Address = format!("{}&dtr={level}", line.device).parse().unwrap();
        let begin = Instant::now();
        let error = Connection::open(&address, Options::default()).unwrap_err();
        assert!(matches!(error, Error::Open { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("has no DTR line: leave dtr= away"), "{error}");
        assert!(begin.elapsed() < Options::DIAL_TIMEOUT / 2, "{:?}", begin.elapsed());
    }
}

#[test]
fn a_port_is_opened_by_one_program_at_a_time() {
    let (_pc, _board, line) = connected(921_600);
    let options = Options { timeout: Some(Duration::from_millis(200)), ..Options::default() };
    let error = Connection::open(&line.device, options).unwrap_err();
    assert!(error.to_string().contains(&line.device.to_string()), "{error}");
}

#[test]
fn a_device_that_is_not_there_is_said() {
    let address = Address::serial("/dev/there-is-no-such-device", 115_200);
    let options = Options { timeout: Some(Duration::from_millis(150)), ..Options::default() };
    let error = Connection::open(&address, options).unwrap_err();
    assert!(matches!(error, Error::NoPeer { .. }), "{error}");
    assert!(error.to_string().contains("/dev/there-is-no-such-device"), "{error}");
}

#[test]
fn a_silent_line_is_said() {
    let line = line(921_600);
    // Somebody must listen to the terminal, or it would be unplugged.
    let _server =
        TcpStream::connect(line.server.to_string().trim_start_matches("tcp://").split('?').next().unwrap());
    said_in_time(&line.device, &["not one byte came"]);
}

#[test]
fn control_lines_are_as_the_address_says() {
    let line = line(115_200);
    let text = format!("{}&flow=rtscts&dtr=keep", line.device);
    let device: Address = text.parse().unwrap();
    let server = line.server.clone();
    let far = thread::spawn(move || Connection::open(&server, Options::default()).unwrap());
    let near = Connection::open(&device, Options::default()).unwrap();
    assert!(near.peer().is_some());
    // Nobody else gets in, and is told why.
    let words =
        if cfg!(target_os = "linux") { format!("(process {})", std::process::id()) } else { String::new() };
    said_in_time(&device, &["has it open", &words]);
    drop(far.join().unwrap());
}
