//! Stores into the kernel stack of another task. Kernels without debug information have stacks of 8 KiB, with the task at
//! the top.

use wasmparser::{Name, Parser, Payload};
use wkdb::machine::DetectConfig;
use wkdb_tracer::{Detector, Finding, ModuleId};

use crate::VARIANTS;
use crate::guest::{Kernel, Run, boot_wasm, kernel, user_image};

/// A kernel whose task at 0x33f00 waits in `wait`, which has a frame of 64 bytes at 0x33ec0, below which there is nothing.
/// The boot's task does something meanwhile, and the other one does something to itself before. The address of the frame's
/// byte 16 is anybody's.
fn waiting(meanwhile: &str, before: &str) -> Kernel {
    let shares = "(i32.store (i32.const 0x10600) (i32.add (local.get $frame) (i32.const 16)))";
    waiting_and(shares, meanwhile, before)
}

/// The same with something else that `wait` does with its frame.
fn waiting_and(does: &str, meanwhile: &str, before: &str) -> Kernel {
    kernel(&format!(
        r#"(func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x33f00)))
             (call $meanwhile)
             (call $done))
           (func $meanwhile {meanwhile})
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (global.set $__stack_pointer (local.get $new))
             {before}
             (call $wait (local.get $new) (i32.const 0x10000))
             (i32.const 0))
           (func $wait (param $me i32) (param $next i32) (local $frame i32)
             (global.set $__stack_pointer
               (local.tee $frame (i32.sub (global.get $__stack_pointer) (i32.const 64))))
             {does}
             (drop (call $switch (local.get $me) (local.get $next)))
             (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 64))))"#
    ))
}

