//! The small machine, `tieline::lite`, against the complete one.

#[path = "lite/bench.rs"]
mod bench;
#[path = "lite/bytes.rs"]
mod bytes;
#[path = "lite/corners.rs"]
mod corners;
#[path = "lite/disorder.rs"]
mod disorder;
#[path = "lite/extremes.rs"]
mod extremes;
#[path = "lite/property.rs"]
mod property;

use std::time::Duration;

use bench::{Bench, Faults, IN_CHAT, IN_COMMAND, OUT_CHAT, OUT_IMU, payloads};
use tieline::{CloseReason, Event, IntentOptions, InterestOptions, LostReason, PublishError, RouteName, nb};
use tieline_tests::for_seeds;
use tieline_tests::names::{CHAT, COMMAND, IMU, name};

const ESTABLISHED: Event = Event::Established { resumed: false };

#[test]
fn messages_go_both_ways() {
    let mut bench = Bench::connected(1);
    bench.board.publish(OUT_IMU, b"sample").unwrap();
    bench.board.publish(OUT_CHAT, b"hello").unwrap();
    bench.pc.publish(bench.command.unwrap(), b"go").unwrap();
    bench.pc.publish(bench.chat.unwrap(), b"hi").unwrap();
    bench.run(50);
    assert_eq!(payloads(&bench.at_pc), [&b"sample"[..], b"hello"]);
    assert_eq!(bench.board_heard(IN_COMMAND), [b"go"]);
    assert_eq!(bench.board_heard(IN_CHAT), [b"hi"]);
    bench.run(500);
    assert_eq!(bench.pc.undelivered_total(), 0, "the reader was told to have taken it");
    assert_eq!(bench.board_events, [ESTABLISHED]);
    let stats = bench.pc.stats();
    assert_eq!((stats.malformed, stats.check_failures, stats.framing_errors), (0, 0, 0));
    assert_eq!((stats.best_effort.received, stats.best_effort.lost), (2, 0));
    assert_eq!(bench.pc.peer().unwrap().name, "robot");
}

#[test]
fn either_side_may_be_there_first() {
    for_seeds(20, |seed, mut rng| {
        let mut bench = Bench::new(seed);
        bench.declare_all();
        let (first, second) = (rng.below(5_000), rng.below(5_000));
        bench.run(first);
        bench.connect_board();
        bench.run(second);
        bench.connect_pc();
        bench.until(1_500, "a session", Bench::is_ready);

        let mut bench = Bench::new(seed);
        bench.declare_all();
        bench.connect_pc();
        bench.run(second);
        bench.connect_board();
        bench.until(1_500, "a session", Bench::is_ready);
    });
}

#[test]
fn a_restart_of_either_side_is_noticed_and_everything_is_declared_again() {
    let mut bench = Bench::connected(2);
    bench.start_pc();
    bench.declare_all();
    bench.connect_pc();
    bench.until(1_000, "the board's next session", |bench| bench.board_events.len() == 3);
    let lost = Event::Lost(LostReason::PeerRestarted);
    assert_eq!(bench.board_events, [ESTABLISHED, lost, ESTABLISHED]);
    bench.until(1_000, "everything is declared", Bench::is_ready);
    bench.pc_events.clear();
    bench.start_board();
    bench.connect_board();
    bench.until(1_000, "the PC's next session", |bench| bench.pc_events.contains(&ESTABLISHED));
    assert_eq!(bench.pc_events[0], lost);
    bench.until(1_000, "everything is declared", Bench::is_ready);
}

#[test]
fn silence_ends_the_session_and_the_next_one_begins_by_itself() {
    let mut bench = Bench::connected(3);
    bench.faults = Faults { lost: 1.0, ..Faults::default() };
    bench.run(3_200);
    assert_eq!(bench.board_events, [ESTABLISHED, Event::Lost(LostReason::Silence)]);
    assert!(!bench.board.has_audience(OUT_IMU) && !bench.board.is_established());
    assert_eq!(bench.board.publish(OUT_IMU, b"x"), Err(nb::Error::Other(PublishError::Disconnected)));
    bench.faults = Faults::default();
    bench.until(3_000, "everything is declared", Bench::is_ready);
    bench.board.handle_disconnect(bench.clock());
    bench.run(1);
    assert_eq!(bench.board_events.last(), Some(&Event::Lost(LostReason::LinkDown)));
    assert!(bench.board.poll_timeout().is_none() && !bench.board.wants_transmit());
    bench.connect_board();
    bench.until(3_000, "everything is declared", Bench::is_ready);
}

