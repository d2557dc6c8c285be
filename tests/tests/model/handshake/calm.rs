//! The faultless run: nothing of what was said before arrives any more, everything said from now on does, once and in
//! order; timers end only when the exchange is quiet.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use tieline::handshake::{Handshake, State as Stand};

use super::{Setup, State, together};
use crate::explore::fingerprint;

/// Rounds of timers, at the most: five repeats of a challenge, its end, a silence, and the same again.
const ROUNDS: u32 = 20;
/// HELLOs of one exchange, at the most.
const HELLOS: usize = 20;

/// Pairs of machines from which the run was made already.
#[derive(Default)]
pub(super) struct Memo(Mutex<HashSet<u64>>);

/// Whether both come to one session, whoever is first, and stay in it.
pub(super) fn settles(setup: &Setup, state: &State) -> bool {
    let pair = state.machines().map(Clone::clone);
    if state.broken.is_some() || !setup.memo.0.lock().unwrap().insert(fingerprint(&pair)) {
        return true;
    }
    [0, 1].iter().all(|first| ends(setup, pair.clone(), *first))
}

fn ends(setup: &Setup, mut pair: [Handshake; 2], first: usize) -> bool {
    for (who, side) in pair.iter_mut().enumerate() {
        // A link comes; who was closed stays so if it is the second, and only answers.
        if side.state() == Stand::Idle || side.state() == Stand::Resting && who == first {
            side.greet(false);
        }
    }
    for round in 0..ROUNDS {
        if !talk(&mut pair, first) {
            return false;
        }
        if together([&pair[0], &pair[1]]) {
            setup.longest.fetch_max(round, Relaxed);
            return stays(pair, first);
        }
        // One that only answers, and a peer whose session it closed: CLOSE is said again, then the application begins.
        for side in &mut pair {
            if side.is_challenging() && round % 7 == 6 {
                side.on_challenge_timeout();
            }
            side.on_retry();
        }
        if pair.iter().all(|side| !side.wants_hello()) {
            setup.silences.fetch_add(1, Relaxed);
            pair[first].greet(false);
        }
    }
    false
}

/// They talk until nobody wants to say any more; false if that does not end.
fn talk(pair: &mut [Handshake; 2], first: usize) -> bool {
    let mut line: [VecDeque<_>; 2] = Default::default();
    for _ in 0..HELLOS {
        for who in [first, 1 - first] {
            if let Some(hello) = pair[who].poll_hello() {
                line[1 - who].push_back(hello);
            }
        }
        for who in [1 - first, first] {
            if let Some(hello) = line[who].pop_front() {
                pair[who].on_hello(&hello);
            }
        }
        if line.iter().all(VecDeque::is_empty) && pair.iter().all(|side| !side.wants_hello()) {
            return true;
        }
    }
    false
}

/// Nothing that timers do ends the session.
fn stays(mut pair: [Handshake; 2], first: usize) -> bool {
    let before = [pair[0].nonces(), pair[1].nonces()];
    for _ in 0..7 {
        pair.iter_mut().for_each(Handshake::on_retry);
        if !talk(&mut pair, first) {
            return false;
        }
    }
    pair.iter_mut().for_each(Handshake::on_challenge_timeout);
    talk(&mut pair, first) && together([&pair[0], &pair[1]]) && before == [pair[0].nonces(), pair[1].nonces()]
}
