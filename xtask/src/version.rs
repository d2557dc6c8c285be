//! Compiler versions, as far as "is it new enough" needs them.
//!
//! Reads `1.95`, `1.95.0`, `1.97.0-nightly` and Debian's `1:1.96.0+dfsg1-1~deb12u2`. It does
//! not order pre-releases or package revisions: those never decide anything here.

use std::fmt;

/// Major, minor and patch number of a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads the leading `major.minor[.patch]`; `None` if there is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // Debian's epoch (`1:`) orders packages, it is no part of the compiler's version.
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        let numbers_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..numbers_end].split('.');
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
            patch: match numbers.next() {
                Some(patch) => patch.parse().ok()?,
                None => 0,
            },
        })
    }

    /// The oldest compiler this workspace is built with (`rust-version` in `Cargo.toml`).
    pub(crate) fn required() -> Self {
        Self::parse(env!("CARGO_PKG_RUST_VERSION"))
            .expect("cargo itself checks that rust-version is a version number")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_missing_patch_number_is_zero() {
        assert_eq!(version("1.95"), version("1.95.0"));
    }

    #[test]
    fn minor_numbers_are_numbers_and_not_text() {
        assert!(version("1.100.0") > version("1.95.0"));
        assert!(version("1.85.0+dfsg3-1~deb12u3") < version("1.95"));
    }

    #[test]
    fn debian_and_nightly_suffixes_are_ignored() {
        assert_eq!(version("1.96.0+dfsg1-1~deb12u2").to_string(), "1.96.0");
        assert_eq!(version("1:1.96.0+dfsg1-1").to_string(), "1.96.0");
        assert_eq!(version("1.97.0-nightly\n").to_string(), "1.97.0");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "(none)", "1", "1.", "unknown", "1.x.0"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_workspace_states_its_oldest_compiler() {
        assert!(Version::required() >= version("1.95"));
    }
}
