//! What the guest kernel's own structures say: its tasks, CPUs, timers, workqueues, RCU, log, open files and memory.
//!
//! ```text
//! Inferior ─▶ memory: pages, read once ─┐
//! Symbols  ─▶ fields: offsets by name ──┴▶ Object ─▶ walk: lists and trees ─▶ a view a file ─▶ text, JSON
//! ```
//!
//! Nothing of a layout is fixed here: members are found by their names in the debug information, and a member that this
//! kernel does not have, or calls otherwise, leaves its column unknown. What the kernel's memory holds is not trusted: a
//! pointer is looked at before it is followed, a list is walked once around at most, all that a view reads is bounded,
//! and what makes no sense becomes a [problem](Kernel::problem) of the view. A view never fails.
//!
//! While the machine runs, a view reads each page of memory once, but different pages at different moments: what it
//! finds may not fit together. Stop the machine to be sure.

mod address;
mod cpus;
pub mod detect;
mod field;
mod files;
mod free;
mod instances;
mod maple;
mod maps;
mod memory;
mod names;
mod object;
mod printk;
mod rcu;
mod resched;
mod slab;
mod stacks;
mod tasks;
mod text;
mod timers;
mod views;
mod walk;
mod workqueues;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;
use wkdb_tracer::{Frame, GuestTime, RunnerId, Tick, WasmValue};

use crate::inferior::{Inferior, Status, TaskInfo};
use crate::symbols::{FrameReader, Slot, Symbols, TypeId, TypeKind, Unavailable, Variable};

use field::Field;
use memory::Memory;
use text::Problems;

pub use address::{AddressView, Finding};
pub use cpus::{CpuRow, CpusView};
pub use files::{FdRow, FdsView};
pub use instances::Part;
pub use maps::{MapRow, MapsView};
pub use names::{NamePlaces, TaskName};
pub use object::Object;
pub use printk::{DmesgView, LogLine};
pub use rcu::{Callback, CallbackList, RcuCpu, RcuView};
pub use slab::{PageInfo, SlabObject};
pub use stacks::{StackRow, StackUse, StacksView};
pub use tasks::{TaskRef, TaskRow, TasksView};
pub use timers::{BaseRow, HrtimerBase, HrtimerRow, TimerRow, TimersView};
pub use views::{View, ViewError, ViewKind, ViewRequest};
pub use workqueues::{PoolRow, QueueRow, WorkRow, WorkerRow, WorkqueuesView};

/// Pointers below this are null pointers with an offset, or small numbers: where the linker puts data at the lowest.
const LOWEST: u64 = 1024;

/// As many CPUs as any kernel for Wasm has. More are a number that was overwritten.
const MAX_CPUS: u64 = 256;

/// Steps along pointers that one view makes.
const MAX_STEPS: u32 = 1_000_000;

/// The guest kernel at one moment.
pub struct Kernel<'i> {
    symbols: Rc<Symbols>,
    memory: Memory<'i>,
    known: Rc<Known>,
    /// Structures of a type that are in use: they were looked for.
    instances: RefCell<HashMap<&'static str, Vec<(u64, TypeId)>>>,
    problems: RefCell<Problems>,
    steps: Cell<u32>,
    runners: OnceCell<Vec<TaskInfo>>,
    frames: RefCell<HashMap<RunnerId, Rc<[Frame]>>>,
    /// Whether the host tells the values of Wasm globals, so far as is known.
    has_globals: Cell<bool>,
}

/// What was found of a kernel's names: it is the same at all moments.
#[derive(Default)]
pub struct Known {
    fields: RefCell<HashMap<(TypeId, &'static str), Option<Field>>>,
    variables: RefCell<HashMap<&'static str, Option<(u64, TypeId)>>>,
    types: RefCell<HashMap<&'static str, Option<TypeId>>>,
}

/// When a view was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Now {
    /// The machine's position.
    pub tick: Option<Tick>,
    /// The guest's clock, in nanoseconds.
    pub time_ns: Option<u64>,
    /// The kernel's count of ticks, whole.
    pub jiffies: Option<u64>,
}

