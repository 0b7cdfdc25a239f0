//! What the addresses of a module mean: functions, source lines, data.
//!
//! ```text
//! module bytes ─▶ module: function bodies, names, exports, active segments   (always there)
//!              └▶ dwarf:  lines, inlined calls, types, variables             (read when first asked for)
//!
//! instruction ─▶ locate: functions and lines      name, file:line ─▶ places: instructions to stop at
//!             └▶ scopes: variables ─▶ place: where they are, given a frame
//! ```
//!
//! Every answer falls back: DWARF, then the `name` section, then exports, then `func[123]`. Broken debug information
//! never fails a question; [`Symbols::problems`] tells what could not be read.

mod answers;
mod data;
mod dwarf;
mod matching;
mod module;
mod place;
mod places;
mod text;
mod types;
mod variables;

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use thiserror::Error;
use wkdb_tracer::CodeOffset;

use data::DataTable;
use dwarf::{DebugInfo, LineTables, Lines, NameIndex};
use module::ModuleNames;
use types::TypeTable;

pub use answers::{NAME_ANSWERS_VERSION, NameAnswers};
pub use data::{DataSource, DataSymbol};
pub use matching::{SymbolFiles, SymbolFilesError};
pub use place::{FrameReader, ImplicitPointer, Piece, Place, PlaceError, Slot, Unavailable, Whereabouts};
pub use places::{CodePlace, PlaceNotFound};
pub use text::backtrace;
pub use types::{BitRange, Composite, Encoding, Member, Type, TypeId, TypeKind, Variants};
pub use variables::{FrameObjects, Scope, Variable};

pub(crate) use places::{nearest, suggest};

/// How many different problems are remembered.
const MAX_PROBLEMS: usize = 32;

/// A module whose symbols cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SymbolsError {
    /// It is not a core module, or not a whole one.
    #[error("no symbols: the module is malformed at offset {offset:#x}: {message}")]
    Malformed {
        /// The place in the file.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is a component.
    #[error("no symbols: this is a component, not a core module; give the core module")]
    Component,
}

/// A function that a module defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSymbol {
    /// Its index in the module, imported functions counted.
    pub index: u32,
    /// Its name by the `name` section, else its export's, else `func[INDEX]`.
    pub name: String,
    /// Where its body begins: at the declaration of its locals.
    pub start: CodeOffset,
    /// The first byte after its body.
    pub end: CodeOffset,
}

/// A place in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePosition {
    /// The file: relative to `directory` if it lies in there.
    pub file: String,
    /// Where the compiler ran, if the file lies in there.
    pub directory: Option<String>,
    /// The line, from 1; `None` for code that belongs to no line.
    pub line: Option<u32>,
    /// The column, from 1; `None` where the compiler gives none.
    pub column: Option<u32>,
}

/// A function of the source program that is active at an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFrame {
    /// Its name.
    pub function: String,
    /// The place in it: of the instruction, or of the call of the frame inside it.
    pub source: Option<SourcePosition>,
    /// Whether it is inlined into the next frame.
    pub inlined: bool,
}

/// What is known about an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The instruction.
    pub offset: CodeOffset,
    /// The function that holds it; `None` outside all bodies.
    pub function: Option<FunctionSymbol>,
    /// The functions of the source, innermost first; the last one is not inlined. Never empty.
    pub frames: Vec<SourceFrame>,
}

/// The symbols of one module. Every offset is one of the original module.
pub struct Symbols {
    module: Arc<[u8]>,
    names: ModuleNames,
    lines: OnceCell<Option<Lines>>,
    data: OnceCell<DataTable>,
    info: OnceCell<Option<DebugInfo>>,
    index: OnceCell<NameIndex>,
    /// What was asked of it, by this run and others.
    answers: RefCell<NameAnswers>,
    has_new_answers: Cell<bool>,
    line_tables: OnceCell<LineTables>,
    types: TypeTable,
    problems: RefCell<Vec<String>>,
}

impl Symbols {
    /// Reads the outline of a module: its function bodies, names and exports. Its DWARF is read when first needed.
    ///
    /// # Errors
    ///
    /// [`SymbolsError`] if it is not a whole core module. Custom sections that cannot be read are only a
    /// [problem](Symbols::problems).
    pub fn load(module: impl Into<Arc<[u8]>>) -> Result<Symbols, SymbolsError> {
        let module = module.into();
        let mut problems = Vec::new();
        let names = ModuleNames::read(&module, &mut problems)?;
        let symbols = Symbols {
            module,
            names,
            lines: OnceCell::new(),
            data: OnceCell::new(),
            info: OnceCell::new(),
            index: OnceCell::new(),
            answers: RefCell::default(),
            has_new_answers: Cell::new(false),
            line_tables: OnceCell::new(),
            types: TypeTable::default(),
            problems: RefCell::new(Vec::new()),
        };
        problems.into_iter().for_each(|problem| symbols.note(problem));
        Ok(symbols)
    }

    /// What is at an instruction.
    ///
    /// The offset of a caller's frame, or of a task blocked in a host call, is that of the *next* instruction: ask for
    /// one less to get the call.
    pub fn locate(&self, offset: CodeOffset) -> Location {
        let function = self.names.function_at(offset);
        let frames = match (&function, self.lines()) {
            (Some(function), Some(lines)) => lines.frames(offset, function).unwrap_or_else(|error| {
                self.note(format!("line information at {offset}: {error}"));
                Vec::new()
            }),
            // Outside all bodies there are no instructions, whatever the DWARF says.
            _ => Vec::new(),
        };
        let frames = match (&function, self.info()) {
            (Some(function), Some(info)) if frames.is_empty() => {
                dwarf::frames(info, self.line_tables(info), &self.names, offset, function)
            }
            _ => frames,
        };
        let frames = if frames.is_empty() {
            let function = function.as_ref().map_or("??", |function| &function.name).to_owned();
            vec![SourceFrame { function, source: None, inlined: false }]
        } else {
            frames
        };
        Location { offset, function, frames }
    }

