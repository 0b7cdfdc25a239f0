//! A guest that waits for debuggers.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clients::Raw;

/// How long a guest may take for anything; the first time, a kernel is compiled.
const DEADLINE: Duration = Duration::from_secs(240);

/// A `wkdb` with `--gdb` or `--lldb`.
pub(crate) struct Guest {
    child: Child,
    pub(crate) port: u16,
    /// What was printed, console and messages.
    console: Arc<Mutex<String>>,
    messages: Arc<Mutex<String>>,
    /// For files that it does not take away where it is killed.
    _temporary: tempfile::TempDir,
}

/// The program. It finds compiled code where all tests do; a guest that is killed or panics leaves no recording.
pub(crate) fn wkdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    command.env("WKDB_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/code")).env("WKDB_RECORD_DIR", "");
    command
}

/// Reads a stream in a thread, into a text.
pub(crate) fn collect(mut stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut buf = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&buf[..n]));
        }
    });
    text
}

/// The port for a debugger, as it was told.
fn port(messages: &str, debugger: &str) -> Option<u16> {
    let how = format!("waiting for a debugger: {debugger} ");
    // Of the last line, all may not be there yet.
    let line = messages.split_inclusive('\n').find(|line| line.contains(&how) && line.ends_with('\n'))?;
    line.trim_end().rsplit(':').next()?.trim_end_matches('\'').parse().ok()
}

/// Waits until `done` gives something.
pub(crate) fn in_time<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Guest {
    /// Starts `wkdb` with these arguments, and waits until it waits for debuggers.
    pub(crate) fn start(arguments: &str) -> Guest {
        Guest::start_for("--gdb", arguments)
    }

    /// The same, with what is kept in a directory of its own.
    pub(crate) fn start_keeping(directory: &Path, arguments: &str) -> Guest {
        let mut command = wkdb();
        command.env("WKDB_CACHE_DIR", directory);
        Guest::of(command, "--gdb", arguments)
    }

    /// The same, at the port of an option.
    pub(crate) fn start_for(option: &str, arguments: &str) -> Guest {
        Guest::of(wkdb(), option, arguments)
    }

    fn of(mut command: Command, option: &str, arguments: &str) -> Guest {
        command.args(arguments.split_whitespace()).args([option, "0", "--pace", "warp"]);
        let temporary = tempfile::tempdir().unwrap();
        command.env("TMPDIR", temporary.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let console = collect(child.stdout.take().unwrap());
        let messages = collect(child.stderr.take().unwrap());
        let debugger = option.trim_start_matches('-');
        let port = in_time("it waits for a debugger", || port(&messages.lock().unwrap(), debugger));
        Guest { child, port, console, messages, _temporary: temporary }
    }

    /// The port for gdb.
    pub(crate) fn other_port(&self) -> Option<u16> {
        port(&self.messages.lock().unwrap(), "gdb")
    }

    /// Waits until the console shows this.
    pub(crate) fn shows(&self, text: &str) {
        in_time(text, || self.console.lock().unwrap().contains(text).then_some(()));
    }

    /// Behind its prompt the guest has work to do before it waits; transcripts show it waiting. Waits until some of the
    /// guest's own time has passed.
    pub(crate) fn comes_to_rest(&self) {
        let time = || {
            let mut client = Raw::connect(self.port);
            let said = client.monitor("tick");
            assert_eq!(client.ask("D"), "OK");
            let time = said.trim_end().rsplit(' ').next().and_then(|time| time.parse::<f64>().ok());
            time.unwrap_or_else(|| panic!("no time in {said:?}"))
        };
        let prompted = time();
        in_time("its time goes on", || (time() > prompted + 0.1).then_some(()));
    }

    /// Waits until a message says this so many times.
    pub(crate) fn says(&self, text: &str, times: usize) {
        in_time(text, || (self.messages.lock().unwrap().matches(text).count() >= times).then_some(()));
    }

    /// Everything on the console so far.
    pub(crate) fn console(&self) -> String {
        self.console.lock().unwrap().clone()
    }

    /// Every message so far.
    pub(crate) fn messages(&self) -> String {
        self.messages.lock().unwrap().clone()
    }

    /// Waits for its end; gives the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        in_time("it ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The machine process goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
