//! Where a value came from, followed backwards: within a function by what its instructions take and give, from a parameter
//! to the call, from a call to what the callee returned, and in time where what has to be known is not there any more.

use std::collections::BTreeSet;

use wkdb_tracer::{CodeAddress, ModuleId, RunnerId};

use super::body::{Binary, Body, Definition, Kind, Source};
use super::explorer::{Explorer, word};
use super::place::Place;
use crate::inferior::{Direction, FrameState, Goal, Result, Resume, StepKind};

/// Steps that are followed.
const MOST_STEPS: usize = 400;

/// How deep an expression is worked out.
const MOST_DEPTH: usize = 24;

/// A frame above the stack pointer is not larger.
const LARGEST_STACK: u64 = 1 << 17;

/// The frame of a function that calls no other is not larger, as a rule.
const LEAF_FRAME: u64 = 512;

/// A word of memory, with what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) address: u64,
    pub(super) len: u64,
    pub(super) value: u64,
}

/// An operand of an instruction in a frame.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) runner: RunnerId,
    /// How many frames are below.
    pub(super) level: usize,
    pub(super) module: ModuleId,
    pub(super) function: u32,
    /// The instruction that takes it.
    pub(super) at: usize,
    pub(super) source: Source,
    /// Its value, as far as that is known.
    pub(super) value: Option<u64>,
}

/// What a value was followed to.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// It was read from memory by this place; where and how, for its address to be followed as well.
    Memory { word: Word, by: Place, address: Cursor },
    /// A constant of the code.
    Constant { value: u64, by: Place },
    /// The host gave it.
    Host(String),
    /// It is not known; why.
    Unknown(String),
}

