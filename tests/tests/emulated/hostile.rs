//! Bytes that mean harm, and more of good ones than a board can take.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use tieline::{Config, Endpoint, Event, Inline, Instant, Link};
use tieline_app::{COMMAND, GetStatus, RATE_CHANGED, STATUS, SetRate, Status};
use tieline_std::{Address, CallError, Connection, IntentOptions, Options};
use tieline_tests::{Rng, chaos, forge};

use crate::boards;
use crate::pc::{LIMIT, Pc};

/// Bytes of one attack: more than everything on the way can hold.
const ATTACK: usize = 64 * 1024;
/// A well-behaved program after an attack: from its start to a session with all routes.
const AT_ONCE: Duration = Duration::from_secs(2);
/// A busy host may stop the board for longer than that, but not each time.
const TRIES: u64 = 4;

type Attack = (&'static str, fn(&mut Rng) -> Vec<u8>);

const ATTACKS: [Attack; 6] = [
    ("noise", |rng| rng.bytes(ATTACK)),
    ("zeros", |_| vec![0; ATTACK]),
    ("an endless frame", |_| vec![7; ATTACK]),
    ("greetings of thousands", |rng| many(rng, hello)),
    ("frames that look right", |rng| many(rng, junk)),
    ("half a greeting", |rng| {
        let mut hello = hello(rng);
        hello.truncate(hello.len() / 2);
        hello
    }),
];

fn many(rng: &mut Rng, frame: fn(&mut Rng) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < ATTACK {
        bytes.extend(frame(rng));
    }
    bytes
}

/// The greeting of somebody who has just started: as good as any.
fn hello(rng: &mut Rng) -> Vec<u8> {
    let mut endpoint = Endpoint::new(Inline::<256, 512, 512, 8>::new());
    endpoint.start(Config::new("stranger"), rng.next());
    endpoint.handle_connect(Instant::ZERO, Link::serial(0)).unwrap();
    let mut out = [0; 300];
    endpoint.poll_transmit(Instant::ZERO, &mut out).expect("a greeting").to_vec()
}

/// Packets of all kinds, in a frame whose check is right for some session that is not, or damaged.
fn junk(rng: &mut Rng) -> Vec<u8> {
    let frame = forge::frame(&packets(rng), rng.next(), rng.next());
    if rng.chance(0.5) { chaos::mangled(&frame, rng) } else { frame }
}

fn packets(rng: &mut Rng) -> Vec<u8> {
    let mut seq = rng.next() as u32;
    loop {
        let packets = chaos::some_packets(rng, &mut seq);
        if !packets.is_empty() {
            return packets;
        }
    }
}

/// Connects and sends bytes, without a look at what comes; then is gone, when the board has taken them.
fn attack(uart: SocketAddr, bytes: &[u8]) {
    let line = TcpStream::connect(uart).expect("the board's UART");
    throw(line, bytes);
}

fn throw(mut line: TcpStream, bytes: &[u8]) {
    line.set_write_timeout(Some(LIMIT)).unwrap();
    line.set_read_timeout(Some(LIMIT)).unwrap();
    let mut answers = line.try_clone().unwrap();
    let hears = std::thread::spawn(move || {
        let mut heard = [0; 4096];
        // The emulator hangs up when the board has taken all.
        while answers.read(&mut heard).expect("it goes on taking bytes") > 0 {}
    });
    line.write_all(bytes).expect("the board takes bytes, whatever they are");
    line.shutdown(Shutdown::Write).unwrap();
    hears.join().unwrap();
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn whatever_was_on_the_line_a_program_that_behaves_is_served_at_once() {
    let board = boards::main().start();
    let mut rng = Rng::new(6);
    let mut pc = Pc::connect(board.uart(), 1);
    pc.ready();
    assert!(pc.publish(20));
    assert_eq!(pc.status().commands, 1);
    drop(pc);
    let mut uptime_ms = 0;
    let mut nonce = 2..;
    for (name, bytes) in &ATTACKS {
        let mut spans = Vec::new();
        while spans.last().is_none_or(|took| *took >= AT_ONCE) {
            attack(board.uart(), &bytes(&mut rng));
            let mut pc = Pc::connect(board.uart(), nonce.next().unwrap());
            pc.subscribe();
            spans.push(pc.ready());
            assert!(
                spans.len() < TRIES as usize || spans[TRIES as usize - 1] < AT_ONCE,
                "after {name}: {spans:?}"
            );
            pc.until("samples", |pc| pc.samples.len() > 2);
            let status = pc.status();
            // The same start: nothing of it was forgotten.
            assert!(status.commands == 1 && status.uptime_ms > uptime_ms, "after {name}: {status:?}");
            uptime_ms = status.uptime_ms;
        }
        println!("after {name}: served after {spans:?}");
    }
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_peer_that_goes_mad_in_its_session_is_survived() {
    let board = boards::main().start();
    let mut rng = Rng::new(9);
    let mut uptime_ms = 0;
    let mut spans = Vec::new();
    for turn in 0..TRIES {
        let mut pc = Pc::connect(board.uart(), 1 + turn);
        pc.subscribe();
        spans.push(pc.ready());
        let status = pc.status();
        assert!(status.uptime_ms > uptime_ms, "in turn {turn}: {status:?}");
        uptime_ms = status.uptime_ms;
        // From here on each frame has the right check, and says anything.
        let (ours, theirs) = pc.nonces();
        let mut seq = 0;
        let mut bytes = Vec::new();
        while bytes.len() < ATTACK {
            let packets = chaos::some_packets(&mut rng, &mut seq);
            if !packets.is_empty() {
                bytes.extend(forge::frame(&packets, ours, theirs));
            }
        }
        throw(pc.into_line(), &bytes);
    }
    // The first turn is before any of it.
    assert!(spans.iter().skip(1).any(|took| *took < AT_ONCE), "{spans:?}");
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_session_survives_what_others_say_on_its_line() {
    const COMMANDS: u32 = 100;
    // At most 30 KB/s of strange bytes, which any board reads: what waits on the way would delay the session's own frames
    // without bound.
    const PAUSE: Duration = Duration::from_millis(10);
    let board = boards::main().start();
    let mut rng = Rng::new(7);
    let mut pc = Pc::connect(board.uart(), 1);
    pc.ready();
    let mut published = 0;
    let mut turn = 0;
    let mut due = pc.now();
    pc.until("reports", |pc| {
        if pc.now() < due {
            return false;
        }
        due = pc.now() + PAUSE;
        let strange = match turn % 4 {
            0 => rng.bytes(200),
            1 => hello(&mut rng),
            2 => junk(&mut rng),
            _ => vec![0; 300],
        };
        turn += 1;
        pc.inject(&strange);
        if published < COMMANDS && pc.publish(published % 997 + 1) {
            published += 1;
        }
        pc.reports.len() >= COMMANDS as usize
    });
    for (number, report) in (0..).zip(&pc.reports) {
        assert_eq!((report.commands, report.hertz), (number + 1, number % 997 + 1));
    }
    let fallen = pc
        .events
        .iter()
        .find(|event| matches!(event, Event::Lost(_) | Event::Degraded(_) | Event::Closed(_)));
    assert_eq!(fallen, None);
    let status = pc.status();
    assert_eq!(status.commands, COMMANDS, "{status:?}");
    println!("{COMMANDS} commands between {turn} strange things");
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_program_that_does_not_read_harms_nobody_after_it() {
    let board = boards::main().start();
    let mut spans = Vec::new();
    while spans.last().is_none_or(|took| *took >= AT_ONCE) {
        assert!(spans.len() < TRIES as usize, "{spans:?}");
        let turn = spans.len() as u64;
        let mut pc = Pc::connect(board.uart(), 1 + 2 * turn);
        pc.subscribe();
        pc.ready();
        while !pc.publish(1000) {
            pc.turn();
        }
        pc.samples.clear();
        pc.until("samples", |pc| pc.samples.len() > 100);
        // It hangs, with its line open, and the board goes on sending.
        std::thread::sleep(Duration::from_secs(2));
        drop(pc);
        let mut pc = Pc::connect(board.uart(), 2 + 2 * turn);
        spans.push(pc.ready());
        let status = pc.status();
        assert!(u64::from(status.commands) == turn + 1 && status.uptime_ms > 2000, "{status:?}");
    }
}

#[test]
#[ignore = "needs emulated boards: cargo xtask test --only emulated"]
fn a_flood_from_the_pc_loses_nothing_and_is_survived() {
    const COMMANDS: u32 = 4000;
    const ASKERS: usize = 4;
    let board = boards::main().start();
    let address: Address = format!("tcp://{}?framing=serial", board.uart()).parse().unwrap();
    let pc =
        Connection::open(&address, Options { name: "flood", silence: LIMIT, ..Options::default() }).unwrap();
    let commands = pc.publisher(&COMMAND, IntentOptions::reliable()).unwrap();
    let reports = pc.subscriber(&RATE_CHANGED).unwrap();
    commands.wait_audience(LIMIT).unwrap();
    // Everybody at once and as fast as they can: the board says when it has room.
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let status = pc.caller::<GetStatus, Status>(&STATUS);
            std::thread::spawn(move || {
                let (mut answered, mut busy) = (0, 0);
                while answered < 300 {
                    match status.call(&GetStatus, LIMIT) {
                        Ok(_) => answered += 1,
                        Err(CallError::Busy) => busy += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                busy
            })
        })
        .collect();
    let reader = std::thread::spawn(move || {
        for number in 0..COMMANDS {
            let report = reports.recv_timeout(LIMIT).unwrap();
            assert_eq!((report.commands, report.hertz), (number + 1, number % 997 + 1));
        }
    });
    for number in 0..COMMANDS {
        commands.publish(&SetRate { hertz: number % 997 + 1 }).unwrap();
    }
    pc.flush(LIMIT).unwrap();
    reader.join().unwrap();
    let busy: Vec<u32> = askers.into_iter().map(|asker| asker.join().unwrap()).collect();
    let status = pc.caller::<GetStatus, Status>(&STATUS).call(&GetStatus, LIMIT).unwrap();
    assert_eq!((status.commands, status.errors), (COMMANDS, 0), "{status:?}");
    println!("{COMMANDS} commands, {} requests, busy {busy:?}; {status:?}", ASKERS * 300);
    pc.close(LIMIT).unwrap();
}
