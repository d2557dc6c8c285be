//! One story, told with many seeds.

use crate::rng::Rng;

/// Runs a story with `count` seeds (with `SEEDS` many, if that environment variable is set), or only with the one in the
/// environment variable `SEED`. When it panics, the line that runs it again is printed.
pub fn for_seeds(count: u64, mut story: impl FnMut(u64, Rng)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("SEEDS").unwrap_or(count);
    let (first, last) = number("SEED").map_or((1, count), |seed| (seed, seed));
    for seed in first..=last {
        let guard = Reproduce(seed);
        story(seed, Rng::new(seed));
        drop(guard);
    }
}

struct Reproduce(u64);

impl Drop for Reproduce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("reproduce: {}", line(self.0));
        }
    }
}

fn line(seed: u64) -> String {
    // `reliable-0123456789abcdef` is the program of tests/reliable.rs.
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str());
    let target = stem.and_then(|stem| stem.rsplit_once('-')).map_or("NAME", |(name, _)| name);
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default();
    format!("SEED={seed} cargo test -p tieline-tests --test {target} -- {test}")
}
