//! User images in WAT.

/// The imports of an image's system calls.
pub(crate) const SYSCALLS: &str = r#"
(import "env" "__wasm_syscall_0" (func $sys0 (param i32 i32 i32) (result i32)))
(import "env" "__wasm_syscall_1" (func $sys1 (param i32 i32 i32 i32) (result i32)))
(import "env" "__wasm_syscall_2" (func $sys2 (param i32 i32 i32 i32 i32) (result i32)))
"#;

/// A user image with these functions. `{{text}}` stands for printing `text`, which is in the image's data at its start.
/// It has the functions `$say` (prints a number) and `$call` (number and argument) and `$done`, and a
/// `__set_tls_base` that sets `$tls`, unless `body` has one.
pub(crate) fn user_image(body: &str) -> Vec<u8> {
    let mut strings = String::new();
    let mut at = 0;
    let mut parts = body.split("{{");
    let mut functions = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (string, rest) = part.split_once("}}").expect("{{ without }}");
        let len = string.replace("\\n", "\n").len();
        functions.push_str(&format!(
            "(drop (call $sys2 (global.get $__stack_pointer) (global.get $tls) (i32.const 1) \
             (i32.add (global.get $__memory_base) (i32.const {at})) (i32.const {len})))"
        ));
        functions.push_str(rest);
        strings.push_str(string);
        at += len;
    }
    let tls = match body.contains("\"__set_tls_base\"") {
        true => "",
        false => r#"(func (export "__set_tls_base") (param i32) (global.set $tls (local.get 0)))"#,
    };
    let text = format!(
        r#"(module $user
(@dylink.0 (mem-info (memory 256 4)))
(import "env" "memory" (memory 1 65536 shared))
(import "env" "__memory_base" (global $__memory_base i32))
(import "env" "__table_base" (global $__table_base i32))
(import "env" "__stack_pointer" (global $__stack_pointer (mut i32)))
(import "env" "__indirect_function_table" (table $table 4 funcref))
{SYSCALLS}
(global $tls (mut i32) (i32.const 0))
(data $strings "{strings}")
(start $init)
(func $init (memory.init $strings (global.get $__memory_base) (i32.const 0) (i32.const {at})))
{tls}
(func $call (param $nr i32) (param $a i32) (result i32)
  (call $sys1 (global.get $__stack_pointer) (global.get $tls) (local.get $nr) (local.get $a)))
(func $say (param $n i32) (drop (call $call (i32.const 2) (local.get $n))))
(func $done (drop (call $call (i32.const 3) (i32.const 0))) (unreachable))
{functions})"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
