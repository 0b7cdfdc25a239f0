//! What a rewritten module imports from the workbench, and the indices it gets.

use wasm_encoder::ValType;

use super::error::InstrumentError;
use super::map::Shift;
use super::probes;
use super::sections::id;
use super::stack_pointer::StackPointer;
use super::survey::Survey;
use super::{HostMemory, Options, RuntimeGlobals};

/// The module name of every import that the rewriting adds.
pub const IMPORT_MODULE: &str = "wkdb";
/// The prefix of every export that the rewriting adds.
pub const EXPORT_PREFIX: &str = "wkdb:";

/// The export that a module's start function becomes with [`Options::host_start`].
pub const START_EXPORT: &str = "wkdb:start";
/// The export of a memory that is defined instead of imported, with [`super::HostMemory::Define`].
pub const MEMORY_EXPORT: &str = "wkdb:memory";
/// The export of the kernel's stack pointer.
pub const STACK_POINTER_EXPORT: &str = "wkdb:stack_pointer";
/// The export of the memory that says what is watched.
pub const WATCH_MAP_EXPORT: &str = "wkdb:watch_map";
/// Its name as an import.
pub(super) const WATCH_MAP_IMPORT: &str = "watch_map";
/// How many memories engines accept in a module.
const MAX_MEMORIES: u32 = 100;
/// How many functions engines accept in a module.
const MAX_FUNCTIONS: usize = 1_000_000;

/// A host function of the workbench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostFunction {
    Tick,
    Overflow,
    Wait32,
    Wait64,
    Notify,
    MemoryGrow,
    Stored,
    BulkStored,
    Loaded,
    Exchanged,
    BulkCopied,
    ProbeEnter,
    ProbeExit,
    ProbeAt,
    StackLeft,
}

/// A mutable global shared with the workbench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostGlobal {
    Ticks,
    Stack,
    StackLow,
    StackRoom,
    Callee,
    Site,
    Fault,
}

impl HostFunction {
    pub(super) fn name(self) -> &'static str {
        match self {
            HostFunction::Tick => "tick",
            HostFunction::Overflow => "overflow",
            HostFunction::Wait32 => "wait32",
            HostFunction::Wait64 => "wait64",
            HostFunction::Notify => "notify",
            HostFunction::MemoryGrow => "memory_grow",
            HostFunction::Stored => "stored",
            HostFunction::BulkStored => "bulk_stored",
            HostFunction::Loaded => "loaded",
            HostFunction::Exchanged => "exchanged",
            HostFunction::BulkCopied => "bulk_copied",
            HostFunction::ProbeEnter => "probe_enter",
            HostFunction::ProbeExit => "probe_exit",
            HostFunction::ProbeAt => "probe_at",
            HostFunction::StackLeft => "stack_left",
        }
    }

    /// Parameters and results; `address` is the index type of memory 0.
    pub(super) fn signature(self, address: ValType) -> (Vec<ValType>, Vec<ValType>) {
        let (i32, i64) = (ValType::I32, ValType::I64);
        match self {
            HostFunction::Tick | HostFunction::Overflow => (vec![], vec![]),
            HostFunction::Wait32 => (vec![address, i32, i64, address], vec![i32]),
            HostFunction::Wait64 => (vec![address, i64, i64, address], vec![i32]),
            HostFunction::Notify => (vec![address, i32, address], vec![i32]),
            HostFunction::MemoryGrow => (vec![address], vec![address]),
            HostFunction::Stored | HostFunction::Loaded | HostFunction::Exchanged => (vec![address, i32], vec![]),
            HostFunction::BulkStored => (vec![address, address], vec![]),
            HostFunction::BulkCopied => (vec![address, address, address], vec![]),
            HostFunction::ProbeEnter => {
                ([i32, i32].into_iter().chain([i64; probes::PROBE_ARGUMENTS]).collect(), vec![])
            }
            HostFunction::ProbeExit => (vec![i32, i32, i64], vec![]),
            HostFunction::ProbeAt => (vec![i32], vec![]),
            HostFunction::StackLeft => (vec![address, i32], vec![]),
        }
    }
}

