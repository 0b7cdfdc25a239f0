//! Accesses that share a check: of one straight piece of code, off one base, and close to each other.
//!
//! The first of them looks at the part of the map that all of them can touch and keeps what it found in a flag; the
//! others ask the flag. Where it is set each access has its own lookup, so that each is reported by itself, after it
//! happened. A flag must not go stale: the host may change what is watched only in its calls, so code behind such a call
//! sets the flags that are in use there.

use super::lookup::REACH;
use super::values::Value;

/// How many groups can be in use at a place.
pub(super) const FLAGS: usize = 4;

/// How many groups back one is looked for that an access can join.
const NEAR: usize = 16;

/// How an access comes to know whether something near it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Share {
    /// By its own look at the map.
    #[default]
    Alone,
    /// It looks for its group: `delta` from its operand's address on lies the first byte of all.
    First { flag: usize, delta: i32 },
    /// It asks its group's flag.
    Other { flag: usize },
}

/// The sharing of one access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shared {
    pub(super) share: Share,
    /// The flags in use behind it, its own aside: a bit for each.
    pub(super) others: u8,
}

/// A group while it grows. Places count from its first access' first byte on.
struct Group {
    base: u32,
    /// The constant of the first access, and of its operand without the operator's offset.
    origin: i32,
    operand: i32,
    low: i64,
    high: i64,
    accesses: Vec<usize>,
    open: bool,
}

/// Finds the groups of one function.
#[derive(Default)]
pub(super) struct Sharing {
    groups: Vec<Group>,
    /// The groups that the present piece of code can add to: those from here on.
    open_from: usize,
}

impl Sharing {
    /// Adds the access with number `site`: `size` bytes at an operand plus an offset.
    pub(super) fn access(&mut self, site: usize, operand: Value, offset: u64, size: u32) {
        let place = operand.offset.wrapping_add(offset as i32);
        for group in
            self.groups[self.open_from..].iter_mut().rev().take(NEAR).filter(|g| g.open && g.base == operand.base)
        {
            let from_origin = i64::from(place.wrapping_sub(group.origin));
            let low = group.low.min(from_origin);
            let high = group.high.max(from_origin + i64::from(size));
            if high - low <= i64::from(REACH) {
                (group.low, group.high) = (low, high);
                group.accesses.push(site);
                return;
            }
            // The base has moved on: a newer group takes what comes.
            group.open = false;
        }
        self.groups.push(Group {
            base: operand.base,
            origin: place,
            operand: operand.offset,
            low: 0,
            high: i64::from(size),
            accesses: vec![site],
            open: true,
        });
    }

    /// A piece of straight code ends.
    pub(super) fn close(&mut self) {
        self.open_from = self.groups.len();
    }

    /// Decides who shares: tells `set` the sharing of each site from the first to the last access of a group.
    ///
    /// Gives the number of flags in use.
    pub(super) fn decide(&self, mut set: impl FnMut(usize, Shared)) -> usize {
        // Groups are in the order of their first access. A flag is free again behind its group's last.
        let mut last_of_flag = [None; FLAGS];
        let mut uses: Vec<(&Group, usize)> = Vec::new();
        for group in self.groups.iter().filter(|g| g.accesses.len() > 1) {
            let (first, last) = (group.accesses[0], group.accesses[group.accesses.len() - 1]);
            if let Some(flag) = last_of_flag.iter().position(|taken| taken.is_none_or(|last| last < first)) {
                last_of_flag[flag] = Some(last);
                uses.push((group, flag));
            }
        }
        let mut shared = std::collections::HashMap::<usize, Shared>::new();
        for &(group, flag) in &uses {
            for (number, &site) in group.accesses.iter().enumerate() {
                let delta = (group.low as i32).wrapping_add(group.origin).wrapping_sub(group.operand);
                let share = if number == 0 { Share::First { flag, delta } } else { Share::Other { flag } };
                shared.entry(site).or_default().share = share;
            }
            let (first, last) = (group.accesses[0], group.accesses[group.accesses.len() - 1]);
            for site in first..last {
                if group.accesses.binary_search(&site).is_err() {
                    shared.entry(site).or_default().others |= 1 << flag;
                }
            }
        }
        for (site, shared) in shared {
            set(site, shared);
        }
        uses.iter().map(|&(_, flag)| flag + 1).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(accesses: &[(u32, i32, u64)]) -> Vec<Shared> {
        let mut sharing = Sharing::default();
        for (site, &(base, offset, operator)) in accesses.iter().enumerate() {
            sharing.access(site, Value { base, offset }, operator, 4);
        }
        let mut all = vec![Shared::default(); accesses.len()];
        sharing.decide(|site, shared| all[site] = shared);
        all
    }

    #[test]
    fn a_group_looks_at_all_it_can_touch() {
        let first = Share::First { flag: 0, delta: -12 };
        let other = Share::Other { flag: 0 };
        // The first at base + 4 + 8, the others down to base - 8: that is 12 below the first's operand.
        assert_eq!(shares(&[(1, 4, 8), (1, -8, 0), (1, 0, 400)]).map_shares(), [first, other, other]);
        // 449 bytes from the first to behind the last: the last that fits.
        assert_eq!(shares(&[(1, 0, 0), (1, 0, 445)])[1].share, other);
        assert_eq!(shares(&[(1, 0, 0), (1, 0, 446)])[1].share, Share::Alone);
        // Places wrap around.
        assert_eq!(shares(&[(1, -4, 0), (1, 4, 0)])[1].share, other);
        assert_eq!(shares(&[(1, i32::MAX, 0), (1, i32::MIN, 0)])[1].share, other);
    }

    #[test]
    fn flags_in_use_are_known_between() {
        let all = shares(&[(1, 0, 0), (2, 0, 0), (1, 4, 0), (2, 4, 0), (3, 0, 0)]);
        assert_eq!(all[1], Shared { share: Share::First { flag: 1, delta: 0 }, others: 1 });
        assert_eq!(all[2], Shared { share: Share::Other { flag: 0 }, others: 2 });
        assert_eq!(all[3], Shared { share: Share::Other { flag: 1 }, others: 0 });
        assert_eq!(all[4], Shared::default());
    }

    #[test]
    fn no_more_groups_than_flags() {
        let bases: Vec<_> = (1..=6).chain(1..=6).map(|base| (base, 0, 0)).collect();
        let all = shares(&bases);
        assert!(all[..FLAGS].iter().all(|s| matches!(s.share, Share::First { .. })));
        assert!(all[FLAGS..6].iter().all(|s| s.share == Share::Alone && s.others == 0b1111));
    }

    trait MapShares {
        fn map_shares(&self) -> Vec<Share>;
    }

    impl MapShares for Vec<Shared> {
        fn map_shares(&self) -> Vec<Share> {
            self.iter().map(|s| s.share).collect()
        }
    }
}
