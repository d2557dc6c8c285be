//! Requests: every one ends in exactly one outcome, and the caller can tell them apart.

use std::time::Duration;

use tieline::{
    CallOptions, Event, IntentOptions, InterestOptions, RequestError, RespondError, Select, ServiceOptions,
    code,
};
use tieline_tests::names::{ADD, CHAT, COMMAND, IMU};
use tieline_tests::{
    A, B, Feed, Handle, Heard, LineConfig, Reading, Serving, Setup, Sim, Sizes, Who, for_seeds,
};

const ASK: CallOptions = CallOptions { timeout: Duration::from_secs(1), room: 32 };

/// B answers.
fn service(setup: Setup, serving: Serving) -> (Sim, Handle) {
    let mut sim = setup.build();
    let handle = sim[B].service(&ADD, serving);
    sim.establish();
    (sim, handle)
}

fn heard(sim: &Sim) -> Vec<Heard> {
    sim[A].app.answers.iter().map(|(_, heard)| heard.clone()).collect()
}

#[test]
fn a_request_is_answered_now() {
    let (mut sim, _) = service(Setup::new(1), Serving::Echo);
    for round in 0..50u8 {
        let call = sim.request(A, &ADD, &[round; 5], ASK).unwrap();
        sim.run(20);
        assert_eq!(sim[A].app.answers.last(), Some(&(call, Heard::Ok(vec![round; 5]))));
    }
    assert_eq!(heard(&sim).len(), 50);
}

#[test]
fn a_request_is_answered_later() {
    let (mut sim, _) = service(Setup::new(1), Serving::Later(700));
    sim.request(A, &ADD, b"patience", ASK).unwrap();
    sim.run(650);
    assert_eq!(heard(&sim), []);
    sim.run(150);
    assert_eq!(heard(&sim), [Heard::Ok(b"patience".to_vec())]);
}

#[test]
fn answers_may_come_in_any_order() {
    let (mut sim, _) = service(Setup::new(1), Serving::Silent);
    let calls: Vec<_> = (0..4u8).map(|i| sim.request(A, &ADD, &[i], ASK).unwrap()).collect();
    sim.run(50);
    let mut asked = std::mem::take(&mut sim[B].app.asked);
    asked.reverse();
    for (request, payload) in asked {
        sim[B].endpoint.respond(request, code::OK, &payload).unwrap();
        assert_eq!(
            sim[B].endpoint.respond(request, code::OK, b"twice"),
            Err(nb::Error::Other(RespondError::Unknown))
        );
    }
    sim.run(50);
    for (at, call) in calls.iter().enumerate() {
        let answer = sim[A].app.answers.iter().find(|(answered, _)| answered == call).unwrap();
        assert_eq!(answer.1, Heard::Ok(vec![at as u8]));
    }
}

#[test]
fn a_request_that_is_never_answered_times_out() {
    for serving in [Serving::Silent, Serving::Deaf] {
        let (mut sim, handle) = service(Setup::new(1), serving.clone());
        sim.request(A, &ADD, b"?", ASK).unwrap();
        sim.run(950);
        assert_eq!(heard(&sim), []);
        sim.run(150);
        assert_eq!(heard(&sim), [Heard::TimedOut]);
        // Late answers go nowhere and hurt nobody.
        for (request, _) in std::mem::take(&mut sim[B].app.asked) {
            let late = sim[B].endpoint.respond(request, code::OK, b"late");
            assert_eq!(late, Err(nb::Error::Other(RespondError::Unknown)));
        }
        sim[B].serves(handle, Serving::Echo);
        for round in 0..20u8 {
            sim.request(A, &ADD, &[round], ASK).unwrap();
            sim.run(30);
            assert_eq!(heard(&sim).last(), Some(&Heard::Ok(vec![round])), "{serving:?}");
        }
        assert_eq!(heard(&sim).len(), 21);
    }
}

#[test]
fn a_request_on_an_unknown_route_has_no_intent() {
    let (mut sim, handle) = service(Setup::new(1), Serving::Echo);
    sim.request(A, &COMMAND, b"?", ASK).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim), [Heard::NoIntent]);
    sim[B].withdraw(handle);
    sim.run(50);
    sim.request(A, &ADD, b"?", ASK).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim), [Heard::NoIntent, Heard::NoIntent]);
}

