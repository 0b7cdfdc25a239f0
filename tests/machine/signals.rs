//! Ways between kernel and user mode that unwind: signals and exec.

use crate::guest::{kernel, user_image};

/// A kernel with system calls
/// - 10: raise a signal, to be handled on a stack 256 bytes lower, with thread pointer 1 higher,
/// - 11: signal return; with another signal raised meanwhile if its argument is 1,
/// - 12: exec of `$next`, 13: exec of `$third`.
///
/// They move the kernel's stack pointer as compiled code does, and complain where they do not find it as they left it.
const KERNEL: &str = r#"
(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
  (local $sp i32) (local $user_sp i32)
  (if (i32.gt_s (global.get $__stack_pointer) (i32.const 0x1f000)) (then {{kernel stack underflow}}))
  (local.set $user_sp (global.get $user_sp))
  (local.set $sp (i32.sub (global.get $__stack_pointer) (i32.const 64)))
  (global.set $__stack_pointer (local.get $sp))
  (if (i32.eq (local.get $nr) (i32.const 10))
    (then
      (call $signal)
      (if (i32.ne (global.get $__stack_pointer) (local.get $sp)) (then {{kernel stack lost}}))))
  (if (i32.eq (local.get $nr) (i32.const 11))
    (then
      (if (local.get $a) (then (call $prepare) (call $user_mode_tail (i32.const 3))))
      (global.set $user_sp (i32.add (global.get $user_sp) (i32.const 256)))
      (global.set $user_tp (i32.sub (global.get $user_tp) (i32.const 1)))
      (call $user_mode_tail (i32.const 2))))
  (if (i32.eq (local.get $nr) (i32.const 12))
    (then (call $exec (global.get $next) (global.get $next_end)) (call $user_mode_tail (i32.const -1))))
  (if (i32.eq (local.get $nr) (i32.const 13))
    (then (call $exec (global.get $third) (global.get $third_end)) (call $user_mode_tail (i32.const -1))))
  (global.set $__stack_pointer (i32.add (local.get $sp) (i32.const 64)))
  (if (i32.eq (local.get $nr) (i32.const 14)) (then (call $say (global.get $__stack_pointer))))
  (i32.const 77))
(func $prepare
  (global.set $user_sp (i32.sub (global.get $user_sp) (i32.const 256)))
  (global.set $user_tp (i32.add (global.get $user_tp) (i32.const 1))))
(func $signal (call $prepare) (call $user_mode_tail (i32.const 1)))
"#;

/// Prints where the user stack and the thread pointer are.
const WHERE: &str = r#"(func $where (call $say (global.get $__stack_pointer)) (call $say (global.get $tls)))"#;

fn console(image: &str) -> String {
    let next = user_image(&format!("{WHERE} (func (export \"_start\") {{{{next }}}} (call $where) (call $done))"));
    let third = user_image(r#"(func (export "_start") {{third }} (drop (call $call (i32.const 12) (i32.const 0))))"#);
    let image = user_image(&format!("{WHERE} {image}"));
    kernel(KERNEL).init(image).image("next", next).image("third", third).console()
}

const SP: i32 = 0x7fff0;
const TLS: i32 = 0x7000;

#[test]
fn a_signal_is_handled_and_the_program_goes_on_where_it_was() {
    let console = console(
        r#"(func (export "__libc_handle_signal")
             {{handler }} (call $where)
             (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 0)))
             (drop (call $call (i32.const 11) (i32.const 0))) {{never}})
           (func (export "_start") (local $result i32)
             (global.set $tls (i32.const 0x7000))
             (call $where)
             (local.set $result (call $call (i32.const 10) (i32.const 0)))
             {{back }} (call $where) (call $say (local.get $result)) (call $done))"#,
    );
    let (lower, higher) = (SP - 256, TLS + 1);
    assert_eq!(console, format!("{SP} {TLS} handler {lower} {higher} back {SP} {TLS} 77 "));
}

#[test]
fn handlers_nest() {
    let console = console(
        r#"(func (export "__libc_handle_signal")
             {{< }} (call $where)
             ;; Two deeper.
             (if (i32.lt_u (i32.const 0x7fcf0) (global.get $__stack_pointer))
               (then (drop (call $call (i32.const 10) (i32.const 0)))))
             {{> }} (call $where)
             (drop (call $call (i32.const 11) (i32.const 0))))
           (func (export "_start")
             (global.set $tls (i32.const 0x7000))
             (drop (call $call (i32.const 10) (i32.const 0)))
             (call $where)
             ;; And again: nothing is left of the first time.
             (drop (call $call (i32.const 10) (i32.const 0)))
             (call $where)
             (drop (call $call (i32.const 14) (i32.const 0)))
             (call $done))"#,
    );
    let at = |depth: i32| format!("{} {} ", SP - 256 * depth, TLS + depth);
    let nested = format!("< {}< {}< {}> {}> {}> {}{}", at(1), at(2), at(3), at(3), at(2), at(1), at(0));
    assert_eq!(console, format!("{nested}{nested}{} ", 0x1f000));
}

