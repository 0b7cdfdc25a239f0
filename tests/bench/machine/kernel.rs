//! A kernel of our own making, as large as a real one: thousands of functions that are never called, or called in no
//! particular order, around a few that do what is to be measured.
//!
//! The command line says what: a letter and a decimal number. `s1000` switches 1000 times between two tasks, `t500`
//! makes 500 tasks that wait to be switched to, `w100` does work: 100 calls of functions all over the kernel, each of
//! which calls some others. Then it panics, which ends the run.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, DataCountSection, DataSection, ElementSection, Elements,
    EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    InstructionSink, MemArg, MemoryType, Module, NameMap, NameSection, RefType, StartSection, TableSection, TableType,
    TypeSection, ValType,
};

/// Which symbols a kernel exports, by the port's generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// Every function and every datum.
    V6_4,
    /// What the host contract asks for.
    V7_0,
}

/// Functions besides those of the contract, each of them in the table.
const FUNCTIONS: u32 = 10_000;
/// Exported data symbols in the 6.4 era, besides those of the contract.
const SYMBOLS: u32 = 5_000;
/// Passive data segments, as a linker makes them: one for each output section.
const SEGMENTS: u32 = 33;
const SEGMENT_BYTES: u32 = 20_000;

/// The flag of the start function: whether data were copied.
const FLAG: i32 = 0x1_0000;
const COMMAND_LINE: i32 = 0x1_0040;
const INIT_TASK: i32 = 0x1_0400;
const DATA: i32 = 0x2_0000;
/// Where the functions read and write: 64 KiB.
const ARENA: u32 = 0xd_0000;
const PAGES: u64 = 15;
/// The first task that is made, and the bytes from one to the next.
const TASKS: i32 = 0x100_0000;
const TASK_BYTES: i32 = 8192;

/// Names, parameters and results (all i32) of the host's functions.
const IMPORTS: [(&str, usize, usize); 10] = [
    ("wasm_create_and_run_task", 7, 1),
    ("wasm_serialize_tasks", 2, 1),
    ("wasm_panic", 1, 0),
    ("wasm_stop_cpu", 1, 0),
    ("wasm_release_task", 1, 0),
    ("wasm_dump_stacktrace", 2, 0),
    ("wasm_load_executable", 4, 0),
    ("wasm_user_mode_tail", 1, 0),
    ("wasm_driver_hvc_put", 2, 1),
    ("wasm_driver_hvc_get", 2, 1),
];
/// Their indices.
const CREATE_AND_RUN: u32 = 0;
const SERIALIZE: u32 = 1;
const PANIC: u32 = 2;
/// Absent system calls that a kernel of the 6.4 era imports.
const ABSENT: u32 = 20;

/// Names, parameters and results of the exports that the host calls.
const EXPORTS: [(&str, usize, usize); 13] = [
    ("_start", 0, 0),
    ("ret_from_fork", 2, 1),
    ("_start_secondary", 1, 0),
    ("raise_exception", 0, 0),
    ("get_user_stack_pointer", 0, 1),
    ("get_user_tls_base", 0, 1),
    ("wasm_syscall_0", 3, 1),
    ("wasm_syscall_1", 4, 1),
    ("wasm_syscall_2", 5, 1),
    ("wasm_syscall_3", 6, 1),
    ("wasm_syscall_4", 7, 1),
    ("wasm_syscall_5", 8, 1),
    ("wasm_syscall_6", 9, 1),
];

/// Numbers that look random and are the same every time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 32) * u64::from(limit) >> 32) as u32
    }
}

/// A kernel, and where its parts go.
struct Kernel {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    code: CodeSection,
    exports: ExportSection,
    names: NameMap,
    /// How many types, imported functions and functions there are.
    counts: [u32; 3],
}

impl Kernel {
    fn ty(&mut self, params: usize, results: usize) -> u32 {
        self.types.ty().function(vec![ValType::I32; params], vec![ValType::I32; results]);
        self.counts[0] += 1;
        self.counts[0] - 1
    }

