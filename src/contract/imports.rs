//! The functions that the host offers to vmlinux: one row of the contract, one [`ImportKind`].

use super::types::{FuncType, is_int};

/// What a function import of vmlinux asks the host to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImportKind {
    /// `wasm_start_cpu`: create the runner of a secondary CPU's idle task.
    StartCpu,
    /// `wasm_stop_cpu`: kill a CPU's runner.
    StopCpu,
    /// `wasm_create_and_run_task`: the first switch to a new task.
    CreateAndRunTask,
    /// `wasm_serialize_tasks`: switch to a task that has a runner.
    SerializeTasks,
    /// `wasm_release_task`: the task is dead.
    ReleaseTask,
    /// `wasm_panic`: stop the machine.
    Panic,
    /// `wasm_dump_stacktrace`: write the caller's call stack as text.
    DumpStacktrace,
    /// `wasm_load_executable`: compile a user image.
    LoadExecutable,
    /// `wasm_user_mode_tail`: go back to user mode by another way than a return.
    UserModeTail,
    /// `wasm_cpu_clock_get_monotonic`: the time in nanoseconds.
    ClockMonotonic,
    /// `wasm_driver_hvc_put`: console output.
    HvcPut,
    /// `wasm_driver_hvc_get`: console input.
    HvcGet,
    /// `wasm_random_get_bytes`: random bytes, since the 7.0 era.
    RandomGetBytes,
    /// A `sys_*` that the 6.4 era leaves undefined: it returns −ENOSYS.
    AbsentSyscall,
}

impl ImportKind {
    /// What the import `env.NAME` asks for; none if the contract does not know it.
    pub fn from_name(name: &str) -> Option<ImportKind> {
        Offer::named(name).map(Offer::kind)
    }
}

/// The type that the host offers for an import. Every parameter is an integer, i32 or i64 by the kernel's width.
pub(super) struct Offer {
    name: &'static str,
    kind: ImportKind,
    /// The numbers of parameters that are right.
    arity: std::ops::RangeInclusive<usize>,
    result: ResultShape,
    /// How messages write it, for wasm32.
    text: &'static str,
}

enum ResultShape {
    None,
    Int,
    /// 64 bits in either width.
    Nanoseconds,
}

const fn offer(
    name: &'static str,
    kind: ImportKind,
    arity: std::ops::RangeInclusive<usize>,
    result: ResultShape,
    text: &'static str,
) -> Offer {
    Offer { name, kind, arity, result, text }
}

const OFFERS: [Offer; 13] = [
    offer(
        "wasm_start_cpu",
        ImportKind::StartCpu,
        2..=3,
        ResultShape::None,
        "(i32, i32, i32) -> () as in the 6.4 era or (i32, i32) -> () as in the 7.0 era",
    ),
    offer("wasm_stop_cpu", ImportKind::StopCpu, 1..=1, ResultShape::None, "(i32) -> ()"),
    offer(
        "wasm_create_and_run_task",
        ImportKind::CreateAndRunTask,
        7..=7,
        ResultShape::Int,
        "(i32, i32, i32, i32, i32, i32, i32) -> i32",
    ),
    offer("wasm_serialize_tasks", ImportKind::SerializeTasks, 2..=2, ResultShape::Int, "(i32, i32) -> i32"),
    offer("wasm_release_task", ImportKind::ReleaseTask, 1..=1, ResultShape::None, "(i32) -> ()"),
    offer("wasm_panic", ImportKind::Panic, 1..=1, ResultShape::None, "(i32) -> ()"),
    offer("wasm_dump_stacktrace", ImportKind::DumpStacktrace, 2..=2, ResultShape::None, "(i32, i32) -> ()"),
    offer("wasm_load_executable", ImportKind::LoadExecutable, 4..=4, ResultShape::None, "(i32, i32, i32, i32) -> ()"),
    offer("wasm_user_mode_tail", ImportKind::UserModeTail, 1..=1, ResultShape::None, "(i32) -> ()"),
    offer("wasm_cpu_clock_get_monotonic", ImportKind::ClockMonotonic, 0..=0, ResultShape::Nanoseconds, "() -> i64"),
    offer("wasm_driver_hvc_put", ImportKind::HvcPut, 2..=2, ResultShape::Int, "(i32, i32) -> i32"),
    offer("wasm_driver_hvc_get", ImportKind::HvcGet, 2..=2, ResultShape::Int, "(i32, i32) -> i32"),
    offer("wasm_random_get_bytes", ImportKind::RandomGetBytes, 2..=2, ResultShape::Int, "(i32, i32) -> i32"),
];

const ABSENT_SYSCALL: Offer = offer(
    "sys_*",
    ImportKind::AbsentSyscall,
    0..=usize::MAX,
    ResultShape::None,
    "any parameters, results that are numbers",
);

impl Offer {
    /// The host's offer for an import of `env`, if it has one.
    pub(super) fn named(name: &str) -> Option<&'static Offer> {
        let absent = || name.starts_with("sys_").then_some(&ABSENT_SYSCALL);
        OFFERS.iter().find(|offer| offer.name == name).or_else(absent)
    }

    pub(super) fn kind(&self) -> ImportKind {
        self.kind
    }

    /// What messages say the type should be.
    pub(super) fn expected(&self) -> &'static str {
        self.text
    }

    pub(super) fn accepts(&self, ty: &FuncType) -> bool {
        if self.kind == ImportKind::AbsentSyscall {
            // The host makes up a result, so it must be of a type that has a −38.
            return ty
                .results
                .iter()
                .all(|&ty| is_int(ty) || matches!(ty, wasmparser::ValType::F32 | wasmparser::ValType::F64));
        }
        let result_fits = match (&self.result, &*ty.results) {
            (ResultShape::None, []) => true,
            (ResultShape::Int, &[result]) => is_int(result),
            (ResultShape::Nanoseconds, &[result]) => result == wasmparser::ValType::I64,
            _ => false,
        };
        result_fits && self.arity.contains(&ty.params.len()) && ty.params.iter().all(|&ty| is_int(ty))
    }
}
