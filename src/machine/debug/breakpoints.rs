//! The breakpoints of a machine, as a debugger set them. Which of them are in whose code is the stores' affair.

use std::collections::BTreeMap;

use wkdb_debugger::inferior::{BreakpointId, BreakpointSpec};
use wkdb_tracer::{CodeAddress, RunnerId};

/// All breakpoints, by name and by place.
#[derive(Debug, Default)]
pub(in crate::machine) struct Breakpoints {
    by_id: BTreeMap<BreakpointId, BreakpointSpec>,
    by_address: BTreeMap<CodeAddress, Vec<BreakpointId>>,
    last: u32,
}

impl Breakpoints {
    /// Adds one at an instruction.
    pub(in crate::machine) fn insert(&mut self, spec: BreakpointSpec) -> BreakpointId {
        self.last += 1;
        let id = BreakpointId(self.last);
        self.by_address.entry(spec.address).or_default().push(id);
        self.by_id.insert(id, spec);
        id
    }

    /// Takes one away; false where there is none.
    pub(in crate::machine) fn remove(&mut self, id: BreakpointId) -> bool {
        let Some(spec) = self.by_id.remove(&id) else { return false };
        if let Some(ids) = self.by_address.get_mut(&spec.address) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_address.remove(&spec.address);
            }
        }
        true
    }

    /// Those that `runner` meets at `address`.
    pub(in crate::machine) fn hit(&self, address: CodeAddress, runner: RunnerId) -> Vec<BreakpointId> {
        let here = self.by_address.get(&address).into_iter().flatten();
        here.copied().filter(|id| self.by_id.get(id).is_some_and(|spec| for_runner(spec, runner))).collect()
    }

    /// Takes those of `hit` away that were to stop once; whether there were any.
    pub(in crate::machine) fn remove_temporary(&mut self, hit: &[BreakpointId]) -> bool {
        let temporary = |id: &&BreakpointId| self.by_id.get(id).is_some_and(|spec| spec.temporary);
        let gone: Vec<_> = hit.iter().filter(temporary).copied().collect();
        gone.iter().for_each(|&id| _ = self.remove(id));
        !gone.is_empty()
    }

    /// The places at which `runner` stops.
    pub(in crate::machine) fn places(&self, runner: RunnerId) -> impl Iterator<Item = CodeAddress> {
        self.by_id.values().filter(move |spec| for_runner(spec, runner)).map(|spec| spec.address)
    }
}

fn for_runner(spec: &BreakpointSpec, runner: RunnerId) -> bool {
    spec.only.is_none_or(|only| only == runner)
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::{CodeOffset, ModuleId};

    use super::*;

    #[test]
    fn each_is_hit_by_those_it_is_for_until_it_is_gone() {
        let mut all = Breakpoints::default();
        let address = CodeAddress { module: ModuleId(1), offset: CodeOffset(7) };
        let [a, b] = [RunnerId(1), RunnerId(2)];
        let any = all.insert(BreakpointSpec { address, only: None, temporary: true });
        let one = all.insert(BreakpointSpec { address, only: Some(a), temporary: false });
        assert_eq!((all.hit(address, a), all.hit(address, b)), (vec![any, one], vec![any]));
        assert!(all.remove_temporary(&[any, one]));
        assert!(!all.remove_temporary(&[one]), "the other stays");
        assert_eq!((all.hit(address, a), all.hit(address, b)), (vec![one], vec![]));
        assert_eq!((all.places(a).count(), all.places(b).count()), (1, 0));
        assert!(all.remove(one) && !all.remove(one) && !all.remove(any));
        let next = all.insert(BreakpointSpec { address, only: None, temporary: false });
        assert!(next > one, "names are not used again");
    }
}
