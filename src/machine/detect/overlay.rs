//! Programs' stacks that a heap has come to lie on.
//!
//! The heap of a program begins at `mm_struct.start_brk` and ends at `brk`; the stack of a process's first thread is in use
//! from its pointer up to `start_stack`. Nothing is between them, and one may be put on the other: by a kernel that gives
//! out the stack's memory for the heap, as the port does, or by a stack that grows down.
//!
//! ```text
//! a system call returns ─▶ its process's heap on the stack that it uses itself? ───────────────────▶ finding
//!                      └─▶ if that heap has grown: on one that a task uses that waits? ────────────▶ finding
//!                                                        │ marked on the map while that task waits
//!                                a store of the heap's program ─▶ map ─▶ there? ───────────────────▶ finding
//! ```
//!
//! What it cannot see: stacks that a program made for its other threads; stores of a task into its own stack, which may be
//! meant for the stack or for the heap; the kernel's stores on behalf of a program.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::rc::Weak;

use wkdb_tracer::{Detector, Finding, RunnerId};

use super::super::core::Core;
use super::super::host::Shared;
use super::stack;

/// What is known of heaps, and of programs' stacks.
#[derive(Debug, Default)]
pub(in crate::machine) struct Overlays {
    /// The programs' stack pointers of the tasks that wait.
    pointers: BTreeMap<RunnerId, u64>,
    /// The heaps of processes, by their `mm_struct`, as they were when a system call of theirs returned last.
    heaps: BTreeMap<u64, Range<u64>>,
    /// Parts of stacks of those that wait, by their starts, on which a heap lies.
    covered: BTreeMap<u64, Covered>,
    /// The heaps, by their processes, that were told to lie on the stack of somebody.
    told: BTreeSet<(u64, RunnerId)>,
}

#[derive(Debug, Clone, Copy)]
struct Covered {
    end: u64,
    owner: RunnerId,
    process: u64,
}

/// A heap that lies on a stack in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) struct Overlay {
    /// The process whose heap it is: its `mm_struct`.
    pub(in crate::machine) process: u64,
    /// Whose stack it is.
    pub(in crate::machine) owner: RunnerId,
    /// Where it is in use: from its pointer on.
    used: Range<u64>,
    heap: Range<u64>,
}

fn both(a: &Range<u64>, b: &Range<u64>) -> Option<Range<u64>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}

/// The part of a stack that is in use with its pointer here; none if that is elsewhere, or does not use any of it.
fn used(bounds: &RangeInclusive<u64>, pointer: u64) -> Option<Range<u64>> {
    (bounds.contains(&pointer) && pointer < *bounds.end()).then(|| pointer..*bounds.end())
}

impl Overlays {
    /// A runner is suspended with its program's stack pointer here, or has no program.
    pub(super) fn set_pointer(&mut self, runner: RunnerId, pointer: Option<u64>) {
        match pointer {
            Some(pointer) => _ = self.pointers.insert(runner, pointer),
            None => _ = self.pointers.remove(&runner),
        }
    }
}

impl Core {
    /// The memory descriptor of a runner's process.
    fn process_of(&self, shared: &Shared, runner: RunnerId) -> Option<u64> {
        stack::process(&self.memory, &shared.facts, self.wide, self.runners.get(runner)?.task.0)
    }

    /// The stack of the program of a runner that waits, as far as it is in use.
    fn waiting_stack(&self, shared: &Shared, runner: RunnerId) -> Option<Range<u64>> {
        let pointer = *self.detection.stacks.overlays.pointers.get(&runner)?;
        let task = self.runners.get(runner)?.task.0;
        used(&stack::user_stack(&self.memory, &shared.facts, self.wide, task)?, pointer)
    }

    /// A system call of a runner returns, whose program's stack pointer is here: the stacks that the heap of its process lies
    /// on, of others only if it has grown.
    pub(in crate::machine) fn overlays(&mut self, shared: &Shared, me: RunnerId, pointer: u64) -> Vec<Overlay> {
        let Some(task) = self.runners.get(me).map(|runner| runner.task.0) else { return Vec::new() };
        let Some(process) = self.process_of(shared, me) else { return Vec::new() };
        let heap = stack::heap(&self.memory, &shared.facts, self.wide, task);
        let Some(heap) = heap else {
            self.detection.stacks.overlays.heaps.remove(&process);
            return Vec::new();
        };
        let mut stacks = Vec::new();
        let bounds = stack::user_stack(&self.memory, &shared.facts, self.wide, task);
        // Other threads have their stacks elsewhere.
        stacks.extend(bounds.and_then(|bounds| used(&bounds, pointer)).map(|used| (me, used)));
        let before = self.detection.stacks.overlays.heaps.insert(process, heap.clone());
        if before.is_none_or(|before| before.start != heap.start || before.end < heap.end) {
            let others = self.runners.ids().into_iter().filter(|runner| *runner != me);
            stacks.extend(others.filter_map(|runner| Some((runner, self.waiting_stack(shared, runner)?))));
        }
        let on = |(owner, used): (RunnerId, Range<u64>)| {
            both(&used, &heap).is_some().then(|| Overlay { process, owner, used, heap: heap.clone() })
        };
        let found: Vec<Overlay> = stacks.into_iter().filter_map(on).collect();
        for overlay in found.iter().filter(|overlay| overlay.owner != me) {
            self.cover_stack(shared, overlay.owner);
        }
        found
    }

