//! Exports, read by the programs that they are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::guest::{check_nesting, events, minik, traced};
use crate::program::wkdb;

/// A program that the third tier installs: its path in this variable. Without, the test is passed over.
fn program(variable: &str) -> Option<PathBuf> {
    let program = std::env::var_os(variable).map(PathBuf::from);
    if program.is_none() {
        eprintln!("passed over: {variable} is not set");
    }
    program
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

const KINDS: [&str; 4] = ["--events", "syscall,sched,irq,console", "--trace", "schedule"];

fn export(format: &str, path: &Path) -> Vec<Value> {
    let export = format!("{format}={}", path.display());
    let args: Vec<&str> = KINDS.into_iter().chain(["--export", &export]).collect();
    assert_eq!(traced(minik(), &args), "");
    events(minik(), &KINDS)
}

/// How many events there are of a phase.
fn count(events: &[Value], phase: &str) -> usize {
    events.iter().filter(|event| event["phase"] == phase).count()
}

#[test]
fn babeltrace_reads_ctf() {
    let Some(babeltrace) = program("WKDB_TEST_BABELTRACE2") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ctf");
    let events = export("ctf", &path);
    let text = output(Command::new(babeltrace).arg("--clock-seconds").arg(&path));
    assert_eq!(text.lines().count(), events.len());
    for (line, event) in text.lines().zip(&events) {
        let seconds = event["time"].as_u64().unwrap() as f64 / 1e9;
        assert!(line.starts_with(&format!("[{seconds:.9}]")), "{line}\n{event}");
        assert!(line.contains(&format!("cpu_id = {},", event["cpu"])), "{line}\n{event}");
        assert!(line.contains(&format!("tick = {},", event["tick"])), "{line}\n{event}");
        match event["name"] == "switch" {
            true => assert!(line.contains("sched_switch") && line.contains("next_comm = "), "{line}"),
            false => assert!(line.contains(event["name"].as_str().unwrap()), "{line}\n{event}"),
        }
    }
    assert!(text.contains(r#"AT_FDCWD, \"/etc/motd\""#), "{text}");
}

/// What is open then ends with the panic, which is told last.
#[test]
fn babeltrace_reads_the_trace_of_a_run_that_panicked() {
    let directory = tempfile::tempdir().unwrap();
    let (file, path) = (directory.path().join("panic.wkr"), directory.path().join("ctf"));
    let run = wkdb().args(["demo", "stray-write", "--record"]).arg(&file).output().unwrap();
    assert_eq!(run.status.code(), Some(3), "{}", String::from_utf8_lossy(&run.stderr));
    let told = events(&file, &[]);
    assert!(check_nesting(&told) > 0);
    assert!(told.iter().any(|event| event["name"] == "panic"));
    let Some(babeltrace) = program("WKDB_TEST_BABELTRACE2") else { return };
    traced(&file, &["--export", &format!("ctf={}", path.display())]);
    let text = output(Command::new(babeltrace).arg(&path));
    assert_eq!(text.lines().count(), told.len());
}

#[test]
fn trace_cmd_reads_trace_dat() {
    let Some(trace_cmd) = program("WKDB_TEST_TRACE_CMD") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.dat");
    let events = export("trace.dat", &path);
    let text = output(Command::new(trace_cmd).args(["report", "-t", "-i"]).arg(&path));
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("] ") && line.contains(": ")).collect();
    assert_eq!(lines.len(), events.len(), "{text}");
    let switches = events.iter().filter(|event| event["name"] == "switch").count();
    assert_eq!(lines.iter().filter(|line| line.contains("sched_switch:")).count(), switches);
    let open = lines.iter().find(|line| line.contains("openat") && line.contains("/etc/motd")).unwrap();
    let event = events.iter().find(|e| e["fields"]["args"].as_str().is_some_and(|a| a.contains("/etc/motd"))).unwrap();
    let (pid, cpu) = (&event["task"]["pid"], event["cpu"].as_u64().unwrap());
    let time = event["time"].as_u64().unwrap() as f64 / 1e9;
    for part in [format!("cat-{pid}"), format!("[{cpu:03}]"), format!("{time:.9}:"), "begin openat".to_owned()] {
        assert!(open.contains(&part), "{part} in {open}");
    }
}

/// Reads a trace by Perfetto's published schema and says what is in it.
const READ_PERFETTO: &str = r#"
import json, sys
from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent
trace = Trace()
trace.ParseFromString(open(sys.argv[1], 'rb').read())
assert trace.SerializeToString(), 'empty'
tracks, counts, names, depth, last = {}, {}, [], {}, 0
for packet in trace.packet:
    assert not len(UnknownFieldSet(packet)) and not len(UnknownFieldSet(packet.track_event)), packet
    if packet.HasField('track_descriptor'):
        track = packet.track_descriptor
        tracks[track.uuid] = track.thread.thread_name or track.name or track.process.process_name
    else:
        event = packet.track_event
        assert packet.timestamp >= last and event.track_uuid in tracks
        last = packet.timestamp
        cpu = tracks[event.track_uuid].startswith('cpu')
        kind = TrackEvent.Type.Name(event.type)
        key = ('cpu ' if cpu else '') + kind
        counts[key] = counts.get(key, 0) + 1
        depth[event.track_uuid] = depth.get(event.track_uuid, 0) + {1: 1, 2: -1}.get(event.type, 0)
        assert depth[event.track_uuid] >= 0
        if not cpu:
            notes = {note.name: note.string_value or note.int_value for note in event.debug_annotations}
            names.append([event.name, tracks[event.track_uuid], list(event.categories), notes])
assert not any(depth.values()), depth
print(json.dumps({'counts': counts, 'names': names, 'tracks': list(tracks.values())}))
"#;

#[test]
fn perfettos_schema_reads_perfetto() {
    let Some(python) = program("WKDB_TEST_PERFETTO") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.pftrace");
    let events = export("perfetto", &path);
    let text = output(Command::new(python).args(["-c", READ_PERFETTO]).arg(&path));
    let read: Value = serde_json::from_str(&text).unwrap();
    for (kind, phase) in [("TYPE_SLICE_BEGIN", "begin"), ("TYPE_SLICE_END", "end"), ("TYPE_INSTANT", "instant")] {
        assert_eq!(read["counts"][kind], count(&events, phase), "{phase}");
    }
    let names = read["names"].as_array().unwrap();
    assert_eq!(names.len(), events.len());
    for (name, event) in names.iter().zip(&events).filter(|(_, event)| event["phase"] != "end") {
        assert_eq!((&name[0], &name[2][0]), (&event["name"], &event["category"]));
        assert_eq!(name[3]["tick"], event["tick"]);
    }
    let tracks = read["tracks"].as_array().unwrap();
    assert!(tracks.contains(&"cpu0".into()) && tracks.contains(&"init/1".into()), "{tracks:?}");
    assert_eq!(read["counts"]["cpu TYPE_SLICE_BEGIN"], read["counts"]["cpu TYPE_SLICE_END"]);
}
