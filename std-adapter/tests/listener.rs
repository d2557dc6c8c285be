//! A listener with several peers, strangers and worse. Threads are counted, so one story at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tieline::framing::{Framing, Peeked, Sealer};
use tieline::packet::{Hello, HelloBody, HelloHead, Mode, Packet, SeqWidth};
use tieline::wire::Writer;
use tieline_std::{
    Address, Connection, Error, Event, IntentOptions, InterestOptions, Listener, Options, Policy, RouteName,
    route,
};
use tieline_tests::gate::Gate;

const LONG: Duration = Duration::from_secs(30);

fn name(text: &str) -> &'static RouteName {
    route(text).unwrap()
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static STORY: Mutex<()> = Mutex::new(());
    STORY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn quick(name: &'static str) -> Options {
    Options {
        name,
        policy: Policy::Reconnect { first: Duration::from_millis(5), most: Duration::from_millis(50) },
        ping_interval: Duration::from_millis(100),
        silence: Duration::from_millis(500),
        timeout: Some(LONG),
        ..Options::default()
    }
}

fn listener() -> (Listener, Address, String) {
    let listener = Listener::bind(&Address::tcp_listen("127.0.0.1", 0)).unwrap();
    let address = listener.address().to_dial();
    let place = address.to_string().trim_start_matches("tcp://").to_owned();
    (listener, address, place)
}

fn through(gate: &Gate) -> Address {
    format!("tcp://{}", gate.address()).parse().unwrap()
}

/// Threads of this process that are the library's: those of the test's harness come and go.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.starts_with("tieline"))
        .count()
}

/// Threads end a moment after what they belong to.
fn assert_threads(most: usize) {
    let begin = Instant::now();
    while threads() > most {
        assert!(begin.elapsed() < LONG / 3, "{} threads, and at most {most} are right", threads());
        thread::sleep(Duration::from_millis(10));
    }
}

/// A HELLO of somebody who will never say anything else.
fn hello(boot: u64, name: &str) -> Vec<u8> {
    hello_of(1, boot, name)
}

fn hello_of(major: u8, boot: u64, name: &str) -> Vec<u8> {
    answer_of(major, boot, name, 0)
}

fn answer_of(major: u8, boot: u64, name: &str, echo: u64) -> Vec<u8> {
    let head = HelloHead { major, minor: 0, done: false, nonce: boot << 16 | 1, echo };
    let body = HelloBody {
        name: name.try_into().unwrap(),
        mode: Mode::Fresh,
        capabilities: 0,
        frame_max: 80,
        message_max: 64,
        requests: 0,
        ping_ms: 1000,
        silence_ms: 3000,
        resume_s: 0,
        clock: 0,
    };
    let mut out = [0; 200];
    let sealer = Sealer { framing: Framing::Stream, number: 0 };
    let mut w = Writer::new(sealer.area(&mut out, 80).unwrap());
    Packet::Hello(Hello { head, body: Some(body) }).emit(&mut w, SeqWidth::Four, true).unwrap();
    let len = w.len();
    sealer.seal(&mut out, 80, len, u32::MAX, false).unwrap().to_vec()
}

#[test]
fn two_hundred_silent_or_hostile_clients_do_not_hold_up_a_good_one() {
    let _story = one_at_a_time();
    let (listener, address, place) = listener();
    let before = threads();
    let crowd: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(&place).unwrap();
            let greeting = hello(1000 + number, "");
            let _ = match number % 5 {
                0 => Ok(()),
                1 => stream.write_all(b"GET / HTTP/1.1\r\n\r\n"),
                2 => stream.write_all(&greeting[..20]),
                3 => stream.write_all(&greeting),
                _ => stream.write_all(&[0xFF; 5000]),
            };
            stream
        })
        .collect();
    let begin = Instant::now();
    let good = thread::spawn(move || Connection::open(&address, quick("good")).unwrap());
    let here = listener.accept(quick("here")).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(here.peer().unwrap().name, "good");
    let good = good.join().unwrap();
    let publisher = good.raw_publisher(name("Line@good"), IntentOptions::reliable()).unwrap();
    let subscriber = here.raw_subscriber(name("Line@good"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    publisher.publish(b"through the crowd").unwrap();
    assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"through the crowd");
    // Whoever only greets costs a thread for a while; not all of them do at once.
    assert!(threads() < before + 30, "{} threads, {before} before", threads());
    drop((crowd, publisher, subscriber, good, here, listener));
    assert_threads(before);
}

