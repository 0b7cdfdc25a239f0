//! Stores into the stack of another task than the one that runs.
//!
//! Tasks write into each other's kernel stacks, and may: into what one of them has put there for others, as the entry of a
//! queue of those who wait. Of that its function has given the address away: see `frames`. Whatever else is on a stack is
//! nobody else's, and so is all that lies below the stack pointer.
//!
//! ```text
//! the stacks of all tasks are marked on the map of what is watched, but that of the one that runs
//! store ─▶ map ─▶ whose stack? ─▶ below its pointer ──────────────────────────────▶ finding
//!                       │         a program's store ──────────────────────────────▶ finding
//!                       └──▶ its frames, by what their functions take ─▶ FrameMap ─▶ finding
//! ```
//!
//! A program's heap and its first thread's stack are one area on such a kernel, in which the one grows up and the other
//! down. Where a heap has come to lie on a stack in use, stores of its program are told of, too: see `overlay`.
//!
//! What it cannot see: a store into a variable that is another one than was meant; one into what lies above the first
//! function's frame, or above one of unknown size; one into the stack of the task itself.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use wkdb_debugger::explain::Escapes;
use wkdb_tracer::{Detector, Finding, Frame, ModuleId, RunnerId};

use super::super::core::Core;
use super::super::executor::Machine;
use super::super::host::Shared;
use super::frames::{FrameMap, Untouchable};
use super::layout::Layout;
use super::overlay::Overlays;
use super::stack::kernel_stack;

/// The stacks of a machine's tasks.
#[derive(Debug, Default)]
pub(in crate::machine) struct Stacks {
    /// By their lower ends: the upper one, and whose it is.
    all: BTreeMap<u64, (u64, RunnerId)>,
    /// Where each runner's stack is, and its pointer when it was suspended last.
    of_runners: BTreeMap<RunnerId, Range<u64>>,
    pointers: BTreeMap<RunnerId, u64>,
    /// What is on the stacks of those that wait, as far as that was asked since they do.
    frames: BTreeMap<RunnerId, Rc<[Frame]>>,
    /// The frames of functions that were asked for.
    functions: HashMap<u32, Rc<FrameMap>>,
    /// The kernel's code, once it was asked for.
    code: Option<Rc<Escapes>>,
    /// Programs' stacks that a heap lies on.
    pub(super) overlays: Overlays,
}

/// Why a store into a stack is a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) enum Trespass {
    /// It lies below the stack pointer, which is here.
    Below(u64),
    /// It lies in this frame, where others may not write.
    Frame(Frame, Untouchable),
    /// A program did it.
    Program,
    /// It is a program's own, on which that one's heap lies.
    Heap,
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
        self.uncover_stack(runner);
        self.detection.stacks.frames.remove(&runner);
        if let Some(range) = self.detection.stacks.of_runners.get(&runner).cloned() {
            self.detection.stacks.all.remove(&range.start);
            self.watches.set_foreign(&range, false);
        }
    }

    /// A runner has run, and others do now: its stack is not theirs.
    pub(in crate::machine) fn lay_down_stack(&mut self, shared: &Shared, runner: RunnerId) {
        let Some(task) = self.runners.get(runner).map(|runner| runner.task.0) else { return self.forget_stack(runner) };
        self.cover_stack(shared, runner);
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

    /// A runner is suspended with its stack pointer, and its program's if it has one, here.
    pub(in crate::machine) fn note_stack_pointers(&mut self, runner: RunnerId, kernel: u64, user: Option<u64>) {
        self.detection.stacks.pointers.insert(runner, kernel);
        self.detection.stacks.overlays.set_pointer(runner, user);
    }

    /// A runner is gone: its stack is memory like any other.
    pub(in crate::machine) fn forget_stack(&mut self, runner: RunnerId) {
        self.uncover_stack(runner);
        self.detection.stacks.overlays.set_pointer(runner, None);
        self.detection.stacks.pointers.remove(&runner);
        self.detection.stacks.frames.remove(&runner);
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
            Trespass::Frame(_, Untouchable::NoVariable) => "where none of its variables is",
            Trespass::Frame(_, Untouchable::Unshared(_)) => "where nothing is anybody else's",
            Trespass::Program => "which no program may",
            Trespass::Heap => "where its heap lies, too",
        };
        let whose = if *why == Trespass::Heap { "user" } else { "kernel" };
        let headline = format!(
            "{} writes {len} {unit} at {:#x} into the {whose} stack of {}, {what}",
            context.comm, written.start, other.comm
        );
        let detail = match why {
            Trespass::Below(pointer) => {
                Some(format!("the stack pointer of {} ({}) is {pointer:#x}", other.comm, other.task))
            }
            Trespass::Heap => Some(format!("that is the stack of {} ({})", other.comm, other.task)),
            _ => None,
        };
        let finding = Finding::new(Detector::StackContents, headline).about(context).on(written.start, len);
        detail.into_iter().fold(finding, Finding::detail)
    }
}

impl Machine {
    /// Whether a write into the stack of a runner that is suspended is a mistake. What is on that stack is remembered while
    /// the runner waits: whoever writes there once does so again.
    pub(in crate::machine) fn trespasses(&mut self, owner: RunnerId, written: &Range<u64>) -> Option<Trespass> {
        let frames = Rc::from(self.stack(owner));
        self.shared.core.borrow_mut().detection.stacks.frames.insert(owner, Rc::clone(&frames));
        self.shared.trespass(owner, &frames, written)
    }
}

impl Shared {
    /// Whether a write into the stack of a runner that is suspended is a mistake; none if it is not known what is there.
    pub(in crate::machine) fn known_trespass(&self, owner: RunnerId, written: &Range<u64>) -> Option<Option<Trespass>> {
        let frames = self.core.borrow().detection.stacks.frames.get(&owner).cloned()?;
        Some(self.trespass(owner, &frames, written))
    }

    /// The same, with what is there.
    fn trespass(&self, owner: RunnerId, frames: &[Frame], written: &Range<u64>) -> Option<Trespass> {
        let pointer = *self.core.borrow().detection.stacks.pointers.get(&owner)?;
        let mut base = pointer;
        for (number, frame) in frames.iter().filter(|frame| frame.address.module == ModuleId::KERNEL).enumerate() {
            let map = self.frame_map(frame.function);
            let size = match map.layout {
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
                let bytes = (written.start - base) as i64..(written.end - base) as i64;
                return map.forbids(&bytes).map(|why| Trespass::Frame(*frame, why));
            }
            base = own.end;
        }
        None
    }

    /// Whether a frame stands before its function's first instruction.
    fn is_at_start(&self, frame: &Frame) -> bool {
        let images = self.images.borrow();
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

    /// The frame of a function of the kernel's.
    fn frame_map(&self, function: u32) -> Rc<FrameMap> {
        if let Some(known) = self.core.borrow().detection.stacks.functions.get(&function) {
            return Rc::clone(known);
        }
        let known = Rc::new(self.read_frame_map(function).unwrap_or_else(FrameMap::unknown));
        self.core.borrow_mut().detection.stacks.functions.insert(function, Rc::clone(&known));
        known
    }

    fn read_frame_map(&self, function: u32) -> Option<FrameMap> {
        let symbols = self.images.borrow().get(ModuleId::KERNEL)?.symbols()?;
        let pointer = symbols.global_named("__stack_pointer")?;
        let code = {
            let mut core = self.core.borrow_mut();
            let code = &mut core.detection.stacks.code;
            Rc::clone(code.get_or_insert_with(|| Rc::new(Escapes::new(symbols.module(), pointer))))
        };
        FrameMap::read(&symbols, &code, function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
