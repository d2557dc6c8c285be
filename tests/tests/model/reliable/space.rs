//! Where the exploration begins, and what may happen in a state.

use tieline::reliable::{Receiver, Sender};

use super::{Action, Setup, Stage, State};

impl Setup {
    pub(super) fn beginnings(&self) -> Vec<State> {
        let link = self.links[0];
        let mut sender = Sender::new(link.window, link.mask, link.reorder());
        let mut receiver = Receiver::new(link.mask);
        for seq in 0..self.first {
            sender.send();
            receiver.on_packet(seq & link.mask, 0);
            receiver.store(seq, 0);
            sender.on_ack(receiver.expected() & link.mask, 0);
        }
        receiver.acknowledged();
        let state = State {
            sender,
            receiver,
            link: 0,
            sender_up: true,
            receiver_up: true,
            said: 0,
            sent: Vec::new(),
            stages: vec![Stage::Missing; self.packets],
            data: Vec::new(),
            acks: Vec::new(),
            losses: self.losses,
            broken: None,
        };
        let burst = |routes: &fn(usize) -> u8| {
            let mut state = state.clone();
            for packet in 0..self.burst {
                let seq = self.send(&mut state, routes(packet));
                self.put_data(&mut state, seq);
            }
            state
        };
        self.burst_routes.iter().map(burst).collect()
    }

    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        match self.patient {
            true => self.in_order(state, actions),
            false => self.any(state, actions),
        }
        if self.pings && state.receiver_up && !state.receiver.ack_due() {
            actions.push(Action::Ping);
        }
        if self.cuts {
            actions.extend((0..self.links.len()).map(|link| Action::Cut { link }));
        }
        if !state.sender_up {
            actions.push(Action::ResumeSender);
        }
        if !state.receiver_up {
            actions.push(Action::ResumeReceiver);
        }
    }

    fn may_send(&self, state: &State) -> bool {
        state.sender_up && state.sent.len() < self.packets && state.sender.may_send()
    }

    fn may_time_out(&self, state: &State) -> bool {
        state.sender_up && self.link(state).lossy && state.sender.in_flight() > 0
    }

    /// What may be lost or not.
    fn fates(&self, state: &State) -> &'static [bool] {
        if self.link(state).lossy && state.losses != Some(0) { &[false, true] } else { &[false] }
    }

    fn any(&self, state: &State, actions: &mut Vec<Action>) {
        let link = self.link(state);
        // Where nothing is lost a HELLO is before the first frame, so who reads that has gone on, too.
        let places = |len: usize, up: bool| match (link.ordered, link.lossy || up) {
            (_, false) => 0..0,
            (true, true) => 0..len.min(1),
            (false, true) => 0..len,
        };
        for &again in if link.lossy { &[false, true][..] } else { &[false] } {
            actions.extend(places(state.data.len(), state.receiver_up).map(|at| Action::Data { at, again }));
            actions.extend(places(state.acks.len(), state.sender_up).map(|at| Action::Acked { at, again }));
        }
        for &lost in self.fates(state) {
            if state.sender_up && (lost || state.data.len() < self.room.0) {
                let repeatable = self.repeatable(state);
                actions.extend(repeatable.into_iter().map(|offset| Action::Repeat { offset, lost }));
                if self.may_send(state) {
                    // Which route is the first one does not matter, unless one is special.
                    let routes = if state.sent.is_empty() && !self.control { 1 } else { self.routes };
                    actions.extend((0..routes).map(|route| Action::Send { route, lost }));
                }
            }
            if state.receiver_up && state.receiver.ack_due() && (lost || state.acks.len() < self.room.1) {
                actions.push(Action::Ack { lost });
            }
        }
        if self.may_time_out(state) {
            actions.push(Action::Timeout);
        }
    }

    /// See [`Setup::patient`].
    fn in_order(&self, state: &State, actions: &mut Vec<Action>) {
        let repeat = self.repeatable(state).first().copied().filter(|_| state.sender_up);
        if let Some(offset) = repeat {
            actions.push(Action::Repeat { offset, lost: false });
        } else if self.may_send(state) {
            actions.extend((0..self.routes).map(|route| Action::Send { route, lost: false }));
        } else if !state.data.is_empty() {
            if self.link(state).lossy || state.receiver_up {
                actions.push(Action::Data { at: 0, again: false });
            }
            if self.fates(state).len() > 1 {
                actions.push(Action::Lose);
            }
        } else if !state.acks.is_empty() {
            if self.link(state).lossy || state.sender_up {
                actions.push(Action::Acked { at: 0, again: false });
            }
        } else if state.receiver_up && state.receiver.ack_due() {
            actions.extend(self.fates(state).iter().map(|lost| Action::Ack { lost: *lost }));
        } else if self.may_time_out(state) {
            actions.push(Action::Timeout);
        }
    }
}
