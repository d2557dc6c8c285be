//! Panics that are expected: caught, kept as text and not printed.
//!
//! Other panics, and those of other threads, are printed as always.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is expected, and shall not be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Where and with which words the last quiet panic came.
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// Calls `f`; if it panics, the message is returned and not printed: a shrinker sees hundreds of them.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                LAST_PANIC.set(info.to_string());
            } else {
                loud(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|_: Box<dyn Any + Send>| LAST_PANIC.take())
}

#[cfg(test)]
mod tests {
    use super::quietly;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(quietly(|| 7), Ok(7));
        let message = quietly(|| panic!("{} seals", 3)).unwrap_err();
        assert!(message.contains("3 seals") && message.contains("quiet.rs"), "{message}");
    }
}
