//! Modules written in the text format, judged.

use proptest::prelude::*;

use super::*;

/// A kernel of the 6.4 era that uses every import of it.
pub(super) const KERNEL_64: &str = include_str!("../../tests/fixtures/kernel-6.4.wat");

/// The least that the host runs.
const SMALL: &str = r#"(module
    (import "env" "memory" (memory 1 2 shared))
    (global (export "init_task") i32 (i32.const 8))
    (global (export "boot_command_line") i32 (i32.const 16))
    (func (export "_start")))"#;

pub(super) const USER: &str = include_str!("../../tests/fixtures/user.wat");

pub(super) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refusals_of(text: &str) -> Vec<Refusal> {
    match KernelModule::parse(&wasm(text)) {
        Err(ContractError::Refused(refusals)) => refusals,
        other => panic!("not refused: {other:?}"),
    }
}

fn user_refusals_of(text: &str) -> Vec<String> {
    match UserModule::parse(&wasm(text)) {
        Err(ContractError::Refused(refusals)) => refusals.iter().map(Refusal::to_string).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

/// A kernel without the lines that contain `what`.
fn without(kernel: &str, what: &str) -> String {
    assert!(kernel.contains(what), "{what} is not in the module");
    let lines: Vec<&str> = kernel.lines().filter(|line| !line.contains(what)).collect();
    // The module's closing parenthesis is on its last line.
    lines.join("\n")
}

#[test]
fn a_kernel_of_the_older_era_is_read_whole() {
    let kernel = KernelModule::parse(&wasm(KERNEL_64)).unwrap();
    assert_eq!(kernel.era, Era::V6_4);
    assert_eq!(kernel.memory, MemoryShape { min_pages: 15, max_pages: 65536, width: PointerWidth::W32 });
    assert_eq!(kernel.imports.len(), 13);
    assert_eq!(kernel.imports[0].kind, ImportKind::StartCpu);
    assert_eq!(kernel.imports[0].params.len(), 3);
    assert_eq!(kernel.imports[12].kind, ImportKind::AbsentSyscall);
    assert_eq!(kernel.imports[12].name, "sys_ni");
    assert_eq!(kernel.function("_start_secondary").unwrap().to_string(), "(i32) -> ()");
    assert!(kernel.mutable_globals().contains_key("__stack_pointer"));
    assert_eq!(kernel.outline.tables, ["__indirect_function_table"]);
    assert_eq!(kernel.outline.data_segments, 1);
    assert_eq!(kernel.outline.defined_functions, 13);
}

#[test]
fn addresses_are_zero_extended_and_computed() {
    let kernel = KernelModule::parse(&wasm(KERNEL_64)).unwrap();
    assert_eq!(kernel.data_symbol("init_task"), Some(0x8000_1000));
    assert_eq!(kernel.data_symbol("boot_command_line"), Some(0x2034));
    assert_eq!(kernel.data_symbol("__stack_pointer"), None);
}

#[test]
fn the_era_is_told_by_types() {
    let newer = KERNEL_64.replace(
        "(param i32 i32 i32)))\n    (import \"env\" \"wasm_stop",
        "(param i32 i32)))\n    (import \"env\" \"wasm_stop",
    );
    assert_eq!(KernelModule::parse(&wasm(&newer)).unwrap().era, Era::V7_0);

    let random = r#"(import "env" "memory" (memory 1 2 shared))
        (import "env" "wasm_random_get_bytes" (func (param i32 i32) (result i32)))"#;
    let uniprocessor = SMALL.replace(r#"(import "env" "memory" (memory 1 2 shared))"#, random);
    assert_eq!(KernelModule::parse(&wasm(&uniprocessor)).unwrap().era, Era::V7_0);
    assert_eq!(KernelModule::parse(&wasm(SMALL)).unwrap().era, Era::V6_4);
}

#[test]
fn a_64_bit_kernel_has_64_bit_longs() {
    let kernel = KernelModule::parse(&wasm(include_str!("../../tests/fixtures/kernel-7.0-wasm64.wat"))).unwrap();
    assert_eq!((kernel.era, kernel.width), (Era::V7_0, PointerWidth::W64));
    assert_eq!(kernel.data_symbol("init_task"), Some(0x1_2345_6789));
}

#[test]
fn every_export_that_an_import_implies_is_required() {
    let mut required = vec!["_start\"", "_start_secondary", "ret_from_fork", "get_user_stack_pointer"];
    required.extend(["get_user_tls_base", "wasm_syscall_3", "\"init_task", "\"boot_command_line"]);
    for export in required {
        let refusals = refusals_of(&without(KERNEL_64, export));
        let [Refusal::MissingExport { name, needed_for, .. }] = &refusals[..] else { panic!("{export}: {refusals:?}") };
        assert_eq!(name, export.trim_matches('"'));
        assert!(!needed_for.is_empty());
    }
    assert!(KernelModule::parse(&wasm(&without(KERNEL_64, "raise_exception"))).is_ok());
}

#[test]
fn all_refusals_come_at_once() {
    let bad = r#"(module
        (import "env" "memory" (memory 1 2))
        (import "env" "wasm_panic" (func (param i32 i32)))
        (import "env" "wasm_cpu_clock_get_monotonic" (func (result i32)))
        (import "env" "wasm_reboot" (func (param f32)))
        (import "wasi" "wasm_stop_cpu" (func (param i32)))
        (import "env" "sys_strange" (func (result externref)))
        (import "env" "wasm_stop_cpu" (global i32))
        (func (export "_start") (param i32)))"#;
    let error = KernelModule::parse(&wasm(bad)).unwrap_err();
    let expected = "the host cannot run this module:
  - the imported memory is not shared: compile with -matomics -mbulk-memory and link with --shared-memory
  - import env.wasm_panic has the wrong type: expected (i32) -> (), found (i32, i32) -> ()
  - import env.wasm_cpu_clock_get_monotonic has the wrong type: expected () -> i64, found () -> i32
  - unknown import env.wasm_reboot: function (f32) -> (); the host has nothing to link it to
  - unknown import wasi.wasm_stop_cpu: function (i32) -> (); the host has nothing to link it to
  - import env.sys_strange has the wrong type: expected any parameters, results that are numbers, found () -> externref
  - import env.wasm_stop_cpu has the wrong type: expected function (i32) -> (), found immutable global i32
  - export _start has the wrong type: expected function () -> (), found function (i32) -> ()
  - missing export init_task (an immutable global that holds its address): its address names CPU 0's first task
  - missing export boot_command_line (an immutable global that holds its address): the host writes the kernel's command line there";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_memory_that_runners_cannot_share_is_refused() {
    const IMPORT: &str = r#"(import "env" "memory" (memory 1 2 shared))"#;
    let memory = |text: &str| refusals_of(&SMALL.replace(IMPORT, text));
    assert_eq!(memory(""), [Refusal::NoMemory]);
    assert_eq!(memory("(memory 1 2 shared)"), [Refusal::MemoryDefined]);
    assert_eq!(memory(&format!("{IMPORT} {IMPORT}")), [Refusal::SeveralMemories(2)]);
    assert_eq!(
        memory(r#"(import "env" "memory" (memory 1))"#),
        [Refusal::MemoryNotShared, Refusal::MemoryWithoutMaximum]
    );
    assert_eq!(
        memory(r#"(import "env" "memory" (memory 3 2 shared))"#),
        [Refusal::MemoryLimits { min: 3, max: 2, limit: 65536 }]
    );
    assert!(
        matches!(&memory(r#"(import "env" "mem" (memory 1 2 shared))"#)[..], [Refusal::UnknownImport { name, .. }] if name == "mem")
    );
}

#[test]
fn one_name_has_one_type() {
    let twice = SMALL.replace(
        r#"(memory 1 2 shared))"#,
        r#"(memory 1 2 shared))
        (import "env" "wasm_panic" (func (param i32)))
        (import "env" "wasm_panic" (func (param i64)))"#,
    );
    assert!(matches!(&refusals_of(&twice)[..], [Refusal::ConflictingImports { .. }]));
}

#[test]
fn a_user_image_is_read_whole() {
    let user = UserModule::parse(&wasm(USER)).unwrap();
    assert_eq!(user.dylink.memory_bytes, 1234);
    assert_eq!(user.dylink.memory_align_log2, 4);
    assert_eq!(user.dylink.table_entries, 5);
    assert_eq!(user.table_min(), 5000);
    let kinds: Vec<_> = user.imports.iter().map(|import| import.kind).collect();
    assert_eq!(kinds[5..], [UserImportKind::Syscall(0), UserImportKind::Syscall(6), UserImportKind::Abort]);
    assert_eq!(user.function("__libc_clone_callback").unwrap().results.len(), 1);
}

#[test]
fn a_user_image_that_does_not_fit_is_refused_with_reasons() {
    let bad = r#"(module
        (import "env" "memory" (memory 1 65536 shared))
        (import "env" "__memory_base" (global (mut i32)))
        (import "env" "__wasm_syscall_7" (func (param i32) (result i32)))
        (import "env" "__wasm_syscall_1" (func (param i32) (result i32)))
        (import "env" "__indirect_function_table" (table 1 externref))
        (import "GOT.mem" "environ" (global (mut i32)))
        (func (export "__set_tls_base")))"#;
    assert_eq!(
        user_refusals_of(bad),
        [
            "import env.__memory_base has the wrong type: expected immutable global i32 (i64 in wasm64), found mutable global i32",
            "unknown import env.__wasm_syscall_7: function (i32) -> i32; the host has nothing to link it to",
            "import env.__wasm_syscall_1 has the wrong type: expected function (i32, i32, i32, i32) -> i32, found function (i32) -> i32",
            "import env.__indirect_function_table has the wrong type: expected table of funcref, found table of externref, at least 1 entries",
            "unknown import GOT.mem.environ: mutable global i32; the host has nothing to link it to",
            "missing export _start (function () -> any integers): the host starts the image by calling it",
            "export __set_tls_base has the wrong type: expected function (i32) -> any integers, found function () -> ()",
            "no dylink.0 section: it is not a position-independent image; compile with -fPIC and link with -shared or -pie",
        ]
    );
}

#[test]
fn what_is_not_a_module_is_called_by_its_name() {
    let say = |bytes: &[u8]| KernelModule::parse(bytes).unwrap_err().to_string();
    assert!(say(b"").contains("it is empty"));
    assert!(say(b"\x7fELF\x02\x01").contains("ELF"));
    assert!(say(b"\x1f\x8b\x08").contains("gzip"));
    assert!(say(b"  (module)").contains("WebAssembly text"));
    assert!(say(b"hello").contains("begins with the bytes 68 65 6c 6c"));
    assert!(say(b"\0asm\x0d\0\x01\0").contains("component"));
    assert!(say(b"\0asm\x02\0\0\0").contains("version 2"));
    assert!(say(b"\0as").contains("truncated: the header"));
}

#[test]
fn a_cut_module_is_never_accepted_and_names_the_section() {
    let whole = wasm(KERNEL_64);
    let outline = Outline::parse(&whole).unwrap();
    let code = outline.sections.iter().find(|section| section.name == "code").unwrap();
    for length in 0..whole.len() {
        // What follows the code may be absent altogether: a module without data or names is a module.
        let whole_sections =
            length >= code.contents.end && outline.sections.iter().any(|section| section.contents.end == length);
        let accepted = KernelModule::parse(&whole[..length]).is_ok();
        assert!(whole_sections || !accepted, "accepted when cut to {length} bytes");
    }
    for section in &outline.sections {
        let cut = section.contents.end - 1;
        let Err(ContractError::Truncated { section: name, offset, needed, available }) = Outline::parse(&whole[..cut])
        else {
            panic!("{} cut by a byte is not called truncated", section.name)
        };
        assert!(name.contains(&section.name), "{name} should be {}", section.name);
        // A custom section's contents are told from its name on.
        assert!(offset <= section.contents.start);
        assert_eq!(needed, available + 1);
    }
}

#[test]
fn sections_out_of_order_are_malformed() {
    // An export section before a type section; then two type sections.
    let swapped = b"\0asm\x01\0\0\0\x07\x01\x00\x01\x01\x00";
    let twice = b"\0asm\x01\0\0\0\x01\x01\x00\x01\x01\x00";
    assert!(Outline::parse(swapped).unwrap_err().to_string().contains("out of order"));
    assert!(Outline::parse(twice).unwrap_err().to_string().contains("appears twice"));
}

proptest! {
    #[test]
    fn damaged_modules_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        user in any::<bool>(),
    ) {
        let mut bytes = wasm(if user { USER } else { KERNEL_64 });
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        for error in [KernelModule::parse(&bytes).err(), UserModule::parse(&bytes).err()].into_iter().flatten() {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
