//! A kernel, vmlinux, as the host sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wasmparser::ValType;

use super::error::{ContractError, Refusal};
use super::exports::{Call, call, require_datum};
use super::imports::{ImportKind, Offer};
use super::memory;
use super::outline::Outline;
use super::types::{ExternType, FuncType, MemoryShape, PointerWidth};

/// Which generation of the port a kernel belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// Linux 6.4: `wasm_start_cpu(cpu, idle_task, start_stack)`, absent system calls left as imports.
    V6_4,
    /// Linux 7.0: `wasm_start_cpu(cpu, idle_task)`, random bytes from the host, a wasm64 variant.
    V7_0,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Era::V6_4 => "6.4",
            Era::V7_0 => "7.0",
        })
    }
}

/// A function that vmlinux imports from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImport {
    /// The module it is imported from: `env`.
    pub module: String,
    /// Its name.
    pub name: String,
    /// What it asks of the host.
    pub kind: ImportKind,
    /// Its parameters: integers, of the kernel's own widths.
    pub params: Arc<[ValType]>,
    /// Its results.
    pub results: Arc<[ValType]>,
}

/// A kernel that the host can run.
#[derive(Debug, Clone)]
pub struct KernelModule {
    /// The generation of the port, told by its imports' types.
    pub era: Era,
    /// The width of its addresses.
    pub width: PointerWidth,
    /// The memory it imports.
    pub memory: MemoryShape,
    /// The functions it imports, in the module's order. The memory is the only other import.
    pub imports: Vec<KernelImport>,
    /// Everything else that its sections say.
    pub outline: Outline,
}

/// What the host calls whatever the kernel imports.
const START: Call = call("_start", 0, 0..=0, "the host boots CPU 0 by calling it");
const RET_FROM_FORK: Call = call("ret_from_fork", 2, 1..=1, "wasm_create_and_run_task starts a task by calling it");
const START_SECONDARY: Call = call("_start_secondary", 1, 0..=0, "wasm_start_cpu starts a secondary CPU by calling it");
const USER_STACK_POINTER: Call =
    call("get_user_stack_pointer", 0, 1..=1, "wasm_load_executable needs it to start a user image");
const USER_TLS_BASE: Call = call("get_user_tls_base", 0, 1..=1, "wasm_load_executable needs it to start a user image");
const SYSCALLS: [Call; 7] = {
    const PURPOSE: &str = "user images that wasm_load_executable loads import it";
    [
        call("wasm_syscall_0", 3, 1..=1, PURPOSE),
        call("wasm_syscall_1", 4, 1..=1, PURPOSE),
        call("wasm_syscall_2", 5, 1..=1, PURPOSE),
        call("wasm_syscall_3", 6, 1..=1, PURPOSE),
        call("wasm_syscall_4", 7, 1..=1, PURPOSE),
        call("wasm_syscall_5", 8, 1..=1, PURPOSE),
        call("wasm_syscall_6", 9, 1..=1, PURPOSE),
    ]
};
/// Called when there; without the first, a trap stops the machine.
const OPTIONAL: [Call; 2] = [
    call("raise_exception", 0, 0..=0, "a trap is handed to the kernel by calling it"),
    call("raise_interrupt", 2, 0..=0, "the host raises an interrupt by calling it"),
];

/// Every export of a kernel that the host looks up in an instance. The addresses of data are known from the module.
pub const KERNEL_EXPORTS: &[&str] = &[
    START.name,
    START_SECONDARY.name,
    RET_FROM_FORK.name,
    USER_STACK_POINTER.name,
    USER_TLS_BASE.name,
    SYSCALLS[0].name,
    SYSCALLS[1].name,
    SYSCALLS[2].name,
    SYSCALLS[3].name,
    SYSCALLS[4].name,
    SYSCALLS[5].name,
    SYSCALLS[6].name,
    OPTIONAL[0].name,
    OPTIONAL[1].name,
    "__stack_pointer",
];

impl KernelModule {
    /// Reads a kernel and checks that the host can run it.
    ///
    /// # Errors
    ///
    /// [`ContractError::Refused`] with every reason at once if the module is well-formed but does not fit; the other
    /// variants if it is not a whole core module. Function bodies are not validated here.
    pub fn parse(bytes: &[u8]) -> Result<KernelModule, ContractError> {
        KernelModule::from_outline(Outline::parse(bytes)?).map_err(|(_, refusals)| ContractError::Refused(refusals))
    }

