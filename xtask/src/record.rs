//! Recorded figures: text files in the repository, one line per thing that is measured, so that a change of a figure is a
//! change that somebody reviews.
//!
//! It knows nothing of what is measured or what for.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Growth that is no error, in percent: an unrelated change may move an inlined function.
const TOLERANCE: u64 = 2;
/// The same with another compiler than the one that the record was made with.
const TOLERANCE_ELSEWHERE: u64 = 10;

/// What figures are recorded under: words.
pub(crate) type Key<const WORDS: usize> = [String; WORDS];

/// Where figures are recorded.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root of the repository.
    pub(crate) path: &'static str,
    /// The command that writes it.
    pub(crate) command: &'static str,
    /// What is in it, for its first line.
    pub(crate) about: &'static str,
    /// The fields of a line.
    pub(crate) columns: &'static str,
}

/// All that is recorded in a file: `WORDS` words and `N` figures a line.
#[derive(Debug)]
pub(crate) struct Records<const WORDS: usize, const N: usize> {
    file: &'static File,
    lines: Vec<(Key<WORDS>, [u64; N])>,
}

impl<const WORDS: usize, const N: usize> Records<WORDS, N> {
    /// Nothing.
    pub(crate) const fn new(file: &'static File) -> Self {
        Self { file, lines: Vec::new() }
    }

    /// Reads the file of the repository.
    pub(crate) fn load(file: &'static File) -> Result<Self> {
        let text = fs::read_to_string(path(file)).with_context(|| {
            format!("cannot read what is recorded in {} (`{} --update` writes it)", file.path, file.command)
        })?;
        Self::parse(file, &text).with_context(|| format!("{} is damaged", file.path))
    }

    /// Writes the file of the repository. `pinned`: measured with the compiler that records are made with.
    pub(crate) fn save(&self, pinned: bool) -> Result<()> {
        if !pinned {
            bail!("what is recorded is made with the toolchain of rust-toolchain.toml");
        }
        fs::write(path(self.file), self.to_text()).with_context(|| format!("cannot write {}", self.file.path))
    }

    fn parse(file: &'static File, text: &str) -> Result<Self> {
        let mut records = Self::new(file);
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let Some((key, figures)) = fields.split_first_chunk::<WORDS>() else {
                bail!("`{line}` has not {WORDS} words");
            };
            let figures: Vec<u64> = figures
                .iter()
                .map(|text| text.parse().with_context(|| format!("`{text}` in `{line}`")))
                .collect::<Result<_>>()?;
            let Ok(figures) = figures.try_into() else { bail!("`{line}` has not {N} figures") };
            records.set((*key).map(str::to_owned), figures);
        }
        Ok(records)
    }

    fn to_text(&self) -> String {
        let File { command, about, columns, .. } = self.file;
        let mut text = format!("# {about}; written by `{command} --update`.\n# {columns}\n");
        for (key, figures) in &self.lines {
            for (place, word) in key.iter().enumerate() {
                let width = self.lines.iter().map(|(key, _)| key[place].len()).max().unwrap_or(0);
                // Writing to a String cannot fail.
                let _ = write!(text, "{word:<width$} ");
            }
            text.pop();
            figures.iter().for_each(|figure| _ = write!(text, " {figure:>6}"));
            text.push('\n');
        }
        text
    }

    /// What is recorded under a key.
    pub(crate) fn get(&self, key: &Key<WORDS>) -> Option<[u64; N]> {
        self.lines.iter().find(|(known, _)| known == key).map(|(_, figures)| *figures)
    }

    /// Records figures.
    pub(crate) fn set(&mut self, key: Key<WORDS>, figures: [u64; N]) {
        match self.lines.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = figures,
            None => self.lines.push((key, figures)),
        }
    }

    /// Compares figures, named `names`, with what is recorded: complaints. `pinned` as for [`save`](Self::save).
    pub(crate) fn judge(
        &self,
        measured: impl IntoIterator<Item = (Key<WORDS>, [u64; N])>,
        names: [&str; N],
        pinned: bool,
    ) -> Result<()> {
        let tolerance = if pinned { TOLERANCE } else { TOLERANCE_ELSEWHERE };
        let mut complaints = Vec::new();
        for (key, figures) in measured {
            let Some(recorded) = self.get(&key) else {
                complaints.push(format!("  {}: not recorded", key.join(" ")));
                continue;
            };
            for ((now, then), name) in figures.into_iter().zip(recorded).zip(names) {
                if now * 100 > then * (100 + tolerance) {
                    complaints.push(format!("  {}: {now} {name}, recorded are {then}", key.join(" ")));
                }
            }
        }
        if !complaints.is_empty() {
            bail!(
                "more than {tolerance} % over what is recorded:\n{}\n\
                 If that is meant, `{} --update` records it: say in the commit what it buys",
                complaints.join("\n"),
                self.file.command
            );
        }
        Ok(())
    }
}

/// How a figure has changed, for a table.
pub(crate) fn change(now: u64, then: Option<u64>) -> String {
    match then {
        None => "new".to_owned(),
        Some(then) if then == now => "=".to_owned(),
        Some(then) => format!("{:+}", now.cast_signed() - then.cast_signed()),
    }
}

fn path(file: &File) -> PathBuf {
    workspace::root().join(file.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILE: File = File {
        path: "sizes.txt",
        command: "cargo xtask size",
        about: "Flash and RAM",
        columns: "target, opt-level, firmware, flash, RAM",
    };

    fn key(firmware: &str) -> Key<3> {
        ["thumbv7m-none-eabi", "z", firmware].map(str::to_owned)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut records = Records::new(&FILE);
        records.set(key("publisher"), [6000, 1500]);
        records.set(key("reliable"), [14_000, 4000]);
        records.set(key("publisher"), [5000, 1400]);
        let again = Records::parse(&FILE, &records.to_text()).unwrap();
        assert_eq!(again.lines, records.lines);
        assert_eq!(again.get(&key("publisher")), Some([5000, 1400]));
        assert_eq!(again.get(&key("base")), None);
    }

    #[test]
    fn a_damaged_line_is_told() {
        for text in ["thumbv7m z publisher 6000\n", "thumbv7m z publisher 6000 many\n", "thumbv7m z\n"] {
            assert!(Records::<3, 2>::parse(&FILE, text).is_err(), "{text}");
        }
    }

    #[test]
    fn growth_beyond_the_tolerance_is_an_error() {
        let mut records = Records::new(&FILE);
        records.set(key("firmware"), [10_000, 1000]);
        let judge = |firmware, figures, pinned| {
            records.judge([(key(firmware), figures)], ["bytes of flash", "bytes of RAM"], pinned)
        };
        assert!(judge("firmware", [10_200, 1020], true).is_ok());
        assert!(judge("firmware", [10_201, 1000], true).is_err());
        assert!(judge("firmware", [10_000, 1021], true).is_err());
        assert!(judge("firmware", [10_201, 1000], false).is_ok());
        assert!(judge("another", [1, 1], true).is_err());
    }
}
