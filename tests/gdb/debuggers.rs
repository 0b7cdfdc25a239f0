//! The debuggers of this computer.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that a debugger may take.
const DEADLINE: Duration = Duration::from_secs(120);

fn runs(program: &PathBuf) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// All gdbs to test with: those in `WKDB_TEST_GDBS`, all of which must be there, or the one on the `PATH`.
pub(crate) fn gdbs() -> Vec<PathBuf> {
    let named = std::env::var_os("WKDB_TEST_GDBS");
    let Some(paths) = named else {
        let found: Vec<_> = Some(PathBuf::from("gdb")).into_iter().filter(runs).collect();
        if found.is_empty() {
            eprintln!("nothing is tested: there is no gdb on the PATH, and WKDB_TEST_GDBS is not set");
        }
        return found;
    };
    let named: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    assert!(!named.is_empty() && named.iter().all(runs), "WKDB_TEST_GDBS names {named:?}: not all of them run");
    named
}

/// The lldb to test with.
pub(crate) fn lldb() -> Option<PathBuf> {
    let named = std::env::var_os("WKDB_TEST_LLDB").map(PathBuf::from);
    let mut candidates = named.map_or_else(|| vec!["lldb-22".into(), "lldb".into()], |path| vec![path]);
    let wanted = std::env::var_os("WKDB_TEST_LLDB").is_some();
    candidates.retain(runs);
    assert!(!(wanted && candidates.is_empty()), "WKDB_TEST_LLDB names what does not run");
    if candidates.is_empty() {
        eprintln!("nothing is tested: there is no lldb on the PATH, nor in WKDB_TEST_LLDB");
    }
    candidates.into_iter().next()
}

/// Runs a debugger to its end; gives what it prints, errors in their places.
pub(crate) fn output(mut command: Command) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    // It has the writing end.
    drop(command);
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the debugger does not end; it printed:\n{}", reading.join().unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    reading.join().unwrap().unwrap()
}

/// A gdb that runs these commands, attached to a port. Before what each prints stands the command, as a person sees it.
pub(crate) fn gdb(program: &PathBuf, port: u16, commands: &[&str]) -> String {
    let mut gdb = Command::new(program);
    gdb.args(["-batch", "-nx", "-ex", "set pagination off", "-ex", "set confirm off", "-ex", "set width 0"]);
    gdb.args(["-ex", &format!("target remote :{port}")]);
    for command in commands {
        let shown = command.replace('\\', "\\\\").replace('"', "\\\"");
        gdb.args(["-ex", &format!("echo (gdb) {shown}\\n"), "-ex", command]);
    }
    output(gdb)
}

/// What attaches lldb to a guest's port of this option.
pub(crate) fn lldb_attaches(option: &str, port: u16) -> String {
    match option {
        "--lldb" => format!("process connect --plugin wasm connect://127.0.0.1:{port}"),
        _ => format!("gdb-remote {port}"),
    }
}

/// An lldb that attaches with one command and then is typed others, whatever comes of those before: what it prints, behind
/// each command.
pub(crate) fn lldb_session(program: &PathBuf, attach: &str, commands: &[String]) -> String {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    for command in unhurried(commands.iter().map(String::as_str)) {
        writeln!(script, "{command}").unwrap();
    }
    let mut lldb = Command::new(program);
    lldb.args(["--batch", "--no-lldbinit"]);
    // Elsewhere than among the sources, which it would show.
    lldb.current_dir(env!("CARGO_TARGET_TMPDIR"));
    // Else it gives up after some seconds, and here many things are done at a time.
    lldb.args(["-o", "settings set plugin.process.gdb-remote.packet-timeout 200", "-o", attach]);
    // Commands that are given as arguments end with the first that fails, and where the guest traps.
    let source = "command source --stop-on-error false --stop-on-continue false";
    lldb.args(["-o", &format!("{source} {}", script.path().display())]);
    output(lldb)
}

/// Has lldb wait before its next command.
pub(crate) const LLDB_PAUSE: &str = "platform shell -h -- sleep 0.2";

/// These commands of lldb, with pauses where it shows a place: where it stops, and where another thread is selected. It does
/// that from a thread of its own, and a command that comes meanwhile looks at what that one is still reading: of some ten
/// sessions of a machine that is quick, one loses a parameter of a function, or lldb crashes. Nobody types as fast.
pub(crate) fn unhurried<'c>(commands: impl IntoIterator<Item = &'c str>) -> impl Iterator<Item = &'c str> {
    commands.into_iter().flat_map(|command| [Some(command), shows_a_place(command).then_some(LLDB_PAUSE)]).flatten()
}

/// Whether lldb shows by itself where it is after this command.
fn shows_a_place(command: &str) -> bool {
    let mut words = command.split_whitespace();
    match words.next() {
        Some("continue" | "finish" | "next" | "nexti" | "step" | "stepi") => true,
        Some("thread") => words.next().is_some_and(|word| word == "select" || word.starts_with("step-")),
        Some("process") => words.next() == Some("continue"),
        _ => false,
    }
}

/// Checks that a text has these lines, in this order, with others between them. `…` stands for anything in a line.
pub(crate) fn assert_lines(text: &str, expected: &[&str], whole: &str) {
    let mut lines = text.lines();
    for pattern in expected {
        assert!(lines.any(|line| matches(line, pattern)), "no line `{pattern}` (after those before it) in:\n{whole}");
    }
}

fn matches(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[test]
fn lldb_is_given_time_where_it_shows_a_place() {
    let pauses = |command: &'static str| unhurried([command]).count() == 2;
    assert!(
        ["continue", "process continue --reverse", "thread select 1", "thread step-in", "next"].map(pauses)
            == [true; 5]
    );
    assert!(["thread backtrace", "process kill", "frame variable", "breakpoint set -n f"].map(pauses) == [false; 4]);
}

#[test]
fn patterns_match_whole_lines() {
    assert!(matches("#1  0xe0 in f (x=1) at a.c:3", "#1  …in f (x=1)…a.c:3"));
    assert!(!matches("#1  0xe0 in f (x=1) at a.c:34", "#1  …in f (x=1)…a.c:3"));
    assert!(matches("exactly", "exactly") && !matches("exactly so", "exactly"));
}
