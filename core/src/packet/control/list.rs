//! Declarations one behind the other in a record.
//!
//! Invariant: an iterator ends behind the first declaration that is malformed.
//! It does not know whether the record came in one piece of a longer list: each record stands alone.

use super::declarations::{Intent, Interest};
use crate::packet::Malformed;
use crate::wire::Fields;

/// The declarations of a record: reads one after the other and ends behind the first that is malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List<'a> {
    rest: Fields<'a>,
    /// Whether at least one must follow, and only the first counts: the single forms.
    single: bool,
}

impl<'a> List<'a> {
    fn next<T>(&mut self, parse: fn(&mut Fields<'a>) -> Option<T>) -> Option<Result<T, Malformed>> {
        let single = core::mem::take(&mut self.single);
        if self.rest.is_empty() && !single {
            return None;
        }
        let item = parse(&mut self.rest).ok_or(Malformed);
        if single || item.is_err() {
            self.rest = Fields::new(&[]);
        }
        Some(item)
    }
}

/// The intents of an INTENT or INTENTS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intents<'a>(List<'a>);

impl<'a> Intents<'a> {
    pub(super) const fn new(rest: Fields<'a>, single: bool) -> Self {
        Self(List { rest, single })
    }
}

impl<'a> Iterator for Intents<'a> {
    type Item = Result<Intent<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Intent::parse)
    }
}

/// The interests of an INTEREST or INTERESTS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interests<'a>(List<'a>);

impl<'a> Interests<'a> {
    pub(super) const fn new(rest: Fields<'a>, single: bool) -> Self {
        Self(List { rest, single })
    }
}

impl<'a> Iterator for Interests<'a> {
    type Item = Result<Interest<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Interest::parse)
    }
}
