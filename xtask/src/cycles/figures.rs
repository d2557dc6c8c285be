//! What is counted, by the names that the firmware prints, and the goals.

use anyhow::{Context, Result};

/// With which capabilities the firmware is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// All.
    Full,
    /// Best-effort messages both ways.
    BestEffort,
}

impl Build {
    pub(super) const ALL: [Self; 2] = [Self::Full, Self::BestEffort];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::BestEffort => "best-effort",
        }
    }

    /// What it is, for people.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Full => "all capabilities",
            Self::BestEffort => "a build that sends and receives best-effort messages only",
        }
    }

    pub(super) const fn features(self) -> &'static str {
        match self {
            Self::Full => "cycles,full",
            Self::BestEffort => "cycles",
        }
    }
}

/// A figure: one that the firmware prints, or the sum of some.
pub(super) struct Figure {
    pub(super) build: Build,
    /// What it is, for people.
    pub(super) about: &'static str,
    name: &'static str,
    /// What is added up; the name itself if that is one that is printed.
    parts: &'static [&'static str],
    /// At most so many at opt-level "s" with the table of 1 KiB.
    pub(super) goal: Option<u64>,
}

const fn printed(name: &'static str, about: &'static str, goal: Option<u64>) -> Figure {
    Figure { build: Build::Full, about, name, parts: &[], goal }
}

const fn alone(name: &'static str, about: &'static str, goal: Option<u64>) -> Figure {
    Figure { build: Build::BestEffort, ..printed(name, about, goal) }
}

pub(super) const FIGURES: [Figure; 18] = [
    printed("best-effort-out-8", "best effort, 8 bytes: publish to frame", Some(900)),
    printed("best-effort-in-8", "best effort, 8 bytes: frame to message", Some(900)),
    printed("best-effort-out-64", "best effort, 64 bytes: publish to frame", None),
    printed("best-effort-in-64", "best effort, 64 bytes: frame to message", None),
    printed("reliable-send-8", "reliable, 8 bytes: publish to frame", None),
    printed("reliable-receive-and-acknowledge-8", "reliable, 8 bytes: frame to message, and answer", None),
    printed("reliable-acknowledged-8", "reliable, 8 bytes: answer to event", None),
    Figure {
        build: Build::Full,
        about: "reliable, 8 bytes: in all",
        name: "reliable-8",
        parts: &["reliable-send-8", "reliable-receive-and-acknowledge-8", "reliable-acknowledged-8"],
        // T-MIN, see `peers`.
        goal: Some(3352),
    },
    printed("reliable-send-64", "reliable, 64 bytes: publish to frame", None),
    printed("reliable-receive-and-acknowledge-64", "reliable, 64 bytes: frame to message, and answer", None),
    printed("reliable-acknowledged-64", "reliable, 64 bytes: answer to event", None),
    Figure {
        build: Build::Full,
        about: "reliable, 64 bytes: in all",
        name: "reliable-64",
        parts: &["reliable-send-64", "reliable-receive-and-acknowledge-64", "reliable-acknowledged-64"],
        goal: None,
    },
    printed("idle-0", "idle: a turn of the main loop, nothing to do", None),
    alone("best-effort-out-8", "best effort, 8 bytes: publish to frame", Some(900)),
    alone("best-effort-in-8", "best effort, 8 bytes: frame to message", Some(900)),
    alone("best-effort-out-64", "best effort, 64 bytes: publish to frame", None),
    alone("best-effort-in-64", "best effort, 64 bytes: frame to message", None),
    alone("idle-0", "idle: a turn of the main loop, nothing to do", None),
];

impl Figure {
    /// The name under which it is recorded.
    pub(super) fn key(&self) -> String {
        self.name.trim_end_matches("-0").to_owned()
    }

    /// The figure, of what the firmware printed: a line is a name, the least and the most.
    pub(super) fn of(&self, printed: &str) -> Result<u64> {
        let parts = if self.parts.is_empty() { std::slice::from_ref(&self.name) } else { self.parts };
        parts.iter().map(|part| most(printed, part)).sum()
    }
}

fn most(printed: &str, name: &str) -> Result<u64> {
    let most = printed.lines().find_map(|line| {
        let (_, most) = line.strip_prefix(name)?.strip_prefix(' ')?.split_once(' ')?;
        most.parse().ok()
    });
    most.with_context(|| format!("the firmware did not print `{name}`: {printed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_most_that_was_printed_or_a_sum_of_that() {
        let printed = "a-8 10 12\na-88 1 1\nb 7 7\nend\n";
        let figure = |parts| Figure { build: Build::Full, about: "", name: "a-8", parts, goal: None };
        assert_eq!(figure(&[]).of(printed).unwrap(), 12);
        assert_eq!(figure(&["a-8", "b"]).of(printed).unwrap(), 19);
        assert!(figure(&["c"]).of(printed).is_err());
    }
}
