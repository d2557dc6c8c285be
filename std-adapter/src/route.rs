//! Routes that are only known when the program runs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tieline::{RouteError, RouteName};

static KNOWN: Mutex<Option<HashMap<&'static str, &'static RouteName>>> = Mutex::new(None);

/// Reads a route name, `Type@path` or `prefix#hash`, from text that is not known when compiling.
///
/// Route names live as long as the program, so every distinct text takes some memory once and for good. Do not
/// feed it texts without end that others choose.
///
/// # Errors
/// What is wrong with the text.
///
/// ```
/// let route = tieline_std::route("Line@bench.in")?;
/// assert_eq!(route.path(), "bench.in");
/// # Ok::<(), tieline::RouteError>(())
/// ```
pub fn route(text: &str) -> Result<&'static RouteName, RouteError> {
    RouteName::check(text)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_with(HashMap::new);
    if let Some(&name) = known.get(text) {
        return Ok(name);
    }
    let text: &'static str = text.to_owned().leak();
    let name: &'static RouteName = Box::leak(Box::new(RouteName::parse(text)?));
    known.insert(text, name);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once() {
        let first = route("Line@bench.once").unwrap();
        assert!(std::ptr::eq(first, route("Line@bench.once").unwrap()));
        assert!(route("no route").is_err());
        assert!(route("no route").is_err());
    }
}
