//! The second pass over one function: finds the operators at which the rewriting does something.

use std::ops::Range;

use wasm_encoder::BlockType;
use wasmparser::{Catch, FunctionBody, MemArg, Operator, ValType};

use super::error::InstrumentError;
use super::host::{Host, HostFunction};
use super::sections::leb_width;
use super::share::{FLAGS, Shared, Sharing};
use super::stack::{Frame, Wrap};
use super::stack_pointer::Raise;
use super::store::{Access, Operand, Store, store_of};
use super::survey::Survey;
use super::values::{Values, goes_on};
use super::{HostMemory, Options, TickCounter};

/// What is done at an operator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// An index in it changes: the integer at `at..end of the operator`.
    Index { at: usize, value: u32 },
    /// A call that comes back: the callee used up ticks. With the callee's new index, if it names one.
    Call { index: Option<(usize, u32)> },
    /// A way out of a function that counts its stack: `return`, or a call in its place, with the callee's new index, if
    /// it names one.
    Leave { index: Option<(usize, u32)> },
    /// A loop's header: a tick.
    Loop,
    /// `memory.atomic.wait32`, `wait64`, `notify`: a host call.
    Wait { function: HostFunction, offset: u64 },
    /// `memory.grow`: a host call.
    MemoryGrow,
    /// A write or read of some bytes.
    Store(Store),
    /// `memory.fill`, `memory.copy` or `memory.init`.
    Bulk(Bulk),
    /// The stack pointer is moved, perhaps down. With the global's new index, if it has another one.
    StackPointer { index: Option<(usize, u32)> },
    /// A call through a table, whose index is noted.
    CallThrough,
}

/// A bulk write of memory: `[destination, source, length] → []`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bulk {
    /// Whether it reads memory 0, and reads are observed.
    pub(super) copies: bool,
    /// The type of the byte to fill with, or of the place to copy from.
    pub(super) source: Operand,
    /// The type of the length.
    pub(super) length: Operand,
}

/// An operator at which something is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    /// The operator's first byte in the original file.
    pub(super) start: usize,
    /// Behind its last byte.
    pub(super) end: usize,
    pub(super) action: Action,
    /// Whether the operator is inside a loop.
    pub(super) in_loop: bool,
    /// With whom it shares its check.
    pub(super) shared: Shared,
}

/// A local that inserted code keeps something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scratch {
    /// The copy of the `ticks` global.
    Ticks,
    /// What is left of the stack while the function runs.
    Stack,
    /// The address of a write.
    Address,
    /// The value to write, or the old value that a compare-exchange found.
    Value(Operand),
    /// The value that a compare-exchange expects; the length of a bulk write.
    Expected(Operand),
    /// Whether something is watched near the accesses of a group.
    Flag(usize),
    /// The index of a call through a table.
    Callee,
}

impl Scratch {
    /// All, in the order in which their locals are declared.
    pub(super) const ALL: [Scratch; 11 + FLAGS] = [
        Scratch::Ticks,
        Scratch::Stack,
        Scratch::Address,
        Scratch::Value(Operand::I32),
        Scratch::Value(Operand::I64),
        Scratch::Value(Operand::F32),
        Scratch::Value(Operand::F64),
        Scratch::Value(Operand::V128),
        Scratch::Expected(Operand::I32),
        Scratch::Expected(Operand::I64),
        Scratch::Flag(0),
        Scratch::Flag(1),
        Scratch::Flag(2),
        Scratch::Flag(3),
        Scratch::Callee,
    ];

    /// The place in [`Self::ALL`].
    pub(super) fn slot(self) -> usize {
        Self::ALL.iter().position(|&s| s == self).unwrap_or(0)
    }
}

