//! A function taken apart: of each instruction, which instructions made what it takes, and which definitions of a local
//! can reach it.
//!
//! ```text
//!   0  local.get 1          gives 0
//!   1  i32.load offset=20   takes 0, gives 1
//!   2  local.set 2          takes 1: a definition of local 2
//!   3  local.get 2          reached by the definition 2
//! ```

use std::collections::BTreeSet;

use wasmparser::{FunctionBody, MemArg, ModuleArity, Operator};
use wkdb_tracer::CodeOffset;

use super::code::Code;

/// A function with more instructions is not looked into.
const MAX_INSTRUCTIONS: usize = 200_000;

/// Where an operand comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// From this instruction.
    From(usize),
    /// From one of several: a block that ends in different ways.
    OneOf(Vec<Source>),
    /// It cannot be said.
    Unknown,
}

/// A definition of a local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Definition {
    /// A parameter, or the zero that other locals begin with.
    Entry,
    /// By this instruction.
    At(usize),
}

/// What an instruction does, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Constant(u64),
    LocalGet(u32),
    LocalSet(u32),
    LocalTee(u32),
    GlobalGet(u32),
    GlobalSet(u32),
    /// Reads memory: at its first operand and this offset, so many bytes.
    Load {
        offset: u64,
        len: u64,
    },
    /// Writes its last operand.
    Store {
        offset: u64,
        len: u64,
    },
    /// Reads and writes in one.
    Update {
        offset: u64,
        len: u64,
    },
    /// `memory.copy`: destination, source, length.
    Copy,
    /// `memory.fill`.
    Fill,
    Call(u32),
    CallIndirect(u32),
    /// Arithmetic of two operands.
    Binary(Binary),
    /// A division, which traps when its second operand is zero.
    Divide,
    /// A conversion: its value is its operand's, but for its width.
    Convert,
    /// A comparison: its value is a truth value.
    Compare,
    Select,
    /// Leaves the function.
    Return,
    Unreachable,
    /// A branch that depends on its last operand.
    Branch,
    /// The rest.
    Other,
}

/// Arithmetic that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

/// An instruction.
#[derive(Debug, Clone)]
pub(super) struct Instruction {
    pub(super) offset: CodeOffset,
    pub(super) kind: Kind,
    /// What it takes, the first operand first.
    pub(super) takes: Vec<Source>,
    successors: Vec<usize>,
}

/// See the module.
pub(super) struct Body {
    pub(super) instructions: Vec<Instruction>,
    parameters: u32,
    predecessors: Vec<Vec<usize>>,
}

/// A block that is open.
struct Block {
    height: usize,
    /// Where a branch to it leads, if that is known: the start of a loop.
    start: Option<usize>,
    /// Instructions that branch to its end.
    to_end: Vec<usize>,
    results: usize,
    /// What branches bring to its end.
    brought: Vec<Vec<Source>>,
    /// An `if` without `else` so far.
    open_if: Option<usize>,
    parameters: Vec<Source>,
}

impl Body {
    pub(super) fn read(
        code: &Code,
        body: &FunctionBody<'_>,
        (parameters, results): (u32, u32),
        offset: &dyn Fn(usize) -> Option<CodeOffset>,
    ) -> Option<Body> {
        let mut reader = Reading {
            code,
            instructions: Vec::new(),
            stack: Vec::new(),
            blocks: vec![Block {
                height: 0,
                start: None,
                to_end: Vec::new(),
                results: results as usize,
                brought: Vec::new(),
                open_if: None,
                parameters: Vec::new(),
            }],
            reachable: true,
        };
        let mut operators = body.get_operators_reader().ok()?;
        while !operators.eof() {
            let (operator, at) = operators.read_with_offset().ok()?;
            if reader.instructions.len() >= MAX_INSTRUCTIONS {
                return None;
            }
            reader.operator(&operator, offset(at)?);
        }
        let instructions = reader.instructions;
        let mut predecessors = vec![Vec::new(); instructions.len()];
        for (at, instruction) in instructions.iter().enumerate() {
            for &next in instruction.successors.iter().filter(|&&next| next < instructions.len()) {
                predecessors[next].push(at);
            }
        }
        Some(Body { instructions, parameters, predecessors })
    }

    /// The instruction at an offset; between two, the one before.
    pub(super) fn at(&self, offset: CodeOffset) -> Option<usize> {
        let after = self.instructions.partition_point(|instruction| instruction.offset <= offset);
        after.checked_sub(1)
    }

    /// Whether a local is a parameter.
    pub(super) fn is_parameter(&self, local: u32) -> bool {
        local < self.parameters
    }

