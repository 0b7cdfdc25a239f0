//! Writes the rewritten body of one function.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode, InstructionSink, ValType};
use wasmparser::BranchHint;

use super::body::{Action, Scan, Scratch, Site};
use super::error::InstrumentError;
use super::host::{Host, HostFunction, HostGlobal};
use super::map::RunKind;
use super::splice::write_u32_at_least;
use super::store::Operand;

/// The number of locals that engines accept in a function.
const MAX_LOCALS: usize = 50_000;

/// A run of the map whose rewritten side counts from the start of the function's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyRun {
    pub(super) rewritten: u32,
    pub(super) original: u32,
    pub(super) kind: RunKind,
}

/// One function's rewritten body, and what is known about it. Reused from function to function.
#[derive(Debug, Default)]
pub(super) struct Emitted {
    /// The body: locals and operators, without the size in front.
    pub(super) bytes: Vec<u8>,
    pub(super) runs: Vec<BodyRun>,
    /// Hints for branches in it, ascending.
    pub(super) hints: Vec<BranchHint>,
}

/// Everything the inserted code of one function refers to.
pub(super) struct Emitter<'e> {
    /// The whole original file.
    pub(super) module: &'e [u8],
    /// Where the contents of the original code section start.
    pub(super) code_section: usize,
    pub(super) host: &'e Host,
    pub(super) ticks: bool,
    /// Whether reads are observed.
    pub(super) loads: bool,
    /// Whether accesses that are looked at closer are noted.
    pub(super) sites: bool,
    /// Whether the address of every access is noted.
    pub(super) faults: bool,
    /// Whether writes are checked.
    pub(super) stores: bool,
    pub(super) scan: &'e Scan,
    /// The index in the original module.
    pub(super) function: u32,
    /// How many parameters the function takes.
    pub(super) parameters: usize,
    /// The body in the original file.
    pub(super) body: Range<usize>,
}

impl Emitter<'_> {
    /// Writes the body.
    ///
    /// # Errors
    /// The function would have too many locals.
    pub(super) fn emit(&self, emitted: &mut Emitted) -> Result<(), InstrumentError> {
        emitted.bytes.clear();
        emitted.runs.clear();
        emitted.hints.clear();
        let scratch = self.declare_locals(&mut emitted.bytes)?;
        let mut code = Code { emitter: self, scratch, out: emitted };
        code.insert(self.scan.code.start, |code| {
            if let Some(frame) = self.scan.frame {
                code.enter(frame);
            }
            code.mark_function();
            if self.ticks {
                code.entry_tick();
            }
            if let Some(frame) = self.scan.frame {
                code.open(frame);
            }
        });
        let mut at = self.scan.code.start;
        for site in &self.scan.sites {
            code.copy(at..site.start);
            code.point(site.start);
            code.site(site);
            at = site.end;
        }
        if let Some(frame) = self.scan.frame {
            // A body ends with `end`, of one byte, at which nothing else is done.
            let end = self.scan.code.end - 1;
            code.copy(at..end);
            code.insert(end, |code| code.close(frame));
            at = end;
        }
        code.copy(at..self.scan.code.end);
        Ok(())
    }

    /// Copies the declarations of locals and adds those of the scratch locals, whose indices it gives.
    fn declare_locals(&self, out: &mut Vec<u8>) -> Result<[u32; Scratch::ALL.len()], InstrumentError> {
        let first = self.parameters + self.scan.locals as usize;
        let added: Vec<_> = Scratch::ALL.into_iter().filter(|s| self.scan.scratch[s.slot()]).collect();
        if !added.is_empty() && first + added.len() > MAX_LOCALS {
            let what = format!("the number of locals of function {}", self.function);
            return Err(InstrumentError::TooLarge { what, limit: MAX_LOCALS });
        }
        let (groups, width) = self.scan.groups;
        write_u32_at_least(out, groups + added.len() as u32, width);
        out.extend_from_slice(&self.module[self.body.start + width..self.scan.code.start]);
        let mut indices = [0; Scratch::ALL.len()];
        for (index, scratch) in (first as u32..).zip(added) {
            1u32.encode(out);
            match scratch {
                Scratch::Ticks | Scratch::Stack | Scratch::Callee => ValType::I32,
                Scratch::Flag(_) => ValType::I64,
                Scratch::Address => self.host.address,
                Scratch::Value(operand) | Scratch::Expected(operand) => operand.value_type(),
            }
            .encode(out);
            indices[scratch.slot()] = index;
        }
        Ok(indices)
    }
}

impl Operand {
    fn value_type(self) -> ValType {
        match self {
            Operand::I32 => ValType::I32,
            Operand::I64 => ValType::I64,
            Operand::F32 => ValType::F32,
            Operand::F64 => ValType::F64,
            Operand::V128 => ValType::V128,
        }
    }
}

/// A body in progress.
pub(super) struct Code<'a, 'e> {
    pub(super) emitter: &'a Emitter<'e>,
    /// The indices of the scratch locals, by [`Scratch::slot`].
    scratch: [u32; Scratch::ALL.len()],
    out: &'a mut Emitted,
}

