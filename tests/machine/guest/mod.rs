//! Kernels in WAT, made from little: the host's imports, the exports that it wants, a console, strings and images.
//!
//! A test writes the functions that it is about. `{{text}}` stands for printing `text`; everything that the host asks of a
//! kernel and the test does not define (by a function of that name) is added. What is put into memory at boot is put
//! there as Linux does it: by the start function, from passive data, once, guarded by a flag word.

mod image;
mod run;

use std::fmt::Write;

pub(crate) use image::user_image;
pub(crate) use run::{Run, boot, boot_wasm, module_names};

/// The address of the initramfs' first byte; its end is behind it.
pub(crate) const INITRD: u32 = 0x10400;
/// Where the strings are.
const STRINGS: usize = 0x20000;
/// Where the first image is.
const IMAGES: usize = 0x40000;

/// The generation of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    V6_4,
    V7_0,
}

/// A kernel in the making.
pub(crate) struct Kernel {
    era: Era,
    body: String,
    /// More imports, which come first in a module.
    imports: String,
    images: Vec<(String, Vec<u8>)>,
    pages: String,
}

/// A kernel of the 6.4 era with these functions.
pub(crate) fn kernel(body: &str) -> Kernel {
    Kernel {
        era: Era::V6_4,
        body: body.to_owned(),
        imports: String::new(),
        images: Vec::new(),
        pages: "32 65536".to_owned(),
    }
}

impl Kernel {
    pub(crate) fn era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    /// Imports besides the contract's.
    pub(crate) fn imports(mut self, imports: &str) -> Self {
        self.imports = imports.to_owned();
        self
    }

    /// More functions.
    #[allow(dead_code, reason = "the tests of detectors have this file too")]
    pub(crate) fn with(mut self, functions: &str) -> Self {
        self.body.push_str(functions);
        self
    }

    /// The limits of the memory.
    pub(crate) fn pages(mut self, limits: &str) -> Self {
        self.pages = limits.to_owned();
        self
    }

    /// Bytes in memory from `$NAME` to `$NAME_end`: a user image, or what is given out as one.
    pub(crate) fn image(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.images.push((name.to_owned(), bytes.into()));
        self
    }

    /// The image `$init`, which a task at 0x11000 runs: its data at 0x80000, its stack below that, its functions from
    /// 16 on in the table. CPU 0 ends the run well if the task switches back.
    pub(crate) fn init(self, bytes: impl Into<Vec<u8>>) -> Self {
        let mut kernel = self.image("init", bytes);
        for (name, function) in USER_TASK {
            if !kernel.body.contains(&format!("(func ${name} ")) {
                kernel.body.push_str(function);
            }
        }
        kernel
    }

    /// The module.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        self.wasm_with(|text| text)
    }

    /// The module, with its text changed.
    pub(crate) fn wasm_with(&self, change: impl FnOnce(String) -> String) -> Vec<u8> {
        let text = change(self.text());
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn text(&self) -> String {
        let mut strings = Vec::new();
        let body = printing(&self.body, &mut strings);
        let mut text = format!("(module $kernel\n(import \"env\" \"memory\" (memory {} shared))\n", self.pages);
        for (name, types) in IMPORTS {
            let signature = if *name == "start_cpu" && self.era == Era::V7_0 { "(param i32 i32)" } else { types };
            let module_name = match *name {
                "clock" => "cpu_clock_get_monotonic",
                "put" | "get" => &format!("driver_hvc_{name}"),
                "create" => "create_and_run_task",
                "switch" => "serialize_tasks",
                "release" => "release_task",
                "load" => "load_executable",
                "dump" => "dump_stacktrace",
                same => same,
            };
            let _ = writeln!(text, "(import \"env\" \"wasm_{module_name}\" (func ${name} {signature}))");
        }
        if self.era == Era::V7_0 {
            text.push_str("(import \"env\" \"wasm_random_get_bytes\" (func $random (param i32 i32) (result i32)))\n");
        }
        text.push_str(&self.imports);
        text.push_str(PRELUDE);
        let mut copies = copy("strings", STRINGS, &strings);
        let mut at = IMAGES;
        for (name, bytes) in &self.images {
            copies.push_str(&copy(name, at, bytes));
            let end = at + bytes.len();
            let _ = writeln!(text, "(global ${name} i32 (i32.const {at})) (global ${name}_end i32 (i32.const {end}))");
            at = end.next_multiple_of(16);
        }
        let (memory_init, data): (Vec<_>, Vec<_>) = copies.lines().map(|l| l.split_once('|').unwrap()).unzip();
        let _ = write!(
            text,
            "(start $init)\n(func $init (if (i32.eqz (i32.atomic.rmw.cmpxchg (i32.const 0x10500) (i32.const 0) \
             (i32.const 1))) (then {})))\n{}\n",
            memory_init.concat(),
            data.concat()
        );
        for (name, function) in DEFAULTS {
            if !body.contains(&format!("(func ${name} ")) {
                text.push_str(function);
                text.push('\n');
            }
        }
        if self.era == Era::V7_0 {
            text = text.replace(
                "(func $_start_secondary (export \"_start_secondary\") (param $stack i32)",
                "(func $_start_secondary (export \"_start_secondary\") (param $idle i32)",
            );
        }
        text.push_str(&body);
        text.push(')');
        text
    }
}