#[test]
fn a_signal_that_comes_at_a_signal_return_is_handled_before_it() {
    // The first handler returns with another signal pending: the second runs inside, and both return.
    let console = console(
        r#"(global $handled (mut i32) (i32.const 0))
           (func (export "__libc_handle_signal")
             (global.set $handled (i32.add (global.get $handled) (i32.const 1)))
             {{signal }} (call $say (global.get $handled)) (call $where)
             (drop (call $call (i32.const 11) (i32.eq (global.get $handled) (i32.const 1)))))
           (func (export "_start")
             (global.set $tls (i32.const 0x7000))
             (drop (call $call (i32.const 10) (i32.const 0)))
             {{back }} (call $say (global.get $handled))
             (call $done))"#,
    );
    let at = |depth: i32| format!("{} {} ", SP - 256 * depth, TLS + depth);
    assert_eq!(console, format!("signal 1 {}signal 2 {}back 2 ", at(1), at(2)));
}

#[test]
fn a_handler_that_returns_is_told_and_the_program_goes_on() {
    let image = user_image(
        r#"(func (export "__libc_handle_signal") {{handler }})
           (func (export "_start") (drop (call $call (i32.const 10) (i32.const 0))) {{back }} (call $done))"#,
    );
    let run = kernel(KERNEL).init(image.clone()).image("next", image.clone()).image("third", image).run();
    assert_eq!(run.console, "handler back ");
    assert!(run.complaints()[0].contains("__libc_handle_signal returned"), "{:?}", run.complaints());
}

#[test]
fn exec_replaces_the_image() {
    let console = console(r#"(func (export "_start") (drop (call $call (i32.const 12) (i32.const 0))) {{never}})"#);
    assert_eq!(console, format!("next {SP} 0 "));
}

#[test]
fn exec_twice() {
    let console =
        console(r#"(func (export "_start") {{first }} (drop (call $call (i32.const 13) (i32.const 0))) {{never}})"#);
    assert_eq!(console, format!("first third next {SP} 0 "));
}

#[test]
fn exec_in_a_handler_unwinds_all_of_it() {
    let console = console(
        r#"(func (export "__libc_handle_signal")
             {{handler }}
             (if (i32.lt_u (i32.const 0x7fdf0) (global.get $__stack_pointer))
               (then (drop (call $call (i32.const 10) (i32.const 0)))))
             (drop (call $call (i32.const 13) (i32.const 0))) {{never}})
           (func (export "_start") (drop (call $call (i32.const 10) (i32.const 0))) {{never}})"#,
    );
    assert_eq!(console, format!("handler handler third next {SP} 0 "));
}

#[test]
fn the_kernels_stack_is_empty_after_exec() {
    let next = user_image(r#"(func (export "_start") (drop (call $call (i32.const 14) (i32.const 0))) (call $done))"#);
    let image = user_image(r#"(func (export "_start") (drop (call $call (i32.const 12) (i32.const 0))))"#);
    let kernel = kernel(KERNEL).init(image.clone()).image("next", next).image("third", image);
    assert_eq!(kernel.console(), format!("{} ", 0x1f000));
}

#[test]
fn exec_of_what_cannot_run_kills_the_task() {
    let image = user_image(r#"(func (export "_start") (drop (call $call (i32.const 12) (i32.const 0))) {{never}})"#);
    let run = kernel(KERNEL).init(image.clone()).image("next", *b"\x7fELF").image("third", image).run();
    assert_eq!(run.died(), "");
    assert_eq!(run.complaints().len(), 1);
    assert_eq!(run.traps()[0].0, "no image was loaded for this task, or it could not be compiled");
}

#[test]
fn a_signal_return_without_a_signal() {
    let image = user_image(r#"(func (export "_start") (drop (call $call (i32.const 11) (i32.const 0))) {{never}})"#);
    let run = kernel(KERNEL).init(image.clone()).image("next", image.clone()).image("third", image).run();
    assert_eq!(run.died(), "");
    let (reason, functions) = &run.traps()[0];
    assert_eq!(*reason, "signal return outside of a signal handler");
    assert_eq!(functions, &["sys", "syscall", "syscall_1", "call", "_start"]);
}

#[test]
fn a_trap_in_a_handler_shows_the_way_into_it() {
    let image = user_image(
        r#"(func $handler (export "__libc_handle_signal") (unreachable))
           (func $main (export "_start") (drop (call $call (i32.const 10) (i32.const 0))))"#,
    );
    let run = kernel(KERNEL).init(image.clone()).image("next", image.clone()).image("third", image).run();
    assert_eq!(run.died(), "");
    let [(_, functions)] = &run.traps()[..] else { panic!("{:?}", run.traps()) };
    assert_eq!(functions, &["handler", "signal", "sys", "syscall", "syscall_1", "call", "main"]);
}

#[test]
fn handlers_that_nest_without_end() {
    let image = user_image(
        r#"(func (export "__libc_handle_signal") (drop (call $call (i32.const 10) (i32.const 0))))
           (func (export "_start") (drop (call $call (i32.const 10) (i32.const 0))))"#,
    );
    let run = kernel(KERNEL).init(image.clone()).image("next", image.clone()).image("third", image).run();
    assert_eq!(run.died(), "");
    assert_eq!(run.traps()[0].0, "call stack exhausted");
}
