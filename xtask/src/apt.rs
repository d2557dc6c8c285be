//! Debian's packages, installed with apt-get where that is there and may.
//!
//! Packages are only added, never removed or replaced by others.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Whether this machine has apt-get.
pub(crate) fn is_there() -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this machine has no apt-get");
    }
    Ok(())
}

/// The version of a package that apt-get would install.
pub(crate) fn candidate(package: &str) -> Result<String> {
    let policy = process::capture(Command::new("apt-cache").args(["policy", package]))?;
    let version = value(&policy).with_context(|| format!("apt-get's sources have no package {package}"))?;
    Ok(version.to_owned())
}

fn value(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(str::trim)
        .filter(|version| *version != "(none)")
}

/// Installs a package of whatever version there is, with new package lists if the old ones do not do.
pub(crate) fn provide(package: &str) -> Result<()> {
    is_there()?;
    eprintln!("installing Debian's {package}");
    let packages = [package.to_owned()];
    if let Err(error) = candidate(package).and_then(|_| install(&packages)) {
        // Old lists know old packages only, or name files that the server no longer has.
        eprintln!("updating the package lists: {error:#}");
        update()?;
        candidate(package)?;
        install(&packages)?;
    }
    Ok(())
}

/// Brings new package lists.
pub(crate) fn update() -> Result<()> {
    apt_get(&["update"])
}

/// The version of an installed package.
pub(crate) fn installed(package: &str) -> Option<String> {
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

pub(crate) fn install(packages: &[String]) -> Result<()> {
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
    use super::value;

    #[test]
    fn the_candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(value(policy), Some("1.96.0+dfsg1-1~deb12u2"));
    }

    #[test]
    fn no_candidate_is_none() {
        assert_eq!(value("rustc-web:\n  Candidate: (none)\n"), None);
        assert_eq!(value(""), None);
    }
}