#[test]
fn a_withdrawn_service_answers_what_it_had_not_taken() {
    let (mut sim, handle) = service(Setup::new(1), Serving::Deaf);
    sim.request(A, &ADD, b"1", ASK).unwrap();
    sim.request(A, &ADD, b"2", ASK).unwrap();
    sim.run(50);
    sim[B].withdraw(handle);
    sim.run(100);
    assert_eq!(heard(&sim), [Heard::NoIntent, Heard::NoIntent]);
    sim[B].redeclare(handle).unwrap();
    sim[B].serves(handle, Serving::Echo);
    sim.request(A, &ADD, b"3", ASK).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim).last(), Some(&Heard::Ok(b"3".to_vec())));
}

#[test]
fn a_service_without_room_is_busy() {
    let mut sim = Sim::new(1);
    let small = ServiceOptions { room: Some(30), ttl: None };
    let id = sim[B].endpoint.declare_service(&ADD, small).unwrap();
    sim.establish();
    sim.request(A, &ADD, &[1; 20], ASK).unwrap();
    sim.request(A, &ADD, &[2; 20], ASK).unwrap();
    sim.run(100);
    assert_eq!(heard(&sim), [Heard::Busy]);
    let request = sim[B].endpoint.poll_message(Select::Only(id)).unwrap().request.unwrap();
    sim[B].endpoint.respond(request, code::OK, b"done").unwrap();
    sim.run(100);
    assert_eq!(heard(&sim), [Heard::Busy, Heard::Ok(b"done".to_vec())]);
}

#[test]
fn a_refusal_has_its_code_and_text() {
    let (mut sim, handle) = service(Setup::new(1), Serving::Say(99, b"not today".to_vec()));
    sim.request(A, &ADD, b"?", ASK).unwrap();
    sim.run(50);
    sim[B].serves(handle, Serving::Say(code::MALFORMED, vec![]));
    sim.request(A, &ADD, b"?", ASK).unwrap();
    sim.run(50);
    sim[B].serves(handle, Serving::Say(code::REFUSED, b"access".to_vec()));
    sim.request(A, &ADD, b"?", ASK).unwrap();
    sim.run(50);
    let refused = |code, text: &[u8]| Heard::Refused(code, text.to_vec());
    assert_eq!(heard(&sim), [refused(99, b"not today"), Heard::Malformed, refused(6, b"access")]);
}

#[test]
fn an_answer_larger_than_the_callers_room_is_known_to_both() {
    let (mut sim, _) = service(Setup::new(1), Serving::Silent);
    sim.request(A, &ADD, b"?", CallOptions { room: 10, ..ASK }).unwrap();
    sim.run(50);
    let (request, _) = sim[B].app.asked.remove(0);
    let too_large = sim[B].endpoint.respond(request, code::OK, &[0; 11]);
    assert_eq!(too_large, Err(nb::Error::Other(RespondError::TooLarge { limit: 10 })));
    // The handler may still say so, or answer shorter.
    sim[B].endpoint.respond(request, code::TOO_LARGE, &[]).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim), [Heard::TooLarge]);
    sim.request(A, &ADD, b"?", CallOptions { room: 10, ..ASK }).unwrap();
    sim.run(50);
    let (request, _) = sim[B].app.asked.remove(0);
    sim[B].endpoint.respond(request, code::OK, &[7; 10]).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim)[1], Heard::Ok(vec![7; 10]));
}

#[test]
fn a_lost_peer_is_its_own_outcome() {
    let (mut sim, handle) = service(Setup::new(1), Serving::Silent);
    sim.request(A, &ADD, b"?", CallOptions { timeout: Duration::from_secs(60), ..ASK }).unwrap();
    sim.run(50);
    sim.restart(B);
    sim.run(300);
    assert_eq!(heard(&sim), [Heard::Lost]);
    sim.request(A, &ADD, b"?", CallOptions { timeout: Duration::from_secs(60), ..ASK }).unwrap();
    sim.run(50);
    sim.cut(true);
    sim.run(14_000);
    assert_eq!(heard(&sim), [Heard::Lost, Heard::Lost]);
    assert_eq!(sim.request(A, &ADD, b"?", ASK), Err(nb::Error::Other(RequestError::Disconnected)));
    // An answer to a request of an earlier session goes nowhere.
    let (old, _) = sim[B].app.asked.pop().unwrap_or_else(|| panic!("nothing was asked"));
    sim.cut(false);
    sim.run(3_000);
    sim[B].serves(handle, Serving::Deaf);
    sim.request(A, &ADD, b"new", ASK).unwrap();
    sim.run(50);
    assert_eq!(sim[B].endpoint.respond(old, code::OK, b"old"), Err(nb::Error::Other(RespondError::Unknown)));
}

