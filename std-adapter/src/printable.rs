//! Text of a peer, for people.
//!
//! Invariant: nothing that is printed moves the cursor, changes a terminal or turns the direction of what follows. What the text
//! means is not judged.

use std::fmt::{self, Write};

/// Text that a peer has chosen (its name, the words of a refusal), as it may be shown on a terminal or written to a log.
///
/// What is no visible character is written as in Rust, `\u{1b}` for instance; all else as it is.
/// ```
/// assert_eq!(tieline_std::printable("it's \u{1b}[2Jme").to_string(), "it's \\u{1b}[2Jme");
/// ```
#[must_use]
pub const fn printable(text: &str) -> Printable<'_> {
    Printable { text }
}

/// What [`printable`] makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printable<'t> {
    text: &'t str,
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|c| {
            if is_harmless(c) { f.write_char(c) } else { write!(f, "{}", c.escape_default()) }
        })
    }
}

/// Neither a control character (C0, DEL, C1) nor one that breaks lines or sets the direction of writing (Unicode, UAX #9).
fn is_harmless(c: char) -> bool {
    let directs =
        matches!(c, '\u{61C}' | '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !directs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_visible_is_escaped() {
        for (text, shown) in [
            (
                "a board, \"ours\" \\ it's e\u{301}\u{e9}\u{1F600}",
                "a board, \"ours\" \\ it's e\u{301}\u{e9}\u{1F600}",
            ),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("a\r\n\tb\0", "a\\r\\n\\tb\\u{0}"),
            ("\u{7f}\u{9b}2J\u{202e}x\u{2066}", "\\u{7f}\\u{9b}2J\\u{202e}x\\u{2066}"),
        ] {
            assert_eq!(printable(text).to_string(), shown);
        }
    }
}
