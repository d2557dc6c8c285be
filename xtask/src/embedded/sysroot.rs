//! A standard library for bare-metal targets, built from Debian's source and kept in a cache.
//!
//! The cache has one directory per compiler package, `sysroot-VERSION-RECIPE`, with:
//! * `bin/rustc` and `bin/rustdoc`: Debian's programs, told to look here for libraries;
//! * `lib/rustlib/HOST`: a link to Debian's libraries for build scripts and macros;
//! * `lib/rustlib/TARGET/lib`: core, alloc and compiler_builtins, built once per target.
//!
//! It is not a toolchain for rustup: only `RUSTC` and `RUSTDOC` point here. Directories of
//! old versions stay until the user deletes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::cache::{self, Workshop};
use super::compiler;
use crate::{process, workspace};

/// Debian's compiler by its path: what is in PATH may be rustup's.
const RUSTC: &str = "/usr/bin/rustc";
const RUSTDOC: &str = "/usr/bin/rustdoc";
const RUSTLIB: &str = "/usr/lib/rustlib";

/// To be raised when the recipe below changes: the cached results are then no longer used.
const RECIPE: u32 = 1;

const LIBRARIES: [&str; 3] = ["libcore-", "liballoc-", "libcompiler_builtins-"];

/// An empty crate, compiled for the sake of the libraries below it. One codegen unit gives
/// the smallest code; compiler_builtins relies on having one unit per function.
const MANIFEST: &str = r#"[package]
name = "board-sysroot"
version = "0.0.0"
edition = "2024"
[workspace]
[profile.release]
codegen-units = 1
panic = "abort"
[profile.release.package.compiler_builtins]
codegen-units = 10000
"#;

/// Debian's compiler with libraries for bare-metal targets.
pub(super) struct Sysroot {
    /// What `--sysroot` is given.
    pub(super) dir: PathBuf,
    /// The version of Debian's packages.
    pub(super) version: String,
    /// Why clippy does not work with it, if it does not.
    pub(super) why_no_clippy: Option<String>,
    /// What links firmware images, if that could be had.
    pub(super) linker: Option<PathBuf>,
}

impl Sysroot {
    /// The path of the compiler.
    pub(super) fn rustc(&self) -> PathBuf {
        self.dir.join("bin/rustc")
    }

    /// The path of the documentation compiler.
    pub(super) fn rustdoc(&self) -> PathBuf {
        self.dir.join("bin/rustdoc")
    }
}

/// The sysroot of the installed packages, with a library for `target`.
pub(super) fn provide(
    version: &str,
    target: &str,
    why_no_clippy: Option<String>,
    linker: Option<PathBuf>,
) -> Result<Sysroot> {
    let sysroot = Sysroot {
        dir: cache::dir()?.join(format!("sysroot-{version}-{RECIPE}")),
        version: version.to_owned(),
        why_no_clippy,
        linker,
    };
    add_host_half(&sysroot)?;
    let place = sysroot.dir.join("lib/rustlib").join(target);
    if !place.exists() {
        build_libraries(&place, target)
            .with_context(|| format!("rust-web-src {version} does not build for {target} (see above)"))?;
    }
    if !compiler::has_target(sysroot.rustc(), target)? {
        bail!("{} is damaged: delete it", sysroot.dir.display());
    }
    Ok(sysroot)
}

/// The programs, and what is compiled for this machine.
fn add_host_half(sysroot: &Sysroot) -> Result<()> {
    for (real, wrapper) in [(RUSTC, sysroot.rustc()), (RUSTDOC, sysroot.rustdoc())] {
        let script = wrapper_script(real, &sysroot.dir.to_string_lossy());
        cache::write_program(&wrapper, &script)?;
    }
    let host = compiler::fact(RUSTC, "host")?;
    cache::link(&Path::new(RUSTLIB).join(&host), &sysroot.dir.join("lib/rustlib").join(&host))
}

fn wrapper_script(real: &str, sysroot: &str) -> String {
    let quoted = sysroot.replace('\'', r"'\''");
    format!("#!/bin/sh\nexec {real} --sysroot '{quoted}' \"$@\"\n")
}

fn build_libraries(place: &Path, target: &str) -> Result<()> {
    eprintln!("building the standard library for {target} (once, then cached)");
    let started = Instant::now();
    let workshop = Workshop::create()?;
    let built = compile(workshop.path(), target)?;
    let finished = workshop.path().join("finished");
    collect(&built, &finished.join("lib"))?;
    cache::publish(&finished, place)?;
    eprintln!("built in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Compiles the libraries in `dir`; returns the directory that they are in.
fn compile(dir: &Path, target: &str) -> Result<PathBuf> {
    fs::create_dir(dir.join("src"))?;
    fs::write(dir.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(dir.join("Cargo.toml"), MANIFEST)?;
    let source = fs::canonicalize(Path::new(RUSTLIB).join("src/rust/library"))
        .context("the source of the standard library is not where Debian puts it")?;
    let hash = compiler::fact(RUSTC, "commit-hash")?;
    // Bitcode, for firmware built with link-time optimisation; and panic messages name
    // files as those of an official toolchain do.
    let flags =
        format!("-Cembed-bitcode=yes\u{1f}--remap-path-prefix={}=/rustc/{hash}/library", source.display());
    let output = dir.join("target");
    let mut cargo = workspace::cargo()?;
    cargo
        .current_dir(dir)
        .args(["build", "--quiet", "--release", "--target", target])
        .args(["-Zbuild-std=core,alloc"])
        .args(["-Zbuild-std-features=compiler-builtins-mem"])
        .env("RUSTC", RUSTC)
        // Lets released compilers accept the -Z options, for this one call.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", &output)
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET");
    process::run(&mut cargo)?;
    Ok(output.join(target).join("release/deps"))
}

/// Copies the libraries of `built` and nothing else: the empty crate is no part of them.
fn collect(built: &Path, library: &Path) -> Result<()> {
    fs::create_dir_all(library)?;
    let mut missing = LIBRARIES.to_vec();
    for entry in fs::read_dir(built)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        let Some(found) = LIBRARIES.iter().find(|prefix| text.starts_with(**prefix)) else {
            continue;
        };
        if text.ends_with(".rlib") {
            fs::copy(built.join(&name), library.join(&name))?;
            missing.retain(|prefix| prefix != found);
        }
    }
    if !missing.is_empty() {
        bail!("the build made no {}", missing.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wrapper_script;

    #[test]
    fn the_wrapper_survives_odd_paths() {
        let script = wrapper_script("/usr/bin/rustc", "/home/o'hara/a b");
        assert_eq!(script, "#!/bin/sh\nexec /usr/bin/rustc --sysroot '/home/o'\\''hara/a b' \"$@\"\n");
    }
}
