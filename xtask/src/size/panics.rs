//! The proof that nothing in the core can panic or allocate: a program that uses all of it and does not link if it can.
//!
//! It judges what the linker says. Where a panic is that was found, is read from an image in which its place is left in.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::embedded::BoardCargo;
use crate::measure::{Opt, Program};
use crate::{process, workspace};

/// Declared and never written, in `firmware-example/measure/src/panics.rs`.
const SYMBOL: &str = "tieline_a_panic_can_be_reached";

/// What is proven: which program, with which features, optimized for what. The program `no-panic` calls everything there is;
/// the others are of the small machine alone. Postcard at "z" and the
/// table of 16 KiB leave bounds checks that are other crates' own.
const PROOFS: [(Program<'_>, Opt); 4] = [
    (program("no-panic", "no-panic,whole"), Opt::Smallest),
    (program("no-panic", "no-panic,whole,typed,crc-table"), Opt::Small),
    (program("publisher", "no-panic"), Opt::Smallest),
    (program("best-effort", "no-panic,best-effort"), Opt::Smallest),
];

/// The same with a panic, and where that is.
const PLANTED: (Program<'_>, Opt) = (program("no-panic", "no-panic,whole,plant-panic"), Opt::Small);
const PLANTED_IN: &str = "no-panic/main.rs";

/// Proves it for one target, and that the proof fails when there is a panic.
pub(super) fn prove(cargo: &BoardCargo, target: &str) -> Result<()> {
    for (program, opt) in &PROOFS {
        if !links(cargo, program, *opt)? {
            let places = places(cargo, target, program, *opt)?;
            bail!(
                "{target}, opt-level {opt}, {} with {}: there is code that can panic, or the compiler cannot tell \
                 that it does not:\n{}\n\
                 In the core, say it without: `get` for an index, `checked_div` for a division, `wire::copy` for \
                 `copy_from_slice`",
                program.name,
                program.features,
                if places.is_empty() { "  (its place was not found)".to_owned() } else { places.join("\n") }
            );
        }
        let image = program.path(target, *opt)?;
        if let Some(name) = allocator(&image)? {
            bail!("{target}: the core allocates, `{name}` is linked");
        }
    }
    let (program, opt) = PLANTED;
    if links(cargo, &program, opt)? {
        bail!("{target}: a planted panic was not found: the proof proves nothing");
    }
    let places = places(cargo, target, &program, opt)?;
    if !places.iter().any(|place| place.contains(PLANTED_IN)) {
        bail!("{target}: the place of a planted panic was not found, but {places:?}");
    }
    println!("{target}: no panic and no allocation can be reached; a planted panic is found");
    Ok(())
}

const fn program<'a>(name: &'a str, features: &'a str) -> Program<'a> {
    Program { name, bin: name, features }
}

/// Whether it links. An error if it is not built for another reason than a panic.
fn links(cargo: &BoardCargo, program: &Program<'_>, opt: Opt) -> Result<bool> {
    match process::capture(&mut program.command(cargo, opt)?) {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains(SYMBOL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The places of all panics that are linked when panics may be.
fn places(cargo: &BoardCargo, target: &str, program: &Program<'_>, opt: Opt) -> Result<Vec<String>> {
    let features = format!("{},panic-tells", program.features);
    let image = Program { features: &features, ..*program }.build(cargo, target, opt)?;
    let bytes = read(&image)?;
    let file = object::File::parse(&*bytes)?;
    let constants = file.section_by_name(".rodata").context("an image without constants")?;
    let address = u32::try_from(constants.address())?;
    Ok(places_in(constants.data()?, address))
}

/// All `core::panic::Location` in constants that lie at `base`: pointer and length of the file's name, line, column.
fn places_in(constants: &[u8], base: u32) -> Vec<String> {
    let (words, _) = constants.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let mut places: Vec<String> = words
        .windows(4)
        .filter_map(|window| {
            let [name, len, line, column] = *window else { return None };
            let start = usize::try_from(name.checked_sub(base)?).ok()?;
            let name = constants.get(start..)?.get(..usize::try_from(len).ok()?)?;
            let name = str::from_utf8(name).ok().filter(|name| name.ends_with(".rs"))?;
            Some(format!("  {}:{line}:{column}", relative(name)))
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// A path as one would look for it.
fn relative(path: &str) -> &str {
    let root = workspace::root().to_string_lossy();
    let inside = path.strip_prefix(&*root).map(|rest| rest.trim_start_matches('/'));
    // A crate of the registry, by its name and version.
    let crates = || path.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    inside.or_else(|| crates().map(|(_, rest)| rest)).unwrap_or(path)
}

/// The name of a symbol of the allocator, if one is linked.
fn allocator(image: &Path) -> Result<Option<String>> {
    let bytes = read(image)?;
    let file = object::File::parse(&*bytes)?;
    let mut names = file.symbols().filter_map(|symbol| symbol.name().ok());
    Ok(names.find(|name| name.contains("__rust_alloc")).map(str::to_owned))
}

fn read(image: &Path) -> Result<Vec<u8>> {
    fs::read(image).with_context(|| format!("cannot read {}", image.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constants with a name at their begin, and a place that names it.
    fn constants(name: &str, line: u32, base: u32) -> Vec<u8> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(name.len().next_multiple_of(4), 0);
        for word in [7, base, u32::try_from(name.len()).unwrap(), line, 9, 7] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn places_are_found_among_other_constants() {
        let inside = format!("{}/core/src/queue.rs", workspace::root().display());
        assert_eq!(places_in(&constants(&inside, 80, 0x4000), 0x4000), ["  core/src/queue.rs:80:9"]);
        let registry = "/home/me/.cargo/registry/src/index.crates.io-1/postcard-1.1.3/src/varint.rs";
        assert_eq!(places_in(&constants(registry, 47, 0x10), 0x10), ["  postcard-1.1.3/src/varint.rs:47:9"]);
        assert!(places_in(&constants("no name of a file", 80, 0x4000), 0x4000).is_empty());
        assert!(places_in(&constants(&inside, 80, 0x4000), 0x8000).is_empty());
    }
}
