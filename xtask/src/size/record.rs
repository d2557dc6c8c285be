//! The recorded footprints: a text file in the repository, one line per firmware, so that a change of size is a change that
//! somebody reviews.
//!
//! It knows nothing of what is measured or what for.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::image::Footprint;
use crate::workspace;

const FILE: &str = "firmware-example/measure/sizes.txt";

const HEAD: &str = "# Flash and RAM in bytes over the empty firmware; written by `cargo xtask size --update`.\n\
                    # target, opt-level, firmware, flash, RAM\n";

/// What a footprint is recorded under: target, opt-level, firmware.
pub(crate) type Key = [String; 3];

/// All that is recorded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records(Vec<(Key, Footprint)>);

impl Records {
    /// Reads the file of the repository.
    pub(crate) fn load() -> Result<Self> {
        let text = fs::read_to_string(path()).with_context(|| {
            format!("cannot read what is recorded in {FILE} (`cargo xtask size --update` writes it)")
        })?;
        Self::parse(&text).with_context(|| format!("{FILE} is damaged"))
    }

    /// Writes the file of the repository.
    pub(crate) fn save(&self) -> Result<()> {
        fs::write(path(), self.to_text()).with_context(|| format!("cannot write {FILE}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut records = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let [target, opt, firmware, flash, ram] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                bail!("`{line}` has not five fields");
            };
            let number = |text: &str| text.parse().with_context(|| format!("`{text}` in `{line}`"));
            let footprint = Footprint { flash: number(flash)?, ram: number(ram)? };
            records.set([target, opt, firmware].map(str::to_owned), footprint);
        }
        Ok(records)
    }

    fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        for ([target, opt, firmware], Footprint { flash, ram }) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{target:<22} {opt} {firmware:<12} {flash:>6} {ram:>5}");
        }
        text
    }

    /// What is recorded under a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Footprint> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, footprint)| *footprint)
    }

    /// Records a footprint.
    pub(crate) fn set(&mut self, key: Key, footprint: Footprint) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = footprint,
            None => self.0.push((key, footprint)),
        }
    }
}

fn path() -> PathBuf {
    workspace::root().join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(firmware: &str) -> Key {
        ["thumbv7m-none-eabi", "z", firmware].map(str::to_owned)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut records = Records::default();
        records.set(key("publisher"), Footprint { flash: 6000, ram: 1500 });
        records.set(key("reliable"), Footprint { flash: 14_000, ram: 4000 });
        records.set(key("publisher"), Footprint { flash: 5000, ram: 1400 });
        let again = Records::parse(&records.to_text()).unwrap();
        assert_eq!(again, records);
        assert_eq!(again.get(&key("publisher")), Some(Footprint { flash: 5000, ram: 1400 }));
        assert_eq!(again.get(&key("base")), None);
    }

    #[test]
    fn a_damaged_line_is_told() {
        assert!(Records::parse("thumbv7m-none-eabi z publisher 6000\n").is_err());
        assert!(Records::parse("thumbv7m-none-eabi z publisher 6000 many\n").is_err());
    }

    #[test]
    fn the_repository_has_a_record_that_can_be_read() {
        Records::load().unwrap();
    }
}
