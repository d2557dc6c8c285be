//! Sessions that lose their link and go on over the same one or another.

use std::time::Duration;

use tieline::{Event, FailReason, IntentOptions, InterestOptions, Link, LostReason, PublishError};
use tieline_tests::names::{COMMAND, IMU};
use tieline_tests::{A, B, Feed, Handle, Reading, Setup, Sim, Who};

const RESUMED: Event = Event::Established { resumed: true };

/// A publishes to B; both keep a session for 2 s.
fn one_way(options: IntentOptions) -> (Sim, Handle, Handle) {
    let mut setup = Setup::new(1);
    setup.config.iter_mut().for_each(|config| config.resume_for = Duration::from_secs(2));
    let mut sim = setup.build();
    let publisher = sim[A].intent(&COMMAND, options);
    let reader = sim[B].interest(&COMMAND, InterestOptions { window: Some(200), ..Default::default() });
    sim.establish();
    (sim, publisher, reader)
}

/// What a side was told since it had been established, but for tickets.
fn states(sim: &Sim, who: Who) -> Vec<Event> {
    let is_state = |event: &Event| !matches!(event, Event::Audience { .. } | Event::Publisher { .. });
    sim[who].app.states().into_iter().filter(is_state).skip(2).collect()
}

fn disconnect(sim: &mut Sim) {
    sim.lines.iter_mut().for_each(tieline_tests::Line::clear);
    Who::BOTH.into_iter().for_each(|who| sim.disconnect_side(who));
}

#[test]
fn a_link_that_comes_back_in_time_costs_nothing() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[A].feed(Feed::new(publisher, 60, (4, 30)));
    sim.run(60);
    disconnect(&mut sim);
    sim.run(1_500);
    sim.connect();
    sim.run(3_000);
    assert_eq!(sim[B].app.numbers(reader), (0..60).collect::<Vec<_>>());
    assert_eq!(sim[A].app.ends(), (60, vec![], 0));
    for who in Who::BOTH {
        assert_eq!(states(&sim, who), [Event::Degraded(LostReason::LinkDown), RESUMED], "{who:?}");
    }
}

#[test]
fn only_one_side_notices_that_the_link_is_gone_and_nothing_fails() {
    for who in Who::BOTH {
        let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
        sim[A].feed(Feed::new(publisher, 60, (4, 30)));
        sim.run(60);
        sim.disconnect_side(who);
        sim.run(500);
        sim.connect_side(who);
        sim.run(3_000);
        assert_eq!(sim[B].app.numbers(reader), (0..60).collect::<Vec<_>>());
        assert_eq!(sim[A].app.ends(), (60, vec![], 0));
        assert!(!sim[who.other()].app.saw(Event::Degraded(LostReason::LinkDown)));
    }
}

#[test]
fn a_silent_line_that_speaks_again_in_time_costs_nothing() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[A].feed(Feed::new(publisher, 60, (4, 30)));
    sim.run(60);
    sim.cut(true);
    sim.run(4_000);
    sim.cut(false);
    sim.run(3_000);
    assert_eq!(sim[B].app.numbers(reader), (0..60).collect::<Vec<_>>());
    assert_eq!(sim[A].app.ends(), (60, vec![], 0));
    for who in Who::BOTH {
        assert_eq!(states(&sim, who), [Event::Degraded(LostReason::Silence), RESUMED], "{who:?}");
    }
}

#[test]
fn a_link_that_stays_away_costs_the_session_and_says_what_was_never_sent() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[B].reads(reader, Reading::Never);
    sim[A].publish(publisher, b"sent").unwrap();
    sim.run(50);
    disconnect(&mut sim);
    sim[A].publish(publisher, b"never").unwrap();
    sim.run(1_990);
    assert_eq!(sim[A].app.ends(), (0, vec![], 2), "not yet");
    sim.run(20);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::SessionLost, FailReason::NotSent], 0));
    let lost = [Event::Degraded(LostReason::LinkDown), Event::Lost(LostReason::LinkDown)];
    assert_eq!(states(&sim, A), lost);
    sim.connect();
    sim.run(1_000);
    assert!(sim[A].endpoint.is_established());
    assert_eq!(states(&sim, A)[2..], [Event::Connecting, Event::Established { resumed: false }]);
}

#[test]
fn a_peer_that_restarts_meanwhile_does_not_know_the_session() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    sim[B].reads(reader, Reading::Never);
    sim[A].publish(publisher, b"sent").unwrap();
    sim.run(50);
    disconnect(&mut sim);
    sim[A].publish(publisher, b"never").unwrap();
    sim.kill(B);
    sim.run(300);
    sim.power(B);
    sim.connect();
    sim.run(1_000);
    assert_eq!(sim[A].app.ends(), (0, vec![FailReason::PeerRestarted, FailReason::NotSent], 0));
    assert!(sim[A].saw(Event::Lost(LostReason::PeerRestarted)));
    assert!(sim[A].endpoint.is_established());
}

