//! What a rewritten module imports from the workbench, and the indices it gets.

use wasm_encoder::ValType;

use super::error::InstrumentError;
use super::map::Shift;
use super::survey::Survey;
use super::{Options, RuntimeGlobals};

/// The module name of every import that the rewriting adds.
pub const IMPORT_MODULE: &str = "wkdb";
/// The prefix of every export that the rewriting adds.
pub const EXPORT_PREFIX: &str = "wkdb:";

/// The export that a module's start function becomes with [`Options::host_start`].
pub const START_EXPORT: &str = "wkdb:start";
/// The export of the kernel's stack pointer.
pub const STACK_POINTER_EXPORT: &str = "wkdb:stack_pointer";
/// How many functions engines accept in a module.
const MAX_FUNCTIONS: usize = 1_000_000;

/// A host function of the workbench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostFunction {
    Tick,
    Wait32,
    Wait64,
    Notify,
    MemoryGrow,
    Stored,
    BulkStored,
}

/// A mutable global shared with the workbench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostGlobal {
    Ticks,
    WatchLo,
    WatchLen,
}

impl HostFunction {
    pub(super) fn name(self) -> &'static str {
        match self {
            HostFunction::Tick => "tick",
            HostFunction::Wait32 => "wait32",
            HostFunction::Wait64 => "wait64",
            HostFunction::Notify => "notify",
            HostFunction::MemoryGrow => "memory_grow",
            HostFunction::Stored => "stored",
            HostFunction::BulkStored => "bulk_stored",
        }
    }

    /// Parameters and results; `address` is the index type of memory 0.
    pub(super) fn signature(self, address: ValType) -> (Vec<ValType>, Vec<ValType>) {
        let (i32, i64) = (ValType::I32, ValType::I64);
        match self {
            HostFunction::Tick => (vec![], vec![]),
            HostFunction::Wait32 => (vec![address, i32, i64, address], vec![i32]),
            HostFunction::Wait64 => (vec![address, i64, i64, address], vec![i32]),
            HostFunction::Notify => (vec![address, i32, address], vec![i32]),
            HostFunction::MemoryGrow => (vec![address], vec![address]),
            HostFunction::Stored => (vec![address, address, i32], vec![]),
            HostFunction::BulkStored => (vec![address, address], vec![]),
        }
    }
}

impl HostGlobal {
    pub(super) fn name(self) -> &'static str {
        match self {
            HostGlobal::Ticks => "ticks",
            HostGlobal::WatchLo => "watch_lo",
            HostGlobal::WatchLen => "watch_len",
        }
    }

    pub(super) fn value_type(self, address: ValType) -> ValType {
        match self {
            HostGlobal::Ticks => ValType::I32,
            HostGlobal::WatchLo | HostGlobal::WatchLen => address,
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
    /// The index type of memory 0: of addresses, lengths and offsets.
    pub(super) address: ValType,
    /// How function indices change.
    pub(super) function_shift: Shift,
    /// How global indices change.
    pub(super) global_shift: Shift,
    /// The index of the first of the globals above.
    first_global: u32,
}

impl Host {
    /// Decides what the module needs. `kept_globals`: how many of the original's globals stay.
    ///
    /// # Errors
    /// `host_memory` was asked for, but the module has a memory of its own; or there would be too many functions.
    pub(super) fn plan(survey: &Survey<'_>, options: &Options, kept_globals: u32) -> Result<Host, InstrumentError> {
        let mut functions = Vec::new();
        let mut globals = Vec::new();
        if options.ticks {
            functions.push(HostFunction::Tick);
            globals.push(HostGlobal::Ticks);
        }
        if survey.memory.is_some() {
            if options.host_waits {
                functions.extend([HostFunction::Wait32, HostFunction::Wait64, HostFunction::Notify]);
            }
            if options.host_memory && !survey.memory_imported {
                return Err(InstrumentError::OwnMemory);
            }
            if options.host_memory {
                functions.push(HostFunction::MemoryGrow);
            }
            if options.stores {
                functions.extend([HostFunction::Stored, HostFunction::BulkStored]);
                globals.extend([HostGlobal::WatchLo, HostGlobal::WatchLen]);
            }
        }
        let count = survey.types.as_ref().function_count() as usize + functions.len();
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
            functions,
            globals,
        })
    }

    /// The rewritten module's index of a host function. Only for one that [`Self::plan`] decided on.
    pub(super) fn function(&self, function: HostFunction) -> u32 {
        let position = self.functions.iter().position(|&f| f == function);
        debug_assert!(position.is_some(), "{function:?} is used but not imported");
        self.function_shift.imported + position.unwrap_or(0) as u32
    }

    /// The rewritten module's index of a shared global. Only for one that [`Self::plan`] decided on.
    pub(super) fn global(&self, global: HostGlobal) -> u32 {
        let position = self.globals.iter().position(|&g| g == global);
        debug_assert!(position.is_some(), "{global:?} is used but not there");
        self.first_global + position.unwrap_or(0) as u32
    }
}
