//! What a compiler says about itself; it compiles nothing.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// The value of a line of `rustc -vV`, such as `host`, `release` or `commit-hash`.
pub(super) fn fact(compiler: impl AsRef<OsStr>, name: &str) -> Result<String> {
    // In the root: rustup's rustc is the toolchain that the directory asks for.
    let facts = process::capture(Command::new(compiler).arg("-vV").current_dir(workspace::root()))?;
    value(&facts, name).map(str::to_owned).with_context(|| format!("`rustc -vV` names no {name}"))
}

fn value<'a>(facts: &'a str, name: &str) -> Option<&'a str> {
    facts
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

/// Whether this compiler finds a core library for `target`.
pub(super) fn has_target(compiler: impl AsRef<OsStr>, target: &str) -> Result<bool> {
    let libraries = process::capture(
        Command::new(compiler)
            .args(["--print", "target-libdir", "--target", target])
            .current_dir(workspace::root()),
    )?;
    let Ok(entries) = fs::read_dir(libraries.trim()) else {
        return Ok(false);
    };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn facts_are_found_by_their_whole_name() {
        let facts = "rustc 1.96.0 (abc 2026-01-01)\ncommit-hash: abc\nhost: x86_64-linux\n";
        assert_eq!(value(facts, "host"), Some("x86_64-linux"));
        assert_eq!(value(facts, "commit-hash"), Some("abc"));
        assert_eq!(value(facts, "hash"), None);
    }
}