#[test]
fn forty_peers_that_come_at_once_are_all_accepted_and_none_is_turned_away_for_good() {
    const PEERS: usize = 40;
    let _story = one_at_a_time();
    let (listener, address, _) = listener();
    let all_come = Barrier::new(PEERS + 1);
    thread::scope(|scope| {
        let come = || {
            all_come.wait();
            Connection::open(&address, quick("many")).unwrap()
        };
        let peers: Vec<_> = (0..PEERS).map(|_| scope.spawn(come)).collect();
        all_come.wait();
        // They are all at the door before anybody looks: what comes at once is the point of this story.
        thread::sleep(Duration::from_millis(300));
        let accepted: Vec<_> = peers.iter().map(|_| listener.accept(quick("here")).unwrap()).collect();
        let peers: Vec<_> = peers.into_iter().map(|peer| peer.join().unwrap()).collect();
        for connection in accepted.iter().chain(&peers) {
            assert!(connection.ended().is_none(), "{:?}", connection.ended());
            connection.peer_report(LONG).unwrap();
        }
    });
}

#[test]
fn several_peers_are_served_and_each_comes_back_to_its_own_session() {
    let _story = one_at_a_time();
    let (listener, _, place) = listener();
    let gates = [Gate::new(&place).unwrap(), Gate::new(&place).unwrap()];
    let peers = [("left", &gates[0]), ("right", &gates[1])].map(|(name, gate)| {
        let address = through(gate);
        let opens = thread::spawn(move || Connection::open(&address, quick(name)).unwrap());
        let here = listener.accept(quick("here")).unwrap();
        assert_eq!(here.peer().unwrap().name, name);
        (opens.join().unwrap(), here)
    });
    let lines = peers.each_ref().map(|(there, here)| {
        let publisher = there.raw_publisher(name("Line@several"), IntentOptions::reliable()).unwrap();
        let subscriber = here.raw_subscriber(name("Line@several"), InterestOptions::default()).unwrap();
        publisher.wait_audience(LONG).unwrap();
        (publisher, subscriber)
    });
    for turn in 0..10_u32 {
        gates[turn as usize % 2].cut();
        for (index, (publisher, subscriber)) in lines.iter().enumerate() {
            let text = format!("{index} {turn}").into_bytes();
            publisher.publish(&text).unwrap();
            assert_eq!(subscriber.recv_timeout(LONG).unwrap(), text);
        }
    }
    for (there, here) in &peers {
        there.flush(LONG).unwrap();
        let events = here.events();
        let mut resumed = false;
        while let Some(event) = events.try_recv() {
            assert!(!matches!(event, Event::Lost(_) | Event::Ended(_)), "{event:?}");
            resumed |= matches!(event, Event::Established { resumed: true, .. });
        }
        assert!(resumed);
    }
    let nobody = listener.accept(Options { timeout: Some(Duration::from_millis(50)), ..quick("here") });
    assert!(matches!(nobody, Err(Error::NoPeer { .. })), "nobody new has come");
}

#[test]
fn two_peers_of_the_same_name_are_two() {
    let _story = one_at_a_time();
    let (listener, address, _) = listener();
    let mut pairs = Vec::new();
    for number in 0..3_u8 {
        let address = address.clone();
        let opens = thread::spawn(move || Connection::open(&address, quick("twin")).unwrap());
        let here = listener.accept(quick("here")).unwrap();
        pairs.push((opens.join().unwrap(), here, number));
    }
    for (there, here, number) in &pairs {
        let publisher = there.raw_publisher(name("Line@twin"), IntentOptions::reliable()).unwrap();
        let subscriber = here.raw_subscriber(name("Line@twin"), InterestOptions::default()).unwrap();
        publisher.wait_audience(LONG).unwrap();
        publisher.publish(&[*number]).unwrap();
        assert_eq!(subscriber.recv_timeout(LONG).unwrap(), [*number]);
    }
}

