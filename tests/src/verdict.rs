//! Judges a run of the property tests by what its applications were told and read.
//!
//! Nothing in here changes a run. The properties are listed in [`crate::property`].

use std::collections::HashMap;

use tieline::{CallId, Event, FailReason};

use crate::app::{Handle, Heard};
use crate::feed::{End, Fate};
use crate::report::{Failure, fail, hold};
use crate::schedule::{Action, Kind, Schedule};
use crate::sim::{Sim, Who};

/// Reliable packets under way at once: 128 on serial lines, 32768 on others (docs/protocol.md, section 5); one more
/// stands for records that have no number yet.
const UNACKNOWLEDGED_MAX: [usize; 2] = [128 + 1, 32_768 + 1];

/// What a side asked in its present life.
pub(crate) struct Asked<'r> {
    /// The questions.
    pub(crate) calls: &'r HashMap<CallId, Vec<u8>>,
    /// How many of the answers it has heard are from earlier lives.
    pub(crate) stale_answers: usize,
}

/// A run that is over.
pub(crate) struct Story<'r> {
    pub(crate) schedule: &'r Schedule,
    pub(crate) sim: &'r Sim,
    /// Publisher and reader of each route.
    pub(crate) routes: &'r [(Handle, Handle)],
    pub(crate) asked: [Asked<'r>; 2],
}

impl Story<'_> {
    /// Whether all that was promised was kept.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        for route in 0..self.routes.len() {
            self.judge_route(route)?;
        }
        for who in Who::BOTH {
            self.judge_loss(who)?;
            self.judge_requests(who)?;
            let lost = |event: &Event| matches!(event, Event::Lost(_) | Event::Closed(_));
            let states = self.sim[who].app.states();
            if self.schedule.is_harmless() {
                hold(!states.iter().any(lost), "cause", || format!("{who:?} {states:?}"))?;
            }
        }
        Ok(())
    }

    /// What became of the messages of a route: by their number.
    fn fates(&self, route: usize) -> Vec<Fate> {
        let (from, intent) = (self.schedule.routes[route].from, self.routes[route].0);
        self.sim[from].app.fates.iter().filter(|fate| fate.handle == intent).copied().collect()
    }

    /// Whether what was read was read once and in order; holds at any time.
    pub(crate) fn judge_order(&self) -> Result<(), Failure> {
        (0..self.routes.len()).try_for_each(|route| self.what_was_read(route).map(drop))
    }

    /// Which messages of a route were read, by their numbers.
    fn what_was_read(&self, route: usize) -> Result<Vec<bool>, Failure> {
        let plan = &self.schedule.routes[route];
        let fates = self.fates(route);
        let numbers = self.sim[plan.from.other()].app.numbers(self.routes[route].1);
        hold(numbers.is_sorted_by(|a, b| a < b), "order", || format!("route {route}: {numbers:?}"))?;
        let mut read = vec![false; fates.len()];
        // In which session a message is missing.
        let mut gap = None;
        for number in numbers {
            let Some(read) = read.get_mut(number as usize) else {
                return fail("order", format!("route {route}: {number} was never published"));
            };
            *read = true;
        }
        for (fate, read) in fates.iter().zip(&read).filter(|_| plan.reliable) {
            if !read {
                gap = Some((fate.session, fate.number));
            } else if let Some((session, missing)) = gap
                && session == fate.session
            {
                let told = format!("route {route}: {missing} was not read and a later one was: {fate:?}");
                return fail("prefix", told);
            }
        }
        Ok(read)
    }

    fn judge_route(&self, route: usize) -> Result<(), Failure> {
        let plan = &self.schedule.routes[route];
        let fates = self.fates(route);
        let read = self.what_was_read(route)?;
        if !plan.reliable {
            return Ok(());
        }
        let last_session = self.sim[plan.from].app.sessions;
        let restarts = |who| {
            let restart = |action: &Action| matches!(action, Action::Restart(of, _) if *of == who);
            self.schedule.actions.iter().any(|(_, action)| restart(action))
        };
        for (fate, read) in fates.iter().zip(read) {
            let told = |what: &str| format!("route {route}, message {}: {what}: {fate:?}", fate.number);
            let wrong = match fate.end {
                End::Open => Some("has not ended"),
                End::Delivered if !read => Some("was not read"),
                End::Failed(FailReason::NotSent) if read => Some("was read"),
                End::Failed(FailReason::PeerRestarted) if !restarts(plan.from.other()) => {
                    Some("but the peer did not restart")
                }
                End::Failed(FailReason::NoAudience) => Some("but the interest was never withdrawn"),
                End::Failed(_) if fate.session == last_session => Some("but its session still stands"),
                End::Forgotten if !restarts(plan.from) => Some("but nobody died"),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return fail("tickets", told(wrong));
            }
        }
        Ok(())
    }

    /// What `to` counts of best-effort messages is what it was sent in this session.
    fn judge_loss(&self, to: Who) -> Result<(), Failure> {
        let session = self.sim[to.other()].app.sessions;
        let (mut sent, mut read) = (0, 0);
        for (route, plan) in self.schedule.routes.iter().enumerate() {
            if plan.reliable || plan.from == to {
                continue;
            }
            let fates = self.fates(route);
            let in_session = |fate: &&Fate| fate.session == session;
            sent += fates.iter().filter(in_session).count();
            let numbers = self.sim[to].app.numbers(self.routes[route].1);
            read += numbers.iter().filter(|number| fates[**number as usize].session == session).count();
        }
        let stats = self.sim[to].endpoint.stats();
        let (received, lost) = (stats.best_effort.received as usize, stats.best_effort.lost as usize);
        let dropped = stats.dropped_no_room as usize;
        let told = || format!("{to:?} was sent {sent} in this session and read {read}, but counts {stats:?}");
        hold(received + lost == sent && read + dropped == received, "loss", told)
    }

    fn judge_requests(&self, who: Who) -> Result<(), Failure> {
        let Asked { calls, stale_answers } = &self.asked[who as usize];
        let mut asked = (*calls).clone();
        for (call, heard) in &self.sim[who].app.answers[*stale_answers..] {
            let Some(payload) = asked.remove(call) else {
                return fail(
                    "requests",
                    format!("{who:?}: {call:?} ends twice or was never asked: {heard:?}"),
                );
            };
            let right = match heard {
                Heard::Ok(answer) => *answer == payload,
                Heard::Busy | Heard::TimedOut | Heard::Lost => true,
                Heard::Refused(..) | Heard::NoIntent | Heard::TooLarge | Heard::Malformed => false,
            };
            hold(right, "requests", || format!("{who:?} asked {payload:?} and heard {heard:?}"))?;
        }
        hold(asked.is_empty(), "requests", || format!("{who:?}: no outcome of {:?}", asked.keys()))
    }
}