    /// The definitions of a local that can reach an instruction.
    pub(super) fn definitions(&self, local: u32, at: usize) -> BTreeSet<Definition> {
        let mut found = BTreeSet::new();
        let mut seen = vec![false; self.instructions.len()];
        let mut left = vec![at];
        while let Some(at) = left.pop() {
            if at == 0 {
                found.insert(Definition::Entry);
            }
            for &before in &self.predecessors[at] {
                match self.instructions[before].kind {
                    Kind::LocalSet(set) | Kind::LocalTee(set) if set == local => {
                        found.insert(Definition::At(before));
                    }
                    _ if !std::mem::replace(&mut seen[before], true) => left.push(before),
                    _ => {}
                }
            }
        }
        found
    }

    /// Whether one instruction leads to a later one on one way alone, on which a local is not set.
    pub(super) fn is_straight(&self, local: u32, from: usize, to: usize) -> bool {
        let Some(way) = self.instructions.get(from..to) else { return false };
        way.iter().enumerate().all(|(n, instruction)| {
            let sets = matches!(instruction.kind, Kind::LocalSet(set) | Kind::LocalTee(set) if set == local);
            !sets && instruction.successors[..] == [from + n + 1]
        })
    }

    /// The instructions that can run before another one, in this call of the function.
    pub(super) fn before(&self, at: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut left = vec![at];
        while let Some(at) = left.pop() {
            left.extend(self.predecessors[at].iter().copied().filter(|&before| found.insert(before)));
        }
        found
    }

    /// What the function gives back, at the instructions that leave it.
    pub(super) fn returned(&self) -> Vec<(usize, Source)> {
        let last = self.instructions.len().saturating_sub(1);
        let leaves = |(at, instruction): (usize, &Instruction)| match instruction.kind {
            Kind::Return => Some((at, instruction.takes.last()?.clone())),
            _ if at == last => Some((at, instruction.takes.last()?.clone())),
            _ => None,
        };
        self.instructions.iter().enumerate().filter_map(leaves).collect()
    }

    /// The loads that an operand is computed from, in this function: those behind locals, other loads' addresses not.
    pub(super) fn loads_behind(&self, at: usize, source: &Source) -> BTreeSet<usize> {
        let mut loads = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut left = vec![(at, source.clone())];
        while let Some((at, source)) = left.pop() {
            match source {
                Source::OneOf(sources) => left.extend(sources.into_iter().map(|source| (at, source))),
                Source::From(from) if seen.insert(from) => {
                    let instruction = &self.instructions[from];
                    match instruction.kind {
                        Kind::Load { .. } | Kind::Update { .. } => _ = loads.insert(from),
                        Kind::LocalGet(local) => {
                            for definition in self.definitions(local, from) {
                                if let Definition::At(set) = definition {
                                    left.push((
                                        set,
                                        self.instructions[set].takes.first().cloned().unwrap_or(Source::Unknown),
                                    ));
                                }
                            }
                        }
                        Kind::Call(_) | Kind::CallIndirect(_) => {}
                        _ => left.extend(instruction.takes.iter().map(|taken| (from, taken.clone()))),
                    }
                }
                Source::From(_) | Source::Unknown => {}
            }
        }
        loads
    }
}

struct Reading<'c> {
    code: &'c Code,
    instructions: Vec<Instruction>,
    stack: Vec<Source>,
    blocks: Vec<Block>,
    /// The code here can run.
    reachable: bool,
}