#[test]
fn a_peer_that_does_not_come_back_ends_its_connection_when_the_session_does() {
    let _story = one_at_a_time();
    let (listener, _, place) = listener();
    let gate = Gate::new(&place).unwrap();
    let options = |name| Options { resume_for: Duration::from_millis(300), ..quick(name) };
    let address = through(&gate);
    let opens = thread::spawn(move || Connection::open(&address, options("gone")).unwrap());
    let here = listener.accept(options("here")).unwrap();
    let there = opens.join().unwrap();
    gate.shut(true);
    gate.cut();
    let error =
        here.raw_subscriber(name("Line@gone"), InterestOptions::default()).unwrap().recv().unwrap_err();
    assert!(matches!(&error, Error::Ended(ended) if ended.is_transient()), "{error}");
    // Later it is a new peer.
    gate.shut(false);
    let again = listener.accept(options("here")).unwrap();
    assert_eq!(again.peer().unwrap().name, "gone");
    let events = there.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Established { resumed: false, .. }) {}
}

#[test]
fn one_frozen_peer_that_reads_nothing_holds_up_nobody() {
    let _story = one_at_a_time();
    let before = threads();
    let (listener, address, place) = listener();
    let gate = Gate::new(&place).unwrap();
    let frozen_address = through(&gate);
    // Silence is not noticed while this story lasts.
    let patient = |name| Options { silence: LONG, ..quick(name) };
    let opens = thread::spawn(move || Connection::open(&frozen_address, patient("frozen")).unwrap());
    let frozen = listener.accept(patient("here")).unwrap();
    let there = opens.join().unwrap();
    let opens = thread::spawn(move || Connection::open(&address, patient("lively")).unwrap());
    let lively = listener.accept(patient("here")).unwrap();
    let lively_there = opens.join().unwrap();

    let wide = InterestOptions { window: Some(500_000), ..InterestOptions::default() };
    let unread = there.raw_subscriber(name("Line@frozen"), wide).unwrap();
    let stuck = frozen.raw_publisher(name("Line@frozen"), IntentOptions::reliable()).unwrap();
    let stuck = stuck.with_timeout(Duration::from_millis(50));
    let publisher = lively.raw_publisher(name("Line@lively"), IntentOptions::reliable()).unwrap();
    let subscriber = lively_there.raw_subscriber(name("Line@lively"), InterestOptions::default()).unwrap();
    stuck.wait_audience(LONG).unwrap();
    publisher.wait_audience(LONG).unwrap();
    gate.freeze();
    let mut bytes = 0;
    let full = loop {
        match stuck.publish(&[7; 1000]) {
            Ok(()) => bytes += 1000,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::TimedOut), "{full}");
    assert!(bytes <= Options::default().transmit, "no more is kept than there is room: {bytes}");
    for number in 0..1000_u32 {
        publisher.publish(&number.to_le_bytes()).unwrap();
        assert_eq!(subscriber.recv_timeout(LONG).unwrap(), number.to_le_bytes());
    }
    let begin = Instant::now();
    drop((stuck, unread, publisher, subscriber, frozen, there, lively, lively_there));
    assert!(begin.elapsed() < LONG / 10, "closing waits for nobody: {:?}", begin.elapsed());
    drop((gate, listener));
    assert_threads(before);
}

#[test]
fn who_waits_for_one_peer_keeps_it_and_sends_others_away() {
    let _story = one_at_a_time();
    let before = threads();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let opens = thread::spawn(move || {
        Connection::open(&Address::tcp_listen("127.0.0.1", port), quick("one")).unwrap()
    });
    let address = Address::tcp("127.0.0.1", port);
    let first = Connection::open(&address, quick("first")).unwrap();
    let one = opens.join().unwrap();
    let options = Options { timeout: Some(Duration::from_millis(600)), ..quick("second") };
    let error = Connection::open(&address, options).unwrap_err();
    assert!(matches!(error, Error::NoPeer { .. }), "{error}");
    assert_eq!(one.peer().unwrap().name, "first");
    assert!(one.ended().is_none() && first.ended().is_none());
    drop((one, first));
    assert_threads(before);
}

