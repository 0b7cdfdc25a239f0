//! A user image, as the host sees it: a position-independent module that shares the kernel's memory.

use std::fmt;

use wasmparser::{RefType, ValType};

use super::error::{ContractError, Refusal};
use super::exports::{Call, call};
use super::memory;
use super::outline::{DylinkInfo, Import, Outline};
use super::types::{ExternType, FuncType, MemoryShape, PointerWidth, is_int};

/// What an import of a user image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserImportKind {
    /// `memory`: the guest's one memory.
    Memory,
    /// `__memory_base`: where its data begin.
    MemoryBase,
    /// `__table_base`: where its functions begin in the table.
    TableBase,
    /// `__table_base32`: the same as an i32, in wasm64 images.
    TableBase32,
    /// `__stack_pointer`: the instance's own stack pointer.
    StackPointer,
    /// `__indirect_function_table`: its function table.
    IndirectFunctionTable {
        /// Entries it must have at least.
        min: u64,
    },
    /// `__wasm_syscall_N`: the system call with N arguments.
    Syscall(u8),
    /// `__wasm_abort`: a trap.
    Abort,
}

impl fmt::Display for UserImportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserImportKind::Memory => f.write_str("memory"),
            UserImportKind::MemoryBase => f.write_str("memory base"),
            UserImportKind::TableBase => f.write_str("table base"),
            UserImportKind::TableBase32 => f.write_str("table base, 32-bit"),
            UserImportKind::StackPointer => f.write_str("stack pointer"),
            UserImportKind::IndirectFunctionTable { min } => write!(f, "function table, at least {min} entries"),
            UserImportKind::Syscall(arguments) => write!(f, "system call with {arguments} arguments"),
            UserImportKind::Abort => f.write_str("abort"),
        }
    }
}

/// One import of a user image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserImport {
    /// Its name in `env`.
    pub name: String,
    /// What it is.
    pub kind: UserImportKind,
    /// Its type, as the image asks for it.
    pub ty: ExternType,
}

/// The import that tells a position-independent image from a kernel.
pub(super) const MEMORY_BASE: &str = "__memory_base";

/// A user image that the host can instantiate.
#[derive(Debug, Clone)]
pub struct UserModule {
    /// The width of its addresses.
    pub width: PointerWidth,
    /// The memory it imports.
    pub memory: MemoryShape,
    /// Its imports, in the module's order.
    pub imports: Vec<UserImport>,
    /// What it asks of its loader.
    pub dylink: DylinkInfo,
    /// Everything else that its sections say.
    pub outline: Outline,
}

const START: Call = call("_start", 0, 0..=usize::MAX, "the host starts the image by calling it");
const OPTIONAL: [Call; 5] = [
    call("__wasm_apply_data_relocs", 0, 0..=usize::MAX, "the host relocates the data by calling it"),
    call("__wasm_call_ctors", 0, 0..=usize::MAX, "the host runs the constructors by calling it"),
    call("__libc_clone_callback", 0, 0..=usize::MAX, "the host enters a clone by calling it"),
    call("__libc_handle_signal", 0, 0..=usize::MAX, "the host delivers a signal by calling it"),
    call("__set_tls_base", 1, 0..=usize::MAX, "the host sets the thread pointer by calling it"),
];

/// Every export of a user image that the host looks up in an instance.
pub const USER_EXPORTS: &[&str] =
    &[START.name, OPTIONAL[0].name, OPTIONAL[1].name, OPTIONAL[2].name, OPTIONAL[3].name, OPTIONAL[4].name];

impl UserModule {
    /// Reads a user image and checks that the host can instantiate it.
    ///
    /// # Errors
    ///
    /// As [`KernelModule::parse`](super::KernelModule::parse).
    pub fn parse(bytes: &[u8]) -> Result<UserModule, ContractError> {
        UserModule::from_outline(Outline::parse(bytes)?).map_err(|(_, refusals)| ContractError::Refused(refusals))
    }

    /// As [`UserModule::parse`], from the outline, which comes back together with the refusals.
    pub(super) fn from_outline(outline: Outline) -> Result<UserModule, (Box<Outline>, Vec<Refusal>)> {
        let mut refusals = Vec::new();
        let memory = memory::check(&outline, &mut refusals);
        let imports = check_imports(&outline, &mut refusals);
        START.require(&outline, &mut refusals);
        for call in &OPTIONAL {
            call.check_if_there(&outline, &mut refusals);
        }
        if outline.dylink.is_none() {
            refusals.push(Refusal::NotPositionIndependent);
        }
        match (memory, outline.dylink) {
            (Some(memory), Some(dylink)) if refusals.is_empty() => {
                Ok(UserModule { width: memory.width, memory, imports, dylink, outline })
            }
            _ => Err((Box::new(outline), refusals)),
        }
    }

