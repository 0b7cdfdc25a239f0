//! A guest that waits for debuggers.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a guest may take for anything; the first time, a kernel is compiled.
const DEADLINE: Duration = Duration::from_secs(240);

/// A `wkdb` with `--gdb`.
pub(crate) struct Guest {
    child: Child,
    pub(crate) port: u16,
    /// What was printed, console and messages.
    console: Arc<Mutex<String>>,
    messages: Arc<Mutex<String>>,
}

fn collect(mut stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
        command.args(arguments.split_whitespace()).args(["--gdb", "0", "--pace", "warp"]);
        // A guest that is killed or panics leaves no recording here.
        command.env("WKDB_RECORD_DIR", "");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let console = collect(child.stdout.take().unwrap());
        let messages = collect(child.stderr.take().unwrap());
        let port = in_time("it waits for a debugger", || {
            let told = messages.lock().unwrap();
            let line = told.lines().find(|line| line.contains("waiting for a debugger"))?.to_owned();
            line.rsplit(':').next()?.trim_end_matches('\'').parse().ok()
        });
        Guest { child, port, console, messages }
    }

    /// Waits until the console shows this.
    pub(crate) fn shows(&self, text: &str) {
        in_time(text, || self.console.lock().unwrap().contains(text).then_some(()));
    }

    /// Waits until a message says this so many times.
    pub(crate) fn says(&self, text: &str, times: usize) {
        in_time(text, || (self.messages.lock().unwrap().matches(text).count() >= times).then_some(()));
    }

    /// Everything on the console so far.
    pub(crate) fn console(&self) -> String {
        self.console.lock().unwrap().clone()
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