impl Explorer<'_> {
    fn unknown(&self, why: impl Into<String>) -> Result<Origin> {
        Ok(Origin::Unknown(why.into()))
    }

    /// The innermost place at an instruction.
    fn place_at(&mut self, cursor: &Cursor, body: &Body, at: usize) -> Place {
        let offset = body.instructions.get(at).map_or(wkdb_tracer::CodeOffset(0), |found| found.offset);
        let places = self.places(CodeAddress { module: cursor.module, offset });
        // Of a header's inline function, who uses it.
        let found = places.iter().find(|place| !place.is_helper()).or(places.first()).cloned();
        let module = cursor.module.0;
        found.unwrap_or(Place { function: format!("func[{}]", cursor.function), file: None, line: None, module })
    }

    /// Follows a value back to what it was read from, or made of. Words of the task's own stack are looked through. The
    /// machine stands somewhere before now afterwards, where what was read was as it is told.
    pub(super) fn follow(&mut self, mut cursor: Cursor) -> Result<Origin> {
        for _ in 0..MOST_STEPS {
            let Some(body) = self.body(cursor.module, cursor.function) else {
                return self.unknown(format!("the code of function {} cannot be read", cursor.function));
            };
            let from = match cursor.source.clone() {
                Source::From(from) => from,
                Source::OneOf(ways) => match self.which(&cursor, &body, &ways)? {
                    Some(way) => {
                        cursor.source = way;
                        continue;
                    }
                    None => return self.unknown("it came by one of several ways, and it is not known by which"),
                },
                Source::Unknown => return self.unknown("what computed it cannot be told"),
            };
            let instruction = &body.instructions[from];
            match instruction.kind {
                Kind::Constant(value) => {
                    let by = self.place_at(&cursor, &body, from);
                    return Ok(Origin::Constant { value, by });
                }
                Kind::LocalTee(_) | Kind::Convert => {
                    cursor.at = from;
                    cursor.source = instruction.takes.first().cloned().unwrap_or(Source::Unknown);
                }
                Kind::LocalGet(local) => {
                    if let Some(end) = self.local(&mut cursor, &body, local, from)? {
                        return Ok(end);
                    }
                }
                Kind::Load { offset, len } => return self.loaded(cursor, &body, from, (offset, len), false),
                Kind::Update { offset, len } => return self.loaded(cursor, &body, from, (offset, len), true),
                Kind::Binary(operation) => {
                    let Some((source, value)) = self.operand(&cursor, &body, from, operation)? else {
                        return self.unknown("it was computed from several values");
                    };
                    (cursor.at, cursor.source, cursor.value) = (from, source, value);
                }
                Kind::Select => {
                    let ways = &instruction.takes[..2.min(instruction.takes.len())];
                    cursor.at = from;
                    match self.which(&cursor, &body, ways)? {
                        Some(way) => cursor.source = way,
                        None => return self.unknown("it is one of two values, and it is not known which"),
                    }
                }
                Kind::Call(_) | Kind::CallIndirect(_) => {
                    if let Some(end) = self.result_of_call(&mut cursor, &body, from)? {
                        return Ok(end);
                    }
                }
                Kind::GlobalGet(_) => return self.unknown("it is a Wasm global, as the stack pointer is"),
                Kind::Compare => return self.unknown("it is a truth value"),
                _ => return self.unknown("what computed it is not followed"),
            }
        }
        self.unknown(format!("it was followed for {MOST_STEPS} steps"))
    }

    /// Which of several sources has the value.
    fn which(&mut self, cursor: &Cursor, body: &Body, ways: &[Source]) -> Result<Option<Source>> {
        if let [only] = ways {
            return Ok(Some(only.clone()));
        }
        let Some(frame) = self.frame_of(cursor)? else { return Ok(None) };
        let mut matching = Vec::new();
        for way in ways {
            match (self.eval(body, &frame, way, 0), cursor.value) {
                (Some(value), Some(wanted)) if self.narrow(cursor, value) == self.narrow(cursor, wanted) => {
                    matching.push(way.clone());
                }
                // One that cannot be worked out may be the one.
                (None, _) => matching.push(way.clone()),
                _ => {}
            }
        }
        Ok(if matching.len() == 1 { matching.pop() } else { None })
    }

    fn narrow(&mut self, cursor: &Cursor, value: u64) -> u64 {
        match self.code(cursor.module).map(|code| code.word()) {
            Some(8) => value,
            _ => value & u64::from(u32::MAX),
        }
    }

    fn frame_of(&mut self, cursor: &Cursor) -> Result<Option<FrameState>> {
        let frame = self.frame(cursor.runner, cursor.level)?;
        let is_it =
            |frame: &FrameState| (frame.frame.address.module, frame.frame.function) == (cursor.module, cursor.function);
        Ok(frame.filter(is_it))
    }

    /// Goes to the definition of a local that was the last; the origin, if it ends there.
    fn local(&mut self, cursor: &mut Cursor, body: &Body, local: u32, at: usize) -> Result<Option<Origin>> {
        let definitions = body.definitions(local, at);
        let definition = match definitions.iter().collect::<Vec<_>>()[..] {
            [only] => *only,
            _ => match self.last_definition(cursor, body, &definitions)? {
                Some(definition) => definition,
                None => return self.unknown("what set it last was not found").map(Some),
            },
        };
        match definition {
            Definition::At(set) => {
                cursor.at = set;
                cursor.source = body.instructions[set].takes.first().cloned().unwrap_or(Source::Unknown);
                Ok(None)
            }
            Definition::Entry if body.is_parameter(local) => self.argument_of_call(cursor, local),
            Definition::Entry => {
                let by = self.place_at(cursor, body, at);
                Ok(Some(Origin::Constant { value: 0, by }))
            }
        }
    }

    /// Goes back to the last of several definitions of a local.
    fn last_definition(
        &mut self,
        cursor: &Cursor,
        body: &Body,
        definitions: &BTreeSet<Definition>,
    ) -> Result<Option<Definition>> {
        let offset = |definition: &Definition| match definition {
            Definition::At(set) => body.instructions[*set].offset,
            Definition::Entry => body.instructions[0].offset,
        };
        let address = |definition: &Definition| CodeAddress { module: cursor.module, offset: offset(definition) };
        let candidates: Vec<CodeAddress> = definitions.iter().map(address).collect();
        let found = self.back_to(&candidates, cursor.runner, cursor.level)?;
        let number = found.and_then(|found| candidates.iter().position(|candidate| *candidate == found));
        Ok(number.and_then(|number| definitions.iter().nth(number).copied()))
    }

    /// From a parameter to the argument of the call.
    fn argument_of_call(&mut self, cursor: &mut Cursor, parameter: u32) -> Result<Option<Origin>> {
        let Some(below) = cursor.level.checked_sub(1) else {
            return Ok(Some(Origin::Host("the host gave it to the task when it began".to_owned())));
        };
        let Some(frame) = self.frame(cursor.runner, below)? else {
            return self.unknown("its caller is not there any more").map(Some);
        };
        let (module, function) = (frame.frame.address.module, frame.frame.function);
        let Some(body) = self.body(module, function) else {
            return self.unknown("the code of its caller cannot be read").map(Some);
        };
        let call = body.at(frame.frame.address.offset);
        let call = call.filter(|&at| matches!(body.instructions[at].kind, Kind::Call(_) | Kind::CallIndirect(_)));
        let source = call.and_then(|call| body.instructions[call].takes.get(parameter as usize).cloned());
        let (Some(at), Some(source)) = (call, source) else {
            return self.unknown("the call that gave it was not found").map(Some);
        };
        let value = cursor.value;
        *cursor = Cursor { runner: cursor.runner, level: below, module, function, at, source, value };
        Ok(None)
    }

    /// From a call's result to what the callee returned.
    fn result_of_call(&mut self, cursor: &mut Cursor, body: &Body, call: usize) -> Result<Option<Origin>> {
        if let Kind::Call(function) = body.instructions[call].kind
            && self.code(cursor.module).is_some_and(|code| code.is_import(function))
        {
            let symbols = self.symbols(cursor.module);
            let name = symbols.map_or_else(|| "a function".to_owned(), |symbols| symbols.function_name(function));
            return Ok(Some(Origin::Host(format!("the host returned it from {name}"))));
        }
        let Some(behind) = self.behind(body, call) else {
            return self.unknown("a call that does not come back").map(Some);
        };
        let behind = CodeAddress { module: cursor.module, offset: behind };
        let position = self.position()?;
        let here = position.runner == Some(cursor.runner) && position.address == Some(behind);
        if !here && self.back_to(&[behind], cursor.runner, cursor.level)?.is_none() {
            return self.unknown("the call that gave it was not found in the past").map(Some);
        }
        let back = Resume { direction: Direction::Backward, ..Resume::step(cursor.runner, StepKind::Instruction) };
        self.resume(&back)?;
        let frames = self.inferior.frames(cursor.runner)?;
        let (Some(frame), Some(level)) = (frames.first(), frames.len().checked_sub(1)) else {
            return self.unknown("the function that returned it was not found").map(Some);
        };
        let (module, function) = (frame.address.module, frame.function);
        let Some(callee) = self.body(module, function).filter(|_| level == cursor.level + 1) else {
            return self.unknown("the function that returned it was not found").map(Some);
        };
        let at = callee.at(frame.address.offset);
        let returned = at.and_then(|at| callee.returned().into_iter().find(|(leaves, _)| *leaves == at));
        let Some((at, source)) = returned else {
            return self.unknown("what the function returned was not found").map(Some);
        };
        let value = cursor.value;
        *cursor = Cursor { runner: cursor.runner, level, module, function, at, source, value };
        Ok(None)
    }

    /// Which operand of a computation is the one that matters: of an address, its base.
    fn operand(
        &mut self,
        cursor: &Cursor,
        body: &Body,
        at: usize,
        operation: Binary,
    ) -> Result<Option<(Source, Option<u64>)>> {
        let takes = &body.instructions[at].takes;
        let [first, second] = &takes[..] else { return Ok(None) };
        let constant = |source: &Source| match source {
            Source::From(from) => match body.instructions[*from].kind {
                Kind::Constant(value) => Some(value),
                _ => None,
            },
            _ => None,
        };
        let wanted = cursor.value;
        let undone = match (operation, constant(first), constant(second)) {
            (Binary::Add, _, Some(added)) => Some((first.clone(), wanted.map(|value| value.wrapping_sub(added)))),
            (Binary::Add, Some(added), _) => Some((second.clone(), wanted.map(|value| value.wrapping_sub(added)))),
            (Binary::Sub, _, Some(taken)) => Some((first.clone(), wanted.map(|value| value.wrapping_add(taken)))),
            (_, _, Some(_)) => Some((first.clone(), None)),
            (_, Some(_), _) => Some((second.clone(), None)),
            _ => None,
        };
        if let Some((source, value)) = undone {
            let value = value.map(|value| self.narrow(cursor, value));
            return Ok(Some((source, value)));
        }
        // A base and an index: the one that is no address, or the larger.
        let Some(frame) = self.frame_of(cursor)? else { return Ok(None) };
        let values = (self.eval(body, &frame, first, 0), self.eval(body, &frame, second, 0));
        Ok(match values {
            (Some(a), Some(b)) if a >= b => Some((first.clone(), Some(a))),
            (Some(_), Some(b)) => Some((second.clone(), Some(b))),
            (None, Some(b)) if operation == Binary::Add => {
                let value = wanted.map(|value| self.narrow(cursor, value.wrapping_sub(b)));
                Some((first.clone(), value))
            }
            (Some(a), None) if operation == Binary::Add => {
                let value = wanted.map(|value| self.narrow(cursor, value.wrapping_sub(a)));
                Some((second.clone(), value))
            }
            _ => None,
        })
    }

    /// What was read from memory: as it is now, if that agrees; otherwise as it was when it was read.
    fn loaded(
        &mut self,
        mut cursor: Cursor,
        body: &Body,
        load: usize,
        (offset, len): (u64, u64),
        changed: bool,
    ) -> Result<Origin> {
        let by = self.place_at(&cursor, body, load);
        let takes = body.instructions[load].takes.clone();
        let source = takes.first().cloned().unwrap_or(Source::Unknown);
        let mut address = None;
        if let (Some(value), Some(frame), false) = (cursor.value, self.frame_of(&cursor)?, changed)
            && let Some(base) = self.eval(body, &frame, &source, 0)
        {
            let at = self.narrow(&cursor, base.wrapping_add(offset));
            let mask = if len >= 8 { u64::MAX } else { (1 << (len * 8)) - 1 };
            address = (self.number(at, len) == Some(value & mask)).then_some(at);
        }
        if address.is_none() {
            let place = CodeAddress { module: cursor.module, offset: body.instructions[load].offset };
            let position = self.position()?;
            let here = position.runner == Some(cursor.runner) && position.address == Some(place);
            if !here && self.back_to(&[place], cursor.runner, cursor.level)?.is_none() {
                return self.unknown(format!("where {by} read it was not found in the past"));
            }
            let operands = self.frame_of(&cursor)?.map(|frame| frame.operands).unwrap_or_default();
            let base = operands.len().checked_sub(takes.len()).and_then(|first| operands.get(first).copied());
            address = base.and_then(word).map(|base| self.narrow(&cursor, base.wrapping_add(offset)));
        }
        let Some(address) = address else { return self.unknown("the address that it was read from is not known") };
        let Some(value) = self.number(address, len) else {
            return self.unknown(format!("it was read from {address:#x}, where there is no memory"));
        };
        (cursor.at, cursor.source) = (load, source);
        if self.is_on_own_stack(cursor.runner, address)?
            && let Some(cursor) = self.spilled(&cursor, address, len, value)?
        {
            return self.follow(cursor);
        }
        cursor.value = Some(self.narrow(&cursor, address.wrapping_sub(offset)));
        Ok(Origin::Memory { word: Word { address, len, value }, by, address: cursor })
    }

    /// Whether an address lies in the part of a task's stack that is in use.
    fn is_on_own_stack(&mut self, runner: RunnerId, address: u64) -> Result<bool> {
        let Ok(pointer) = self.inferior.stack_pointer(runner) else { return Ok(false) };
        // A function that calls no other keeps its variables below the stack pointer.
        let lowest = pointer.saturating_sub(LEAF_FRAME);
        if !(lowest..pointer.saturating_add(LARGEST_STACK)).contains(&address) {
            return Ok(false);
        }
        let in_kernel =
            self.inferior.frames(runner)?.first().is_some_and(|frame| frame.address.module == ModuleId::KERNEL);
        let stack = self.kernel(|kernel| kernel.stack_of(runner)).flatten();
        Ok(match stack {
            Some(stack) if in_kernel => (stack.base..stack.base.saturating_add(stack.size)).contains(&address),
            // A user program's stack: that of its own frames.
            _ => !in_kernel,
        })
    }

    /// Who put a value onto the task's own stack.
    fn spilled(&mut self, cursor: &Cursor, address: u64, len: u64, value: u64) -> Result<Option<Cursor>> {
        let Some(hit) = self.last_write(address, len)? else { return Ok(None) };
        if hit.context.as_ref().map(|context| context.runner) != Some(cursor.runner) {
            return Ok(None);
        }
        let Some((cursor, whole)) = self.stored_by(&hit, value) else { return Ok(None) };
        if !whole || hit.new.len() as u64 != len {
            return Ok(None);
        }
        self.go_to(Goal::LastWrite { address, len })?;
        Ok(Some(cursor))
    }

    /// The value that a write stored, as an operand of its instruction; and whether it was a plain store. Nothing of
    /// writes by the host, or of more than a word.
    pub(super) fn stored_by(&mut self, hit: &wkdb_tracer::WatchHit, value: u64) -> Option<(Cursor, bool)> {
        let wkdb_tracer::Writer::Guest { stack } = &hit.writer else { return None };
        let frame = stack.first()?;
        let runner = hit.context.as_ref()?.runner;
        let body = self.body(frame.address.module, frame.function)?;
        let at = body.at(frame.address.offset)?;
        let instruction = &body.instructions[at];
        let Kind::Store { len, .. } = instruction.kind else { return None };
        let cursor = Cursor {
            runner,
            level: stack.len() - 1,
            module: frame.address.module,
            function: frame.function,
            at,
            source: instruction.takes.last()?.clone(),
            value: Some(value),
        };
        Some((cursor, len == hit.new.len() as u64))
    }

    /// The address that a write stored to, as an operand of its instruction.
    pub(super) fn stored_at(&mut self, hit: &wkdb_tracer::WatchHit) -> Option<Cursor> {
        let wkdb_tracer::Writer::Guest { stack } = &hit.writer else { return None };
        let frame = stack.first()?;
        let runner = hit.context.as_ref()?.runner;
        let body = self.body(frame.address.module, frame.function)?;
        let at = body.at(frame.address.offset)?;
        let instruction = &body.instructions[at];
        let offset = match instruction.kind {
            Kind::Store { offset, .. } | Kind::Update { offset, .. } => offset,
            Kind::Copy | Kind::Fill => 0,
            _ => return None,
        };
        Some(Cursor {
            runner,
            level: stack.len() - 1,
            module: frame.address.module,
            function: frame.function,
            at,
            source: instruction.takes.first()?.clone(),
            value: Some(hit.store_address.wrapping_sub(offset)),
        })
    }

    /// The value of an operand, worked out from the locals that a frame has now. `None` where one of them has changed
    /// since, as far as can be told.
    pub(super) fn eval(&mut self, body: &Body, frame: &FrameState, source: &Source, depth: usize) -> Option<u64> {
        let Source::From(from) = source else { return None };
        if depth > MOST_DEPTH {
            return None;
        }
        let instruction = &body.instructions[*from];
        let now = body.at(frame.frame.address.offset)?;
        let taken = |n: usize| instruction.takes.get(n);
        match instruction.kind {
            Kind::Constant(value) => Some(value),
            Kind::LocalGet(local) => {
                let then = body.definitions(local, *from);
                if then == body.definitions(local, now) && (then.len() == 1 || body.is_straight(local, *from, now)) {
                    return word(*frame.locals.get(local as usize)?);
                }
                match then.iter().next() {
                    Some(Definition::At(set)) if then.len() == 1 => {
                        let source = body.instructions[*set].takes.first()?.clone();
                        self.eval(body, frame, &source, depth + 1)
                    }
                    _ => None,
                }
            }
            Kind::LocalTee(local) => {
                if body.definitions(local, now) == BTreeSet::from([Definition::At(*from)]) {
                    return word(*frame.locals.get(local as usize)?);
                }
                self.eval(body, frame, taken(0)?, depth + 1)
            }
            Kind::Convert => self.eval(body, frame, taken(0)?, depth + 1),
            Kind::Binary(operation) => {
                let a = self.eval(body, frame, taken(0)?, depth + 1)?;
                let b = self.eval(body, frame, taken(1)?, depth + 1)?;
                let value = match operation {
                    Binary::Add => a.wrapping_add(b),
                    Binary::Sub => a.wrapping_sub(b),
                    Binary::Mul => a.wrapping_mul(b),
                    Binary::And => a & b,
                    Binary::Or => a | b,
                    Binary::Xor => a ^ b,
                    Binary::Shl => a.wrapping_shl(b as u32),
                    Binary::Shr => a.wrapping_shr(b as u32),
                };
                let wide = self.code(frame.frame.address.module).is_some_and(|code| code.word() == 8);
                Some(if wide { value } else { value & u64::from(u32::MAX) })
            }
            Kind::Load { offset, len } => {
                let base = self.eval(body, frame, taken(0)?, depth + 1)?;
                self.number(base.wrapping_add(offset) & u64::from(u32::MAX), len)
            }
            _ => None,
        }
    }
}