    /// The function with this index, if the module defines it.
    pub fn function(&self, index: u32) -> Option<FunctionSymbol> {
        self.names.function(index)
    }

    /// Where the body of a function is in the module's file: the declaration of its locals, then its instructions.
    pub fn file_range(&self, function: &FunctionSymbol) -> Option<std::ops::Range<usize>> {
        self.names.file_range(function)
    }

    /// The name of a function by its index, also of an imported one.
    pub fn function_name(&self, index: u32) -> String {
        self.names.function_name(index)
    }

    /// The functions with this name, in the module's order: static functions may share one.
    pub fn functions_named(&self, name: &str) -> Vec<FunctionSymbol> {
        self.names.functions_named(name)
    }

    /// A datum by its name. Of several with one name, those that other files can see come first, then those with debug
    /// information, then the lower address.
    pub fn data_symbol(&self, name: &str) -> Option<&DataSymbol> {
        self.data().by_name(name).next()
    }

    /// All data with this name, in the order of [`Symbols::data_symbol`].
    pub fn data_symbols(&self, name: &str) -> impl Iterator<Item = &DataSymbol> {
        self.data().by_name(name)
    }

    /// The datum that holds an address, and the address's offset in it.
    pub fn symbol_at(&self, address: u64) -> Option<(&DataSymbol, u64)> {
        self.data().at(address)
    }

    /// Whether the module's data may be anywhere, as a user image's: all its data addresses are then offsets from the
    /// `__memory_base` of an instance.
    pub fn is_position_independent(&self) -> bool {
        self.names.memory_base().is_some()
    }

    /// The bytes of an address: 4 or 8.
    pub fn address_size(&self) -> u64 {
        if self.names.memory64() { 8 } else { 4 }
    }

    /// The function that a place in the function table holds by the module's element segments: what a function pointer
    /// of that value calls. Of a position-independent module, places count from its `__table_base`.
    pub fn table_function(&self, place: u64) -> Option<u32> {
        self.names.table_function(place)
    }

    /// The place of a function in the function table: the value of a pointer to it. `None` if nothing points to it.
    pub fn table_place(&self, function: u32) -> Option<u64> {
        self.names.table_place(function)
    }

    /// All of the function table, as [`Symbols::table_function`] has it: places with their functions, in order.
    pub fn table_entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.names.table_entries()
    }

    /// All functions that the module defines, in its order.
    pub fn functions(&self) -> impl Iterator<Item = FunctionSymbol> {
        self.names.functions()
    }

    /// The module itself.
    pub fn module_bytes(&self) -> &[u8] {
        &self.module
    }

    /// The module itself, to be kept.
    pub fn module(&self) -> Arc<[u8]> {
        Arc::clone(&self.module)
    }

    /// The imported globals that a position-independent module's data addresses and table places count from:
    /// `__memory_base` and `__table_base`.
    pub fn bases(&self) -> (Option<u32>, Option<u32>) {
        (self.names.memory_base(), self.names.table_base())
    }

    /// The index of a Wasm global by its name, such as `__stack_pointer`.
    pub fn global_named(&self, name: &str) -> Option<u32> {
        self.names.global_named(name)
    }

    /// The name of a Wasm global by its index.
    pub fn global_name(&self, index: u32) -> Option<&str> {
        self.names.global_name(index)
    }

    /// The names of all variables with static storage that begin so, sorted.
    pub fn variable_names(&self, prefix: &str) -> Vec<String> {
        let names = self.index().variable_names().chain(self.data().names());
        let mut names: Vec<&str> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Whether the module has DWARF that can be used.
    pub fn has_dwarf(&self) -> bool {
        self.lines().is_some()
    }

    /// What could not be read so far, in words.
    pub fn problems(&self) -> Vec<String> {
        self.problems.borrow().clone()
    }

    fn note(&self, problem: String) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MAX_PROBLEMS && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn lines(&self) -> Option<&Lines> {
        let read = || {
            Lines::read(&self.module, self.names.debug_sections())
                .map_err(|error| self.note(format!("DWARF is ignored: {error}")))
                .ok()
                .flatten()
        };
        self.lines.get_or_init(read).as_ref()
    }

    fn data(&self) -> &DataTable {
        self.data.get_or_init(|| DataTable::new(&self.index().variables, &self.names))
    }

    fn info(&self) -> Option<&DebugInfo> {
        let read = || {
            let mut problems = Vec::new();
            let info = DebugInfo::open(&self.module, self.names.debug_sections(), &mut problems);
            problems.into_iter().for_each(|problem| self.note(problem));
            info
        };
        self.info.get_or_init(read).as_ref()
    }

    fn index(&self) -> &NameIndex {
        self.index.get_or_init(|| {
            let mut problems = Vec::new();
            self.info();
            let index = NameIndex::read(&self.module, &self.names, &mut problems);
            problems.into_iter().for_each(|problem| self.note(problem));
            index
        })
    }

    fn line_tables(&self, info: &DebugInfo) -> &LineTables {
        self.line_tables.get_or_init(|| LineTables::new(info))
    }
}
