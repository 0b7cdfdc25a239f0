//! `wasm_dump_stacktrace`: text that goes into guest memory, so it must be the same whatever was compiled in.

use wkdb::machine::WatchRange;
use wkdb::machine::engine::OptLevelChoice;

use crate::guest::{boot, kernel, user_image};

const DUMP: &str = r#"
    ;; Not in the code: its offsets are the same for every size.
    (global $size i32 (i32.const SIZE))
    (func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
      (memory.fill (i32.const 0x10600) (i32.const 0x58) (i32.const 2000))
      (i32.store (i32.const 0x11600) (i32.const 1))
      (call $dump (i32.const 0x10600) (global.get $size))
      (drop (call $put (i32.const 0x10600) (i32.const 1100)))
      (call $done)
      (i32.const 0))"#;

fn dump(size: i32) -> crate::guest::Kernel {
    let image = user_image(
        r#"(func $recurse (param $n i32)
             (if (local.get $n)
               (then (call $recurse (i32.sub (local.get $n) (i32.const 1))))
               (else (drop (call $call (i32.const 9) (i32.const 0))))))
           (func $main (export "_start") (call $recurse (i32.const 2)))"#,
    );
    kernel(&DUMP.replace("SIZE", &size.to_string())).init(image)
}

/// What was written: up to the NUL; and that nothing was written behind it.
fn text(console: &str) -> String {
    let (text, rest) = console.split_once('\0').unwrap();
    assert!(rest.bytes().all(|byte| byte == b'X'), "{console}");
    text.to_owned()
}

#[test]
fn it_names_the_functions_of_both_modules() {
    let run = dump(1000).run();
    let text = text(&run.done());
    let lines: Vec<_> = text.lines().collect();
    let names: Vec<_> = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, ["sys", "syscall", "syscall_1", "call", "recurse", "recurse", "recurse", "main"]);
    assert!(lines.iter().all(|line| line.starts_with("    at ") && line.contains("(wasm-function[")), "{text}");
}

#[test]
fn it_is_the_same_in_every_variant() {
    let expected = dump(1000).console();
    for opt_level in [OptLevelChoice::None, OptLevelChoice::Speed] {
        for store_checks in [false, true] {
            for watch in [vec![], vec![WatchRange { address: 0x11600, len: 4 }]] {
                let run = boot(&dump(1000), |config| {
                    config.engine.opt_level = opt_level;
                    config.store_checks = store_checks;
                    config.watch = watch.clone();
                });
                assert_eq!(run.done(), expected, "{opt_level:?} {store_checks} {watch:?}");
            }
        }
    }
}

#[test]
fn it_is_cut_to_the_room_there_is() {
    let whole = text(&dump(1000).console());
    assert!(whole.len() > 100 && whole.len() < 999);
    for size in [1, 2, 40, whole.len(), whole.len() + 1] {
        let cut = text(&dump(size as i32).console());
        assert_eq!(cut, whole[..whole.len().min(size - 1)], "{size}");
    }
    // No room, not even for the NUL: nothing is written.
    assert_eq!(dump(0).console(), "X".repeat(1100));
}

#[test]
fn functions_without_names_have_numbers() {
    let named = dump(1000).wasm();
    let stripped = strip_names(&named);
    let run = crate::guest::boot_wasm(stripped, |_| {}, Vec::new());
    let console = run.done();
    assert!(console.starts_with("    at func[") && console.contains("at recurse"), "{console}");
}

/// The module without its name section.
fn strip_names(wasm: &[u8]) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        if let Some((id, range)) = payload.as_section()
            && !matches!(&payload, wasmparser::Payload::CustomSection(c) if c.name() == "name")
        {
            wasm_encoder::Section::append_to(&wasm_encoder::RawSection { id, data: &wasm[range] }, &mut out);
        }
    }
    out
}
