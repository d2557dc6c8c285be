//! The faultless run: from a state of the exploration to the end, no more faults, time-outs only when nothing else can
//! happen.
//!
//! It takes two manners: what has come is looked at first, or the line is filled first. As both are steps of the same
//! model, a state from which one run ended well need not be tried again: the ones on the way are remembered.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use super::{Action, Setup, State};
use crate::explore::fingerprint;

/// More steps than any faultless run may need, per packet.
const STEPS: usize = 40;

/// How many steps are left from states that were tried, by manner.
#[derive(Default)]
pub(super) struct Memo([Mutex<HashMap<u64, u32>>; 2]);

#[derive(Clone, Copy)]
enum Manner {
    ReadFirst,
    FillFirst,
}

/// Whether a faultless run delivers everything, in either manner.
pub(super) fn arrives(setup: &Setup, state: &State) -> bool {
    state.broken.is_some()
        || [Manner::ReadFirst, Manner::FillFirst].iter().all(|manner| ends(setup, state, *manner))
}

fn ends(setup: &Setup, state: &State, manner: Manner) -> bool {
    let memo = &setup.memo.0[manner as usize];
    let mut way = Vec::new();
    let mut state = state.clone();
    let mut left = loop {
        let here = fingerprint(&state);
        if let Some(left) = memo.lock().unwrap().get(&here) {
            break *left;
        }
        if setup.is_done(&state) {
            way.push(here);
            break 0;
        }
        way.push(here);
        let Some(action) = calm(setup, &state, manner) else { return false };
        state = setup.after(&state, &action);
        if state.broken.is_some() || way.len() > STEPS * setup.packets {
            return false;
        }
    };
    let mut memo = memo.lock().unwrap();
    for here in way.into_iter().rev() {
        left += 1;
        memo.insert(here, left);
    }
    setup.longest.fetch_max(left, Relaxed);
    true
}

fn calm(setup: &Setup, state: &State, manner: Manner) -> Option<Action> {
    if !state.receiver_up {
        return Some(Action::ResumeReceiver);
    }
    if !state.sender_up {
        return Some(Action::ResumeSender);
    }
    let read = || {
        if !state.data.is_empty() {
            return Some(Action::Data { at: 0, again: false });
        }
        (!state.acks.is_empty()).then_some(Action::Acked { at: 0, again: false })
    };
    let ack = || {
        (state.receiver.ack_due() && state.acks.len() < setup.room.1).then_some(Action::Ack { lost: false })
    };
    let fill = || {
        if state.data.len() >= setup.room.0 {
            return None;
        }
        if let Some(&offset) = setup.repeatable(state).first() {
            return Some(Action::Repeat { offset, lost: false });
        }
        let new = state.sent.len() < setup.packets && state.sender.may_send();
        new.then(|| Action::Send { route: state.sent.len() as u8 % setup.routes, lost: false })
    };
    let next = match manner {
        Manner::ReadFirst => read().or_else(ack).or_else(fill),
        Manner::FillFirst => fill().or_else(read).or_else(ack),
    };
    let timeout = setup.links[state.link].lossy && state.sender.in_flight() > 0;
    next.or_else(|| timeout.then_some(Action::Timeout))
}
