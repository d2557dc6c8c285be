//! Adds up what the test programs report: their `test result:` lines.
//!
//! It does not judge: whether the run as a whole is good is for the stage to say.

use std::fmt;

/// How many tests passed, failed and were not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests marked `#[ignore]`.
    pub(crate) skipped: u64,
}

impl Totals {
    /// Adds the counts of a `test result:` line; any other line changes nothing.
    pub(crate) fn add_line(&mut self, line: &str) {
        // A test that prints without a newline may come before it on the same line.
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        let Some((_, counts)) = counts.split_once(". ") else {
            return;
        };
        for field in counts.split(';') {
            let mut words = field.split_whitespace();
            let Some(Ok(count)) = words.next().map(str::parse::<u64>) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += count,
                Some("failed") => self.failed += count,
                Some("ignored") => self.skipped += count,
                _ => {}
            }
        }
    }

    /// Adds the counts of tests that were skipped before: now they were run.
    pub(super) fn add_skipped_before(&mut self, now: Self) {
        self.passed += now.passed;
        self.failed += now.failed;
        self.skipped = self.skipped.saturating_sub(now.ran()) + now.skipped;
    }

    /// Tests that were really run.
    pub(crate) fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    fn totals(output: &str) -> Totals {
        let mut totals = Totals::default();
        for line in output.lines() {
            totals.add_line(line);
        }
        totals
    }

    #[test]
    fn sums_over_all_programs() {
        let output = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

   Doc-tests tieline
test result: FAILED. 120 passed; 2 failed; 3 ignored; 0 measured; 7 filtered out; finished in 1.50s
all doctests ran in 0.41s; merged doctests compilation took 0.20s
";
        let sum = totals(output);
        assert_eq!(sum.to_string(), "123 passed, 2 failed, 4 skipped");
        assert_eq!(sum.ran(), 125);
    }

    #[test]
    fn other_lines_do_not_count() {
        let output = "3 passed; 4 failed\ntest result: unknown\ntest passed ... ok\n";
        assert_eq!(totals(output), Totals::default());
    }

    #[test]
    fn what_was_skipped_and_then_run_is_not_skipped() {
        let mut sum = Totals { passed: 100, failed: 0, skipped: 5 };
        sum.add_skipped_before(Totals { passed: 3, failed: 1, skipped: 0 });
        assert_eq!(sum, Totals { passed: 103, failed: 1, skipped: 1 });
        let mut alone = Totals::default();
        alone.add_skipped_before(Totals { passed: 3, failed: 0, skipped: 0 });
        assert_eq!(alone.to_string(), "3 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn output_before_the_line_does_not_hide_it() {
        let line = "noise test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured";
        assert_eq!(totals(line).passed, 2);
    }
}