/// A frame that no location of a global needs.
struct NoFrame;

impl FrameReader for NoFrame {
    fn slot(&mut self, slot: Slot) -> Result<WasmValue, Unavailable> {
        Err(Unavailable(format!("a global does not lie in {slot}")))
    }

    fn memory(&mut self, address: u64, _: u64) -> Result<Vec<u8>, Unavailable> {
        Err(Unavailable(format!("a global's place does not depend on memory at {address:#x}")))
    }
}

/// A variable's address and type; of several with one name, of the one that other files can see.
fn find_variable(symbols: &Symbols, name: &str) -> Option<(u64, TypeId)> {
    let place = |variable: &Variable| symbols.place(variable, None, &mut NoFrame).ok()?.address();
    let found = symbols.variables_named(name);
    found.iter().find_map(|variable| Some((place(variable)?, variable.ty)))
}

/// A type by its name as C writes it.
fn find_type(symbols: &Symbols, name: &str) -> Option<TypeId> {
    let id = symbols.type_named(name, None)?;
    // A type that is only declared has nothing to read.
    match &symbols.resolve(id).1.kind {
        TypeKind::Composite(composite) if composite.incomplete => None,
        _ => Some(id),
    }
}

impl<'i> Kernel<'i> {
    /// The kernel as `inferior` has it now, by the symbols of the kernel's module.
    pub fn new(inferior: &'i mut dyn Inferior, symbols: Rc<Symbols>) -> Self {
        Kernel::with(Memory::new(inferior, memory::FAR_PAGE), symbols, Rc::default())
    }

    /// The same for somebody who looks often, at memory of this process: with what was found of the names of these symbols
    /// before.
    pub fn near(inferior: &'i mut dyn Inferior, symbols: Rc<Symbols>, known: Rc<Known>) -> Self {
        Kernel::with(Memory::new(inferior, memory::NEAR_PAGE), symbols, known)
    }

    fn with(memory: Memory<'i>, symbols: Rc<Symbols>, known: Rc<Known>) -> Self {
        Kernel {
            symbols,
            memory,
            known,
            instances: RefCell::default(),
            problems: RefCell::default(),
            steps: Cell::new(0),
            runners: OnceCell::new(),
            frames: RefCell::default(),
            has_globals: Cell::new(true),
        }
    }

    /// The symbols of the kernel's module.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Notes that something makes no sense. Each is told once; after a number of them they are only counted.
    pub fn problem(&self, text: impl Into<String>) {
        self.problems.borrow_mut().note(text.into());
    }

    /// What made no sense since the last call.
    pub fn take_problems(&self) -> Vec<String> {
        self.problems.borrow_mut().take()
    }

    /// Whether a view may go on: it takes a step along a pointer, and there are not too many yet.
    fn step(&self) -> bool {
        let steps = self.steps.get();
        if steps >= MAX_STEPS {
            self.problem(format!("gave up after {MAX_STEPS} steps along pointers: what is here is not all"));
            return false;
        }
        self.steps.set(steps + 1);
        true
    }

    /// Whether a view has given up.
    fn tired(&self) -> bool {
        self.steps.get() >= MAX_STEPS
    }

    /// Whether the machine runs: what is counted in two places need not agree then.
    fn is_running(&self) -> bool {
        matches!(self.memory.inferior().status(), Status::Running)
    }

    /// When it is.
    pub fn now(&self) -> Now {
        let (tick, time) = match self.memory.inferior().status() {
            Status::Stopped(stop) => (Some(stop.tick), Some(stop.time)),
            Status::Ended(_, totals) => (Some(totals.ticks), Some(totals.time)),
            Status::Running => (None, None),
        };
        let first = self.runners().first().map(|task| (task.context.tick, task.context.time));
        let (tick, time) = (tick.or(first.map(|first| first.0)), time.or(first.map(|first| first.1)));
        Now { tick, time_ns: time.map(|GuestTime(ns)| ns), jiffies: self.jiffies() }
    }

