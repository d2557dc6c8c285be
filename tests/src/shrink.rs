//! Makes a schedule that fails smaller, as long as it goes on failing.
//!
//! It tries one simplification after the other and keeps each with which the run still fails; it ends when none helps
//! or when the budget of runs is spent. What failing means is its caller's business.

use tieline::Priority;

use crate::app::Reading;
use crate::memory::Sizes;
use crate::schedule::{Action, Faults, Plan, Schedule};

/// The smallest schedule found that still fails, and how many tries it took, which are `budget` at the most. `fails`
/// gives a schedule back that fails as it is: it may have found another seed, since any change lets chance fall
/// otherwise.
pub fn shrink(
    schedule: Schedule,
    budget: u32,
    mut fails: impl FnMut(Schedule) -> Option<Schedule>,
) -> (Schedule, u32) {
    let mut best = schedule;
    let mut runs = 0;
    'again: loop {
        for smaller in simpler(&best) {
            if runs >= budget {
                break 'again;
            }
            runs += 1;
            if let Some(smaller) = fails(smaller) {
                best = smaller;
                continue 'again;
            }
        }
        break;
    }
    (best, runs)
}

/// Schedules that are a little simpler, those first that leave most away.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut out = Vec::new();
    let mut with = |change: &dyn Fn(&mut Schedule)| {
        let mut changed = schedule.clone();
        change(&mut changed);
        if changed != *schedule {
            out.push(changed);
        }
    };
    let actions = schedule.actions.len();
    for size in sizes_of_cuts(actions) {
        for from in (0..actions).step_by(size) {
            with(&|changed| drop(changed.actions.drain(from..actions.min(from + size))));
        }
    }
    for at in 0..schedule.routes.len() {
        with(&|changed| drop_route(changed, at));
    }
    with(&|changed| changed.faults = (vec![], vec![]));
    for at in 0..schedule.faults.0.len() {
        with(&|changed| _ = changed.faults.0.remove(at));
    }
    for at in 0..schedule.faults.1.len() {
        with(&|changed| _ = changed.faults.1.remove(at));
    }
    with(&|changed| drop_services(changed));
    let last = schedule.actions.last().map_or(0, |(at, _)| at + 1);
    for faulty_ms in [last, schedule.faulty_ms / 2] {
        with(&|changed| changed.faulty_ms = changed.faulty_ms.min(faulty_ms.max(last)));
    }
    for at in 0..schedule.routes.len() {
        for change in PLAN_CHANGES {
            with(&|changed| change(&mut changed.routes[at]));
        }
    }
    with(&|changed| changed.sizes = (Sizes::BOARD, Sizes::BOARD));
    with(&|changed| changed.ping_ms = (1_000, 1_000));
    with(&|changed| changed.silence_ms = (3_000, 3_000));
    with(&|changed| changed.resume_ms = (10_000, 10_000));
    with(&|changed| changed.baud = 115_200);
    for at in 0..actions {
        for simple in simpler_actions(&schedule.actions[at].1) {
            with(&|changed| changed.actions[at].1 = simple.clone());
        }
        let round = schedule.actions[at].0;
        with(&|changed| changed.actions[at].0 = round / 100 * 100);
    }
    out
}

/// First large pieces, at last single ones.
fn sizes_of_cuts(count: usize) -> impl Iterator<Item = usize> {
    [count, count / 2, count / 4, 1].into_iter().filter(|size| *size > 0)
}

const PLAN_CHANGES: [fn(&mut Plan); 10] = [
    |plan| plan.count = plan.count.div_ceil(2),
    |plan| plan.count = plan.count.saturating_sub(1).max(1),
    |plan| plan.size = (plan.size.0, plan.size.0),
    |plan| plan.priority = Priority::Normal,
    |plan| plan.reading = Reading::Always,
    |plan| plan.every_ms = 0,
    |plan| plan.life_ms = 0,
    |plan| plan.latest = false,
    |plan| plan.rates.0 = None,
    |plan| plan.rates.1 = None,
];

/// Leaves a route away, and what happens to it.
fn drop_route(schedule: &mut Schedule, at: usize) {
    schedule.routes.remove(at);
    schedule.actions.retain_mut(|(_, action)| match action {
        Action::Read(route, _) | Action::Withdraw(route, ..) | Action::Lapse(route, ..) => {
            let keeps = *route != at;
            *route -= usize::from(*route > at);
            keeps
        }
        _ => true,
    });
}

fn drop_services(schedule: &mut Schedule) {
    schedule.answers = None;
    schedule.actions.retain(|(_, action)| !matches!(action, Action::Ask(..)));
}

fn simpler_actions(action: &Action) -> Vec<Action> {
    let less = |faults: &Faults| {
        let without = |at: usize| faults.iter().enumerate().filter(move |(i, _)| *i != at).map(|(_, f)| *f);
        (0..faults.len()).map(|at| without(at).collect::<Faults>()).collect::<Vec<_>>()
    };
    match action {
        Action::Outage(who, span) => vec![Action::Outage(*who, span / 2)],
        Action::Disconnect(who, span) => vec![Action::Disconnect(*who, span / 2)],
        Action::Unplug(span) => vec![Action::Unplug(span / 2)],
        Action::Restart(who, span) => vec![Action::Restart(*who, span / 2)],
        Action::Sleep(who, span) => vec![Action::Sleep(*who, span / 2)],
        Action::Noise(who, bytes) => vec![Action::Noise(*who, bytes / 2)],
        Action::Line(who, faults) => less(faults).into_iter().map(|less| Action::Line(*who, less)).collect(),
        Action::Withdraw(route, half, span) => vec![Action::Withdraw(*route, *half, span / 2)],
        Action::Lapse(route, half, span) => vec![Action::Lapse(*route, *half, span / 2)],
        Action::Read(..) | Action::Ask(..) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_away() {
        // It "fails" as long as a restart is in it, and a route that has 7 messages at the least.
        let fails = |schedule: &Schedule| {
            schedule.actions.iter().any(|(_, action)| matches!(action, Action::Restart(..)))
                && schedule.routes.iter().any(|plan| plan.count >= 7)
        };
        let seeds = (1..).map(Schedule::draw).filter(|schedule| fails(schedule));
        for schedule in seeds.take(20) {
            let (small, _) = shrink(schedule, 10_000, |smaller| fails(&smaller).then_some(smaller));
            assert_eq!((small.actions.len(), small.routes.len(), small.routes[0].count), (1, 1, 7));
            assert_eq!((&small.faults, small.answers), (&(vec![], vec![]), None));
            assert!(matches!(small.actions[0].1, Action::Restart(_, 0)), "{small:?}");
        }
    }
}
