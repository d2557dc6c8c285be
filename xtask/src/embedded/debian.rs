//! The second way to a bare-metal target: Debian's compiler, installed with apt-get.
//!
//! Debian ships no library for bare-metal targets, but the source of it, which [`sysroot`]
//! builds. Packages are only added, never removed or replaced by others: rustc-web excludes
//! Debian's own rustc and rustup packages, and that is for the user to decide.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::sysroot::{self, Sysroot};
use crate::process;
use crate::version::Version;

const COMPILER: &str = "rustc-web";
const SOURCE: &str = "rust-web-src";
const CLIPPY: &str = "rust-web-clippy";

/// The clippy that belongs to this compiler.
pub(super) const CARGO_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Debian's compiler with a library for `target`, installed and built as needed.
pub(super) fn provide(target: &str) -> Result<Sysroot> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this machine has no apt-get");
    }
    let package = ensure_compiler()?;
    let why_no_clippy = ensure_clippy(&package).err().map(|error| format!("{error:#}"));
    sysroot::provide(&package, target, why_no_clippy)
}

/// Installs compiler and source if they are absent, too old or not of one version; returns
/// the version of the packages.
fn ensure_compiler() -> Result<String> {
    if let Ok(version) = usable_compiler() {
        return Ok(version);
    }
    if let Err(error) = usable_candidate().and_then(|version| install_compiler(&version)) {
        // Old lists know old packages only, or name files that the server no longer has.
        println!("updating the package lists: {error:#}");
        apt_get(&["update"])?;
        install_compiler(&usable_candidate()?)?;
    }
    usable_compiler()
}

fn install_compiler(version: &str) -> Result<()> {
    println!("installing Debian's {COMPILER} and {SOURCE} {version}");
    install(&[format!("{COMPILER}={version}"), format!("{SOURCE}={version}")])
}

/// The installed version of compiler and source, if they fit together and are new enough.
fn usable_compiler() -> Result<String> {
    let compiler = installed(COMPILER).with_context(|| format!("{COMPILER} is not installed"))?;
    let source = installed(SOURCE).with_context(|| format!("{SOURCE} is not installed"))?;
    if compiler != source {
        bail!("{COMPILER} {compiler} and {SOURCE} {source} are not of the same version");
    }
    new_enough(COMPILER, &compiler)?;
    Ok(compiler)
}

/// The version that apt-get would install, if it is new enough.
fn usable_candidate() -> Result<String> {
    let policy = process::capture(Command::new("apt-cache").args(["policy", COMPILER]))?;
    let version =
        candidate(&policy).with_context(|| format!("apt-get's sources have no package {COMPILER}"))?;
    new_enough(COMPILER, version)?;
    Ok(version.to_owned())
}

fn candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(str::trim)
        .filter(|version| *version != "(none)")
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
    if installed(CLIPPY).is_none_or(|version| version != compiler) {
        println!("installing Debian's {CLIPPY} {compiler}");
        install(&[format!("{CLIPPY}={compiler}")])
            .with_context(|| format!("{CLIPPY} {compiler} cannot be installed"))?;
    }
    Ok(())
}

/// The version of an installed package.
fn installed(package: &str) -> Option<String> {
    // It fails for a package that dpkg has never heard of.
    let answer = process::capture(Command::new("dpkg-query").args([
        "--show",
        "--showformat=${db:Status-Status} ${Version}",
        package,
    ]));
    let answer = answer.ok()?;
    let version = answer.trim().strip_prefix("installed ")?;
    Some(version.to_owned())
}

fn install(packages: &[String]) -> Result<()> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages.iter().map(String::as_str));
    apt_get(&arguments)
}

/// Runs apt-get as root, by sudo if need be; waits for another package manager to finish.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let root = process::capture(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.arg("env");
    }
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"])
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::{candidate, new_enough};

    #[test]
    fn the_candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(candidate(policy), Some("1.96.0+dfsg1-1~deb12u2"));
    }

    #[test]
    fn no_candidate_is_none() {
        assert_eq!(candidate("rustc-web:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn an_old_compiler_is_refused_with_both_versions() {
        let error = new_enough("rustc-web", "1.85.0+dfsg3-1~deb12u3").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1.85.0+dfsg3") && text.contains("1.95.0"));
    }
}