    /// As [`KernelModule::parse`], from the outline, which comes back together with the refusals.
    pub(super) fn from_outline(outline: Outline) -> Result<KernelModule, (Box<Outline>, Vec<Refusal>)> {
        let mut refusals = Vec::new();
        let memory = memory::check(&outline, &mut refusals);
        let imports = check_imports(&outline, &mut refusals);
        check_exports(&outline, &imports, &mut refusals);
        match memory {
            Some(memory) if refusals.is_empty() => {
                let era = era(&outline);
                Ok(KernelModule { era, width: memory.width, memory, imports, outline })
            }
            _ => Err((Box::new(outline), refusals)),
        }
    }

    /// The type of an exported function.
    pub fn function(&self, name: &str) -> Option<&FuncType> {
        self.outline.functions.get(name)
    }

    /// The guest address of an exported datum.
    pub fn data_symbol(&self, name: &str) -> Option<u64> {
        self.outline.data_symbols.get(name).copied()
    }

    /// The exported mutable globals, such as `__stack_pointer`.
    pub fn mutable_globals(&self) -> &BTreeMap<String, ValType> {
        &self.outline.mutable_globals
    }

    /// Whether it imports a function of this kind.
    pub fn imports_kind(&self, kind: ImportKind) -> bool {
        self.imports.iter().any(|import| import.kind == kind)
    }
}

fn check_imports(outline: &Outline, refusals: &mut Vec<Refusal>) -> Vec<KernelImport> {
    let mut imports: Vec<KernelImport> = Vec::new();
    let mut types: BTreeMap<&str, &FuncType> = BTreeMap::new();
    for import in &outline.imports {
        // Memories are checked as a whole, by `memory::check`.
        if matches!(import.ty, ExternType::Memory(_)) {
            continue;
        }
        let offer = if import.module == "env" { Offer::named(&import.name) } else { None };
        let (Some(offer), ExternType::Func(ty)) = (offer, &import.ty) else {
            refusals.push(match offer {
                Some(offer) => Refusal::ImportType {
                    name: import.name.clone(),
                    expected: format!("function {}", offer.expected()),
                    found: import.ty.to_string(),
                },
                None => Refusal::UnknownImport {
                    module: import.module.clone(),
                    name: import.name.clone(),
                    ty: import.ty.to_string(),
                },
            });
            continue;
        };
        if !offer.accepts(ty) {
            refusals.push(Refusal::ImportType {
                name: import.name.clone(),
                expected: offer.expected().into(),
                found: ty.to_string(),
            });
            continue;
        }
        let first = *types.entry(&import.name).or_insert(ty);
        if offer.kind() != ImportKind::AbsentSyscall && first != ty {
            refusals.push(Refusal::ConflictingImports {
                name: import.name.clone(),
                first: first.to_string(),
                second: ty.to_string(),
            });
        }
        imports.push(KernelImport {
            module: import.module.clone(),
            name: import.name.clone(),
            kind: offer.kind(),
            params: ty.params.clone(),
            results: ty.results.clone(),
        });
    }
    imports
}

/// What is required follows from what the kernel imports: a kernel that never makes a task needs no entry for one.
fn check_exports(outline: &Outline, imports: &[KernelImport], refusals: &mut Vec<Refusal>) {
    let imported = |kind| imports.iter().any(|import| import.kind == kind);
    let mut check = |call: &Call, required: bool| {
        if required { call.require(outline, refusals) } else { call.check_if_there(outline, refusals) }
    };
    check(&START, true);
    check(&RET_FROM_FORK, imported(ImportKind::CreateAndRunTask));
    check(&START_SECONDARY, imported(ImportKind::StartCpu));
    let loads_images = imported(ImportKind::LoadExecutable);
    for call in [&USER_STACK_POINTER, &USER_TLS_BASE].into_iter().chain(&SYSCALLS) {
        check(call, loads_images);
    }
    for call in &OPTIONAL {
        check(call, false);
    }
    require_datum(outline, "init_task", "its address names CPU 0's first task", refusals);
    require_datum(outline, "boot_command_line", "the host writes the kernel's command line there", refusals);
}

/// Tells the generations apart by what they import: `wasm_start_cpu` lost a parameter, random bytes and 64-bit memories
/// came. A kernel that shows none of these asks for nothing that the two do differently, and counts as the older one.
pub(super) fn era(outline: &Outline) -> Era {
    let arity = outline.imports.iter().find_map(|import| match &import.ty {
        ExternType::Func(ty) if import.name == "wasm_start_cpu" => Some(ty.params.len()),
        _ => None,
    });
    let newer = |import: &super::outline::Import| match &import.ty {
        ExternType::Memory(ty) => ty.memory64,
        _ => import.name == "wasm_random_get_bytes",
    };
    match arity {
        Some(2) => Era::V7_0,
        Some(_) => Era::V6_4,
        None if outline.imports.iter().any(newer) => Era::V7_0,
        None => Era::V6_4,
    }
}
