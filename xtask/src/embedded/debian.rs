//! The second way to a bare-metal target: Debian's compiler, installed with apt-get.
//!
//! Debian ships no library for bare-metal targets, but the source of it, which [`sysroot`]
//! builds. Packages are only added, never removed or replaced by others: rustc-web excludes
//! Debian's own rustc and rustup packages, and that is for the user to decide.

use anyhow::{Context, Result, bail};

use super::linker;
use super::sysroot::{self, Sysroot};
use crate::apt;
use crate::version::Version;

const COMPILER: &str = "rustc-web";
const SOURCE: &str = "rust-web-src";
const CLIPPY: &str = "rust-web-clippy";

/// The clippy that belongs to this compiler.
pub(super) const CARGO_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Debian's compiler with a library for `target`, installed and built as needed.
pub(super) fn provide(target: &str) -> Result<Sysroot> {
    apt::is_there()?;
    let package = ensure_compiler()?;
    let why_no_clippy = ensure_clippy(&package).err().map(|error| format!("{error:#}"));
    let linker = linker::provide().inspect_err(|error| {
        eprintln!("firmware images cannot be linked, libraries can be built: {error:#}");
    });
    sysroot::provide(&package, target, why_no_clippy, linker.ok())
}

/// Installs compiler and source if they are absent, too old or not of one version; returns
/// the version of the packages.
fn ensure_compiler() -> Result<String> {
    if let Ok(version) = usable_compiler() {
        return Ok(version);
    }
    if let Err(error) = usable_candidate().and_then(|version| install_compiler(&version)) {
        // Old lists know old packages only, or name files that the server no longer has.
        eprintln!("updating the package lists: {error:#}");
        apt::update()?;
        install_compiler(&usable_candidate()?)?;
    }
    usable_compiler()
}

fn install_compiler(version: &str) -> Result<()> {
    eprintln!("installing Debian's {COMPILER} and {SOURCE} {version}");
    apt::install(&[format!("{COMPILER}={version}"), format!("{SOURCE}={version}")])
}

/// The installed version of compiler and source, if they fit together and are new enough.
fn usable_compiler() -> Result<String> {
    let compiler = apt::installed(COMPILER).with_context(|| format!("{COMPILER} is not installed"))?;
    let source = apt::installed(SOURCE).with_context(|| format!("{SOURCE} is not installed"))?;
    if compiler != source {
        bail!("{COMPILER} {compiler} and {SOURCE} {source} are not of the same version");
    }
    new_enough(COMPILER, &compiler)?;
    Ok(compiler)
}

/// The version that apt-get would install, if it is new enough.
fn usable_candidate() -> Result<String> {
    let version = apt::candidate(COMPILER)?;
    new_enough(COMPILER, &version)?;
    Ok(version)
}

fn new_enough(package: &str, version: &str) -> Result<()> {
    let required = Version::required();
    let found = Version::parse(version)
        .with_context(|| format!("{package} has a version I cannot read: {version}"))?;
    if found < required {
        bail!("{package} is {version}, but this workspace needs {required} or newer");
    }
    Ok(())
}

/// Installs clippy of exactly the compiler's version: it uses the compiler's inner parts.
fn ensure_clippy(compiler: &str) -> Result<()> {
    if apt::installed(CLIPPY).is_none_or(|version| version != compiler) {
        eprintln!("installing Debian's {CLIPPY} {compiler}");
        apt::install(&[format!("{CLIPPY}={compiler}")])
            .with_context(|| format!("{CLIPPY} {compiler} cannot be installed"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn an_old_compiler_is_refused_with_both_versions() {
        let error = new_enough("rustc-web", "1.85.0+dfsg3-1~deb12u3").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1.85.0+dfsg3") && text.contains("1.95.0"));
    }
}
