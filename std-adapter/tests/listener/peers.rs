//! Peers that come, go and come back: whose a line is.

use super::*;

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
    // The first one would have to be silent for twice that to be taken for one that was started anew.
    let here = Options { ping_interval: LONG / 3, ..quick("here") };
    for number in 0..3_u8 {
        let address = address.clone();
        let opens = thread::spawn(move || Connection::open(&address, quick("twin")).unwrap());
        let here = listener.accept(here).unwrap();
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
    let subscriber = here.raw_subscriber(name("Line@gone"), InterestOptions::default()).unwrap();
    gate.shut(true);
    gate.cut();
    let error = subscriber.recv().unwrap_err();
    assert!(matches!(&error, Error::Ended(ended) if ended.is_transient()), "{error}");
    // Later it is a new peer.
    gate.shut(false);
    let again = listener.accept(options("here")).unwrap();
    assert_eq!(again.peer().unwrap().name, "gone");
    let events = there.events();
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Established { resumed: false, .. }) {}
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

/// A peer without threads, which greets again on a line when it is told to.
struct Bare {
    endpoint: Endpoint<Inline<256, 512, 512, 4>>,
    line: TcpStream,
    begin: Instant,
    /// The first frame that it has sent since it greeted.
    greeting: Vec<u8>,
}

impl Bare {
    fn new(place: &str) -> Self {
        let mut endpoint = Endpoint::new(Inline::new());
        endpoint.start(Config::new("bare"), 0xBA5E);
        let line = TcpStream::connect(place).unwrap();
        line.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        Self { endpoint, line, begin: Instant::now(), greeting: Vec::new() }
    }

    fn now(&self) -> tieline::Instant {
        tieline::Instant::from_micros(self.begin.elapsed().as_micros().try_into().unwrap())
    }

    fn greet(&mut self) {
        self.greeting.clear();
        let now = self.now();
        self.endpoint.handle_connect(now, Link::stream()).unwrap();
    }

    /// Until that is true of an event, or of none, and of how many round trips were measured.
    fn run(&mut self, done: impl Fn(Option<tieline::Event>, u32) -> bool) {
        let mut buffer = [0; 1_024];
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < LONG, "what it waits for does not come");
            let event = self.endpoint.poll_event();
            if done(event, self.endpoint.rtt().samples) {
                return;
            }
            let now = self.now();
            self.endpoint.handle_timeout(now);
            while let Some(frame) = self.endpoint.poll_transmit(now, &mut buffer) {
                if self.greeting.is_empty() {
                    self.greeting = frame.to_vec();
                }
                self.line.write_all(frame).unwrap();
            }
            match self.line.read(&mut buffer) {
                Ok(0) => panic!("its line is taken away"),
                Ok(n) => {
                    let mut rest = &buffer[..n];
                    while !rest.is_empty() {
                        let now = self.now();
                        rest = &rest[self.endpoint.handle_input(now, rest)..];
                    }
                }
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ),
                    "{error}"
                ),
            }
        }
    }
}

#[test]
fn nor_does_one_that_was_heard_when_a_handshake_was_renewed_on_the_line() {
    let _story = one_at_a_time();
    let (listener, _, place) = listener();
    let (end, over) = mpsc::channel::<()>();
    let (says, heard) = mpsc::channel();
    let peer = thread::spawn({
        let place = place.clone();
        move || {
            let mut peer = Bare::new(&place);
            peer.greet();
            // The other side has the session, too.
            peer.run(|_, samples| samples > 0);
            peer.greet();
            peer.run(|event, _| matches!(event, Some(tieline::Event::Established { resumed: true })));
            says.send(peer.greeting.clone()).unwrap();
            peer.run(|_, _| over.try_recv() == Err(mpsc::TryRecvError::Disconnected));
        }
    });
    let here = listener.accept(quick("here")).unwrap();
    let greeting = heard.recv_timeout(LONG).unwrap();
    let mut again = TcpStream::connect(&place).unwrap();
    again.set_read_timeout(Some(LONG)).unwrap();
    again.write_all(&greeting).unwrap();
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer);
    assert!(answer.is_empty(), "it is sent away without a word");
    drop(end);
    peer.join().unwrap();
    drop(here);
}