impl HostGlobal {
    pub(super) fn name(self) -> &'static str {
        match self {
            HostGlobal::Ticks => "ticks",
            HostGlobal::Stack => "stack",
            HostGlobal::StackLow => "stack_low",
            HostGlobal::StackRoom => "stack_room",
            HostGlobal::Callee => "callee",
            HostGlobal::Site => "site",
            HostGlobal::Fault => "fault",
        }
    }

    /// Its type in a module with this stack pointer.
    fn value_type(self, pointer: Option<StackPointer>, address: ValType) -> ValType {
        match self {
            HostGlobal::Fault => address,
            HostGlobal::StackLow | HostGlobal::StackRoom if pointer.is_some_and(|pointer| pointer.wide) => ValType::I64,
            _ => ValType::I32,
        }
    }
}

/// The interface between one rewritten module and the workbench.
#[derive(Debug)]
pub(super) struct Host {
    /// The functions to import, in the order of their indices.
    pub(super) functions: Vec<HostFunction>,
    /// The globals to import or define, in the order of their indices.
    pub(super) globals: Vec<HostGlobal>,
    /// The functions that look closer at what a check lets through before they call the host function; behind all other
    /// functions, in this order.
    pub(super) lookups: Vec<HostFunction>,
    /// The index of the memory that says what is watched, if accesses are checked.
    pub(super) watch_map: Option<u32>,
    /// Whether that memory has what footprints need.
    pub(super) footprint: bool,
    /// Whether the module is a user image.
    pub(super) user: bool,
    /// The index type of memory 0: of addresses, lengths and offsets.
    pub(super) address: ValType,
    /// How function indices change.
    pub(super) function_shift: Shift,
    /// How global indices change.
    pub(super) global_shift: Shift,
    /// The index of the first of the globals above.
    first_global: u32,
    /// The index of the first of the lookups above.
    first_lookup: u32,
    /// The stack pointer, if it is checked.
    pub(super) stack_pointer: Option<StackPointer>,
    /// The original indices of the functions that have probes, ascending. What is called in their place comes behind the
    /// lookups, in this order.
    pub(super) probed: Vec<u32>,
}

impl Host {
    /// Decides what the module needs. `kept_globals`: how many of the original's globals stay.
    ///
    /// # Errors
    /// The memory is to be the machine's, but the module has one of its own; or there would be too many functions.
    pub(super) fn plan(survey: &Survey<'_>, options: &Options, kept_globals: u32) -> Result<Host, InstrumentError> {
        let mut functions = Vec::new();
        let mut globals = Vec::new();
        let mut lookups = Vec::new();
        let mut watch_map = None;
        if options.ticks {
            functions.push(HostFunction::Tick);
            globals.push(HostGlobal::Ticks);
        }
        if options.call_stack.is_some() {
            functions.push(HostFunction::Overflow);
            globals.push(HostGlobal::Stack);
        }
        if survey.memory.is_some() {
            if options.host_waits {
                functions.extend([HostFunction::Wait32, HostFunction::Wait64, HostFunction::Notify]);
            }
            if options.host_memory != HostMemory::Keep {
                if !survey.memory_imported {
                    return Err(InstrumentError::OwnMemory);
                }
                let count = survey.types.as_ref().memory_count();
                if options.host_memory == HostMemory::Define && count > 1 {
                    return Err(InstrumentError::ManyMemories { count });
                }
                functions.push(HostFunction::MemoryGrow);
            }
            if options.checks_stores() && survey.section(id::CODE).is_some() {
                lookups.extend([HostFunction::Stored, HostFunction::BulkStored]);
                if options.loads {
                    lookups.extend([HostFunction::Loaded, HostFunction::Exchanged, HostFunction::BulkCopied]);
                }
                functions.extend(&lookups);
                watch_map = Some(map_index(survey, options)?);
            }
        }
        let stack_pointer = match options.stack_pointer {
            true => StackPointer::find(survey, options.runtime_globals)?,
            false => None,
        };
        if stack_pointer.is_some() {
            functions.push(HostFunction::StackLeft);
            globals.extend([HostGlobal::StackLow, HostGlobal::StackRoom]);
        }
        if options.callees {
            globals.push(HostGlobal::Callee);
        }
        if options.sites {
            globals.push(HostGlobal::Site);
        }
        if options.faults {
            globals.push(HostGlobal::Fault);
        }
        let mut probed = Vec::new();
        if !options.probes.is_empty() {
            functions.extend([HostFunction::ProbeEnter, HostFunction::ProbeExit]);
            probed.extend(probes::probed(survey.module, options.probes)?.into_iter().map(|(index, _)| index));
        }
        if options.probes.has_points() {
            functions.push(HostFunction::ProbeAt);
        }
        let first_lookup = survey.types.as_ref().function_count() as usize + functions.len();
        let count = first_lookup + lookups.len() + probed.len();
        if !functions.is_empty() && count > MAX_FUNCTIONS {
            return Err(InstrumentError::TooLarge { what: "the number of functions".to_owned(), limit: MAX_FUNCTIONS });
        }
        let imported = survey.imported_globals;
        let (added, first_global) = match options.runtime_globals {
            RuntimeGlobals::Import => (globals.len() as u32, imported),
            RuntimeGlobals::Define => (0, kept_globals),
        };
        Ok(Host {
            address: match survey.memory {
                Some(memory) if memory.memory64 => ValType::I64,
                _ => ValType::I32,
            },
            function_shift: Shift { imported: survey.imported_functions, added: functions.len() as u32 },
            global_shift: Shift { imported, added },
            first_global,
            // It fits: see above.
            first_lookup: first_lookup as u32,
            functions,
            globals,
            lookups,
            watch_map,
            footprint: options.footprint,
            user: options.runtime_globals == RuntimeGlobals::Import,
            stack_pointer,
            probed,
        })
    }

