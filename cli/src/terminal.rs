//! What people see: notes, errors and a progress line, all on standard error. Colours and progress only on a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The progress line is renewed that often.
const RENEW: Duration = Duration::from_millis(200);

/// One line for people.
pub(crate) fn note(text: impl std::fmt::Display) {
    // If nobody can read it, nobody misses it.
    let _ = writeln!(anstream::stderr(), "{text}");
}

pub(crate) fn error(error: &anyhow::Error) {
    note(format_args!("{BAD}tieline:{BAD:#} {error:#}"));
}

/// A line that is overwritten while work goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    renewed: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { shown, renewed: None }
    }

    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if self.shown && self.renewed.is_none_or(|at| at.elapsed() >= RENEW) {
            self.renewed = Some(Instant::now());
            let _ = write!(anstream::stderr(), "\r{DIM}{}{DIM:#}\x1b[K", text());
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.renewed.take().is_some() {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
