//! What whoever dials makes of a better address, and of lines that die.

use super::*;

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
    // It is asked after a quarter of a second at first.
    while !matches!(events.recv_timeout(LONG).unwrap(), Event::Degraded) {}
    let (begin, mut moves) = (Instant::now(), 1);
    while let Some(left) = Duration::from_secs(4).checked_sub(begin.elapsed()) {
        moves += u32::from(matches!(events.recv_timeout(left), Ok(Event::Degraded)));
    }
    assert!(moves <= 5, "{moves} moves in vain");
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
    let (dialled, span) = (gate.passed() as u128, begin.elapsed());
    assert!(dialled < 10 + span.as_millis() / 200, "dialled {dialled} times in {span:?}");
}