impl Reading<'_> {
    fn pop(&mut self) -> Source {
        let height = self.blocks.last().map_or(0, |block| block.height);
        if self.stack.len() > height { self.stack.pop().unwrap_or(Source::Unknown) } else { Source::Unknown }
    }

    fn pop_many(&mut self, count: usize) -> Vec<Source> {
        let mut sources: Vec<Source> = (0..count).map(|_| self.pop()).collect();
        sources.reverse();
        sources
    }

    /// What lies on top, without taking it.
    fn top(&self, count: usize) -> Vec<Source> {
        let height = self.blocks.last().map_or(0, |block| block.height);
        let have = self.stack.len().saturating_sub(height).min(count);
        let mut sources = vec![Source::Unknown; count - have];
        sources.extend_from_slice(&self.stack[self.stack.len() - have..]);
        sources
    }

    fn branch(&mut self, from: usize, depth: u32) {
        let Some(target) = self.blocks.len().checked_sub(1 + depth as usize) else { return };
        let brought = self.top(self.blocks[target].results);
        let block = &mut self.blocks[target];
        match block.start {
            Some(start) => self.instructions[from].successors.push(start),
            None => {
                block.to_end.push(from);
                block.brought.push(brought);
            }
        }
    }

    fn stop(&mut self) {
        self.reachable = false;
        if let Some(block) = self.blocks.last() {
            self.stack.truncate(block.height);
        }
    }

    fn open(&mut self, ty: wasmparser::BlockType, at: usize, is_loop: bool, is_if: bool) {
        let (takes, gives) = self.code.block_type_arity(ty).unwrap_or((0, 0));
        let parameters = self.pop_many(takes as usize);
        self.blocks.push(Block {
            height: self.stack.len(),
            start: is_loop.then_some(at),
            to_end: Vec::new(),
            results: if is_loop { 0 } else { gives as usize },
            brought: Vec::new(),
            open_if: is_if.then_some(at),
            parameters: parameters.clone(),
        });
        self.stack.extend(parameters);
        // What a loop gives is known at its end alone.
        if is_loop && let Some(block) = self.blocks.last_mut() {
            block.results = gives as usize;
        }
    }

    fn operator(&mut self, operator: &Operator<'_>, offset: CodeOffset) {
        let at = self.instructions.len();
        let was_reachable = self.reachable;
        self.instructions.push(Instruction { offset, kind: Kind::Other, takes: Vec::new(), successors: Vec::new() });
        match operator {
            Operator::Block { blockty } => self.open(*blockty, at, false, false),
            Operator::Loop { blockty } => self.open(*blockty, at, true, false),
            Operator::If { blockty } => {
                self.instructions[at].takes = vec![self.pop()];
                self.instructions[at].kind = Kind::Branch;
                self.open(*blockty, at, false, true);
            }
            Operator::Else => {
                let brought = self.top(self.blocks.last().map_or(0, |block| block.results));
                if let Some(block) = self.blocks.last_mut() {
                    // What comes from above goes to the end; the condition that fails comes here.
                    if was_reachable {
                        block.to_end.push(at);
                        block.brought.push(brought);
                    }
                    if let Some(start) = block.open_if.take() {
                        self.instructions[start].successors.push(at + 1);
                    }
                    self.stack.truncate(block.height);
                    self.stack.extend(block.parameters.iter().cloned());
                }
                self.reachable = true;
                return;
            }
            Operator::End => self.end(at),
            Operator::Br { relative_depth } => {
                self.branch(at, *relative_depth);
                self.stop();
            }
            Operator::BrIf { relative_depth } => {
                self.instructions[at].takes = vec![self.pop()];
                self.instructions[at].kind = Kind::Branch;
                self.branch(at, *relative_depth);
            }
            Operator::BrTable { targets } => {
                self.instructions[at].takes = vec![self.pop()];
                self.instructions[at].kind = Kind::Branch;
                for target in targets.targets().flatten().chain([targets.default()]) {
                    self.branch(at, target);
                }
                self.stop();
            }
            Operator::Return => {
                self.instructions[at].kind = Kind::Return;
                self.instructions[at].takes = self.top(1);
                self.stop();
            }
            Operator::Unreachable => {
                self.instructions[at].kind = Kind::Unreachable;
                self.stop();
            }
            other => {
                let (takes, gives) = other.operator_arity(self.code).unwrap_or((0, 0));
                self.instructions[at].takes = self.pop_many(takes as usize);
                self.instructions[at].kind = kind(other);
                self.stack.extend((0..gives).map(|_| Source::From(at)));
            }
        }
        if self.reachable {
            self.instructions[at].successors.push(at + 1);
        }
    }

    fn end(&mut self, at: usize) {
        let Some(block) = self.blocks.last() else { return };
        let results = block.results;
        let fallen = self.top(results);
        let Some(block) = self.blocks.pop() else { return };
        let outermost = self.blocks.is_empty();
        let mut ways: Vec<Vec<Source>> = block.brought;
        if self.reachable {
            ways.push(fallen);
        }
        for from in block.to_end {
            self.instructions[from].successors.push(at);
        }
        if let Some(start) = block.open_if {
            self.instructions[start].successors.push(at);
            ways.push(block.parameters.clone());
        }
        self.stack.truncate(block.height);
        let joined = (0..results).map(|n| match &ways[..] {
            [] => Source::Unknown,
            [only] => only.get(n).cloned().unwrap_or(Source::Unknown),
            several => Source::OneOf(several.iter().filter_map(|way| way.get(n).cloned()).collect()),
        });
        let joined: Vec<Source> = joined.collect();
        if outermost {
            self.instructions[at].takes = joined;
            self.reachable = false;
        } else {
            self.stack.extend(joined);
            self.reachable = true;
        }
    }
}