    /// The kernel's count of ticks.
    pub fn jiffies(&self) -> Option<u64> {
        self.variable("jiffies_64")?.unsigned()
    }

    /// The count of ticks as timers have it: as many bytes as a `long`.
    fn short_jiffies(&self) -> Option<u64> {
        Some(self.jiffies()? & self.long_mask())
    }

    /// The bits of a `long`.
    fn long_mask(&self) -> u64 {
        if self.word() == 8 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// How many jiffies lie between two counts that may have wrapped: `a - b`.
    fn jiffies_between(&self, a: u64, b: u64) -> i64 {
        match self.word() {
            8 => a.wrapping_sub(b).cast_signed(),
            _ => i64::from((a as u32).wrapping_sub(b as u32).cast_signed()),
        }
    }

    /// The bytes of a pointer and of a `long`.
    pub fn word(&self) -> u64 {
        self.symbols.address_size()
    }

    /// The host's runners, which are the tasks that have run, and those of idle CPUs.
    fn runners(&self) -> &[TaskInfo] {
        self.runners.get_or_init(|| {
            self.memory.inferior().tasks().unwrap_or_else(|error| {
                self.problem(format!("the host's tasks are not known: {error}"));
                Vec::new()
            })
        })
    }

    /// The runner of a task.
    fn runner(&self, task: u64) -> Option<&TaskInfo> {
        self.runners().iter().rev().find(|runner| runner.context.task.0 == task)
    }

    /// A runner's call stack, which is asked for once.
    fn frames(&self, runner: RunnerId) -> Rc<[Frame]> {
        let mut known = self.frames.borrow_mut();
        let frames = known.entry(runner).or_insert_with(|| {
            let frames = self.memory.inferior().frames(runner);
            frames.unwrap_or_default().into()
        });
        Rc::clone(frames)
    }

    /// A variable of the kernel; of several with one name, the one that other files can see. `None` if there is none.
    pub fn variable(&self, name: &'static str) -> Option<Object<'_, 'i>> {
        let mut known = self.known.variables.borrow_mut();
        let (address, ty) = (*known.entry(name).or_insert_with(|| find_variable(&self.symbols, name)))?;
        Some(Object::new(self, address, ty))
    }

    /// A CPU's own copy of a per-CPU variable.
    pub fn per_cpu(&self, name: &'static str, cpu: u32) -> Option<Object<'_, 'i>> {
        let template = self.variable(name)?;
        Some(template.moved(self.per_cpu_offset(cpu)?))
    }

    /// How far a CPU's copies of per-CPU variables lie from where their symbols are.
    fn per_cpu_offset(&self, cpu: u32) -> Option<u64> {
        match self.variable("__per_cpu_offset") {
            Some(offsets) => offsets.index(u64::from(cpu))?.unsigned(),
            None => Some(0).filter(|_| cpu == 0),
        }
    }

    /// The CPUs that there may be, by number.
    pub fn possible_cpus(&self) -> Vec<u32> {
        let room =
            self.variable("__per_cpu_offset").and_then(|offsets| offsets.count()).unwrap_or(1).clamp(1, MAX_CPUS);
        let count = self.variable("nr_cpu_ids").and_then(|ids| ids.unsigned()).unwrap_or(room);
        if count > room || count == 0 {
            self.problem(format!("nr_cpu_ids is {count}, but there is room for 1 to {room} CPUs"));
        }
        (0..count.clamp(1, room) as u32).collect()
    }

    /// Whether a CPU takes part; `None` where the kernel has no mask of them.
    pub fn is_online(&self, cpu: u32) -> Option<bool> {
        let mask = self.variable("__cpu_online_mask")?;
        let byte = self.memory.unsigned(mask.address().checked_add(u64::from(cpu / 8))?, 1)?;
        Some(byte >> (cpu % 8) & 1 == 1)
    }

    /// The CPUs that take part, by number.
    pub fn online_cpus(&self) -> Vec<u32> {
        self.possible_cpus().into_iter().filter(|&cpu| self.is_online(cpu) != Some(false)).collect()
    }

    /// A type by its name as C writes it. `None` if this kernel has none.
    fn type_named(&self, name: &'static str) -> Option<TypeId> {
        *self.known.types.borrow_mut().entry(name).or_insert_with(|| find_type(&self.symbols, name))
    }

    /// A structure at an address that came from the kernel's memory. `None`, with a problem, if it cannot be there.
    pub fn object(&self, type_name: &'static str, address: u64) -> Option<Object<'_, 'i>> {
        let ty = self.type_named(type_name)?;
        self.is_pointer(address, type_name).then(|| Object::new(self, address, ty))
    }

    /// The structure of a type that has a member at an address: what the kernel calls `container_of`.
    pub fn container(&self, type_name: &'static str, member: &'static str, address: u64) -> Option<Object<'_, 'i>> {
        let ty = self.type_named(type_name)?;
        let offset = self.field(ty, member)?.offset;
        Some(Object::new(self, address.wrapping_sub(offset) & self.address_mask(), ty))
    }

    /// The bits of an address.
    fn address_mask(&self) -> u64 {
        self.long_mask()
    }

    /// Whether a pointer to a structure can be one; if not, that is a problem. Null is none either: callers ask before.
    fn is_pointer(&self, address: u64, what: &str) -> bool {
        let why = if address < LOWEST {
            "it is near null"
        } else if !address.is_multiple_of(self.word().min(4)) {
            "it is not aligned"
        } else if self.memory.unsigned(address, 1).is_none() {
            "there is no memory"
        } else {
            return true;
        };
        self.problem(format!("{address:#x} is no {what}: {why}"));
        false
    }

    /// The function that a function pointer calls.
    fn function(&self, pointer: u64) -> Option<String> {
        Some(self.symbols.function_name(self.symbols.table_function(pointer)?))
    }

    /// The name of the function that a pointer in the kernel's memory calls; a problem where it is none. `None` for null.
    fn function_in(&self, pointer: u64, where_: impl FnOnce() -> String) -> Option<String> {
        if pointer == 0 {
            return None;
        }
        let name = self.function(pointer);
        if name.is_none() {
            self.problem(format!("{}: {pointer:#x} is no function of the kernel's", where_()));
        }
        Some(name.unwrap_or_else(|| format!("{pointer:#x}?")))
    }

    /// The datum that lies at an address: `worker_pools+0x8`.
    fn symbol(&self, address: u64) -> Option<String> {
        let (symbol, offset) = self.symbols.symbol_at(address)?;
        Some(if offset == 0 { symbol.name.clone() } else { format!("{}+{offset:#x}", symbol.name) })
    }

    /// The value of an enumerator.
    fn enumerator(&self, name: &str) -> Option<i128> {
        self.symbols.enumerator_named(name, None).map(|(value, _)| value)
    }

    /// The names of the bits that are set, by enumerators that each name one bit; in hexadecimal what has no name. A
    /// kernel that has macros in place of all these enumerators is taken to mean the bits given here.
    fn flags(&self, value: u64, names: &[(&str, u64)]) -> String {
        let known = names.iter().map(|(name, _)| self.enumerator(name).and_then(|bit| u64::try_from(bit).ok()));
        let known: Vec<Option<u64>> = known.collect();
        let usual = known.iter().all(Option::is_none);
        let mut left = value;
        let mut words = Vec::new();
        for ((name, bit), known) in names.iter().zip(known) {
            let bit = if usual { Some(*bit) } else { known };
            if let Some(bit) = bit.filter(|bit| bit.is_power_of_two() && left & bit != 0) {
                left &= !bit;
                let word = name.trim_start_matches('_');
                words.push(word.split_once('_').map_or(word, |(_, word)| word).to_lowercase());
            }
        }
        if left != 0 {
            words.push(format!("{left:#x}"));
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests;
