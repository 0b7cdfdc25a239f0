//! A guest whose fate is drawn from the seed, and what hunts of it leave.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::program::{Ended, file, wkdb};

/// What is waited for by runs of the guest that end well.
pub(crate) const UNTIL: &str = "console=done";

/// A kernel that works for `turns` times 1 to 256 turns of a loop, and then, one time in eight each: panics with a number
/// in its message, divides by zero, complains on its console and goes on, or waits for ever. Else it says "done".
pub(crate) fn dice(turns: u32) -> NamedTempFile {
    let text = format!(
        r#"(module $dice
             (import "env" "memory" (memory 2 64 shared))
             (import "env" "wasm_driver_hvc_put" (func $put (param i32 i32) (result i32)))
             (import "env" "wasm_random_get_bytes" (func $random (param i32 i32) (result i32)))
             (import "env" "wasm_panic" (func $panic (param i32)))
             (global (export "init_task") i32 (i32.const 0x10000))
             (global (export "boot_command_line") i32 (i32.const 0x10200))
             (global (export "initrd_start") i32 (i32.const 0x10400))
             (global (export "initrd_end") i32 (i32.const 0x10404))
             (global (export "jiffies_64") i32 (i32.const 0x10700))
             (data $text "done\n\00\00\00[    1.000000] BUG: counter is 0\nlist is corrupt at 0\00")
             (start $init)
             (func $init (memory.init $text (i32.const 0x10600) (i32.const 0) (i32.const 62)))
             (func $say (param i32 i32) (drop (call $put (local.get 0) (local.get 1))))
             (func $work (param $n i32)
               (loop $more
                 (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                 (br_if $more (i32.gt_s (local.get $n) (i32.const 0)))))
             (func $check_list (param $digit i32)
               (i32.store8 (i32.const 0x1063c) (local.get $digit))
               (call $panic (i32.const 0x10629)))
             (func $divide (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
             (func $share_out (result i32) (call $divide (i32.const 0)))
             (func (export "raise_exception") (call $panic (i32.const 0x10629)))
             (func (export "_start") (local $fate i32) (local $digit i32)
               (drop (call $random (i32.const 0x10800) (i32.const 4)))
               (local.set $fate (i32.and (i32.load8_u (i32.const 0x10800)) (i32.const 7)))
               (local.set $digit (i32.add (i32.const 0x30) (i32.rem_u (i32.load8_u (i32.const 0x10802)) (i32.const 10))))
               (call $work (i32.mul (i32.const {turns}) (i32.add (i32.const 1) (i32.load8_u (i32.const 0x10801)))))
               (if (i32.eq (local.get $fate) (i32.const 0)) (then (call $check_list (local.get $digit))))
               (if (i32.eq (local.get $fate) (i32.const 1)) (then (drop (call $share_out))))
               (if (i32.eq (local.get $fate) (i32.const 2)) (then
                 (i32.store8 (i32.const 0x10627) (local.get $digit))
                 (call $say (i32.const 0x10608) (i32.const 33))))
               (if (i32.eq (local.get $fate) (i32.const 3)) (then
                 (drop (memory.atomic.wait32 (i32.const 0x10680) (i32.const 0) (i64.const -1)))))
               (call $say (i32.const 0x10600) (i32.const 5))
               (loop $sleep
                 (drop (memory.atomic.wait32 (i32.const 0x10680) (i32.const 0) (i64.const 1_000_000)))
                 (br $sleep))))"#
    );
    file(&wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// What goes wrong with it, as a hunt says it.
pub(crate) const SYMPTOMS: [&str; 4] = [
    "console: BUG: counter is #",
    "deadlock: every task waits",
    "panic: list is corrupt at # in check_list < _start",
    "panic: trap: integer divide by zero in divide < share_out < _start",
];

/// That none of it counts.
pub(crate) const IGNORE: [&str; 8] =
    ["--ignore", "list is corrupt", "--ignore", "divide by zero", "--ignore", "deadlock", "--ignore", "BUG: counter"];

/// `wkdb hunt` of a guest with its results there.
pub(crate) fn command(guest: impl AsRef<OsStr>, out: &Path, arguments: &[&str]) -> Command {
    let mut command = wkdb();
    command.arg("hunt").arg(guest).arg("--out").arg(out).arg("--json").args(arguments);
    command
}

/// Hunts; gives how it ended.
pub(crate) fn hunt(guest: impl AsRef<OsStr>, out: &Path, arguments: &[&str]) -> Ended {
    command(guest, out, arguments).output().unwrap().into()
}

/// The lines of a hunt's results, but for those of failures, by seed; the first one, of what they are, counts as the
/// text that it is.
pub(crate) fn lines(out: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(out.join("hunt.jsonl")).unwrap();
    text.lines().filter(|line| !line.contains("\"failed\"")).map(str::to_owned).collect()
}

/// The seeds that were run, with what went wrong.
pub(crate) fn results(out: &Path) -> BTreeMap<u64, Value> {
    let lines = lines(out);
    let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.filter_map(|line| Some((line.get("seed")?.as_u64()?, line))).collect()
}

/// Recordings there, by name.
pub(crate) fn recordings(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "wkr")).collect();
    files.sort();
    files
}

/// Names of the recordings there.
pub(crate) fn names(out: &Path) -> Vec<String> {
    recordings(out).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The groups of a summary: what goes wrong, and on which seeds.
pub(crate) fn groups(json: &Value) -> BTreeMap<String, Vec<u64>> {
    let groups = json["groups"].as_array().unwrap().iter();
    groups
        .map(|group| (symptom(group), group["seeds"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap()).collect()))
        .collect()
}

fn symptom(group: &Value) -> String {
    let functions: Vec<_> = group["functions"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = if functions.is_empty() { String::new() } else { format!(" in {}", functions.join(" < ")) };
    format!("{}: {}{at}", group["kind"].as_str().unwrap(), group["text"].as_str().unwrap())
}
