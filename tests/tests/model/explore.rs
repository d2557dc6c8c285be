//! Runs the checker over one configuration and says how much there was.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use stateright::{Checker, Model};

/// Visits every state; panics with the way to a state that breaks a promise.
///
/// `more` says what else the run found.
pub(crate) fn explore<M>(name: &str, model: M, more: impl Fn(&M) -> String)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let checker = run(model);
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let (seconds, more) = (began.elapsed().as_secs_f32(), more(checker.model()));
    println!("{name}: {states} states, depth {depth}, {more}; {seconds:.1} s");
    for property in checker.model().properties() {
        if !property.expectation.discovery_is_failure() {
            checker.assert_any_discovery(property.name);
            continue;
        }
        if let Some(path) = checker.discovery(property.name) {
            let last = path.last_state().clone();
            let steps: Vec<String> =
                path.into_actions().iter().map(|action| format!("  {action:?}\n")).collect();
            panic!("{name}: not always {:?}:\n{}{last:?}", property.name, steps.concat());
        }
    }
}

/// Whether some state breaks the promise: for models that are made to fail.
pub(crate) fn breaks<M>(model: M, promise: &'static str) -> bool
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    run(model).discovery(promise).is_some()
}

fn run<M>(model: M) -> impl Checker<M>
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    // One thread goes strictly by depth, so the shortest way is found; the test runner takes care of the others.
    model.checker().threads(1).spawn_bfs().join()
}

/// What stands for a state where only equality counts.
pub(crate) fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
