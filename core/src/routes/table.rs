//! How places are found: by name, by number, by the application's id.

use super::Slot;
use crate::error::DeclareError;
use crate::event::RouteId;
use crate::packet::control::WireName;
use crate::route::RouteName;

/// How a name on the wire compares with what is declared here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The same route, at this index.
    Same(usize),
    /// The same path with another type or schema.
    Conflict(usize),
    /// Not declared here.
    Unknown,
}

/// Largest number of a route (docs/protocol.md, section 3).
const NUMBER_MAX: usize = 65_534;

/// The number by which the peer knows the interest of a place. Where frames overtake each other, a place takes another one
/// each time: a message that is late for an interest that was withdrawn must not reach the next one.
pub(crate) fn number_of(routes: &[Slot], index: usize) -> u16 {
    let places = routes.len().max(1);
    let turn = routes.get(index).map_or(0, |slot| usize::from(slot.turn)) % (NUMBER_MAX / places).max(1);
    (index + 1 + turn * places) as u16
}

/// The place that has this number now.
pub(crate) fn numbered(routes: &[Slot], number: u16) -> Option<usize> {
    let before = usize::from(number).checked_sub(1)?;
    let turn = before.checked_div(routes.len())?;
    let index = before - turn * routes.len();
    // Nearly all places are in their first turns, which are not worth another division.
    let is_now = routes.get(index)?.turn == 0 && turn == 0 || number_of(routes, index) == number;
    is_now.then_some(index)
}

/// Looks a declared name up.
pub(crate) fn find(routes: &[Slot], name: &WireName<'_>, schema: u32) -> Known {
    let hash = name.hash();
    let path = (hash >> 32) as u32;
    let found = routes.iter().enumerate().find_map(|(i, slot)| {
        let ours = slot.name.filter(|ours| ours.path_hash() == path)?;
        Some((i, ours))
    });
    match found {
        None => Known::Unknown,
        Some((i, ours)) if ours.hash() != hash => Known::Conflict(i),
        Some((i, ours)) if ours.schema() != 0 && schema != 0 && ours.schema() != schema => Known::Conflict(i),
        Some((i, _)) => Known::Same(i),
    }
}

/// The place of a route that is declared here, by its hash.
pub(crate) fn find_hash(routes: &[Slot], hash: u64) -> Option<usize> {
    routes.iter().position(|slot| slot.name.is_some_and(|name| name.hash() == hash))
}

/// The place for a declaration of `name`: the one it has, or a free one (true).
pub(crate) fn place(routes: &mut [Slot], name: &'static RouteName) -> Result<(usize, bool), DeclareError> {
    let limit = routes.len();
    let known = routes.iter().enumerate().find_map(|(i, slot)| {
        let ours = slot.name.filter(|ours| ours.path_hash() == name.path_hash())?;
        Some((i, ours))
    });
    if let Some((index, ours)) = known {
        return if ours.hash() == name.hash() { Ok((index, false)) } else { Err(DeclareError::OtherType) };
    }
    let free = routes.iter_mut().enumerate().find(|(_, slot)| slot.name.is_none());
    let (index, slot) = free.ok_or(DeclareError::TableFull { limit })?;
    slot.clear();
    slot.name = Some(name);
    Ok((index, true))
}

/// The place that an id names, if it still does.
pub(crate) fn get(routes: &mut [Slot], id: RouteId) -> Option<&mut Slot> {
    routes
        .get_mut(usize::from(id.index))
        .filter(|slot| slot.name.is_some() && slot.generation == id.generation)
}