/// What an operator that neither opens a block nor branches does.
fn kind(operator: &Operator<'_>) -> Kind {
    use Operator::*;
    let load = |memarg: &MemArg, len| Kind::Load { offset: memarg.offset, len };
    let store = |memarg: &MemArg, len| Kind::Store { offset: memarg.offset, len };
    match operator {
        I32Const { value } => Kind::Constant(u64::from(value.cast_unsigned())),
        I64Const { value } => Kind::Constant(value.cast_unsigned()),
        LocalGet { local_index } => Kind::LocalGet(*local_index),
        LocalSet { local_index } => Kind::LocalSet(*local_index),
        LocalTee { local_index } => Kind::LocalTee(*local_index),
        GlobalGet { global_index } => Kind::GlobalGet(*global_index),
        GlobalSet { global_index } => Kind::GlobalSet(*global_index),
        I32Load8S { memarg }
        | I32Load8U { memarg }
        | I64Load8S { memarg }
        | I64Load8U { memarg }
        | I32AtomicLoad8U { memarg }
        | I64AtomicLoad8U { memarg } => load(memarg, 1),
        I32Load16S { memarg }
        | I32Load16U { memarg }
        | I64Load16S { memarg }
        | I64Load16U { memarg }
        | I32AtomicLoad16U { memarg }
        | I64AtomicLoad16U { memarg } => load(memarg, 2),
        I32Load { memarg }
        | F32Load { memarg }
        | I64Load32S { memarg }
        | I64Load32U { memarg }
        | I32AtomicLoad { memarg }
        | I64AtomicLoad32U { memarg } => load(memarg, 4),
        I64Load { memarg } | F64Load { memarg } | I64AtomicLoad { memarg } => load(memarg, 8),
        V128Load { memarg } => load(memarg, 16),
        I32Store8 { memarg } | I64Store8 { memarg } | I32AtomicStore8 { memarg } | I64AtomicStore8 { memarg } => {
            store(memarg, 1)
        }
        I32Store16 { memarg } | I64Store16 { memarg } | I32AtomicStore16 { memarg } | I64AtomicStore16 { memarg } => {
            store(memarg, 2)
        }
        I32Store { memarg }
        | F32Store { memarg }
        | I64Store32 { memarg }
        | I32AtomicStore { memarg }
        | I64AtomicStore32 { memarg } => store(memarg, 4),
        I64Store { memarg } | F64Store { memarg } | I64AtomicStore { memarg } => store(memarg, 8),
        V128Store { memarg } => store(memarg, 16),
        I32AtomicRmwAdd { memarg }
        | I32AtomicRmwSub { memarg }
        | I32AtomicRmwAnd { memarg }
        | I32AtomicRmwOr { memarg }
        | I32AtomicRmwXor { memarg }
        | I32AtomicRmwXchg { memarg }
        | I32AtomicRmwCmpxchg { memarg } => Kind::Update { offset: memarg.offset, len: 4 },
        I64AtomicRmwAdd { memarg }
        | I64AtomicRmwSub { memarg }
        | I64AtomicRmwAnd { memarg }
        | I64AtomicRmwOr { memarg }
        | I64AtomicRmwXor { memarg }
        | I64AtomicRmwXchg { memarg }
        | I64AtomicRmwCmpxchg { memarg } => Kind::Update { offset: memarg.offset, len: 8 },
        MemoryAtomicWait32 { memarg } | MemoryAtomicNotify { memarg } => load(memarg, 4),
        MemoryAtomicWait64 { memarg } => load(memarg, 8),
        MemoryCopy { .. } => Kind::Copy,
        MemoryFill { .. } => Kind::Fill,
        Call { function_index } => Kind::Call(*function_index),
        CallIndirect { type_index, .. } => Kind::CallIndirect(*type_index),
        I32Add | I64Add => Kind::Binary(Binary::Add),
        I32Sub | I64Sub => Kind::Binary(Binary::Sub),
        I32Mul | I64Mul => Kind::Binary(Binary::Mul),
        I32And | I64And => Kind::Binary(Binary::And),
        I32Or | I64Or => Kind::Binary(Binary::Or),
        I32Xor | I64Xor => Kind::Binary(Binary::Xor),
        I32Shl | I64Shl => Kind::Binary(Binary::Shl),
        I32ShrU | I64ShrU | I32ShrS | I64ShrS => Kind::Binary(Binary::Shr),
        I32DivS | I32DivU | I32RemS | I32RemU | I64DivS | I64DivU | I64RemS | I64RemU => Kind::Divide,
        I32WrapI64 | I64ExtendI32S | I64ExtendI32U | I32Extend8S | I32Extend16S | I64Extend8S | I64Extend16S
        | I64Extend32S => Kind::Convert,
        I32Eqz | I64Eqz | I32Eq | I32Ne | I32LtS | I32LtU | I32GtS | I32GtU | I32LeS | I32LeU | I32GeS | I32GeU
        | I64Eq | I64Ne | I64LtS | I64LtU | I64GtS | I64GtU | I64LeS | I64LeU | I64GeS | I64GeU => Kind::Compare,
        Select | TypedSelect { .. } => Kind::Select,
        _ => Kind::Other,
    }
}
