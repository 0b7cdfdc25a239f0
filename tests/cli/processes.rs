//! Supervisor and machine process: each deals with the end of the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::program::{echo, kernel, wkdb};

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A run of the echoing guest that has said hello.
struct Running {
    child: Child,
    _kernel: NamedTempFile,
}

fn start() -> Running {
    let kernel = echo();
    let mut child = wkdb()
        .arg("run")
        .arg(kernel.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    Running { child, _kernel: kernel }
}

impl Running {
    fn supervisor(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The machine process: the only child.
    fn machine(&self) -> Pid {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap())
    }

    /// Exit code and standard error, once it has ended.
    fn ended(mut self) -> (Option<i32>, String) {
        let status = in_time("the program ends", || self.child.try_wait().unwrap());
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (status.code(), told)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
fn in_time<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is there and no zombie.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn signals_end_a_run_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let running = start();
        let machine = running.machine();
        kill(running.supervisor(), signal).unwrap();
        let (code, told) = running.ended();
        assert_eq!(code, Some(0), "{signal}: {told}");
        assert!(told.contains("wkdb: left"), "{signal}: {told}");
        assert!(!lives(machine));
    }
}

#[test]
fn a_machine_process_whose_supervisor_is_killed_ends_too() {
    let running = start();
    let machine = running.machine();
    assert!(lives(machine));
    kill(running.supervisor(), Signal::SIGKILL).unwrap();
    in_time("the machine process ends", || (!lives(machine)).then_some(()));
}

#[test]
fn a_killed_machine_process_is_told() {
    let running = start();
    kill(running.machine(), Signal::SIGKILL).unwrap();
    let (code, told) = running.ended();
    assert_eq!(code, Some(1));
    assert!(told.contains("wkdb: the machine process ended unexpectedly (signal: 9 (SIGKILL))"), "{told}");
}

#[test]
fn a_signal_after_the_machine_process_was_killed() {
    // Both are there when the supervisor looks: what counts is that the machine is gone.
    let running = start();
    kill(running.supervisor(), Signal::SIGSTOP).unwrap();
    let machine = running.machine();
    kill(machine, Signal::SIGKILL).unwrap();
    in_time("the machine process ends", || (!lives(machine)).then_some(()));
    kill(running.supervisor(), Signal::SIGTERM).unwrap();
    kill(running.supervisor(), Signal::SIGCONT).unwrap();
    let (code, told) = running.ended();
    assert_eq!(code, Some(1));
    assert!(told.contains("the machine process ended unexpectedly (signal: 9 (SIGKILL))"), "{told}");
}

#[test]
fn much_to_tell_and_much_to_type_at_once() {
    // Tens of thousands of watch hits in one slice, while standard input has megabytes.
    let kernel = kernel(
        r#"(loop $more
             (i32.store (i32.const 0x10700) (i32.add (i32.load (i32.const 0x10700)) (i32.const 1)))
             (br $more))"#,
    );
    let mut child = wkdb()
        .arg("run")
        .arg(kernel.path())
        .args(["--watch", "0x10700", "--until", "tick=60000", "--slice", "60000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let typing = std::thread::spawn(move || {
        // It fails where the run has ended.
        let _ = stdin.write_all(&vec![b'x'; 8 << 20]);
    });
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).unwrap();
        told
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    typing.join().unwrap();
    let told = reading.join().unwrap();
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", told.lines().last().unwrap_or_default());
    assert!(told.lines().filter(|line| line.starts_with("watch ")).count() > 59_000);
}
