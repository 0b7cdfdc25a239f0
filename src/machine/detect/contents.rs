//! Stores into the kernel stack of another task than the one that runs.
//!
//! Tasks write into each other's stacks, and may: into what one of them has put there for others, as the entry of a queue of
//! those who wait. Such a thing is a variable whose address was taken; so it is in memory, and the debug information of its
//! function, or of one inlined there, says where in its frame. Whatever else is on a stack is nobody else's: what the
//! compiler has put there for itself, and all that lies below the stack pointer.
//!
//! ```text
//! the stacks of all tasks are marked on the map of what is watched, but that of the one that runs
//! store ─▶ map ─▶ whose stack? ─▶ below its pointer ──────────────────────────────▶ finding
//!                       │         a program's store ──────────────────────────────▶ finding
//!                       └──▶ its frames, by what their functions take ─▶ no variable there ─▶ finding
//! ```
//!
//! What it cannot see: a store into the frame of a function of which the debug information does not tell where all its
//! structures are, as an optimising compiler's does at times; one into a variable that is another one than was meant; one
//! into what lies above the first function's frame, or above one of unknown size; one into the stack of the task itself.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use wkdb_tracer::{Detector, Finding, Frame, ModuleId, RunnerId};

use super::super::core::Core;
use super::super::executor::Machine;
use super::super::host::Shared;
use super::layout::Layout;
use super::stack::kernel_stack;

/// What a function has on the stack: its frame, and the variables in it, if they are known.
type Known = (Layout, Option<Rc<Vec<Range<i64>>>>);

/// The kernel stacks of a machine's tasks.
#[derive(Debug, Default)]
pub(in crate::machine) struct Stacks {
    /// By their lower ends: the upper one, and whose it is.
    all: BTreeMap<u64, (u64, RunnerId)>,
    /// Where each runner's stack is, and its pointer when it was suspended last.
    of_runners: BTreeMap<RunnerId, Range<u64>>,
    pointers: BTreeMap<RunnerId, u64>,
    functions: HashMap<u32, Known>,
}

/// Why a store into a stack is a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) enum Trespass {
    /// It lies below the stack pointer, which is here.
    Below(u64),
    /// None of the variables of this frame's function is there.
    Frame(Frame),
    /// A program did it.
    Program,
}

impl Stacks {
    /// Whose stack a write goes to, of those that do not run.
    pub(in crate::machine) fn owner(&self, written: &Range<u64>) -> Option<RunnerId> {
        let (_, (end, runner)) = self.all.range(..written.end).next_back()?;
        (written.start < *end).then_some(*runner)
    }
}

impl Core {
    /// A runner is about to run: its stack is its own.
    pub(in crate::machine) fn take_up_stack(&mut self, runner: RunnerId) {
        if let Some(range) = self.detection.stacks.of_runners.get(&runner).cloned() {
            self.detection.stacks.all.remove(&range.start);
            self.watches.set_foreign(&range, false);
        }
    }

    /// A runner has run, and others do now: its stack is not theirs.
    pub(in crate::machine) fn lay_down_stack(&mut self, shared: &Shared, runner: RunnerId) {
        let Some(task) = self.runners.get(runner).map(|runner| runner.task.0) else { return self.forget_stack(runner) };
        let known = self.detection.stacks.of_runners.get(&runner).cloned();
        let range = known.or_else(|| {
            let bounds = kernel_stack(&self.memory, &shared.facts, self.wide, task)?;
            Some(*bounds.start()..*bounds.end())
        });
        let Some(range) = range.filter(|range| !range.is_empty()) else { return };
        let stacks = &mut self.detection.stacks;
        stacks.of_runners.entry(runner).or_insert_with(|| range.clone());
        stacks.all.insert(range.start, (range.end, runner));
        self.watches.set_foreign(&range, true);
    }

    /// A runner is suspended with its stack pointer here.
    pub(in crate::machine) fn note_stack_pointer(&mut self, runner: RunnerId, pointer: u64) {
        self.detection.stacks.pointers.insert(runner, pointer);
    }

    /// A runner is gone: its stack is memory like any other.
    pub(in crate::machine) fn forget_stack(&mut self, runner: RunnerId) {
        self.detection.stacks.pointers.remove(&runner);
        if let Some(range) = self.detection.stacks.of_runners.remove(&runner) {
            let stacks = &mut self.detection.stacks;
            if stacks.all.get(&range.start).is_some_and(|(_, owner)| *owner == runner) {
                stacks.all.remove(&range.start);
                self.watches.set_foreign(&range, false);
            }
        }
    }

