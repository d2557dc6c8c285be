//! The README's quick start for a board is the firmware that is built: the block equals the file that is named above it.

use std::path::PathBuf;
use std::{env, fs};

const FILE: &str = "firmware-example/boards/rp2040/src/main.rs";
const FENCE: &str = "```rust,ignore\n";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The page before the code, the code, and the page behind it.
fn divide(page: &str) -> Option<(&str, &str, &str)> {
    let mark = format!("<!-- {FILE} -->\n{FENCE}");
    let start = page.find(&mark)? + mark.len();
    let length = page[start..].find("```\n")?;
    Some((&page[..start], &page[start..start + length], &page[start + length..]))
}

/// The first line in which they differ, from 1.
fn difference(shown: &str, real: &str) -> Option<String> {
    let lines = shown.lines().count().max(real.lines().count());
    let [mut shown, mut real] = [shown.lines(), real.lines()];
    (1..=lines).find_map(|number| {
        let (shown, real) = (shown.next(), real.next());
        let text = |line: Option<&str>| line.map_or("(nothing)".to_owned(), |line| format!("`{line}`"));
        (shown != real).then(|| format!("line {number}: README {}, file {}", text(shown), text(real)))
    })
}

#[test]
fn the_quick_start_of_a_board_is_the_code_that_is_built() {
    let readme = root().join("README.md");
    let page = fs::read_to_string(&readme).unwrap();
    let code = fs::read_to_string(root().join(FILE)).unwrap();
    let Some((before, shown, behind)) = divide(&page) else {
        panic!(
            "README.md has no block `{}` under `<!-- {FILE} -->` any more: put it there",
            FENCE.trim_end()
        );
    };
    let Some(difference) = difference(shown, &code) else { return };
    if env::var_os("REPAIR").is_some() {
        fs::write(&readme, [before, &code, behind].concat()).unwrap();
        return;
    }
    panic!(
        "README.md does not show {FILE} as it is ({difference}). To put the file into the README:\n    \
         REPAIR=1 cargo test -p tieline-tests --test readme"
    );
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let page = format!("a\n<!-- {FILE} -->\n{FENCE}x\ny\n```\nb\n```rust\nz\n```\n");
    let behind = "```\nb\n```rust\nz\n```\n";
    assert_eq!(divide(&page).map(|(_, code, behind)| (code, behind)), Some(("x\ny\n", behind)));
    assert_eq!(divide("a\n```rust\nx\n```\n"), None);
    assert_eq!(difference("x\ny\n", "x\ny\n"), None);
    for (shown, place) in [("x\n", "line 2"), ("x\nz\n", "line 2"), ("x\ny\nz\n", "line 3"), ("", "line 1")] {
        assert!(difference(shown, "x\ny\n").is_some_and(|text| text.starts_with(place)), "{shown:?}");
    }
}