    fn import(&mut self, name: &str, params: usize, results: usize) {
        let ty = self.ty(params, results);
        self.imports.import("env", name, EntityType::Function(ty));
        self.names.append(self.counts[2], name);
        self.counts[1] += 1;
        self.counts[2] += 1;
    }

    fn function(&mut self, name: &str, ty: u32, body: &Function) -> u32 {
        self.functions.function(ty);
        self.code.function(body);
        self.names.append(self.counts[2], name);
        self.counts[2] += 1;
        self.counts[2] - 1
    }
}

/// The kernel's bytes; with `dwarf` bytes of something in a custom section of debug information.
pub(crate) fn kernel(era: Era, dwarf: usize) -> Vec<u8> {
    let mut kernel = Kernel {
        types: TypeSection::new(),
        imports: ImportSection::new(),
        functions: FunctionSection::new(),
        code: CodeSection::new(),
        exports: ExportSection::new(),
        names: NameMap::new(),
        counts: [0; 3],
    };
    let memory =
        MemoryType { minimum: PAGES, maximum: Some(65536), memory64: false, shared: true, page_size_log2: None };
    kernel.imports.import("env", "memory", EntityType::Memory(memory));
    for (name, params, results) in IMPORTS {
        kernel.import(name, params, results);
    }
    kernel.import("wasm_start_cpu", if era == Era::V6_4 { 3 } else { 2 }, 0);
    for absent in 0..if era == Era::V6_4 { ABSENT } else { 0 } {
        kernel.import(&format!("sys_absent_{absent}"), 1 + absent as usize % 6, 1);
    }
    let filler = kernel.ty(2, 1);
    let first_filler = kernel.counts[1] + EXPORTS.len() as u32 + 1;
    for (name, params, results) in EXPORTS {
        let ty = kernel.ty(params, results);
        let index = kernel.function(name, ty, &entry(name, filler));
        kernel.exports.export(name, ExportKind::Func, index);
    }
    let nothing = kernel.ty(0, 0);
    let start = kernel.function("__wasm_init_memory", nothing, &init_memory());
    let mut numbers = Numbers(1);
    for number in 0..FUNCTIONS {
        let body = filler_body(&mut numbers, first_filler, number, filler);
        let name = format!("some_subsystem_function_{number}");
        let index = kernel.function(&name, filler, &body);
        if era == Era::V6_4 {
            kernel.exports.export(&name, ExportKind::Func, index);
        }
    }

    let (mut globals, constant) =
        (GlobalSection::new(), GlobalType { val_type: ValType::I32, mutable: false, shared: false });
    globals.global(GlobalType { mutable: true, ..constant }, &ConstExpr::i32_const(FLAG));
    for (index, (name, address)) in
        [("init_task", INIT_TASK), ("boot_command_line", COMMAND_LINE)].into_iter().enumerate()
    {
        globals.global(constant, &ConstExpr::i32_const(address));
        kernel.exports.export(name, ExportKind::Global, 1 + index as u32);
    }
    for symbol in 0..if era == Era::V6_4 { SYMBOLS } else { 0 } {
        globals.global(constant, &ConstExpr::i32_const(DATA + 64 * symbol as i32));
        kernel.exports.export(&format!("some_datum_{symbol}"), ExportKind::Global, 3 + symbol);
    }
    let size = u64::from(FUNCTIONS) + 1;
    let mut tables = TableSection::new();
    let table =
        TableType { element_type: RefType::FUNCREF, minimum: size, maximum: Some(size), table64: false, shared: false };
    tables.table(table);
    kernel.exports.export("__indirect_function_table", ExportKind::Table, 0);
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (first_filler..first_filler + FUNCTIONS).collect();
    elements.active(None, &ConstExpr::i32_const(1), Elements::Functions(all.into()));
    let mut data = DataSection::new();
    for segment in 0..SEGMENTS {
        data.passive((0..SEGMENT_BYTES).map(|at| (at.wrapping_mul(31) ^ segment) as u8));
    }
    let mut names = NameSection::new();
    names.functions(&kernel.names);

    let mut module = Module::new();
    module.section(&kernel.types).section(&kernel.imports).section(&kernel.functions).section(&tables);
    module.section(&globals).section(&kernel.exports).section(&StartSection { function_index: start });
    module.section(&elements).section(&DataCountSection { count: SEGMENTS }).section(&kernel.code).section(&data);
    if dwarf > 0 {
        let bytes: Vec<u8> = (0..dwarf as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        module.section(&CustomSection { name: ".debug_info".into(), data: bytes.into() });
    }
    module.section(&names);
    module.finish()
}

fn memarg(offset: u32, align: u32) -> MemArg {
    MemArg { offset: u64::from(offset), align, memory_index: 0 }
}

/// The body of a function that the host calls.
fn entry(name: &str, filler: u32) -> Function {
    match name {
        "_start" => start(filler),
        "ret_from_fork" => {
            let mut function = Function::new([]);
            let mut code = function.instructions();
            code.loop_(BlockType::Empty).local_get(1).i32_const(INIT_TASK).call(SERIALIZE).drop().br(0).end();
            code.unreachable().end();
            function
        }
        _ => {
            let mut function = Function::new([]);
            function.instructions().unreachable().end();
            function
        }
    }
}

/// `for (; n > 0; n--) body`
fn repeat(code: &mut InstructionSink<'_>, n: u32, body: impl FnOnce(&mut InstructionSink<'_>)) {
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(n).i32_eqz().br_if(1);
    body(code);
    code.local_get(n).i32_const(1).i32_sub().local_set(n).br(0).end().end();
}