#[test]
fn a_caller_may_forget() {
    let (mut sim, handle) = service(Setup::new(1), Serving::Later(100));
    for _ in 0..10 {
        // More than there are places, one after the other.
        let call = sim.request(A, &ADD, b"?", ASK).unwrap();
        sim.run(20);
        sim[A].endpoint.forget_call(call);
        sim.run(120);
    }
    assert_eq!(heard(&sim), []);
    sim[B].serves(handle, Serving::Echo);
    sim.request(A, &ADD, b"!", ASK).unwrap();
    sim.run(50);
    assert_eq!(heard(&sim), [Heard::Ok(b"!".to_vec())]);
}

#[test]
fn forgotten_requests_still_count_at_the_peer() {
    let (mut sim, _) = service(Setup::new(1), Serving::Later(500));
    for _ in 0..4 {
        let call = sim.request(A, &ADD, b"?", ASK).unwrap();
        sim[A].endpoint.forget_call(call);
    }
    sim.run(100);
    assert_eq!(sim.request(A, &ADD, b"?", ASK), Err(nb::Error::WouldBlock));
    sim.run(600);
    assert!(sim.request(A, &ADD, b"?", ASK).is_ok());
}

#[test]
fn more_requests_than_the_peer_holds_would_block() {
    for held in [1, 2, 4] {
        let mut setup = Setup::new(1);
        setup.sizes[1] = Sizes { requests: held, ..Sizes::BOARD };
        let (mut sim, _) = service(setup, Serving::Later(200));
        for _ in 0..held {
            sim.request(A, &ADD, b"?", ASK).unwrap();
        }
        assert_eq!(sim.request(A, &ADD, b"?", ASK), Err(nb::Error::WouldBlock));
        sim.run(300);
        assert_eq!(heard(&sim).len(), held);
        assert!(sim.request(A, &ADD, b"?", ASK).is_ok());
        assert_eq!(sim[B].endpoint.stats().malformed, 0);
    }
}

#[test]
fn a_peer_that_holds_none_answers_none() {
    let mut setup = Setup::new(1);
    setup.sizes[1] = Sizes { requests: 0, ..Sizes::BOARD };
    let mut sim = setup.build();
    sim.establish();
    assert_eq!(sim.request(A, &ADD, b"?", ASK), Err(nb::Error::Other(RequestError::NotSupported)));
}

#[test]
fn wrong_requests_are_refused_with_the_limit() {
    let (mut sim, _) = service(Setup::new(1), Serving::Echo);
    let Err(nb::Error::Other(RequestError::TooLarge { limit })) = sim.request(A, &ADD, &[0; 300], ASK) else {
        panic!("300 bytes do not fit a frame");
    };
    assert!((200..=246).contains(&limit), "{limit}");
    let Err(nb::Error::Other(RequestError::TooLarge { limit: same })) =
        sim.request(A, &ADD, &vec![0; limit + 1], ASK)
    else {
        panic!("one more than the limit");
    };
    assert_eq!(same, limit);
    let large = CallOptions { room: 600, ..ASK };
    assert_eq!(sim.request(A, &ADD, b"?", large), Err(nb::Error::Other(RequestError::NoRoom { limit: 504 })));
    // The largest passes, if the service has room for it.
    sim.request(A, &COMMAND, &vec![0; limit], ASK).unwrap();
    sim.run(100);
    assert_eq!(heard(&sim), [Heard::NoIntent]);
}

#[test]
fn the_room_of_answers_is_given_back() {
    let (mut sim, _) = service(Setup::new(1), Serving::Echo);
    let interest = sim[A].interest(&IMU, InterestOptions { window: Some(200), ttl: None, rate: None });
    let publisher = sim[B].intent(&IMU, IntentOptions::reliable());
    sim[A].reads(interest, Reading::Every(40));
    sim[B].feed(Feed::new(publisher, 200, (4, 30)));
    // 312 bytes are left, each call takes 128: without giving back the third would not fit.
    for round in 0..60u8 {
        for i in 0..2 {
            sim.request(A, &ADD, &[round, i], CallOptions { room: 120, ..ASK }).unwrap();
        }
        sim.run(60);
        let last = heard(&sim).split_off(usize::from(round) * 2);
        assert_eq!(last, [Heard::Ok(vec![round, 0]), Heard::Ok(vec![round, 1])]);
    }
    sim.run(10_000);
    assert_eq!(sim[A].app.numbers(interest), (0..200).collect::<Vec<_>>());
}

