//! What of a function's frame anybody else may write.
//!
//! Whoever writes there must have been given an address. The function's code says which addresses it gives away, and the
//! debug information which variables are there: those that such an address is in, or at the end of, are anybody's, as the
//! entry of a queue of those who wait. Nothing else is.
//!
//! An optimising compiler forgets at times to tell where a structure is. It may be around every address that is given away,
//! as large as it is. What has no name, as a call's arguments, may reach up to the next variable. Where it cannot be said
//! which addresses those are, all variables are anybody's, if all are told of.

use std::collections::BTreeSet;
use std::ops::Range;

use wkdb_debugger::explain::{Escaped, Escapes};
use wkdb_debugger::symbols::{FrameObjects, Symbols};

use super::layout::Layout;

/// A function's frame.
#[derive(Debug)]
pub(in crate::machine) struct FrameMap {
    pub(in crate::machine) layout: Layout,
    /// Its variables, if the debug information knows the function.
    objects: Option<FrameObjects>,
    /// The places in it of which the function gives the address away, from its lowest byte on; none where that cannot be said.
    given_away: Option<BTreeSet<i64>>,
}

/// Why others may not write some bytes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) enum Untouchable {
    /// No variable is there.
    NoVariable,
    /// The address of what is there, of this name if that is known, is nobody else's.
    Unshared(Option<String>),
}

impl FrameMap {
    /// Of a function of which nothing is known.
    pub(in crate::machine) fn unknown() -> FrameMap {
        FrameMap { layout: Layout::Unknown, objects: None, given_away: None }
    }

    /// Reads that of a function of a module's; none if there is none.
    pub(in crate::machine) fn read(symbols: &Symbols, escapes: &Escapes, function: u32) -> Option<FrameMap> {
        let pointer = symbols.global_named("__stack_pointer")?;
        let body = symbols.file_range(&symbols.function(function)?)?;
        let (layout, locals) = Layout::of(symbols.module_bytes().get(body)?, pointer);
        let local = |local: u32| locals.get(&local).copied();
        let objects = if symbols.has_dwarf() { symbols.frame_objects(function, &local) } else { None };
        let size = match layout {
            Layout::Unknown => return Some(FrameMap { layout, objects, given_away: None }),
            Layout::Moved(size) | Layout::Below(size) => size.cast_signed(),
        };
        let taken = if let Layout::Moved(size) = layout { size } else { 0 };
        let given_away = match escapes.of(function, taken) {
            Some(Escaped::Places(places)) => {
                Some(places.iter().map(|place| place + size).filter(|place| (0..=size).contains(place)).collect())
            }
            Some(Escaped::Anywhere) | None => None,
        };
        Some(FrameMap { layout, objects, given_away })
    }

    /// Whether nobody else may write some bytes of it.
    pub(in crate::machine) fn forbids(&self, bytes: &Range<i64>) -> Option<Untouchable> {
        let told = || self.objects.iter().flat_map(|objects| &objects.told);
        let Some(given_away) = &self.given_away else {
            let is_known = self.objects.as_ref().is_some_and(|objects| objects.untold.is_none());
            let all: Vec<_> = told().map(|(range, _)| range.clone()).collect();
            return (is_known && !is_covered(&all, bytes)).then_some(Untouchable::NoVariable);
        };
        // Without debug information nobody knows what else belongs to what is given away.
        let objects = self.objects.clone().or_else(|| given_away.is_empty().then(FrameObjects::default))?;
        let shared = told().filter(|(range, _)| given_away.iter().any(|at| range.start <= *at && *at <= range.end));
        let mut shared: Vec<_> = shared.map(|(range, _)| range.clone()).collect();
        for &at in given_away {
            // What the compiler has made for itself has no name: it ends where something begins that has one.
            if !objects.told.iter().any(|(range, _)| range.contains(&at)) {
                let behind = objects.told.iter().map(|(range, _)| range.start).filter(|start| *start > at);
                shared.push(at..behind.min().unwrap_or(i64::MAX));
            }
            if let Some(size) = objects.untold {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                shared.push(at.saturating_sub(size)..at.saturating_add(size));
            }
        }
        let free = first_free(&shared, bytes)?;
        Some(match told().find(|(range, _)| range.contains(&free)) {
            Some((_, name)) => Untouchable::Unshared(Some(name.clone())),
            None if self.objects.as_ref().is_some_and(|objects| objects.untold.is_none()) => Untouchable::NoVariable,
            None => Untouchable::Unshared(None),
        })
    }
}

