//! Waiting for one peer: who is taken, and who is sent away.

use super::*;

#[test]
fn who_waits_for_one_peer_keeps_it_and_sends_others_away() {
    let _story = one_at_a_time();
    let before = threads();
    let port = free_port();
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
fn a_second_peer_of_the_same_name_does_not_take_the_place_of_one_that_is_heard() {
    let _story = one_at_a_time();
    let patient = |name| Options { ping_interval: LONG / 3, ..quick(name) };
    let (one, first, _gate, address) = one_and_its_peer(patient);
    let events = one.events();
    let publisher = first.raw_publisher(name("Line@twin"), IntentOptions::reliable()).unwrap();
    let subscriber = one.raw_subscriber(name("Line@twin"), InterestOptions::default()).unwrap();
    publisher.wait_audience(LONG).unwrap();
    let options = Options { timeout: Some(Duration::from_millis(600)), ..quick("board") };
    let second = thread::spawn(move || Connection::open(&address, options));
    while !second.is_finished() {
        publisher.publish(b"here").unwrap();
        assert_eq!(subscriber.recv_timeout(LONG).unwrap(), b"here");
        thread::yield_now();
    }
    let error = second.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::NoPeer { .. }), "{error}");
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Event::Degraded | Event::Lost(_) | Event::Ended(_)), "{event:?}");
    }
    assert!(one.ended().is_none() && first.ended().is_none());
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
        let port = free_port();
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
    // One that is slow is sent away before it says so.
    let _ = turns.write_all(&answer_of(2, 9, "turns", asked.head.nonce));

    let good = Connection::open(&Address::tcp("127.0.0.1", port), quick("good")).unwrap();
    let one = opens.join().unwrap().unwrap();
    assert_eq!(one.peer().unwrap().name, "good");
    good.peer_report(LONG).unwrap();
}
