//! A panic while the screen has the terminal: whoever panics, the terminal is given back, and then it is said why.
//!
//! The program itself has no panic to provoke. So what it runs `--tui` with, `cli::tui::show`, runs here in a process of its
//! own, in a real terminal: this test's program once more, with a machine that panics when it is let go on, or settings that
//! the screen cannot be drawn with.

use std::time::Duration;

use wkdb::cli::tui::show;
use wkdb_debugger::commands::Config;
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Loads, Notice, Result, Resume, Status, Stop,
    StopReason, TaskInfo, WatchId, WatchSpec,
};
use wkdb_debugger::tui::Settings;
use wkdb_debugger::tui::session::Machine;
use wkdb_tracer::{Frame, GuestTime, ModuleId, RunnerId, Tick, WasmValue};

use super::tmux::Tmux;

/// Says in a process's environment that it is to panic, and on which thread.
const CHILD: &str = "WKDB_TEST_PANICS";

/// Runs one of these tests again, in a terminal.
fn run_in_terminal(test: &str, thread: &str) -> Option<Tmux> {
    let program = std::env::current_exe().unwrap();
    let command = format!("{} --exact panic::{test} --nocapture --test-threads 1", program.display());
    // Where it was is of no interest here, and long.
    Tmux::start_program(&[&format!("{CHILD}={thread}"), "RUST_BACKTRACE=0"], &command, (200, 60))
}

#[test]
fn a_panic_of_the_session_leaves_the_terminal_clean() {
    if std::env::var_os(CHILD).is_some() {
        show(Doomed::new(), Config::default(), "doomed", Settings::default(), Vec::new()).unwrap();
        return;
    }
    let Some(tmux) = run_in_terminal("a_panic_of_the_session_leaves_the_terminal_clean", "session") else { return };
    tmux.wait(&["doomed", "F5 continue", "about to start"]);
    assert_eq!(tmux.state("#{alternate_on}"), "1");
    tmux.keys(&["F5"]);
    let screen = tmux.left(101);
    for said in ["thread 'session'", "the machine goes on and panics", "the session came to a bad end"] {
        assert!(screen.contains(said), "{said:?} is not said:\n{screen}");
    }
    assert!(!screen.contains("F5 continue"), "nothing is drawn behind it:\n{screen}");
}

#[test]
fn a_panic_of_the_screen_leaves_the_terminal_clean() {
    if std::env::var_os(CHILD).is_some() {
        // There is always a layout: nothing can be drawn without one.
        let settings = Settings { layouts: Vec::new(), ..Settings::default() };
        let _ = show(Doomed::new(), Config::default(), "doomed", settings, Vec::new());
        unreachable!("it has panicked before");
    }
    let Some(tmux) = run_in_terminal("a_panic_of_the_screen_leaves_the_terminal_clean", "screen") else { return };
    let screen = tmux.left(101);
    assert!(screen.contains("panicked at") && screen.contains("tui/state.rs"), "{screen}");
    assert!(!screen.contains("it has panicked before"), "{screen}");
}

/// A machine at its start, which panics when it is let go on.
struct Doomed(Status);

impl Doomed {
    fn new() -> Doomed {
        let stop =
            Stop { reason: StopReason::Start, context: None, frame: None, tick: Tick(0), time: GuestTime::default() };
        Doomed(Status::Stopped(Box::new(stop)))
    }
}

fn none<T>() -> Result<T> {
    Err(InferiorError::Refused("there is nothing in it".into()))
}

impl Machine for Doomed {
    fn quit(&mut self) -> Result<()> {
        none()
    }
}

impl Inferior for Doomed {
    fn status(&self) -> &Status {
        &self.0
    }

    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>> {
        std::thread::sleep(wait);
        Ok(Vec::new())
    }

    fn module(&mut self, _: ModuleId) -> Result<std::sync::Arc<[u8]>> {
        none()
    }

    fn module_count(&mut self) -> Result<u32> {
        Ok(0)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        Ok(Vec::new())
    }

    fn loads(&mut self) -> Result<Loads> {
        Ok(Loads::default())
    }

    fn frames(&mut self, _: RunnerId) -> Result<Vec<Frame>> {
        none()
    }

    fn frame_states(&mut self, _: RunnerId) -> Result<Vec<FrameState>> {
        none()
    }

    fn globals(&mut self, _: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        none()
    }

    fn stack_pointer(&mut self, _: RunnerId) -> Result<u64> {
        none()
    }

    fn read_memory(&mut self, _: u64, _: u64) -> Result<Vec<u8>> {
        none()
    }

    fn write_memory(&mut self, _: u64, _: &[u8]) -> Result<()> {
        none()
    }

    fn set_global(&mut self, _: RunnerId, _: ModuleId, _: u32, _: WasmValue) -> Result<()> {
        none()
    }

    fn set_local(&mut self, _: RunnerId, _: u32, _: u32, _: WasmValue) -> Result<()> {
        none()
    }

    fn insert_breakpoint(&mut self, _: &BreakpointSpec) -> Result<BreakpointId> {
        none()
    }

    fn remove_breakpoint(&mut self, _: BreakpointId) -> Result<()> {
        none()
    }

    fn insert_watch(&mut self, _: &WatchSpec) -> Result<WatchId> {
        none()
    }

    fn remove_watch(&mut self, _: WatchId) -> Result<()> {
        none()
    }

    fn resume(&mut self, _: &Resume) -> Result<()> {
        panic!("the machine goes on and panics");
    }

    fn interrupt(&mut self) -> Result<()> {
        Ok(())
    }

    fn type_in(&mut self, _: &[u8]) -> Result<()> {
        none()
    }

    fn has_history(&self) -> bool {
        false
    }
}