/// Where the body of a function is: from the start of the code section's contents on.
fn body_of(wasm: &[u8], name: &str) -> std::ops::Range<u32> {
    let (mut imported, mut code, mut bodies, mut index) = (0, 0, Vec::new(), None);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                let all = imports.into_imports().map(Result::unwrap);
                imported = all.filter(|import| matches!(import.ty, wasmparser::TypeRef::Func(_))).count();
            }
            Payload::CodeSectionStart { range, .. } => code = range.start,
            Payload::CodeSectionEntry(body) => bodies.push(body.range()),
            Payload::CustomSection(section) => {
                if let wasmparser::KnownCustom::Name(names) = section.as_known() {
                    for names in names {
                        if let Name::Function(names) = names.unwrap() {
                            index = index.or(names.into_iter().map(Result::unwrap).find(|known| known.name == name));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let body = &bodies[index.unwrap().index as usize - imported];
    (body.start - code) as u32..(body.end - code) as u32
}

/// Adds debug information to a module: of a function whose frame begins at local 2, with a variable of so many bytes at an
/// offset in it.
fn with_debug_information(mut wasm: Vec<u8>, function: &str, (offset, size): (u8, u8)) -> Vec<u8> {
    let body = body_of(&wasm, function);
    let abbreviations: &[u8] = &[
        1, 0x11, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0, 0, // a unit: name, low_pc, high_pc
        2, 0x2e, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0x40, 0x18, 0,
        0, // a function: those, and its frame's base
        3, 0x34, 0, 0x03, 0x08, 0x49, 0x13, 0x02, 0x18, 0, 0, // a variable: name, type, location
        4, 0x24, 0, 0x03, 0x08, 0x0b, 0x0b, 0x3e, 0x0b, 0, 0, // a type: name, size, encoding
        0,
    ];
    let range = [body.start.to_le_bytes(), (body.end - body.start).to_le_bytes()].concat();
    let mut unit = vec![4, 0, 0, 0, 0, 0, 4];
    unit.extend([&[1][..], b"kernel.c\0", &range].concat());
    // The unit's length is in front of it.
    let ty = unit.len() as u32 + 4;
    unit.extend([&[4][..], b"long long\0", &[size, 5]].concat());
    unit.extend([&[2][..], function.as_bytes(), &[0], &range, &[4, 0xed, 0, 2, 0x9f]].concat());
    unit.extend([&[3][..], b"wanted\0", &ty.to_le_bytes(), &[2, 0x91, offset, 0, 0]].concat());
    let info = [&(unit.len() as u32).to_le_bytes()[..], &unit].concat();
    for (name, bytes) in [(".debug_abbrev", abbreviations), (".debug_info", &info)] {
        let contents = [&[name.len() as u8][..], name.as_bytes(), bytes].concat();
        let len = contents.len();
        wasm.extend([0, len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
        wasm.extend(contents);
    }
    wasm
}

/// Boots a module in all variants; gives what is found, which is the same in all of them.
fn found_everywhere(wasm: &[u8]) -> (Run, Vec<Finding>) {
    let mut runs = VARIANTS.iter().map(|(name, set)| {
        let set = |config: &mut _| {
            set(config);
            config.detect = DetectConfig::of([Detector::StackContents]);
        };
        (name, boot_wasm(wasm.to_vec(), set, Vec::new()))
    });
    let plain = boot_wasm(wasm.to_vec(), |_| {}, Vec::new());
    let (_, first) = runs.next().unwrap();
    let found: Vec<Finding> = crate::findings(&first).into_iter().cloned().collect();
    assert_eq!((&first.totals, &first.console), (&plain.totals, &plain.console));
    for (name, run) in runs {
        assert_eq!(crate::findings(&run), found.iter().collect::<Vec<_>>(), "{name}");
        assert_eq!((&run.totals, &run.console), (&plain.totals, &plain.console), "{name}");
    }
    (first, found)
}

#[test]
fn what_is_written_below_the_stack_pointer_of_one_that_waits_is_found() {
    let below = [
        ("(i32.store (i32.const 0x33eb0) (i32.const 7))", 0x33eb0, 4),
        ("(i64.store8 offset=0x32000 (i32.const 0) (i64.const 1))", 0x32000, 1),
        ("(drop (i32.atomic.rmw.add (i32.const 0x33ebc) (i32.const 7)))", 0x33ebc, 4),
        ("(memory.fill (i32.const 0x33000) (i32.const 5) (i32.const 100))", 0x33000, 100),
    ];
    for (write, address, len) in below {
        let (run, found) = found_everywhere(&waiting(write, "").wasm());
        let [finding] = &found[..] else { panic!("{write}: {found:#?}") };
        assert!(finding.headline.contains("below its stack pointer, where nothing is in use"), "{finding}");
        assert_eq!(finding.area.map(|area| (area.address, area.len)), Some((address, len)), "{write}");
        assert_eq!(run.functions(&finding.stack), ["meanwhile", "_start"]);
        assert_eq!(finding.details, [format!("the stack pointer of  ({}) is 0x33ec0", "0x33f00")]);
    }
}

#[test]
fn other_memory_and_ones_own_stack_are_none_of_its_business() {
    // Without debug information nobody knows what else belongs to what is shared.
    let fine = "(i32.store (i32.const 0x33ed0) (i32.const 7)) (i32.store (i32.const 0x33f00) (i32.const 7))
        (i32.store (i32.const 0x31ffc) (i32.const 7)) (i32.store (i32.const 0x1eff0) (i32.const 7))
        (drop (i32.load (i32.const 0x33000)))";
    let own = "(i32.store (i32.const 0x33000) (i32.const 7)) (i32.store (i32.const 0x33efc) (i32.const 7))";
    assert_eq!(found_everywhere(&waiting(fine, own).wasm()).1, []);
}

#[test]
fn in_a_frame_only_variables_may_be_written_and_only_whole() {
    // The frame is at 0x33ec0, and its variable 16 bytes further on.
    for (write, is_mistake) in [
        ("(i64.store (i32.const 0x33ed0) (i64.const 7))", false),
        ("(i32.store8 (i32.const 0x33ed7) (i32.const 7))", false),
        ("(i32.store (i32.const 0x33ecc) (i32.const 7))", true),
        ("(i32.store (i32.const 0x33ed8) (i32.const 7))", true),
        ("(i64.store (i32.const 0x33ed4) (i64.const 7))", true),
        ("(i32.store8 (i32.const 0x33eff) (i32.const 7))", true),
    ] {
        let wasm = with_debug_information(waiting(write, "").wasm(), "wait", (16, 8));
        let (run, found) = found_everywhere(&wasm);
        assert_eq!(found.len(), usize::from(is_mistake), "{write}: {found:#?}");
        for finding in found {
            assert!(finding.headline.contains("where none of its variables is"), "{finding}");
            let said = finding.details.join("\n");
            assert!(said.contains("that is in the frame of wait, which has no variable there"), "{said}");
            assert_eq!(run.functions(&finding.stack), ["meanwhile", "_start"]);
        }
    }
}

#[test]
fn what_a_function_tells_nobody_of_nobody_may_write() {
    let write = "(i32.store (i32.const 0x33ed0) (i32.const 7))";
    // It uses its frame, and gives none of it away.
    let own = "(i64.store offset=16 (local.get $frame) (i64.const 1)) (drop (i64.load offset=16 (local.get $frame)))";
    let plain = waiting_and(own, write, "").wasm();
    for (wasm, what) in [
        (with_debug_information(plain.clone(), "wait", (16, 8)), "the address of wanted"),
        (with_debug_information(plain.clone(), "wait", (32, 8)), "which has no variable there"),
        // Debug information is not needed to know that.
        (plain, "the address of what is there"),
    ] {
        let (run, found) = found_everywhere(&wasm);
        let [finding] = &found[..] else { panic!("{what}: {found:#?}") };
        assert!(finding.details.join("\n").contains(what), "{finding}");
        assert_eq!(run.functions(&finding.stack), ["meanwhile", "_start"]);
    }
    // Of what something was added to that is not known anything may be somebody's.
    let any = "(i32.store (i32.const 0x10600) (i32.add (local.get $frame) (local.get $me)))";
    let wasm = with_debug_information(waiting_and(any, write, "").wasm(), "wait", (16, 8));
    assert_eq!(found_everywhere(&wasm).1, []);
}

#[test]
fn a_program_may_not_write_there_at_all() {
    // The program's own kernel stack reaches from 0x10000 to 0x11000.
    let image = user_image(
        r#"(func (export "_start") (i32.store (i32.const 0x10ff0) (i32.const 1))
             (i32.store (i32.const 0x33ed0) (i32.const 1)) (call $done))"#,
    );
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x33f00)))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $done))
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (if (i32.eq (local.get $new) (i32.const 0x33f00))
               (then
                 (global.set $__stack_pointer (local.get $new))
                 (drop (call $switch (local.get $new) (i32.const 0x10000)))))
             (call $exec (global.get $init) (global.get $init_end))
             (i32.const 0))"#,
    );
    let (_, found) = found_everywhere(&kernel.init(image).wasm());
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert!(finding.headline.ends_with("which no program may"), "{finding}");
    assert_ne!(finding.stack[0].address.module, ModuleId::KERNEL);
}