#[test]
fn requests_pass_exactly_once_under_loss() {
    for_seeds(60, |seed, mut rng| {
        let mut sim = Setup::new(seed).line(LineConfig::faulty(115_200, &mut rng)).build();
        let silence = Duration::from_secs(60);
        for who in Who::BOTH {
            sim[who].config.silence = silence;
        }
        sim.restart(A);
        sim.restart(B);
        sim[B].service(&ADD, Serving::Silent);
        // The other way at the same time.
        sim[A].service(&CHAT, Serving::Echo);
        let ready = |sim: &Sim| Who::BOTH.iter().all(|who| sim[*who].endpoint.is_established());
        assert!(sim.run_until(60_000, ready));
        let patient = CallOptions { timeout: Duration::from_secs(600), room: 16 };
        let (mut asked, mut other) = (0u32, 0u32);
        let mut handled = Vec::new();
        while asked < 40 || handled.len() < 40 {
            assert!(sim.now < 600_000_000, "{asked} asked, {} handled", handled.len());
            if asked < 40 && sim.request(A, &ADD, &asked.to_le_bytes(), patient).is_ok() {
                asked += 1;
            }
            if other < 40 && sim.request(B, &CHAT, &other.to_le_bytes(), patient).is_ok() {
                other += 1;
            }
            sim.run(rng.below(60));
            while !sim[B].app.asked.is_empty() {
                let (request, payload) = sim[B].app.asked[0].clone();
                if sim[B].endpoint.respond(request, code::OK, &payload) == Err(nb::Error::WouldBlock) {
                    break;
                }
                sim[B].app.asked.remove(0);
                handled.push(payload);
            }
        }
        sim.end_faults();
        sim.run(10_000);
        let expected: Vec<_> = (0..40u32).map(|i| i.to_le_bytes().to_vec()).collect();
        assert_eq!(handled, expected, "each was handled once, in order");
        // Answers that come together are read in any order.
        let mut answers = heard(&sim);
        let payload = |heard: &Heard| if let Heard::Ok(payload) = heard { payload.clone() } else { vec![] };
        answers.sort_by_key(payload);
        assert_eq!(answers, expected.iter().cloned().map(Heard::Ok).collect::<Vec<_>>());
        assert_eq!(sim[B].app.answers.len(), other as usize);
        assert!(!sim[A].app.states().iter().any(|event| matches!(event, Event::Lost(_))));
    });
}

#[test]
fn every_call_ends_exactly_once_whatever_happens() {
    for_seeds(60, |seed, mut rng| {
        let mut sim = Setup::new(seed).line(LineConfig::faulty(115_200, &mut rng)).build();
        let handle = sim[B].service(&ADD, Serving::Later(30));
        sim.connect();
        let mut calls = Vec::new();
        for _ in 0..100 {
            if let Ok(call) = sim.request(A, &ADD, b"?", ASK) {
                calls.push(call);
            }
            sim.run(rng.below(80));
            match rng.below(20) {
                0 => sim.restart(B),
                1 => sim.cut(true),
                2..6 => sim.cut(false),
                6 => sim[B].serves(handle, Serving::Silent),
                7 => sim[B].serves(handle, Serving::Later(30)),
                8 => sim[B].serves(handle, Serving::Deaf),
                9 => {
                    sim[B].withdraw(handle);
                    sim.run(30);
                    while sim[B].redeclare(handle).is_err() {
                        sim.run(20);
                    }
                }
                _ => {}
            }
        }
        sim.end_faults();
        sim.cut(false);
        sim.run(8_000);
        let mut ended: Vec<_> = sim[A].app.answers.iter().map(|(call, _)| *call).collect();
        // Ids may be used again: as many endings as calls, of the same calls.
        let sort = |calls: &mut Vec<_>| calls.sort_by_key(|call| format!("{call:?}"));
        sort(&mut ended);
        sort(&mut calls);
        assert_eq!(ended, calls);
    });
}