#[test]
fn never_is_a_time_like_others() {
    let _only = one_at_a_time();
    let never = |name, policy| Options {
        name,
        policy,
        ping_interval: Duration::MAX,
        silence: Duration::MAX,
        timeout: Some(Duration::MAX),
        resume_for: Duration::MAX,
        ..Options::default()
    };
    let reconnect = Policy::Reconnect { first: Duration::MAX, most: Duration::MAX };
    for policy in [reconnect, Policy::Once] {
        let (listener, address, _) = listener();
        thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept(never("host", policy)).unwrap());
            let guest = Connection::open(&address, never("guest", policy)).unwrap();
            assert_eq!(guest.peer().unwrap().name.as_str(), "host");
            assert_eq!(accepted.join().unwrap().peer().unwrap().name.as_str(), "guest");
        });
        // The port is free again.
        drop(listener);
        let waiting: Address = format!("{address}?listen").parse().unwrap();
        thread::scope(|scope| {
            let opened = scope.spawn(|| Connection::open(&waiting, never("host", policy)).unwrap());
            // It may not listen yet, and with `never` nothing is tried again.
            let guest = Connection::open(&address, quick("guest")).unwrap();
            assert_eq!(guest.peer().unwrap().name.as_str(), "host");
            assert_eq!(opened.join().unwrap().peer().unwrap().name.as_str(), "guest");
        });
    }
}

/// Somebody who waits for one peer, at a port, and that peer, which comes through a gate.
fn one_and_its_peer(options: impl Fn(&'static str) -> Options) -> (Connection, Connection, Gate, Address) {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let listens = options("one");
    let opens =
        thread::spawn(move || Connection::open(&Address::tcp_listen("127.0.0.1", port), listens).unwrap());
    let gate = Gate::new(&format!("127.0.0.1:{port}")).unwrap();
    let peer = Connection::open(&through(&gate), options("board")).unwrap();
    (opens.join().unwrap(), peer, gate, Address::tcp("127.0.0.1", port))
}

#[test]
fn a_session_whose_peer_is_away_is_kept_for_it_whoever_else_comes() {
    let _story = one_at_a_time();
    let (one, peer, gate, address) = one_and_its_peer(quick);
    let events = one.events();
    gate.shut(true);
    gate.cut();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Degraded) {}
    let options = Options { timeout: Some(Duration::from_millis(600)), ..quick("guest") };
    let error = Connection::open(&address, options).unwrap_err();
    assert!(matches!(error, Error::NoPeer { .. }), "{error}");
    gate.shut(false);
    loop {
        match events.recv_timeout(LONG).unwrap() {
            Event::Established { peer, resumed } => break assert!(resumed && peer == "board", "{peer}"),
            event => assert!(!matches!(event, Event::Lost(_) | Event::Ended(_)), "{event:?}"),
        }
    }
    peer.peer_report(LONG).unwrap();
    assert!(one.ended().is_none() && peer.ended().is_none());
}

#[test]
fn once_the_session_is_over_another_peer_is_taken() {
    let _story = one_at_a_time();
    let briefly = |name| Options { resume_for: Duration::from_millis(300), ..quick(name) };
    let (one, _peer, gate, address) = one_and_its_peer(briefly);
    gate.shut(true);
    gate.cut();
    let guest = Connection::open(&address, briefly("guest")).unwrap();
    guest.peer_report(LONG).unwrap();
    assert_eq!(one.peer().unwrap().name, "guest");
}