    /// The type of a shared global.
    pub(super) fn type_of(&self, global: HostGlobal) -> ValType {
        global.value_type(self.stack_pointer, self.address)
    }

    /// The rewritten module's index of a host function. Only for one that [`Self::plan`] decided on.
    pub(super) fn function(&self, function: HostFunction) -> u32 {
        let position = self.functions.iter().position(|&f| f == function);
        debug_assert!(position.is_some(), "{function:?} is used but not imported");
        self.function_shift.imported + position.unwrap_or(0) as u32
    }

    /// The rewritten module's index of the function that looks closer and then calls a host function. Only for one that
    /// [`Self::plan`] decided on.
    pub(super) fn lookup(&self, function: HostFunction) -> u32 {
        let position = self.lookups.iter().position(|&f| f == function);
        debug_assert!(position.is_some(), "{function:?} is used but has no lookup");
        self.first_lookup + position.unwrap_or(0) as u32
    }

    /// The rewritten module's index of what is called for a function of the original one: itself, or its probe.
    pub(super) fn target(&self, original: u32) -> u32 {
        match self.probed.binary_search(&original) {
            Ok(at) => self.first_lookup + (self.lookups.len() + at) as u32,
            Err(_) => self.function_shift.apply(original),
        }
    }

    /// The rewritten module's index of a shared global. Only for one that [`Self::plan`] decided on.
    pub(super) fn global(&self, global: HostGlobal) -> u32 {
        let position = self.globals.iter().position(|&g| g == global);
        debug_assert!(position.is_some(), "{global:?} is used but not there");
        self.first_global + position.unwrap_or(0) as u32
    }
}

/// The index of the memory that says what is watched: it comes behind the module's own.
fn map_index(survey: &Survey<'_>, options: &Options) -> Result<u32, InstrumentError> {
    let count = survey.types.as_ref().memory_count();
    // An imported map would come before a memory that the module defines, or is to define, and move its index.
    let defines = survey.defined_memories > 0 || options.host_memory == HostMemory::Define;
    if options.runtime_globals == RuntimeGlobals::Import && defines {
        return Err(InstrumentError::OwnMemory);
    }
    if count >= MAX_MEMORIES {
        let what = "the number of memories".to_owned();
        return Err(InstrumentError::TooLarge { what, limit: MAX_MEMORIES as usize });
    }
    Ok(count)
}
