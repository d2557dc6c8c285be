//! A register of a peripheral.

/// A register of 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// The register at an address.
    ///
    /// # Safety
    /// There is such a register, aligned, and neither reading nor writing it changes memory that Rust knows of.
    #[must_use]
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Its value.
    #[must_use]
    pub fn read(self) -> u32 {
        // SAFETY: whoever made it has promised that.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: as in `read`.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