impl Code<'_, '_> {
    pub(super) fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.out.bytes)
    }

    fn run(&mut self, original: usize, kind: RunKind) {
        // Both fit: the file is below MAX_FILE, and so is a body whose size is checked when it is done.
        let original = (original - self.emitter.code_section) as u32;
        self.out.runs.push(BodyRun { rewritten: self.out.bytes.len() as u32, original, kind });
    }

    /// Copies operators, some of which may have probes.
    fn copy(&mut self, range: Range<usize>) {
        let points = &self.emitter.scan.points;
        let first = points.partition_point(|&point| point < range.start);
        let mut at = range.start;
        for &point in points[first..].iter().take_while(|&&point| point < range.end) {
            self.verbatim(at..point);
            self.point(point);
            at = point;
        }
        self.verbatim(at..range.end);
    }

    /// Writes the probe of the operator at `operator`, if it has one.
    fn point(&mut self, operator: usize) {
        if self.emitter.scan.points.binary_search(&operator).is_ok() {
            let offset = (operator - self.emitter.code_section) as u32;
            self.insert(operator, |code| {
                code.sink().i32_const(offset.cast_signed());
                code.call(HostFunction::ProbeAt);
            });
        }
    }

    /// Copies operators.
    pub(super) fn verbatim(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.run(range.start, RunKind::Verbatim);
            self.out.bytes.extend_from_slice(&self.emitter.module[range]);
        }
    }

    /// Writes code that belongs to the operator at `operator`.
    pub(super) fn insert(&mut self, operator: usize, write: impl FnOnce(&mut Self)) {
        let before = self.out.bytes.len();
        self.run(operator, RunKind::Inserted);
        write(self);
        if self.out.bytes.len() == before {
            self.out.runs.pop();
        }
    }

    /// Writes another form of an operator.
    fn replace(&mut self, site: &Site, write: impl FnOnce(&mut Self)) {
        self.run(site.start, RunKind::Replaced);
        write(self);
    }

    /// Copies an operator with another index in it.
    fn with_index(&mut self, site: &Site, at: usize, value: u32) {
        let mut encoded = Vec::with_capacity(5);
        write_u32_at_least(&mut encoded, value, site.end - at);
        let kind = if encoded.len() == site.end - at { RunKind::Verbatim } else { RunKind::Replaced };
        self.run(site.start, kind);
        self.out.bytes.extend_from_slice(&self.emitter.module[site.start..at]);
        self.out.bytes.extend_from_slice(&encoded);
    }

    /// Copies an operator, with another index in it if there is one.
    fn with_new_index(&mut self, site: &Site, index: Option<(usize, u32)>) {
        match index {
            Some((at, value)) => self.with_index(site, at, value),
            None => self.verbatim(site.start..site.end),
        }
    }

    fn site(&mut self, site: &Site) {
        match site.action {
            Action::Index { at, value } => self.with_index(site, at, value),
            Action::Leave { index } => {
                if let Some(frame) = self.emitter.scan.frame {
                    self.insert(site.start, |code| code.leave(frame));
                }
                self.with_new_index(site, index);
            }
            Action::Call { index } => {
                self.insert(site.start, |code| code.renew_stack());
                self.with_new_index(site, index);
                self.insert(site.start, |code| code.reload_ticks(site));
            }
            Action::Loop => {
                self.verbatim(site.start..site.end);
                self.insert(site.start, |code| code.loop_tick());
            }
            Action::Wait { function, offset } => {
                self.replace(site, |code| {
                    code.address_const(offset);
                    code.call(function);
                });
                self.insert(site.start, |code| code.reload_ticks(site));
            }
            Action::MemoryGrow => {
                self.replace(site, |code| code.call(HostFunction::MemoryGrow));
                self.insert(site.start, |code| code.reload_ticks(site));
            }
            Action::Store(store) => self.store(site, &store),
            Action::Bulk(bulk) => self.bulk(site, bulk),
            Action::CallThrough => {
                self.insert(site.start, |code| {
                    let (local, global) = (code.local(Scratch::Callee), code.emitter.host.global(HostGlobal::Callee));
                    code.sink().local_tee(local).local_get(local).global_set(global);
                    code.renew_stack();
                });
                self.verbatim(site.start..site.end);
                self.insert(site.start, |code| code.reload_ticks(site));
            }
            Action::StackPointer { index } => {
                self.with_new_index(site, index);
                self.insert(site.start, |code| code.check_stack_pointer(site));
            }
        }
    }

    pub(super) fn local(&self, scratch: Scratch) -> u32 {
        self.scratch[scratch.slot()]
    }

    pub(super) fn call(&mut self, function: HostFunction) {
        let index = self.emitter.host.function(function);
        self.sink().call(index);
    }

    /// Calls the function that looks closer before it calls a host function.
    pub(super) fn look_up(&mut self, function: HostFunction) {
        let index = self.emitter.host.lookup(function);
        self.sink().call(index);
    }

    /// Opens an `if` that is hardly ever taken.
    pub(super) fn if_cold(&mut self) {
        self.hint(false);
        self.sink().if_(BlockType::Empty);
    }

    /// Opens the `else` of an `if` that is nearly always taken and does nothing.
    pub(super) fn else_cold(&mut self) {
        self.hint(true);
        self.sink().if_(BlockType::Empty).else_();
    }

    /// Says whether the branch that comes next is usually taken.
    fn hint(&mut self, taken: bool) {
        // A body that does not fit in u32 is refused when it is done; the hint is not used then.
        let func_offset = self.out.bytes.len() as u32;
        self.out.hints.push(BranchHint { func_offset, taken });
    }
}
