//! Properties that hold for any schedule of faults: see `tieline_tests::property`.

use tieline::Priority::*;
use tieline::Rate;
use tieline_tests::Reading::*;
use tieline_tests::schedule::{Action::*, Fault::*, Half::*, Kind::*, Plan, Schedule};
use tieline_tests::{A, B, Sizes, for_seeds, property};

#[test]
fn whatever_happens_the_promises_are_kept() {
    for_seeds(400, |seed, _| {
        let schedule = Schedule::draw(seed);
        if let Err(failure) = property::run(&schedule) {
            panic!("{}", property::explain(schedule, &failure));
        }
    });
}

#[test]
fn the_same_schedule_gives_the_same_run() {
    for seed in 1..=20 {
        let schedule = Schedule::draw(seed);
        assert_eq!(schedule, Schedule::draw(seed));
        assert_eq!(property::run(&schedule), property::run(&schedule));
    }
}

/// Fails with what fails in any of them.
fn all_hold(schedules: &[Schedule]) {
    for schedule in schedules {
        if let Err(failure) = property::run(schedule) {
            panic!("{failure}\n{}", schedule.literal());
        }
    }
}

/// What `cargo xtask soak` found, shrunk, and what it should never find: paste what it prints, with a line about
/// what was wrong.
#[rustfmt::skip]
fn regressions() -> Vec<Schedule> {
    vec![
        // Made by hand: one of everything, so that the literals that are printed go on compiling.
        Schedule { seed: 1, kind: Serial, baud: 115200, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 80, rx: 256, tx: 256, routes: 3, requests: 1 }), ping_ms: (1000, 500), silence_ms: (3000, 2000), resume_ms: (10000, 10000), faults: (vec![(BitError, 100), (ByteLoss, 100), (Burst, 50), (Insertion, 100), (FrameLoss, 20000), (Delay, 3000), (Pieces, 9)], vec![]), routes: vec![Plan { name: 0, from: A, reliable: true, priority: Urgent, window: 60, count: 50, size: (4, 30), every_ms: 20, reading: Every(15), life_ms: 0, latest: false, rates: (None, None) }, Plan { name: 1, from: B, reliable: false, priority: Background, window: 60, count: 50, size: (4, 30), every_ms: 0, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: Some(40), actions: vec![(300, Outage(A, 200)), (400, Read(0, Never)), (700, Sleep(B, 500)), (900, Ask(A, 8, 400)), (1500, Disconnect(B, 30)), (2000, Noise(A, 200)), (2100, Line(B, vec![(FrameLoss, 30000)])), (2200, Unplug(50)), (3000, Restart(A, 100))], faulty_ms: 4000 },
        // Nothing is lost silently while frames and pieces come twice.
        Schedule { seed: 2, kind: Serial, baud: 115200, sizes: (Sizes::BOARD, Sizes::BOARD), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (10000, 10000), faults: (vec![(FrameRepeat, 150000), (PieceRepeat, 20000)], vec![(FrameRepeat, 150000)]), routes: vec![Plan { name: 0, from: A, reliable: true, priority: High, window: 100, count: 150, size: (4, 60), every_ms: 0, reading: Always, life_ms: 0, latest: false, rates: (None, None) }, Plan { name: 0, from: B, reliable: true, priority: Normal, window: 100, count: 150, size: (4, 60), every_ms: 5, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(500, Restart(B, 0)), (900, Disconnect(A, 100))], faulty_ms: 3000 },
        // A session fell and the next one went on over a new link before the application looked: it was told of the latter
        // only, as if it were still the first.
        Schedule { seed: 562613613225, kind: Datagram, baud: 115200, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 487, rx: 2909, tx: 1276, routes: 10, requests: 2 }), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (10000, 10000), faults: (vec![], vec![]), routes: vec![Plan { name: 1, from: A, reliable: true, priority: Normal, window: 842, count: 34, size: (4, 47), every_ms: 48, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(1300, Restart(B, 1906)), (3200, Sleep(A, 691)), (3800, Disconnect(A, 0))], faulty_ms: 3801 },
        // The same of what routes can be: lives, samples, rates, withdrawals, times to live.
        Schedule { seed: 3, kind: Datagram, baud: 115200, sizes: (Sizes::BOARD, Sizes::PC), ping_ms: (1000, 700), silence_ms: (3000, 2100), resume_ms: (10000, 500), faults: (vec![(Reorder, 90000), (FrameLoss, 50000)], vec![]), routes: vec![Plan { name: 0, from: A, reliable: true, priority: Normal, window: 100, count: 40, size: (4, 30), every_ms: 60, reading: Every(40), life_ms: 150, latest: false, rates: (Some(Rate { per_second: 20, burst: 3 }), None) }, Plan { name: 1, from: B, reliable: true, priority: High, window: 100, count: 40, size: (4, 30), every_ms: 50, reading: Always, life_ms: 0, latest: true, rates: (None, Some(Rate { per_second: 30, burst: 2 })) }, Plan { name: 2, from: A, reliable: false, priority: High, window: 60, count: 40, size: (4, 30), every_ms: 50, reading: Always, life_ms: 0, latest: true, rates: (None, None) }], answers: Some(40), actions: vec![(700, Withdraw(0, Interest, 300)), (900, Lapse(1, Interest, 200)), (1100, Withdraw(2, Intent, 100)), (1300, Disconnect(B, 300)), (2100, Restart(A, 100)), (2500, Lapse(0, Intent, 500))], faulty_ms: 4000 },
        // What was sent again after its time was over told a life of 0, and was read all the same.
        Schedule { seed: 12, kind: Serial, baud: 57600, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }), ping_ms: (1000, 1000), silence_ms: (2000, 4000), resume_ms: (10000, 10000), faults: (vec![(FrameRepeat, 92669), (PieceRepeat, 5140), (Pieces, 2)], vec![(ByteLoss, 382), (Burst, 242), (Insertion, 830), (PieceRepeat, 16562), (Pieces, 5)]), routes: vec![Plan { name: 3, from: A, reliable: true, priority: Normal, window: 57, count: 6, size: (4, 7), every_ms: 216, reading: Always, life_ms: 106, latest: false, rates: (None, None) }], answers: Some(777), actions: vec![], faulty_ms: 3594 },
        // Datagrams of the link before a resume had higher numbers than those behind it, which were then all late.
        Schedule { seed: 793983095676, kind: Datagram, baud: 115200, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (10000, 10000), faults: (vec![], vec![(BitError, 4), (Insertion, 519), (FrameRepeat, 131695)]), routes: vec![Plan { name: 1, from: B, reliable: true, priority: Normal, window: 53, count: 8, size: (45, 45), every_ms: 0, reading: Every(23), life_ms: 0, latest: false, rates: (None, None) }, Plan { name: 2, from: A, reliable: false, priority: Normal, window: 41, count: 1, size: (4, 4), every_ms: 0, reading: Always, life_ms: 0, latest: true, rates: (None, None) }, Plan { name: 4, from: B, reliable: false, priority: Normal, window: 38, count: 2, size: (4, 4), every_ms: 0, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(1500, Line(B, vec![(BitError, 137), (ByteLoss, 1546), (FrameLoss, 210830)])), (2200, Line(A, vec![(Insertion, 643), (FrameLoss, 283585)])), (2700, Disconnect(A, 0))], faulty_ms: 3665 },
        // In an outage of one direction the sender asked more often than the ids of PINGs can tell apart.
        Schedule { seed: 200631364221, kind: Serial, baud: 921600, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }), ping_ms: (1000, 1000), silence_ms: (5028, 2514), resume_ms: (10000, 10000), faults: (vec![(BitError, 446)], vec![(BitError, 7), (ByteLoss, 196), (Burst, 96), (FrameLoss, 72250), (Pieces, 43)]), routes: vec![Plan { name: 2, from: A, reliable: true, priority: Normal, window: 49, count: 10, size: (4, 27), every_ms: 17, reading: Always, life_ms: 0, latest: false, rates: (None, None) }, Plan { name: 5, from: B, reliable: false, priority: Normal, window: 24, count: 13, size: (8, 8), every_ms: 92, reading: Always, life_ms: 0, latest: false, rates: (None, None) }, Plan { name: 6, from: B, reliable: true, priority: Normal, window: 35, count: 14, size: (4, 21), every_ms: 113, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(1400, Outage(B, 3721))], faulty_ms: 9033 },
        // The limit that was told was not that of a message that expires.
        Schedule { seed: 798968550169, kind: Datagram, baud: 115200, sizes: (Sizes { frame: 666, rx: 2903, tx: 1148, routes: 4, requests: 5 }, Sizes { frame: 1024, rx: 16384, tx: 16384, routes: 32, requests: 16 }), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (10000, 10000), faults: (vec![], vec![]), routes: vec![Plan { name: 1, from: A, reliable: true, priority: Normal, window: 5661, count: 1, size: (5653, 5653), every_ms: 0, reading: Always, life_ms: 1588, latest: false, rates: (None, None) }], answers: None, actions: vec![], faulty_ms: 0 },
        // The first part of a message of an intent that was withdrawn met the second part of one that has the same number
        // since the intent was declared again.
        Schedule { seed: 363827810276, kind: Serial, baud: 3000000, sizes: (Sizes { frame: 97, rx: 1068, tx: 469, routes: 5, requests: 6 }, Sizes { frame: 188, rx: 1076, tx: 1157, routes: 3, requests: 1 }), ping_ms: (1000, 1000), silence_ms: (4000, 2000), resume_ms: (10000, 10000), faults: (vec![(BitError, 146), (Burst, 114), (Insertion, 2511), (FrameRepeat, 843), (PieceRepeat, 6681), (Pieces, 7)], vec![(Delay, 774)]), routes: vec![Plan { name: 0, from: A, reliable: false, priority: Normal, window: 145, count: 6, size: (137, 137), every_ms: 11, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(34, Withdraw(0, Intent, 983))], faulty_ms: 1139 },
    ]
}