/// The first of some bytes that belongs to none of these.
fn first_free(objects: &[Range<i64>], bytes: &Range<i64>) -> Option<i64> {
    let mut at = bytes.start;
    while at < bytes.end {
        match objects.iter().filter(|object| object.contains(&at)).map(|object| object.end).max() {
            Some(end) => at = end,
            None => return Some(at),
        }
    }
    None
}

/// Whether all of some bytes belong to one of these.
fn is_covered(objects: &[Range<i64>], bytes: &Range<i64>) -> bool {
    first_free(objects, bytes).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_lie_in_several_variables_but_in_no_gap() {
        let objects = [0..8, 4..12, 16..20];
        assert!([0..12, 16..20, 7..8].iter().all(|bytes| is_covered(&objects, bytes)));
        assert!([8..16, 12..13, 18..22].iter().all(|bytes| !is_covered(&objects, bytes)));
    }

    /// A frame of 64 bytes with these variables; those of a size that is not told; and what is given away.
    fn frame(told: &[(Range<i64>, &str)], untold: Option<u64>, given_away: Option<&[i64]>) -> FrameMap {
        let told = told.iter().map(|(range, name)| (range.clone(), (*name).to_owned())).collect();
        FrameMap {
            layout: Layout::Moved(64),
            objects: Some(FrameObjects { told, untold }),
            given_away: given_away.map(|places| places.iter().copied().collect()),
        }
    }

    const TOLD: &[(Range<i64>, &str)] = &[(0..4, "count"), (16..40, "wait"), (40..44, "flags")];

    fn unshared(name: &str) -> Option<Untouchable> {
        Some(Untouchable::Unshared(Some(name.to_owned())))
    }

    #[test]
    fn only_a_variable_whose_address_is_given_away_is_anybodys() {
        // The address of a member.
        let frame = frame(TOLD, None, Some(&[28]));
        assert_eq!(frame.forbids(&(16..20)), None);
        assert_eq!(frame.forbids(&(32..40)), None);
        assert_eq!(frame.forbids(&(0..4)), unshared("count"));
        assert_eq!(frame.forbids(&(36..44)), unshared("flags"));
        assert_eq!(frame.forbids(&(48..52)), Some(Untouchable::NoVariable));
    }

    #[test]
    fn what_ends_at_an_address_that_is_given_away_may_be_meant() {
        let frame = frame(TOLD, None, Some(&[40]));
        assert_eq!(frame.forbids(&(16..44)), None);
        assert_eq!(frame.forbids(&(0..4)), unshared("count"));
    }

    #[test]
    fn what_is_not_told_may_be_around_an_address_that_is_given_away() {
        let frame = frame(TOLD, Some(8), Some(&[8]));
        assert_eq!(frame.forbids(&(0..16)), None);
        assert_eq!(frame.forbids(&(16..20)), unshared("wait"));
        assert_eq!(frame.forbids(&(48..52)), Some(Untouchable::Unshared(None)));
    }

    #[test]
    fn what_has_no_name_ends_where_something_begins_that_has_one() {
        let frame = frame(TOLD, None, Some(&[8]));
        assert_eq!(frame.forbids(&(8..16)), None);
        assert_eq!(frame.forbids(&(4..8)), Some(Untouchable::NoVariable));
        assert_eq!(frame.forbids(&(12..20)), unshared("wait"));
        assert_eq!(self::frame(TOLD, None, Some(&[52])).forbids(&(52..64)), None);
    }

    #[test]
    fn of_a_function_that_gives_no_address_away_nothing_is_anybodys() {
        assert_eq!(frame(TOLD, Some(64), Some(&[])).forbids(&(16..20)), unshared("wait"));
        let unknown = FrameMap { objects: None, ..frame(&[], None, Some(&[])) };
        assert_eq!(unknown.forbids(&(16..20)), Some(Untouchable::Unshared(None)));
    }

    #[test]
    fn where_addresses_are_not_known_all_variables_are_anybodys() {
        let frame = |untold| frame(TOLD, untold, None);
        assert_eq!(frame(None).forbids(&(0..4)), None);
        assert_eq!(frame(None).forbids(&(48..52)), Some(Untouchable::NoVariable));
        assert_eq!(frame(Some(8)).forbids(&(48..52)), None);
        let known = FrameMap { objects: None, ..self::frame(&[], None, Some(&[8])) };
        assert_eq!(known.forbids(&(48..52)), None);
    }
}