    /// The finding that the code on a stack has written into the stack of `owner`.
    pub(in crate::machine) fn trespassed(
        &self,
        writer: RunnerId,
        owner: RunnerId,
        written: &Range<u64>,
        why: &Trespass,
    ) -> Finding {
        let (context, other) = (self.context(writer), self.context(owner));
        let len = written.end - written.start;
        let unit = if len == 1 { "byte" } else { "bytes" };
        let what = match why {
            Trespass::Below(_) => "below its stack pointer, where nothing is in use",
            Trespass::Frame(_) => "where none of its variables is",
            Trespass::Program => "which no program may",
        };
        let headline = format!(
            "{} writes {len} {unit} at {:#x} into the kernel stack of {}, {what}",
            context.comm, written.start, other.comm
        );
        let detail = match why {
            Trespass::Below(pointer) => {
                Some(format!("the stack pointer of {} ({}) is {pointer:#x}", other.comm, other.task))
            }
            _ => None,
        };
        let finding = Finding::new(Detector::StackContents, headline).about(context).on(written.start, len);
        detail.into_iter().fold(finding, Finding::detail)
    }
}

impl Machine {
    /// Whether a write into the stack of a runner that is suspended is a mistake.
    pub(in crate::machine) fn trespasses(&mut self, owner: RunnerId, written: &Range<u64>) -> Option<Trespass> {
        let pointer = *self.shared.core.borrow().detection.stacks.pointers.get(&owner)?;
        let frames = self.stack(owner);
        let mut base = pointer;
        for (number, frame) in frames.iter().filter(|frame| frame.address.module == ModuleId::KERNEL).enumerate() {
            let (layout, objects) = self.on_stack(frame.function);
            let size = match layout {
                Layout::Unknown => {
                    return (written.start < pointer && number > 0).then_some(Trespass::Below(pointer));
                }
                Layout::Moved(size) if number == 0 && self.is_at_start(frame) => {
                    // It has not taken its frame yet.
                    let _ = size;
                    0
                }
                Layout::Moved(size) => size,
                Layout::Below(size) => {
                    // Only who calls nobody has one; it is where it stands, or it has not begun.
                    base = base.saturating_sub(if number == 0 { size } else { 0 });
                    if number == 0 { size } else { 0 }
                }
            };
            if number == 0 && written.start < base {
                return Some(Trespass::Below(pointer));
            }
            let own = base..base.saturating_add(size);
            if own.contains(&written.start) {
                let objects = objects?;
                let from = (written.start - base) as i64..(written.end - base) as i64;
                return (!is_covered(&objects, from)).then_some(Trespass::Frame(*frame));
            }
            base = own.end;
        }
        None
    }

    /// Whether a frame stands before its function's first instruction.
    fn is_at_start(&self, frame: &Frame) -> bool {
        let images = self.shared.images.borrow();
        let symbols = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
        let start = symbols.as_ref().and_then(|symbols| {
            let function = symbols.function(frame.function)?;
            let body = symbols.module_bytes().get(symbols.file_range(&function)?)?;
            let body = wasmparser::FunctionBody::new(wasmparser::BinaryReader::new(body, 0));
            let first = body.get_operators_reader().ok()?.original_position();
            Some(u64::from(function.start.0) + first as u64)
        });
        start == Some(frame.address.offset.0.into())
    }

    /// What a function of the kernel's has on the stack.
    fn on_stack(&mut self, function: u32) -> Known {
        if let Some(known) = self.shared.core.borrow().detection.stacks.functions.get(&function) {
            return known.clone();
        }
        let known = self.read_layout(function).unwrap_or((Layout::Unknown, None));
        self.shared.core.borrow_mut().detection.stacks.functions.insert(function, known.clone());
        known
    }

    fn read_layout(&self, function: u32) -> Option<Known> {
        let symbols = self.shared.images.borrow().get(ModuleId::KERNEL)?.symbols()?;
        let pointer = symbols.global_named("__stack_pointer")?;
        let body = symbols.file_range(&symbols.function(function)?)?;
        let (layout, locals) = Layout::of(symbols.module_bytes().get(body)?, pointer);
        let local = |local: u32| locals.get(&local).copied();
        let objects = if symbols.has_dwarf() { symbols.frame_objects(function, &local) } else { None };
        Some((layout, objects.map(Rc::new)))
    }
}

/// Whether all of some bytes belong to one of these.
fn is_covered(objects: &[Range<i64>], bytes: Range<i64>) -> bool {
    let mut at = bytes.start;
    while at < bytes.end {
        match objects.iter().filter(|object| object.contains(&at)).map(|object| object.end).max() {
            Some(end) => at = end,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_lie_in_several_variables_but_in_no_gap() {
        let objects = [0..8, 4..12, 16..20];
        assert!(is_covered(&objects, 0..12) && is_covered(&objects, 16..20) && is_covered(&objects, 7..8));
        assert!(!is_covered(&objects, 8..16) && !is_covered(&objects, 12..13) && !is_covered(&objects, 18..22));
    }

    #[test]
    fn a_stack_is_found_by_any_of_its_bytes() {
        let mut stacks = Stacks::default();
        stacks.all.insert(0x1000, (0x2000, RunnerId(1)));
        stacks.all.insert(0x3000, (0x4000, RunnerId(2)));
        assert_eq!(stacks.owner(&(0x1fff..0x2003)), Some(RunnerId(1)));
        assert_eq!(stacks.owner(&(0x2000..0x3000)), None);
        assert_eq!(stacks.owner(&(0x2ffe..0x3002)), Some(RunnerId(2)));
        assert_eq!(stacks.owner(&(0x4000..0x4004)), None);
    }
}