/// Reads the command line and does what it says.
fn start(filler: u32) -> Function {
    /// Locals.
    const AT: u32 = 0;
    const N: u32 = 1;
    const DIGIT: u32 = 2;
    let mut function = Function::new([(3, ValType::I32)]);
    let mut code = function.instructions();
    code.i32_const(COMMAND_LINE).local_set(AT);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(AT).i32_const(1).i32_add().local_tee(AT).i32_load8_u(memarg(0, 0));
    code.i32_const(i32::from(b'0')).i32_sub().local_tee(DIGIT).i32_const(10).i32_ge_u().br_if(1);
    code.local_get(N).i32_const(10).i32_mul().local_get(DIGIT).i32_add().local_set(N).br(0).end().end();
    let mode = |code: &mut InstructionSink<'_>, letter: u8| {
        code.i32_const(COMMAND_LINE)
            .i32_load8_u(memarg(0, 0))
            .i32_const(i32::from(letter))
            .i32_eq()
            .if_(BlockType::Empty);
    };
    let create = |code: &mut InstructionSink<'_>| {
        code.i32_const(INIT_TASK).local_get(N).i32_const(TASK_BYTES).i32_mul().i32_const(TASKS).i32_add();
        code.i32_const(DATA).i32_const(0).i32_const(0).i32_const(0).i32_const(0).call(CREATE_AND_RUN).drop();
    };
    mode(&mut code, b's');
    code.local_get(N).i32_const(2).i32_div_u().local_set(DIGIT).i32_const(0).local_set(N);
    create(&mut code);
    // There and back.
    repeat(&mut code, DIGIT, |code| {
        code.i32_const(INIT_TASK).i32_const(TASKS).call(SERIALIZE).drop();
    });
    code.end();
    mode(&mut code, b't');
    repeat(&mut code, N, create);
    code.end();
    mode(&mut code, b'w');
    repeat(&mut code, N, |code| {
        code.local_get(N).i32_const(3);
        code.local_get(N).i32_const(0x9e37_79b1_u32.cast_signed()).i32_mul().i32_const(FUNCTIONS as i32).i32_rem_u();
        code.i32_const(1).i32_add().call_indirect(0, filler).drop();
    });
    code.end();
    code.i32_const(0).call(PANIC).end();
    function
}