#[test]
fn a_close_is_obeyed_and_whoever_asks_then_is_answered() {
    let mut bench = Bench::connected(4);
    bench.pc.close(7);
    bench.run(300);
    assert_eq!(bench.board_events, [ESTABLISHED, Event::Closed(CloseReason::Peer(7))]);
    bench.sent.clear();
    bench.run(5_000);
    assert_eq!(bench.sent.len(), 0, "it asks for nobody");
    bench.connect_pc();
    bench.until(2_000, "everything is declared", Bench::is_ready);
}

#[test]
fn one_that_hears_itself_says_so_and_goes_on() {
    let mut bench = Bench::new(5);
    bench.connect_board();
    for _ in 0..10 {
        bench.run(500);
        let own = std::mem::take(&mut bench.sent);
        own.iter().for_each(|frame| bench.feed(frame));
    }
    assert_eq!(bench.board_events, [Event::Lost(LostReason::Loopback)]);
    bench.declare_all();
    bench.connect_pc();
    bench.until(2_000, "everything is declared", Bench::is_ready);
}

#[test]
fn declarations_may_come_late_and_go_and_come_back() {
    let mut bench = Bench::new(6);
    bench.connect_board();
    bench.connect_pc();
    bench.until(1_000, "a session", |bench| bench.board.is_established() && bench.pc.is_established());
    bench.run(500);
    assert_eq!(bench.board.publish(OUT_IMU, b"x"), Err(nb::Error::Other(PublishError::NoAudience)));
    for round in 0..3 {
        let imu = bench.pc.declare_interest(&IMU, InterestOptions::default()).unwrap();
        let command = bench.pc.declare_intent(&COMMAND, IntentOptions::reliable()).unwrap();
        bench.until(500, "both are known", |bench| {
            bench.board.has_audience(OUT_IMU) && bench.pc.has_audience(command)
        });
        bench.board.publish(OUT_IMU, b"sample").unwrap();
        bench.pc.publish(command, &[round]).unwrap();
        bench.run(100);
        assert_eq!(
            (bench.at_pc.len(), bench.at_board.len()),
            (1 + usize::from(round), 1 + usize::from(round))
        );
        // What waits when the interest ends is not sent any more.
        bench.pc.withdraw_interest(imu);
        bench.pc.withdraw_intent(command);
        bench.until(500, "the audience is gone", |bench| !bench.board.has_audience(OUT_IMU));
    }
    let ttl = Some(Duration::from_millis(300));
    bench.pc.declare_interest(&IMU, InterestOptions { ttl, ..InterestOptions::default() }).unwrap();
    bench.until(200, "an audience for a while", |bench| bench.board.has_audience(OUT_IMU));
    let since = bench.now;
    bench.until(500, "its time is over", |bench| !bench.board.has_audience(OUT_IMU));
    assert!((290_000..315_000).contains(&(bench.now - since)), "after {} µs", bench.now - since);
    bench.pc.declare_interest(&IMU, InterestOptions { ttl, ..InterestOptions::default() }).unwrap();
    bench.until(200, "it is renewed", |bench| bench.board.has_audience(OUT_IMU));
}

#[test]
fn a_message_of_an_interest_that_has_ended_is_not_sent() {
    let mut bench = Bench::connected(7);
    let chat = bench.pc.stats();
    bench.pc.withdraw_interest(bench.imu.unwrap());
    // The withdrawal is on its way when the sample is published; both wait in the same endpoint then.
    let mut out = [0; 400];
    let frame = bench.pc.poll_transmit(bench.clock(), &mut out).unwrap().to_vec();
    bench.board.publish(OUT_IMU, b"late").unwrap();
    bench.board.publish(OUT_CHAT, b"good").unwrap();
    bench.feed(&frame);
    bench.run(300);
    assert_eq!(payloads(&bench.at_pc), [b"good"]);
    assert_eq!(bench.pc.stats().dropped_unknown, chat.dropped_unknown, "nothing came for nobody");
    assert_eq!(bench.pc.stats().best_effort.lost, 0);
}

