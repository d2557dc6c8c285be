//! What an image takes of a microcontroller's memory.
//!
//! It reads the sections of the ELF file, which is what is flashed; symbols and debug information take nothing there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, SectionKind};

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Vectors, code, constants, and what variables begin with.
    pub(crate) flash: u64,
    /// Variables: the stack is not among them.
    pub(crate) ram: u64,
}

impl Footprint {
    /// The footprint of the image at `path`.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is not an ELF file that can be read", path.display()))?;
        let mut sum = Self::default();
        for section in file.sections() {
            match section.kind() {
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => {
                    sum.flash += section.size();
                }
                SectionKind::Data => {
                    sum.flash += section.size();
                    sum.ram += section.size();
                }
                SectionKind::UninitializedData => sum.ram += section.size(),
                // Debug information, symbols, notes: not loaded.
                _ => {}
            }
        }
        Ok(sum)
    }

    /// What it takes beside `base`.
    pub(crate) const fn over(self, base: Self) -> Self {
        Self { flash: self.flash.saturating_sub(base.flash), ram: self.ram.saturating_sub(base.ram) }
    }
}