    /// The type of an exported function.
    pub fn function(&self, name: &str) -> Option<&FuncType> {
        self.outline.functions.get(name)
    }

    /// The fewest entries that its function table may have; 0 if it imports none.
    pub fn table_min(&self) -> u64 {
        let min = |import: &UserImport| match import.kind {
            UserImportKind::IndirectFunctionTable { min } => Some(min),
            _ => None,
        };
        self.imports.iter().filter_map(min).max().unwrap_or(0)
    }
}

fn check_imports(outline: &Outline, refusals: &mut Vec<Refusal>) -> Vec<UserImport> {
    let mut imports = Vec::new();
    for import in &outline.imports {
        let expected = match classify(import) {
            Verdict::Fits(kind) => {
                imports.push(UserImport { name: import.name.clone(), kind, ty: import.ty.clone() });
                continue;
            }
            // `memory::check` has already said what there is to say about a memory.
            _ if matches!(import.ty, ExternType::Memory(_)) => continue,
            Verdict::WrongType(expected) => Some(expected),
            Verdict::Unknown => None,
        };
        refusals.push(match expected {
            Some(expected) => Refusal::ImportType { name: import.name.clone(), expected, found: import.ty.to_string() },
            None => Refusal::UnknownImport {
                module: import.module.clone(),
                name: import.name.clone(),
                ty: import.ty.to_string(),
            },
        });
    }
    imports
}

enum Verdict {
    Fits(UserImportKind),
    WrongType(String),
    Unknown,
}

fn classify(import: &Import) -> Verdict {
    if import.module != "env" {
        return Verdict::Unknown;
    }
    let global = |kind, mutable, narrow: bool, expected: &str| match &import.ty {
        ExternType::Global(ty)
            if ty.mutable == mutable && is_int(ty.content_type) && !(narrow && ty.content_type != ValType::I32) =>
        {
            Verdict::Fits(kind)
        }
        _ => Verdict::WrongType(expected.into()),
    };
    const BASE: &str = "immutable global i32 (i64 in wasm64)";
    match (import.name.as_str(), &import.ty) {
        ("memory", ExternType::Memory(_)) => Verdict::Fits(UserImportKind::Memory),
        ("memory", _) => Verdict::WrongType("shared memory".into()),
        (MEMORY_BASE, _) => global(UserImportKind::MemoryBase, false, false, BASE),
        ("__table_base", _) => global(UserImportKind::TableBase, false, false, BASE),
        ("__table_base32", _) => global(UserImportKind::TableBase32, false, true, "immutable global i32"),
        ("__stack_pointer", _) => {
            global(UserImportKind::StackPointer, true, false, "mutable global i32 (i64 in wasm64)")
        }
        ("__indirect_function_table", ExternType::Table(ty)) if ty.element_type == RefType::FUNCREF => {
            Verdict::Fits(UserImportKind::IndirectFunctionTable { min: ty.initial })
        }
        ("__indirect_function_table", _) => Verdict::WrongType("table of funcref".into()),
        ("__wasm_abort", ExternType::Func(_)) => Verdict::Fits(UserImportKind::Abort),
        ("__wasm_abort", _) => Verdict::WrongType("function () -> ()".into()),
        (name, ty) => match name.strip_prefix("__wasm_syscall_") {
            Some(digit) => match digit.as_bytes() {
                [digit @ b'0'..=b'6'] => syscall(digit - b'0', ty),
                _ => Verdict::Unknown,
            },
            None => Verdict::Unknown,
        },
    }
}

/// A system call passes the stack pointer, the thread pointer, the number and its arguments.
fn syscall(arguments: u8, ty: &ExternType) -> Verdict {
    let params = 3 + usize::from(arguments);
    match ty {
        ExternType::Func(ty)
            if ty.params.len() == params
                && ty.results.len() == 1
                && ty.params.iter().chain(&*ty.results).all(|&ty| is_int(ty)) =>
        {
            Verdict::Fits(UserImportKind::Syscall(arguments))
        }
        _ => Verdict::WrongType(format!("function ({}) -> i32", vec!["i32"; params].join(", "))),
    }
}