#[test]
fn what_was_found_before_stays_mended() {
    all_hold(&regressions());
}

/// A stream stalls for longer than the silence: after a late answer to a challenge the two sides were in different
/// sessions for ever, since the frames of a stream have no check that tells them apart.
#[rustfmt::skip]
fn stalled_streams() -> Vec<Schedule> {
    vec![
        // The declarations of the new session are never acknowledged.
        Schedule { seed: 95, kind: Stream, baud: 115200, sizes: (Sizes { frame: 439, rx: 1875, tx: 2413, routes: 12, requests: 6 }, Sizes { frame: 1024, rx: 16384, tx: 16384, routes: 32, requests: 16 }), ping_ms: (1000, 1000), silence_ms: (2098, 2098), resume_ms: (10000, 10000), faults: (vec![], vec![]), routes: vec![Plan { name: 1, from: B, reliable: true, priority: Normal, window: 793, count: 1, size: (4, 4), every_ms: 0, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(7300, Outage(A, 4963))], faulty_ms: 10475 },
        // One side counts from the beginning of the new session, the other one from that of the old.
        Schedule { seed: 2972, kind: Stream, baud: 115200, sizes: (Sizes { frame: 297, rx: 2857, tx: 1770, routes: 6, requests: 2 }, Sizes { frame: 80, rx: 128, tx: 256, routes: 2, requests: 1 }), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (10000, 10000), faults: (vec![], vec![]), routes: vec![Plan { name: 1, from: B, reliable: false, priority: Normal, window: 1153, count: 1, size: (4, 4), every_ms: 0, reading: Always, life_ms: 0, latest: false, rates: (None, None) }], answers: None, actions: vec![(2300, Outage(B, 3930))], faulty_ms: 8714 },
        // B still answers in the session before when A is in the next one already; A takes the
        // number of that packet for one of the new session, and its acknowledgement for B's declaration is beyond what B sent.
        Schedule { seed: 527, kind: Stream, baud: 115200, sizes: (Sizes { frame: 1024, rx: 16384, tx: 16384, routes: 32, requests: 16 }, Sizes { frame: 101, rx: 2784, tx: 1145, routes: 4, requests: 3 }), ping_ms: (1000, 1000), silence_ms: (4700, 2350), resume_ms: (0, 0), faults: (vec![], vec![]), routes: vec![Plan { name: 0, from: A, reliable: true, priority: Normal, window: 1246, count: 2, size: (4, 4), every_ms: 225, reading: Always, life_ms: 33, latest: false, rates: (None, None) }], answers: None, actions: vec![(82, Outage(A, 3495))], faulty_ms: 5755 },
        // A gives the session up in the middle of the handshake on the new stream.
        Schedule { seed: 5097, kind: Stream, baud: 115200, sizes: (Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }, Sizes { frame: 256, rx: 512, tx: 512, routes: 8, requests: 4 }), ping_ms: (1000, 1000), silence_ms: (3000, 3000), resume_ms: (500, 10000), faults: (vec![(Delay, 75516)], vec![]), routes: vec![], answers: None, actions: vec![(2800, Disconnect(A, 418))], faulty_ms: 3248 },
    ]
}

#[test]
fn a_stream_that_stalls_for_longer_than_the_silence_recovers() {
    all_hold(&stalled_streams());
}