#[test]
fn who_waits_goes_on_waiting_when_somebody_came_who_cannot_be_talked_to() {
    let _story = one_at_a_time();
    let (sends, port) = mpsc::channel();
    let opens = thread::spawn(move || {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        sends.send(port).unwrap();
        Connection::open(&Address::tcp_listen("127.0.0.1", port), quick("one"))
    });
    let port = port.recv().unwrap();
    let arrive = || {
        let begin = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < LONG, "{error}"),
            }
        }
    };
    // Another version is told ours, and sent away.
    let mut newer = arrive();
    newer.set_read_timeout(Some(LONG)).unwrap();
    newer.write_all(&hello_of(2, 7, "newer")).unwrap();
    let mut heard = Vec::new();
    newer.read_to_end(&mut heard).unwrap();
    let Peeked::Hello(answer) = Hello::peek(Framing::Stream, &heard) else { panic!("{heard:?}") };
    assert!(answer.head.major == 1 && answer.head.done && answer.head.echo == 7 << 16 | 1, "{answer:?}");
    // One breaks off what it began well.
    let mut broken = arrive();
    broken.set_read_timeout(Some(LONG)).unwrap();
    broken.write_all(&hello(8, "broken")).unwrap();
    broken.write_all(&[0xFF; 16]).unwrap();
    let _ = broken.read_to_end(&mut heard);
    // One says so only when it is asked.
    let mut turns = arrive();
    turns.set_read_timeout(Some(LONG)).unwrap();
    turns.write_all(&hello(9, "turns")).unwrap();
    let mut greeting = vec![0; 200];
    let read = turns.read(&mut greeting).unwrap();
    let Peeked::Hello(asked) = Hello::peek(Framing::Stream, &greeting[..read]) else {
        panic!("{greeting:?}")
    };
    turns.write_all(&answer_of(2, 9, "turns", asked.head.nonce)).unwrap();

    let good = Connection::open(&Address::tcp("127.0.0.1", port), quick("good")).unwrap();
    let one = opens.join().unwrap().unwrap();
    assert_eq!(one.peer().unwrap().name, "good");
    good.peer_report(LONG).unwrap();
}

#[test]
fn a_greeting_that_is_heard_again_takes_no_line_away() {
    let _story = one_at_a_time();
    let (listener, _, place) = listener();
    let middle = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = Address::tcp("127.0.0.1", middle.local_addr().unwrap().port());
    let opens = thread::spawn(move || Connection::open(&address, quick("board")).unwrap());
    // Somebody is in the middle, and has listened.
    let (mut near, _) = middle.accept().unwrap();
    let mut far = TcpStream::connect(&place).unwrap();
    let mut buffer = [0; 500];
    let length = near.read(&mut buffer).unwrap();
    let greeting = &buffer[..length];
    far.write_all(greeting).unwrap();
    let (mut back_near, mut back_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let pipes = [
        thread::spawn(move || std::io::copy(&mut near, &mut far)),
        thread::spawn(move || std::io::copy(&mut back_far, &mut back_near)),
    ];
    let here = listener.accept(quick("here")).unwrap();
    let there = opens.join().unwrap();
    let events = here.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Established { .. }) {}
    for _ in 0..3 {
        let mut again = TcpStream::connect(&place).unwrap();
        again.set_read_timeout(Some(LONG)).unwrap();
        again.write_all(greeting).unwrap();
        let mut heard = Vec::new();
        let _ = again.read_to_end(&mut heard);
        assert!(heard.is_empty(), "it is sent away without a word");
        there.peer_report(LONG).unwrap();
    }
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Event::Degraded | Event::Established { .. }), "{event:?}");
    }
    drop((there, here));
    for pipe in pipes {
        let _ = pipe.join().unwrap();
    }
}

/// One that dials two ways to a host that is at the second one, the second in use.
fn on_the_second_of(first: Address) -> (Connection, Connection, Listener) {
    let (listener, second, _) = listener();
    let opens = thread::spawn(move || Connection::open_any(&[first, second], quick("dials")).unwrap());
    let here = listener.accept(quick("here")).unwrap();
    (opens.join().unwrap(), here, listener)
}

