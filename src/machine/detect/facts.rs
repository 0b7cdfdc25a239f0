//! What detectors that are on by default have to know of a kernel's structures: a few offsets, read from its debug
//! information once and kept beside its compiled code. Reading all of that takes longer than a small kernel's boot.

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReader, FunctionBody, Operator};
use wkdb_debugger::kernel::detect::AreaMarks;
use wkdb_debugger::symbols::{Symbols, TypeId, TypeKind};

use crate::code_cache::{Artifact, CodeKey, CodeStore};

/// As large as a kernel stack can be.
pub(in crate::machine) const MAX_STACK: u64 = 1 << 20;

/// How deep anonymous structures are nested at most.
const MAX_NESTING: usize = 8;

/// The function that a kernel built with checks of its own calls to look at its stack.
const STACK_CHECK: &str = "__sanitizer_cov_stack_depth";

/// Raised with every change of what is kept.
const VERSION: u32 = 3;

/// Where a kernel's structures have what detectors need; in bytes. What a kernel does not say is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::machine) struct KernelFacts {
    version: u32,
    /// The kernel has debug information.
    pub(in crate::machine) known: bool,
    /// `sizeof(struct task_struct)`.
    pub(in crate::machine) task_size: Option<u64>,
    /// `task_struct.stack`.
    pub(in crate::machine) task_stack: Option<u64>,
    /// `task_struct.mm`.
    pub(in crate::machine) task_mm: Option<u64>,
    /// How large a kernel stack is.
    pub(in crate::machine) thread_size: Option<u64>,
    /// How much of a kernel stack's lower end the kernel's own checks keep free.
    pub(in crate::machine) stack_guard: u64,
    /// `mm_struct.start_brk`.
    pub(in crate::machine) start_brk: Option<u64>,
    /// `mm_struct.brk`.
    pub(in crate::machine) brk: Option<u64>,
    /// `mm_struct.start_stack`.
    pub(in crate::machine) start_stack: Option<u64>,
    /// Where a process's memory is.
    pub(in crate::machine) areas: Option<AreaMarks>,
}

impl KernelFacts {
    /// The facts of the kernel whose code has this key: from the store, or read and put there.
    pub(in crate::machine) fn find(
        key: &CodeKey,
        store: Option<&CodeStore>,
        symbols: impl FnOnce() -> Option<Symbols>,
        module: &[u8],
    ) -> KernelFacts {
        let kept = store.and_then(|store| store.get(key, Artifact::Facts)).and_then(|path| std::fs::read(path).ok());
        let kept = kept.and_then(|bytes| postcard::from_bytes::<KernelFacts>(&bytes).ok());
        if let Some(facts) = kept.filter(|facts| facts.version == VERSION) {
            return facts;
        }
        let facts = symbols().map_or_else(KernelFacts::default, |symbols| KernelFacts::read(&symbols, module));
        if let (Some(store), Ok(bytes)) = (store, postcard::to_stdvec(&facts)) {
            // It is read again next time.
            let _ = store.put(key, Artifact::Facts, &bytes);
        }
        facts
    }

    fn read(symbols: &Symbols, module: &[u8]) -> KernelFacts {
        let task = symbols.type_named("struct task_struct", None);
        let mm = symbols.type_named("struct mm_struct", None);
        let of_task = |name| offset(symbols, task?, name, 0);
        let of_mm = |name| offset(symbols, mm?, name, 0);
        let by_type = || symbols.size_of(symbols.type_named("union thread_union", None)?);
        let variables = symbols.variables_named("init_stack");
        let by_variable = variables.first().and_then(|variable| symbols.size_of(variable.ty));
        KernelFacts {
            version: VERSION,
            known: task.is_some(),
            task_size: task.and_then(|task| symbols.size_of(task)),
            task_stack: of_task("stack"),
            task_mm: of_task("mm"),
            thread_size: by_variable.or_else(by_type).filter(|size| (64..=MAX_STACK).contains(size)),
            stack_guard: stack_guard(symbols, module).unwrap_or(0),
            start_brk: of_mm("start_brk"),
            brk: of_mm("brk"),
            start_stack: of_mm("start_stack"),
            areas: AreaMarks::of(symbols),
        }
    }
}

/// Where a member is in a structure, also one of an anonymous structure inside.
fn offset(symbols: &Symbols, ty: TypeId, name: &str, depth: usize) -> Option<u64> {
    let (_, ty) = symbols.resolve(ty);
    let TypeKind::Composite(composite) = &ty.kind else { return None };
    if depth > MAX_NESTING {
        return None;
    }
    composite.members.iter().find_map(|member| match &member.name {
        Some(known) => (known == name).then_some(member.offset),
        None => Some(member.offset + offset(symbols, member.ty, name, depth + 1)?),
    })
}

/// What the kernel's own check keeps free: the constant that it adds to the stack's lower end before it compares.
fn stack_guard(symbols: &Symbols, module: &[u8]) -> Option<u64> {
    let functions = symbols.functions_named(STACK_CHECK);
    let range = symbols.file_range(functions.first()?)?;
    let body = FunctionBody::new(BinaryReader::new(module.get(range.clone())?, range.start));
    let operators: Vec<Operator<'_>> = body.get_operators_reader().ok()?.into_iter().map_while(Result::ok).collect();
    operators.windows(3).find_map(|window| match window {
        [Operator::I32Const { value }, Operator::I32Add, Operator::I32Sub] => u64::try_from(*value).ok(),
        [Operator::I64Const { value }, Operator::I64Add, Operator::I64Sub] => u64::try_from(*value).ok(),
        _ => None,
    })
}