/// What a linker makes to copy passive data once, whoever comes first.
fn init_memory() -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.i32_const(FLAG).i32_const(0).i32_const(1).i32_atomic_rmw_cmpxchg(memarg(0, 2)).i32_eqz().if_(BlockType::Empty);
    for segment in 0..SEGMENTS {
        let to = DATA + (segment * SEGMENT_BYTES) as i32;
        code.i32_const(to).i32_const(0).i32_const(SEGMENT_BYTES as i32).memory_init(0, segment);
    }
    code.i32_const(FLAG).i32_const(2).i32_atomic_store(memarg(0, 2));
    code.i32_const(FLAG).i32_const(-1).memory_atomic_notify(memarg(0, 2)).drop();
    code.end();
    for segment in 0..SEGMENTS {
        code.data_drop(segment);
    }
    code.end();
    function
}

/// A function like those of a kernel: loads, stores and branches, a short loop now and then, some calls.
fn filler_body(numbers: &mut Numbers, first: u32, number: u32, filler: u32) -> Function {
    /// Parameters and locals.
    const P: u32 = 0;
    const DEPTH: u32 = 1;
    const V: u32 = 2;
    const N: u32 = 3;
    const LONG: u32 = 4;
    let mut function = Function::new([(2, ValType::I32), (1, ValType::I64)]);
    let mut code = function.instructions();
    // Many small functions, a few large ones.
    let pieces = 3 + numbers.below(20) + if numbers.below(8) == 0 { numbers.below(40) } else { 0 };
    let mut calls = 0;
    let address = |code: &mut InstructionSink<'_>, local: u32| {
        code.local_get(local).i32_const(0x7ff8).i32_and();
    };
    for _ in 0..pieces {
        let offset = ARENA + 8 * numbers.below(1 << 12);
        match numbers.below(10) {
            0..=2 => {
                address(&mut code, P);
                code.i32_load(memarg(offset, 2)).local_get(V).i32_xor().local_tee(V).local_set(P);
            }
            3 | 4 => {
                address(&mut code, P);
                code.local_get(V).i32_store(memarg(offset, 2));
            }
            5 => {
                address(&mut code, V);
                code.i64_load(memarg(offset, 3)).local_tee(LONG).i64_const(0x1_0000_01b3).i64_mul().i32_wrap_i64();
                code.local_set(V);
                address(&mut code, P);
                code.local_get(LONG).i64_store(memarg(offset, 3));
            }
            6 => {
                address(&mut code, V);
                code.local_get(P).i32_store8(memarg(offset, 0));
                code.local_get(V).i32_const(5).i32_shl().local_get(P).i32_add().local_set(P);
            }
            7 => {
                code.local_get(V).i32_const(1 << numbers.below(12)).i32_and().if_(BlockType::Empty);
                code.local_get(P).i32_const(8 * numbers.below(100) as i32).i32_add().local_set(P);
                code.else_();
                address(&mut code, V);
                code.i32_load(memarg(offset, 2)).local_set(V).end();
            }
            8 => {
                code.i32_const(2 + numbers.below(3) as i32).local_set(N);
                repeat(&mut code, N, |code| {
                    code.local_get(P).local_get(N).i32_add().i32_const(0x7ff8).i32_and();
                    code.i32_load(memarg(offset, 2)).local_get(V).i32_add().local_set(V);
                });
            }
            _ if calls < 2 => {
                calls += 1;
                code.local_get(DEPTH).if_(BlockType::Empty);
                code.local_get(V).local_get(DEPTH).i32_const(1).i32_sub();
                if numbers.below(8) == 0 {
                    code.local_get(P).i32_const(FUNCTIONS as i32).i32_rem_u().i32_const(1).i32_add();
                    code.call_indirect(0, filler);
                } else {
                    code.call(first + numbers.below(number + 1));
                }
                code.local_set(V).end();
            }
            _ => {
                code.local_get(V).i32_const(numbers.below(1 << 20) as i32).i32_add().local_set(V);
            }
        }
    }
    code.local_get(V).end();
    function
}
