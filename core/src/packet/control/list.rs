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
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// At least one must follow, and only the first counts: the single forms.
    Single,
    Many,
    Ended,
}

impl<'a> List<'a> {
    const fn new(rest: Fields<'a>, single: bool) -> Self {
        Self { rest, turn: if single { Turn::Single } else { Turn::Many } }
    }

    /// Where the next one is read, if there is one.
    fn next(&mut self) -> Option<&mut Fields<'a>> {
        match self.turn {
            Turn::Ended => return None,
            Turn::Single => self.turn = Turn::Ended,
            Turn::Many if self.rest.is_empty() => return None,
            Turn::Many => {}
        }
        Some(&mut self.rest)
    }

    fn iterate<T>(&mut self, parse: fn(&mut Fields<'a>) -> Option<T>) -> Option<Result<T, Malformed>> {
        let item = parse(self.next()?).ok_or(Malformed);
        if item.is_err() {
            self.turn = Turn::Ended;
        }
        Some(item)
    }
}

/// The intents of an INTENT or INTENTS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intents<'a>(List<'a>);

impl<'a> Intents<'a> {
    pub(super) const fn new(rest: Fields<'a>, single: bool) -> Self {
        Self(List::new(rest, single))
    }

    /// Where the next intent is read, if there is one: for who moves none of them.
    pub(crate) fn fields(&mut self) -> Option<&mut Fields<'a>> {
        self.0.next()
    }
}

impl<'a> Iterator for Intents<'a> {
    type Item = Result<Intent<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.iterate(Intent::parse)
    }
}

/// The interests of an INTEREST or INTERESTS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interests<'a>(List<'a>);

impl<'a> Interests<'a> {
    pub(super) const fn new(rest: Fields<'a>, single: bool) -> Self {
        Self(List::new(rest, single))
    }

    /// Where the next interest is read, if there is one: for who moves none of them.
    pub(crate) fn fields(&mut self) -> Option<&mut Fields<'a>> {
        self.0.next()
    }
}

impl<'a> Iterator for Interests<'a> {
    type Item = Result<Interest<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.iterate(Interest::parse)
    }
}
