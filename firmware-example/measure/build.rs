//! Gives the linker the memory of the microcontroller that the target stands for.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let target = env::var("TARGET").unwrap_or_default();
    let memory = match target.split('-').next() {
        Some("thumbv6m") => "memory/cortex-m0.x",
        _ => "memory/lm3s6965.x",
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::copy(memory, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed={memory}");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