#[test]
fn without_a_link_reliable_messages_queue_until_there_is_no_room() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::reliable());
    disconnect(&mut sim);
    let mut queued = 0;
    while sim[A].publish(publisher, &[queued; 12]).is_ok() {
        queued += 1;
    }
    assert_eq!(queued, 10, "20 bytes each of a window of 200");
    assert_eq!(sim[A].publish(publisher, &[0; 12]), Err(nb::Error::WouldBlock));
    sim.run(500);
    sim.connect();
    sim.run(1_000);
    assert_eq!(sim[B].app.payloads(reader).len(), 10);
    assert_eq!(sim[A].app.ends(), (10, vec![], 0));
}

#[test]
fn without_a_link_best_effort_is_disconnected() {
    let (mut sim, publisher, _) = one_way(IntentOptions::best_effort());
    sim.disconnect_side(A);
    assert!(sim[A].has_audience(publisher), "the session stands");
    assert_eq!(sim[A].publish(publisher, b"now"), Err(PublishError::Disconnected.into()));
    sim.run(100);
    sim.connect_side(A);
    sim.run(1_500);
    assert_eq!(sim[A].publish(publisher, b"now"), Ok(None));
}

#[test]
fn best_effort_messages_stay_counted_over_a_resume() {
    let (mut sim, publisher, reader) = one_way(IntentOptions::best_effort());
    sim[A].feed(Feed::new(publisher, 100, (8, 8)).every(10));
    sim.run(300);
    disconnect(&mut sim);
    sim.run(300);
    sim.connect();
    sim.run(4_000);
    let read = sim[B].app.numbers(reader).len();
    let stats = sim[B].endpoint.stats().best_effort;
    assert_eq!(stats.received as usize, read);
    assert_eq!((stats.received + stats.lost) as usize, sim[A].app.fates.len());
}

#[test]
fn a_side_that_keeps_no_session_ends_it_for_both() {
    let mut setup = Setup::new(1);
    setup.config[1].resume_for = Duration::ZERO;
    let mut sim = setup.build();
    sim.establish();
    disconnect(&mut sim);
    sim.run(100);
    assert!(sim[A].saw(Event::Lost(LostReason::LinkDown)) && sim[B].saw(Event::Lost(LostReason::LinkDown)));
    assert!(!sim[A].saw(Event::Degraded(LostReason::LinkDown)));
}

/// From a link with small numbers to links with large ones, and back, in the middle of a stream of messages.
#[test]
fn a_session_moves_to_links_of_other_kinds_and_back() {
    // A datagram's frame has the least room of all: what begins there can go on anywhere.
    let links = [
        Link::stream(),
        Link::serial(115_200),
        Link::datagram(1_000),
        Link::stream(),
        Link::datagram(1_000),
        Link::serial(115_200),
    ];
    let mut setup = Setup::new(1);
    setup.config.iter_mut().for_each(|config| config.resume_for = Duration::from_secs(2));
    let mut sim = setup.build();
    Who::BOTH.into_iter().for_each(|who| sim[who].link = Link::datagram(1_000));
    let there = sim[A].intent(&COMMAND, IntentOptions::reliable());
    let back = sim[B].intent(&IMU, IntentOptions::reliable());
    let read_there = sim[B].interest(&COMMAND, InterestOptions { window: Some(200), ..Default::default() });
    let read_back = sim[A].interest(&IMU, InterestOptions { window: Some(200), ..Default::default() });
    sim.establish();
    // More than the numbers of a serial line count.
    sim[A].feed(Feed::new(there, 1_500, (4, 30)));
    sim[B].feed(Feed::new(back, 1_500, (4, 30)));
    for (at, link) in links.into_iter().enumerate() {
        sim.run(400 + 13 * at as u64);
        disconnect(&mut sim);
        sim.run(20);
        Who::BOTH.into_iter().for_each(|who| sim[who].link = link);
        sim.connect();
    }
    sim.run(15_000);
    let all: Vec<_> = (0..1_500).collect();
    assert!(sim[B].app.numbers(read_there) == all && sim[A].app.numbers(read_back) == all);
    for who in Who::BOTH {
        assert_eq!(sim[who].app.ends(), (1_500, vec![], 0));
        assert_eq!(sim[who].app.count(RESUMED), links.len(), "{:?}", states(&sim, who));
    }
}

/// A packet that was sent as a whole is repeated as a whole: the frames of the other link must have room for it.
#[test]
fn a_link_whose_frames_have_less_room_begins_a_new_session() {
    let (mut sim, _, _) = one_way(IntentOptions::reliable());
    disconnect(&mut sim);
    Who::BOTH.into_iter().for_each(|who| sim[who].link = Link::datagram(1_000));
    sim.connect();
    sim.run(1_000);
    assert!(!sim[A].saw(RESUMED) && sim[A].endpoint.is_established());
}