/// `memory.init` and data of one thing, with a bar between.
fn copy(name: &str, at: usize, bytes: &[u8]) -> String {
    let len = bytes.len();
    format!(
        "(memory.init $d_{name} (i32.const {at}) (i32.const 0) (i32.const {len}))|(data $d_{name} \"{}\")\n",
        escaped(bytes)
    )
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Turns every `{{text}}` into a call that prints it.
fn printing(body: &str, strings: &mut Vec<u8>) -> String {
    let mut parts = body.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (string, rest) = part.split_once("}}").expect("{{ without }}");
        let string = string.replace("\\n", "\n");
        let at = STRINGS + strings.len();
        strings.extend_from_slice(string.as_bytes());
        strings.push(0);
        let _ = write!(text, "(drop (call $put (i32.const {at}) (i32.const {})))", string.len());
        text.push_str(rest);
    }
    text
}

const IMPORTS: &[(&str, &str)] = &[
    ("start_cpu", "(param i32 i32 i32)"),
    ("stop_cpu", "(param i32)"),
    ("create", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("switch", "(param i32 i32) (result i32)"),
    ("release", "(param i32)"),
    ("panic", "(param i32)"),
    ("dump", "(param i32 i32)"),
    ("load", "(param i32 i32 i32 i32)"),
    ("user_mode_tail", "(param i32)"),
    ("clock", "(result i64)"),
    ("put", "(param i32 i32) (result i32)"),
    ("get", "(param i32 i32) (result i32)"),
];

/// What every kernel has: its addresses, its stacks' globals, and ways to print numbers and to end well.
const PRELUDE: &str = r#"
(global $init_task (export "init_task") i32 (i32.const 0x10000))
(global (export "boot_command_line") i32 (i32.const 0x10200))
(global (export "initrd_start") i32 (i32.const 0x10400))
(global (export "initrd_end") i32 (i32.const 0x10404))
(global $__stack_pointer (mut i32) (i32.const 0x1f000))
(global $user_sp (mut i32) (i32.const 0))
(global $user_tp (mut i32) (i32.const 0))
;; No tick comes between the store and the call: others cannot print our digit.
(func $digit (param $d i32)
  (i32.store8 (i32.const 0x10510) (i32.add (i32.const 48) (local.get $d)))
  (drop (call $put (i32.const 0x10510) (i32.const 1))))
(func $dec (param $n i64)
  (if (i64.ge_u (local.get $n) (i64.const 10)) (then (call $dec (i64.div_u (local.get $n) (i64.const 10)))))
  (call $digit (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
;; Prints a signed number and a space.
(func $say64 (param $n i64)
  (if (i64.lt_s (local.get $n) (i64.const 0))
    (then (call $digit (i32.const -3)) (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
  (call $dec (local.get $n))
  (call $digit (i32.const -16)))
(func $say (param $n i32) (call $say64 (i64.extend_i32_s (local.get $n))))
;; Ends the run as the tests expect it to end.
(func $done
  (i32.store (i32.const 0x10520) (i32.const 0x656e6f64))
  (call $panic (i32.const 0x10520)))
;; Ends the run as a trap that the test does not handle does.
(func $died
  (i32.store (i32.const 0x10520) (i32.const 0x64656964))
  (call $panic (i32.const 0x10520)))
;; Waits for so many nanoseconds.
(func $sleep (param $ns i64)
  (drop (memory.atomic.wait32 (i32.const 0x10530) (i32.const 0) (local.get $ns))))
;; Creates a task that starts in ret_from_fork, and switches to it from `me`.
(func $spawn (param $me i32) (param $new i32) (result i32)
  (call $create (local.get $me) (local.get $new) (i32.const 0x10540)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
"#;

/// A kernel that runs one image.
const USER_TASK: &[(&str, &str)] = &[
    (
        "ret_from_fork",
        r#"
(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
  (call $exec (global.get $init) (global.get $init_end))
  (i32.const 0))"#,
    ),
    (
        "exec",
        r#"
(func $exec (param $start i32) (param $end i32)
  (call $load (local.get $start) (local.get $end) (i32.const 0x80000) (i32.const 16))
  (global.set $user_sp (i32.const 0x7fff0))
  (global.set $user_tp (i32.const 0x7000)))"#,
    ),
    (
        "_start",
        r#"
(func $_start (export "_start")
  (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
  (call $done))"#,
    ),
];

/// What the host asks of a kernel, if the test does not say otherwise. `$sys` is called for system calls that are not
/// 1 (print), 2 (say a number) or 3 (done).
const DEFAULTS: &[(&str, &str)] = &[
    (
        "ret_from_fork",
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32) (i32.const 0))"#,
    ),
    ("_start_secondary", r#"(func $_start_secondary (export "_start_secondary") (param $stack i32) (unreachable))"#),
    ("raise_exception", r#"(func $raise_exception (export "raise_exception") (call $died))"#),
    (
        "get_user_stack_pointer",
        r#"(func $get_user_stack_pointer (export "get_user_stack_pointer") (result i32) (global.get $user_sp))"#,
    ),
    (
        "get_user_tls_base",
        r#"(func $get_user_tls_base (export "get_user_tls_base") (result i32) (global.get $user_tp))"#,
    ),
    ("sys", r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32) (i32.const -38))"#),
    (
        "syscall",
        r#"
(func $syscall (param $sp i32) (param $tp i32) (param $nr i32) (param $a i32) (param $b i32) (result i32)
  (global.set $user_sp (local.get $sp))
  (global.set $user_tp (local.get $tp))
  (if (i32.eq (local.get $nr) (i32.const 1))
    (then (return (call $put (local.get $a) (local.get $b)))))
  (if (i32.eq (local.get $nr) (i32.const 2))
    (then (call $say (local.get $a)) (return (i32.const 0))))
  (if (i32.eq (local.get $nr) (i32.const 3))
    (then (call $done)))
  (call $sys (local.get $nr) (local.get $a) (local.get $b)))"#,
    ),
    (
        "syscall_0",
        r#"(func $syscall_0 (export "wasm_syscall_0") (param i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (i32.const 0) (i32.const 0)))"#,
    ),
    (
        "syscall_1",
        r#"(func $syscall_1 (export "wasm_syscall_1") (param i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)))"#,
    ),
    (
        "syscall_2",
        r#"(func $syscall_2 (export "wasm_syscall_2") (param i32 i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))"#,
    ),
    (
        "syscall_3",
        r#"(func $syscall_3 (export "wasm_syscall_3") (param i32 i32 i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))"#,
    ),
    (
        "syscall_4",
        r#"(func $syscall_4 (export "wasm_syscall_4") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))"#,
    ),
    (
        "syscall_5",
        r#"(func $syscall_5 (export "wasm_syscall_5") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))"#,
    ),
    (
        "syscall_6",
        r#"(func $syscall_6 (export "wasm_syscall_6") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (call $syscall (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))"#,
    ),
];
