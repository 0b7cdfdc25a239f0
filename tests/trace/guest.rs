//! Recordings of the demo guest, and traces of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use serde_json::Value;

use crate::program::wkdb;

/// What is typed: files are read and programs run, so there are system calls, tasks and signals.
const SCRIPT: &str = "expect \"minik# \"\nsend \"cat /etc/motd\\n\"\nexpect \"minik# \"\nsend \"ls /\\n\"\n\
                      expect \"minik# \"\nsend \"crash div0\\n\"\nexpect \"minik# \"\n";

/// A recording of minik, made once.
pub(crate) fn minik() -> &'static Path {
    static MINIK: OnceLock<PathBuf> = OnceLock::new();
    MINIK.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace");
        std::fs::create_dir_all(&directory).unwrap();
        let (script, file) = (directory.join("script"), directory.join(format!("minik-{}.wkr", std::process::id())));
        std::fs::write(&script, SCRIPT).unwrap();
        let run = wkdb().args(["demo", "--seed", "7", "--input"]).arg(script).arg("--record").arg(&file).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        file
    })
}

/// `wkdb trace` of a recording.
pub(crate) fn trace(file: &Path, args: &[&str]) -> Output {
    wkdb().arg("trace").arg(file).args(args).output().unwrap()
}

/// The same, which succeeds: it was the recorded run. Gives standard output.
pub(crate) fn traced(file: &Path, args: &[&str]) -> String {
    let output = trace(file, args);
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same as events.
pub(crate) fn events(file: &Path, args: &[&str]) -> Vec<Value> {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    traced(file, &args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every end belongs to the last begin of its task that has none, and none is left open; ticks and times never go back.
/// Gives how many pairs there are.
pub(crate) fn check_nesting(events: &[Value]) -> usize {
    let mut open: HashMap<u64, Vec<&Value>> = HashMap::new();
    let (mut pairs, mut last) = (0, (0, 0));
    for event in events {
        let runner = event["task"]["runner"].as_u64().unwrap();
        let at = (event["tick"].as_u64().unwrap(), event["time"].as_u64().unwrap());
        assert!(at.0 >= last.0 && at.1 >= last.1, "{event} after {last:?}");
        last = at;
        let open = open.entry(runner).or_default();
        match event["phase"].as_str().unwrap() {
            "begin" => open.push(event),
            "end" => {
                let begin = open.pop().unwrap_or_else(|| panic!("{event} ends nothing"));
                assert_eq!((&begin["name"], &begin["category"]), (&event["name"], &event["category"]));
                let took = at.1 - begin["time"].as_u64().unwrap();
                assert_eq!(event["took"].as_u64(), Some(took));
                pairs += 1;
            }
            _ => {}
        }
    }
    assert!(open.values().all(Vec::is_empty), "{open:?} never ended");
    pairs
}

/// The events of a name and phase.
pub(crate) fn named<'a>(events: &'a [Value], name: &str, phase: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["name"] == name && event["phase"] == phase).collect()
}