    /// A runner waits now: marks what of its program's stack a heap lies on.
    pub(super) fn cover_stack(&mut self, shared: &Shared, runner: RunnerId) {
        if self.detection.stacks.overlays.heaps.is_empty() {
            return;
        }
        self.uncover_stack(runner);
        let Some(used) = self.waiting_stack(shared, runner) else { return };
        let heaps = self.detection.stacks.overlays.heaps.iter();
        let found = heaps.filter_map(|(&process, heap)| Some((process, both(&used, heap)?))).collect::<Vec<_>>();
        for (process, range) in found {
            // A process that is gone has none.
            if !self.runners.ids().into_iter().any(|runner| self.process_of(shared, runner) == Some(process)) {
                self.detection.stacks.overlays.heaps.remove(&process);
                continue;
            }
            let covered = &mut self.detection.stacks.overlays.covered;
            // Two tasks may use one stack.
            if covered.range(..range.end).next_back().is_some_and(|(_, covered)| covered.end > range.start) {
                continue;
            }
            covered.insert(range.start, Covered { end: range.end, owner: runner, process });
            self.watches.set_foreign(&range, true);
            // The program may look at a map of its own.
            if let Some(own) = shared.processes.borrow().get(&process).and_then(Weak::upgrade) {
                own.borrow().map().set(&range, true, false);
            }
        }
    }

    /// A runner does not wait any more.
    pub(super) fn uncover_stack(&mut self, runner: RunnerId) {
        let covered = &self.detection.stacks.overlays.covered;
        let gone: Vec<_> = covered.iter().filter(|(_, covered)| covered.owner == runner).collect();
        let gone: Vec<Range<u64>> = gone.into_iter().map(|(&start, covered)| start..covered.end).collect();
        for range in gone {
            self.detection.stacks.overlays.covered.remove(&range.start);
            self.watches.set_foreign(&range, false);
        }
    }

    /// Whose stack a store of a runner's program goes to, if it goes to a part of one on which the heap of its process lies.
    pub(in crate::machine) fn overlaid(&self, shared: &Shared, me: RunnerId, written: &Range<u64>) -> Option<RunnerId> {
        let covered = &self.detection.stacks.overlays.covered;
        let (_, covered) = covered.range(..written.end).next_back()?;
        let is_its_own = covered.owner != me && self.process_of(shared, me) == Some(covered.process);
        (written.start < covered.end && is_its_own).then_some(covered.owner)
    }

    /// That the heap of a process lies on somebody's stack is told only once.
    pub(in crate::machine) fn tell_overlay_once(&mut self, overlay: &Overlay) -> bool {
        self.detection.stacks.overlays.told.insert((overlay.process, overlay.owner))
    }

    /// The finding that the heap of a runner's process lies on a stack.
    pub(in crate::machine) fn overlies(&self, me: RunnerId, overlay: &Overlay) -> Finding {
        let (context, owner) = (self.context(me), self.context(overlay.owner));
        let Overlay { used, heap, .. } = overlay;
        let both = both(used, heap).unwrap_or(0..0);
        let len = both.end - both.start;
        let (whose, of) = match overlay.owner == me {
            true => ("it uses".to_owned(), String::new()),
            false => (format!("{} uses", owner.comm), format!(" of {} ({})", owner.comm, owner.task)),
        };
        let headline = format!("the heap of {} reaches {len} bytes into the stack that {whose}", context.comm);
        Finding::new(Detector::StackContents, headline).about(context).on(both.start, len).detail(format!(
            "the heap is from {:#x} to {:#x}, and the stack pointer{of} is {:#x}",
            heap.start, heap.end, used.start
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_in_use_from_its_pointer_on() {
        assert_eq!(used(&(0x1000..=0x3000), 0x2f00), Some(0x2f00..0x3000));
        assert_eq!(used(&(0x1000..=0x3000), 0x3000), None);
        assert_eq!(used(&(0x1000..=0x3000), 0x800), None);
        assert_eq!(both(&(0x2f00..0x3000), &(0x1000..0x2f10)), Some(0x2f00..0x2f10));
        assert_eq!(both(&(0x2f00..0x3000), &(0x1000..0x2f00)), None);
    }
}