static ORIENTATION: RouteName = name("Orientation", "sensors.imu");
static ORDER: RouteName = name("Order", "motor.command");

#[test]
fn another_type_on_a_path_is_a_conflict_on_both_sides_and_ends_with_it() {
    let mut bench = Bench::new(8);
    bench.connect_board();
    bench.connect_pc();
    let wrong = bench.pc.declare_interest(&ORIENTATION, InterestOptions::default()).unwrap();
    let order = bench.pc.declare_intent(&ORDER, IntentOptions::reliable()).unwrap();
    bench.pc.declare_interest(&CHAT, InterestOptions::default()).unwrap();
    bench.until(1_000, "both conflicts", |bench| bench.board_events.len() == 3);
    let conflict = |route, ours: &RouteName, theirs: &RouteName| Event::RouteConflict {
        route,
        ours: ours.hash() as u32,
        theirs: theirs.hash() as u32,
    };
    assert!(bench.board_events.contains(&conflict(OUT_IMU, &IMU, &ORIENTATION)));
    assert!(bench.board_events.contains(&conflict(IN_COMMAND, &COMMAND, &ORDER)));
    bench.run(500);
    assert!(bench.pc_events.contains(&conflict(wrong, &ORIENTATION, &IMU)));
    assert!(bench.pc_events.contains(&conflict(order, &ORDER, &COMMAND)));
    assert!(bench.board.is_conflicting(OUT_IMU) && bench.board.is_conflicting(IN_COMMAND));
    assert!(!bench.board.is_conflicting(OUT_CHAT) && !bench.pc.has_audience(order));
    assert_eq!(bench.board.publish(OUT_IMU, b"x"), Err(nb::Error::Other(PublishError::RouteConflict)));
    bench.board.publish(OUT_CHAT, b"everything else goes on").unwrap();
    bench.run(100);
    assert_eq!(bench.at_pc.len(), 1);

    bench.pc.withdraw_interest(wrong);
    bench.pc.withdraw_intent(order);
    bench.run(500);
    assert!(!bench.board.is_conflicting(IN_COMMAND), "the intent was withdrawn");
    let command = bench.pc.declare_intent(&COMMAND, IntentOptions::reliable()).unwrap();
    bench.pc.declare_interest(&IMU, InterestOptions::default()).unwrap();
    bench.until(1_000, "all is well", |bench| {
        bench.board.has_audience(OUT_IMU) && bench.pc.has_audience(command)
    });
    bench.pc.publish(command, b"go").unwrap();
    bench.run(300);
    assert_eq!(bench.board_heard(IN_COMMAND), [b"go"]);
    assert_eq!(bench.board_events.len(), 3, "it was told once");
}

#[test]
fn a_reader_that_is_slow_holds_a_reliable_publisher_up_and_loses_nothing() {
    let mut bench = Bench::connected(9);
    bench.faults = Faults::BAD;
    bench.reads = false;
    let mut sent = 0u8;
    for round in 0..2_000 {
        bench.step();
        if sent < 100 && bench.pc.publish(bench.command.unwrap(), &[sent; 21]).is_ok() {
            sent += 1;
        }
        // Now and then it looks at one message.
        if round % 7 == 0
            && let Some(message) = bench.board.poll_message(tieline::Select::Only(IN_COMMAND))
        {
            let message = (message.route, message.payload.to_vec());
            bench.at_board.push(message);
        }
    }
    assert!(sent < 100, "80 bytes of window hold two messages");
    bench.reads = true;
    let mut held = 0;
    while bench.at_board.len() < 100 {
        bench.run(1);
        held += 1;
        assert!(held < 60_000, "{} of {sent} have come", bench.at_board.len());
        if sent < 100 && bench.pc.publish(bench.command.unwrap(), &[sent; 21]).is_ok() {
            sent += 1;
        }
    }
    let expected: Vec<_> = (0..100).map(|number| [number; 21]).collect();
    assert_eq!(bench.board_heard(IN_COMMAND), expected);
}

