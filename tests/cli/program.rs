//! Running the program on small kernels.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;

/// A kernel whose `_start` does this, after a function `$sleep` and words of text at 0x10600.
pub(crate) fn kernel(start: &str) -> NamedTempFile {
    kernel_with("", start)
}

/// The same with other functions.
pub(crate) fn kernel_with(functions: &str, start: &str) -> NamedTempFile {
    file(&kernel_wasm(functions, start))
}

/// Its bytes.
pub(crate) fn kernel_wasm(functions: &str, start: &str) -> Vec<u8> {
    let raise = match functions.contains("\"raise_exception\"") {
        true => "",
        false => "(func (export \"raise_exception\") (call $panic (i32.const 0x10610)))",
    };
    let text = format!(
        r#"(module $kernel
             (import "env" "memory" (memory 2 64 shared))
             (import "env" "wasm_driver_hvc_put" (func $put (param i32 i32) (result i32)))
             (import "env" "wasm_driver_hvc_get" (func $get (param i32 i32) (result i32)))
             (import "env" "wasm_cpu_clock_get_monotonic" (func $clock (result i64)))
             (import "env" "wasm_panic" (func $panic (param i32)))
             (global (export "init_task") i32 (i32.const 0x10000))
             (global (export "boot_command_line") i32 (i32.const 0x10200))
             (global (export "initrd_start") i32 (i32.const 0x10400))
             (global (export "initrd_end") i32 (i32.const 0x10404))
             (global (export "jiffies_64") i32 (i32.const 0x10700))
             (data $text "hello\n\00\00no init found\00")
             (start $init)
             (func $init (memory.init $text (i32.const 0x10600) (i32.const 0) (i32.const 22)))
             (func $hello (drop (call $put (i32.const 0x10600) (i32.const 6))))
             (func $sleep (param $ns i64)
               (drop (memory.atomic.wait32 (i32.const 0x10680) (i32.const 0) (local.get $ns))))
             (func $no_init (call $panic (i32.const 0x10608)))
             {raise}
             {functions}
             (func $start (export "_start") {start}))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A kernel that never ends: it says hello, then repeats what it reads, ten times a second.
pub(crate) fn echo() -> NamedTempFile {
    kernel(
        r#"(local $n i32)
           (call $hello)
           (loop $poll
             (local.set $n (call $get (i32.const 0x10800) (i32.const 256)))
             (drop (call $put (i32.const 0x10800) (local.get $n)))
             (call $sleep (i64.const 10_000_000))
             (br $poll))"#,
    )
}

/// A file with these bytes, there until it is dropped.
pub(crate) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The program, with a code cache of the tests'.
pub(crate) fn wkdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    command.env("WKDB_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/code"));
    // Runs that end badly leave nothing.
    command.env("WKDB_RECORD_DIR", "");
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("panicked at"), "{}", ended.stderr);
        ended
    }
}

/// Calls the program.
pub(crate) fn call(arguments: &[&str]) -> Ended {
    wkdb().args(arguments).output().unwrap().into()
}

/// `wkdb run` of a kernel.
pub(crate) fn run(kernel: &NamedTempFile, arguments: &[&str]) -> Ended {
    wkdb().arg("run").arg(kernel.path()).args(arguments).output().unwrap().into()
}

impl Ended {
    /// The JSON of the last line on standard output.
    pub(crate) fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("{self:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It failed, with this exit code and words.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {}", self.stderr);
        }
    }
}