/// What the rewriting has to know of a function.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) sites: Vec<Site>,
    /// The first byte of the first operator in the original file.
    pub(super) code: Range<usize>,
    /// How many locals the function declares, parameters not counted.
    pub(super) locals: u32,
    /// How many groups they are declared in, and how wide that number is in the file.
    pub(super) groups: (u32, usize),
    /// Which locals inserted code needs, by [`Scratch::slot`].
    pub(super) scratch: [bool; Scratch::ALL.len()],
    /// The start of the last loop: no tick comes behind it, but for those of the loops around.
    pub(super) last_loop: Option<usize>,
    /// Whether the function catches exceptions. A callee that throws leaves no chance to copy the `ticks` global anew
    /// on all ways into a handler.
    pub(super) catches: bool,
    /// How it counts the stack that it takes, if it does.
    pub(super) frame: Option<Frame>,
    /// Operators that have probes: their first bytes in the original file, ascending.
    pub(super) points: Vec<usize>,
}

/// A function whose body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// The index in the original module.
    pub(super) index: u32,
    /// What it counts of the stack, in bytes, if anything.
    pub(super) frame: Option<u32>,
}

impl Scan {
    /// Reads a function's body; reuses the allocations of the last one. `code_section`: where the contents of its section
    /// begin.
    ///
    /// # Errors
    /// An operator that has to be observed works on another memory than the first.
    pub(super) fn read(
        &mut self,
        function: Function,
        body: &FunctionBody<'_>,
        survey: &Survey<'_>,
        host: &Host,
        options: &Options,
        code_section: usize,
    ) -> Result<(), InstrumentError> {
        *self = Scan { sites: std::mem::take(&mut self.sites), ..Scan::default() };
        self.sites.clear();
        let range = body.range();
        let mut locals = body.get_locals_reader()?;
        self.groups = (locals.get_count(), leb_width(&survey.module[range.clone()]).unwrap_or(1));
        for _ in 0..locals.get_count() {
            self.locals = self.locals.saturating_add(locals.read()?.0);
        }
        self.code = locals.original_position()..range.end;

        let mut operators = body.get_operators_reader()?;
        // The depth of blocks, and the depths at which loops began.
        let (mut depth, mut loops) = (0u32, Vec::new());
        // Where the host may stop the guest anywhere, flags would go stale.
        let shares = options.checks_stores() && options.tick_counter == TickCounter::Local && !options.footprint;
        let (mut values, mut sharing) = (Values::default(), Sharing::default());
        let mut leaves_by_branch = false;
        let mut raise = Raise::default();
        while !operators.eof() {
            let (operator, start) = operators.read_with_offset()?;
            let end = operators.original_position();
            leaves_by_branch |= function.frame.is_some() && branches_to(&operator, depth);
            if options.probes.has_points() && options.probes.has_point(start - code_section) {
                self.points.push(start);
            }
            match operator {
                Operator::Loop { .. } => {
                    depth += 1;
                    loops.push(depth);
                    self.last_loop = Some(start);
                }
                Operator::TryTable { .. } | Operator::Try { .. } => {
                    depth += 1;
                    self.catches = true;
                }
                Operator::Block { .. } | Operator::If { .. } => depth += 1,
                Operator::End | Operator::Delegate { .. } => {
                    loops.pop_if(|&mut begun| begun == depth);
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            let mut action = action(&operator, start, survey, host, options)?;
            if function.frame.is_some() && leaves(&operator) {
                let index = match action {
                    Some(Action::Index { at, value }) => Some((at, value)),
                    _ => None,
                };
                action = Some(Action::Leave { index });
            }
            if let Operator::GlobalSet { global_index } = operator
                && host.stack_pointer.is_some_and(|pointer| pointer.global == global_index)
                && !matches!(raise, Raise::Added)
            {
                let index = match action {
                    Some(Action::Index { at, value }) => Some((at, value)),
                    _ => None,
                };
                action = Some(Action::StackPointer { index });
            }
            raise = raise.after(&operator);
            if shares {
                let opcode = survey.module[start];
                if !goes_on(&operator, opcode) {
                    sharing.close();
                }
                if let Some(Action::Store(store)) = action
                    && options.checks(&store)
                {
                    let operand = values.operand(store.access.operands());
                    sharing.access(self.sites.len(), operand, store.memarg.offset, store.size.into());
                }
                values.follow(&operator, opcode);
            }
            if let Some(action) = action {
                self.need_scratch(&action);
                self.sites.push(Site { start, end, action, in_loop: !loops.is_empty(), shared: Shared::default() });
            }
        }
        for flag in 0..sharing.decide(|site, shared| self.sites[site].shared = shared) {
            self.scratch[Scratch::Flag(flag).slot()] = true;
        }
        self.scratch[Scratch::Ticks.slot()] =
            options.ticks && options.tick_counter == TickCounter::Local && self.last_loop.is_some() && !self.catches;
        self.scratch[Scratch::Stack.slot()] = function.frame.is_some() && self.catches;
        self.frame = match function.frame {
            Some(bytes) => {
                Some(Frame { bytes, block: leaves_by_branch.then(|| wrap(survey, function.index)).transpose()? })
            }
            None => None,
        };
        Ok(())
    }

    fn need_scratch(&mut self, action: &Action) {
        let mut need = |scratch: Scratch| self.scratch[scratch.slot()] = true;
        match action {
            Action::Store(store) => {
                need(Scratch::Address);
                if store.access.operands() > 0 {
                    need(Scratch::Value(store.operand));
                }
                if store.access == Access::CompareExchange {
                    need(Scratch::Expected(store.operand));
                }
            }
            Action::Bulk(bulk) => {
                need(Scratch::Address);
                need(Scratch::Value(bulk.source));
                need(Scratch::Expected(bulk.length));
            }
            Action::CallThrough => need(Scratch::Callee),
            Action::Index { .. }
            | Action::Call { .. }
            | Action::Leave { .. }
            | Action::Loop
            | Action::Wait { .. }
            | Action::MemoryGrow
            | Action::StackPointer { .. } => {}
        }
    }
}

/// Whether an operator leaves the function, other than by a branch or a trap.
fn leaves(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Return
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
    )
}

/// Whether an operator can branch to this label.
fn branches_to(operator: &Operator<'_>, label: u32) -> bool {
    match operator {
        Operator::Br { relative_depth }
        | Operator::BrIf { relative_depth }
        | Operator::BrOnNull { relative_depth }
        | Operator::BrOnNonNull { relative_depth }
        | Operator::BrOnCast { relative_depth, .. }
        | Operator::BrOnCastFail { relative_depth, .. } => *relative_depth == label,
        Operator::BrTable { targets } => {
            targets.default() == label || targets.targets().any(|target| target.is_ok_and(|target| target == label))
        }
        Operator::TryTable { try_table } => try_table.catches.iter().any(|catch| match catch {
            Catch::One { label: to, .. }
            | Catch::OneRef { label: to, .. }
            | Catch::All { label: to }
            | Catch::AllRef { label: to } => *to == label,
        }),
        _ => false,
    }
}

/// The block that a function's operators fit into.
fn wrap(survey: &Survey<'_>, function: u32) -> Result<Wrap, InstrumentError> {
    let types = survey.types.as_ref();
    let ty = types[types.core_function_at(function)].unwrap_func();
    let plain = match ty.results() {
        [] => Some(BlockType::Empty),
        [ValType::I32] => Some(BlockType::Result(wasm_encoder::ValType::I32)),
        [ValType::I64] => Some(BlockType::Result(wasm_encoder::ValType::I64)),
        [ValType::F32] => Some(BlockType::Result(wasm_encoder::ValType::F32)),
        [ValType::F64] => Some(BlockType::Result(wasm_encoder::ValType::F64)),
        [ValType::V128] => Some(BlockType::Result(wasm_encoder::ValType::V128)),
        _ => None,
    };
    match plain {
        Some(plain) => Ok(Wrap::Plain(plain)),
        None => Ok(Wrap::Own { ty: survey.type_index(function)?, parameters: ty.params().len() as u32 }),
    }
}

fn action(
    operator: &Operator<'_>,
    start: usize,
    survey: &Survey<'_>,
    host: &Host,
    options: &Options,
) -> Result<Option<Action>, InstrumentError> {
    let first_memory = |name: &'static str, memory: u32| match memory {
        0 => Ok(()),
        _ => Err(InstrumentError::OtherMemory { operator: name, memory, offset: start }),
    };
    let wait = |name, memarg: &MemArg, function| {
        first_memory(name, memarg.memory)?;
        Ok::<_, InstrumentError>(Some(Action::Wait { function, offset: memarg.offset }))
    };
    let index = |old: u32, new: u32| (old != new).then_some((start + 1, new));
    let counts = options.ticks || options.call_stack.is_some();
    Ok(match *operator {
        Operator::Call { function_index: old } => {
            let index = index(old, host.target(old));
            (counts || index.is_some()).then_some(Action::Call { index })
        }
        Operator::CallIndirect { table_index, .. }
            if options.callees && !survey.types.as_ref().table_at(table_index).table64 =>
        {
            Some(Action::CallThrough)
        }
        Operator::CallIndirect { .. } | Operator::CallRef { .. } => counts.then_some(Action::Call { index: None }),
        // A chain of tail calls takes no stack: a probe in between would.
        Operator::ReturnCall { function_index: old } => {
            index(old, host.function_shift.apply(old)).map(|(at, value)| Action::Index { at, value })
        }
        Operator::RefFunc { function_index: old } => {
            index(old, host.target(old)).map(|(at, value)| Action::Index { at, value })
        }
        Operator::GlobalGet { global_index: old } | Operator::GlobalSet { global_index: old } => {
            index(old, host.global_shift.apply(old)).map(|(at, value)| Action::Index { at, value })
        }
        Operator::Loop { .. } if options.ticks => Some(Action::Loop),
        Operator::MemoryAtomicWait32 { ref memarg } if options.host_waits => {
            wait("memory.atomic.wait32", memarg, HostFunction::Wait32)?
        }
        Operator::MemoryAtomicWait64 { ref memarg } if options.host_waits => {
            wait("memory.atomic.wait64", memarg, HostFunction::Wait64)?
        }
        Operator::MemoryAtomicNotify { ref memarg } if options.host_waits => {
            wait("memory.atomic.notify", memarg, HostFunction::Notify)?
        }
        Operator::MemoryGrow { mem: 0 } if options.host_memory != HostMemory::Keep => Some(Action::MemoryGrow),
        Operator::MemoryFill { mem } if options.checks_stores() => {
            first_memory("memory.fill", mem)?;
            Some(Action::Bulk(Bulk { copies: false, source: Operand::I32, length: index_type(survey, mem) }))
        }
        Operator::MemoryInit { mem, .. } if options.checks_stores() => {
            first_memory("memory.init", mem)?;
            Some(Action::Bulk(Bulk { copies: false, source: Operand::I32, length: Operand::I32 }))
        }
        Operator::MemoryCopy { dst_mem, src_mem } if options.checks_stores() => {
            first_memory("memory.copy", dst_mem)?;
            if options.loads {
                first_memory("memory.copy", src_mem)?;
            }
            // The length has the narrower of the two memories' index types.
            let (to, from) = (index_type(survey, dst_mem), index_type(survey, src_mem));
            let copies = options.loads;
            Some(Action::Bulk(Bulk { copies, source: from, length: if to == Operand::I64 { from } else { to } }))
        }
        ref other if options.checks_stores() || options.faults => match store_of(other) {
            Some(store) if options.checks(&store) || options.faults => {
                let name = if store.access.writes() { "a store" } else { "a load" };
                first_memory(name, store.memarg.memory)?;
                Some(Action::Store(store))
            }
            _ => None,
        },
        _ => None,
    })
}

fn index_type(survey: &Survey<'_>, memory: u32) -> Operand {
    if survey.types.as_ref().memory_at(memory).memory64 { Operand::I64 } else { Operand::I32 }
}