#[test]
fn a_better_address_whose_place_is_taken_costs_a_session_nothing() {
    let _story = one_at_a_time();
    let (one, other, _gate, address) = one_and_its_peer(quick);
    let asked = Gate::new(address.to_string().trim_start_matches("tcp://")).unwrap();
    let (dials, here, _listener) = on_the_second_of(through(&asked));
    let events = dials.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Established { .. }) {}
    let (begin, before) = (Instant::now(), asked.passed());
    while asked.passed() < before + 4 {
        assert!(begin.elapsed() < LONG, "it is asked");
        dials.peer_report(LONG).unwrap();
    }
    assert!(events.try_recv().is_none(), "the session was not touched");
    assert!([&one, &other, &here].iter().all(|connection| connection.ended().is_none()));
}

#[test]
fn a_better_address_that_answers_and_does_not_keep_us_is_asked_less_and_less() {
    let _story = one_at_a_time();
    let false_friend = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = Address::tcp("127.0.0.1", false_friend.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in false_friend.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(&hello(9, "false"));
            let _ = stream.read(&mut [0; 500]);
        }
    });
    let (dials, _here, _listener) = on_the_second_of(address);
    let events = dials.events();
    let (begin, mut moves) = (Instant::now(), 0);
    // It is asked after a quarter of a second at first.
    while let Some(left) = Duration::from_secs(4).checked_sub(begin.elapsed()) {
        moves += u32::from(matches!(events.recv_timeout(left), Ok(Event::Degraded)));
    }
    assert!((1..=5).contains(&moves), "{moves} moves in vain");
    dials.peer_report(LONG).unwrap();
}

#[test]
fn lines_that_die_right_after_the_handshake_are_dialled_less_and_less() {
    let _story = one_at_a_time();
    let (listener, _, place) = listener();
    let gate = Gate::new(&place).unwrap();
    let options = |name| Options {
        policy: Policy::Reconnect { first: Duration::from_millis(5), most: Duration::from_millis(400) },
        ..quick(name)
    };
    let address = through(&gate);
    let opens = thread::spawn(move || Connection::open(&address, options("dials")).unwrap());
    let _here = listener.accept(options("here")).unwrap();
    let dials = opens.join().unwrap();
    let events = dials.events();
    let begin = Instant::now();
    while let Some(left) = Duration::from_secs(3).checked_sub(begin.elapsed()) {
        if matches!(events.recv_timeout(left), Ok(Event::Established { .. })) {
            gate.cut();
        }
    }
    // 5, 10, 20 ... 400 ms, each up to a half less: 7 in the first 635 ms, then one each 200 ms at the most.
    assert!(gate.passed() < 25, "dialled {} times in 3 s", gate.passed());
}

/// Time that the thread which receives has had of a processor, in hundredths of a second.
fn ticks_of_reception() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let of_reception = stats.filter(|stat| stat.contains("(tieline-listen)"));
    of_reception
        .map(|stat| {
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        })
        .sum()
}

#[test]
fn one_that_greets_and_hangs_up_costs_nothing() {
    let _story = one_at_a_time();
    let (listener, address, place) = listener();
    // One that may be silent for long: whether another one of its name is the same one does not show soon.
    let slow = |name| Options { ping_interval: LONG, silence: LONG * 3, ..quick(name) };
    let opens = thread::spawn(move || Connection::open(&address, slow("board")).unwrap());
    let here = listener.accept(slow("here")).unwrap();
    let there = opens.join().unwrap();
    let begin = Instant::now();
    let before = ticks_of_reception();
    let rude = socket2::Socket::from(TcpStream::connect(&place).unwrap());
    rude.send(&hello(77, "board")).unwrap();
    thread::sleep(Duration::from_millis(50));
    // Without a goodbye: the line is broken, not ended.
    rude.set_linger(Some(Duration::ZERO)).unwrap();
    drop(rude);
    while begin.elapsed() < Duration::from_millis(1000) {
        thread::sleep(Duration::from_millis(50));
    }
    let spent = ticks_of_reception() - before;
    assert!(spent < 20, "{spent} hundredths of a second");
    assert!(here.ended().is_none() && there.ended().is_none());
}