/// What is under way keeps within its windows and stores.
pub(crate) fn check_quotas(
    schedule: &Schedule,
    routes: &[(Handle, Handle)],
    sim: &Sim,
) -> Result<(), Failure> {
    let most = UNACKNOWLEDGED_MAX[usize::from(schedule.kind != Kind::Serial)];
    for who in Who::BOTH {
        let endpoint = &sim[who].endpoint;
        let waiting = endpoint.unacknowledged();
        hold(waiting <= most, "quota", || format!("{who:?}: {waiting} packets are not acknowledged"))?;
        let (unsent, tx) = (endpoint.unsent_best_effort(), sim[who].sizes.tx);
        hold(unsent <= tx, "quota", || format!("{who:?}: {unsent} bytes wait in a store of {tx}"))?;
    }
    for (plan, (intent, _)) in schedule.routes.iter().zip(routes).filter(|(plan, _)| plan.reliable) {
        let app = &sim[plan.from].app;
        let open = sim[plan.from].endpoint.undelivered(app.id(*intent));
        let newest = app.fates.iter().rev().filter(|fate| fate.handle == *intent).take(open);
        let cost: usize = newest.map(|fate| fate.len + tieline::limits::MESSAGE_COST).sum();
        hold(cost <= plan.window, "quota", || format!("{cost} bytes under way, window {}", plan.window))?;
    }
    Ok(())
}

/// Both sides talk, everything was said, and everybody knows.
pub(crate) fn is_done(sim: &Sim) -> bool {
    Who::BOTH.iter().all(|who| {
        let (app, endpoint) = (&sim[*who].app, &sim[*who].endpoint);
        endpoint.is_established()
            && app.is_fed()
            && endpoint.undelivered_total() == 0
            && endpoint.unacknowledged() == 0
            && endpoint.unsent_best_effort() == 0
            && app.open_tickets() == 0
    })
}
