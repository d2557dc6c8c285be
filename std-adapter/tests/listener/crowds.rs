//! Many at once, and those who mean harm: they hold up nobody.

use super::*;

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
    // One after the other they would take 200 times 5 s.
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
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
fn one_frozen_peer_that_reads_nothing_holds_up_nobody() {
    let _story = one_at_a_time();
    let before = threads();
    let (listener, address, place) = listener();
    let gate = Gate::new(&place).unwrap();
    let frozen_address = through(&gate);
    let opens = thread::spawn(move || Connection::open(&frozen_address, quick("frozen")).unwrap());
    let frozen = listener.accept(quick("here")).unwrap();
    let there = opens.join().unwrap();
    let opens = thread::spawn(move || Connection::open(&address, quick("lively")).unwrap());
    let lively = listener.accept(quick("here")).unwrap();
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
    assert!(begin.elapsed() < LONG / 2, "closing waits for nobody: {:?}", begin.elapsed());
    drop((gate, listener));
    assert_threads(before);
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
