//! What happens when in the demo.

use std::time::{Duration, Instant};

/// Something that is done besides watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell the board to publish faster.
    Command,
    /// Ask it how it is.
    Ask,
    /// Press its reset button.
    Reset,
}

/// The steps, and in which sixth of the time each is due: before the reset it is seen working, after it again.
const STEPS: [(u32, Step); 4] = [(1, Step::Command), (2, Step::Ask), (3, Step::Reset), (5, Step::Ask)];
const PARTS: u32 = 6;
/// That long when it runs without end.
const USUAL: Duration = Duration::from_secs(8);

/// The steps that are left. Its time begins with the first question.
#[derive(Debug)]
pub(super) struct Script {
    begin: Option<Instant>,
    limit: Option<Duration>,
    next: usize,
}

impl Script {
    pub(super) const fn new(limit: Option<Duration>) -> Self {
        Self { begin: None, limit, next: 0 }
    }

    /// Whether the time is over, and every step was taken: one may have taken long.
    pub(super) fn is_over(&mut self) -> bool {
        let elapsed = self.elapsed();
        self.limit.is_some_and(|limit| elapsed >= limit) && self.next == STEPS.len()
    }

    /// The next step if it is due.
    pub(super) fn due(&mut self) -> Option<Step> {
        let elapsed = self.elapsed();
        let (part, step) = STEPS.get(self.next)?;
        let whole = self.limit.unwrap_or(USUAL);
        if elapsed < whole * *part / PARTS {
            return None;
        }
        self.next += 1;
        Some(*step)
    }

    fn elapsed(&mut self) -> Duration {
        self.begin.get_or_insert_with(Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_due_once_and_in_order() {
        let mut script = Script::new(Some(Duration::ZERO));
        let steps: Vec<_> = std::iter::from_fn(|| script.due()).collect();
        assert_eq!(steps, [Step::Command, Step::Ask, Step::Reset, Step::Ask]);
        assert!(script.is_over());
        let mut script = Script::new(None);
        assert_eq!((script.due(), script.is_over()), (None, false));
    }
}