#[test]
fn best_effort_gives_way_to_what_is_promised() {
    let mut bench = Bench::connected(10);
    bench.reads = false;
    let chat = bench.chat.unwrap();
    for _ in 0..5 {
        bench.pc.publish(chat, &[1; 30]).unwrap();
        bench.run(10);
    }
    bench.run(300);
    assert_eq!(bench.pc.stats().peer_dropped_no_room, 3, "two of 32 bytes fit 80");
    bench.pc.withdraw_intent(chat);
    bench.run(300);
    let chat = bench.pc.declare_intent(&CHAT, IntentOptions::reliable()).unwrap();
    bench.until(500, "it is known", |bench| bench.pc.has_audience(chat));
    bench.pc.publish(chat, &[2; 32]).unwrap();
    bench.pc.publish(chat, &[3; 32]).unwrap();
    bench.run(500);
    assert_eq!(bench.pc.stats().peer_dropped_no_room, 5);
    bench.reads = true;
    bench.run(300);
    assert_eq!(bench.board_heard(IN_CHAT), [[2; 32], [3; 32]]);
    assert_eq!(bench.pc.undelivered_total(), 0);
}

#[test]
fn what_was_not_read_in_one_session_takes_its_room_in_the_next_until_it_is() {
    let mut bench = Bench::connected(11);
    bench.reads = false;
    bench.pc.publish(bench.command.unwrap(), &[1; 50]).unwrap();
    bench.run(300);
    bench.start_pc();
    bench.declare_all();
    bench.connect_pc();
    bench.until(2_000, "the next session", Bench::is_ready);
    let command = bench.command.unwrap();
    bench.pc.publish(command, &[2; 10]).unwrap();
    assert_eq!(bench.pc.publish(command, &[3; 10]), Err(nb::Error::WouldBlock), "58 and 18 of 80 are taken");
    bench.run(500);
    assert_eq!(bench.pc.undelivered_total(), 1);
    bench.reads = true;
    bench.run(300);
    assert_eq!(bench.pc.undelivered_total(), 0);
    bench.pc.publish(command, &[3; 71]).unwrap();
    bench.run(300);
    assert_eq!(bench.board_heard(IN_COMMAND), [&[1; 50][..], &[2; 10], &[3; 71]]);
}

#[test]
fn as_much_is_published_as_fits_a_frame() {
    let mut bench = Bench::connected(12);
    let limit = bench.board.payload_limit(OUT_IMU).unwrap();
    assert_eq!(limit, 80 - 8);
    let too_large = PublishError::TooLarge { limit };
    assert_eq!(bench.board.publish(OUT_IMU, &[9; 73]), Err(nb::Error::Other(too_large)));
    bench.board.publish(OUT_IMU, &[9; 72]).unwrap();
    assert_eq!(bench.board.publish(OUT_CHAT, &[9; 10]), Err(nb::Error::WouldBlock), "its store is full");
    bench.run(100);
    // Many in one frame, and a large one when a PING is to be answered.
    for _ in 0..200 {
        while bench.board.publish(OUT_CHAT, &[7; 9]).is_ok() {}
        bench.run(1);
        let _ = bench.board.publish(OUT_IMU, &[8; 72]);
        bench.run(3);
    }
    bench.run(300);
    let stats = bench.pc.stats();
    assert_eq!((stats.best_effort.lost, stats.malformed), (0, 0));
    assert!(stats.best_effort.received > 500, "{} came", stats.best_effort.received);
    assert!(bench.pc.rtt().samples > 5);
    assert_eq!(
        bench.board.publish(tieline::lite::read(0), &[]),
        Err(nb::Error::Other(PublishError::NotDeclared))
    );
    assert_eq!(
        bench.board.publish(tieline::lite::published(2), &[]),
        Err(nb::Error::Other(PublishError::NotDeclared))
    );
}
