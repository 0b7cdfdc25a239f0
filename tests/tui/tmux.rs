//! A terminal that a test can type at and look at: tmux.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Longer than anything takes; the first time, Linux is compiled in two variants.
const PATIENCE: Duration = Duration::from_secs(600);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a mouse does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mouse {
    /// Its left button is pressed.
    Press,
    /// It is moved with the button pressed.
    Drag,
    /// The button is let go.
    Release,
}

/// A command for the shell, which stays, so that what the terminal is left like can be seen.
fn script(command: &str) -> String {
    format!("{command} 2>&1; echo \"left with $?\"; stty -a; cat")
}

/// A terminal with a shell that runs one command, and waits behind it.
pub(crate) struct Tmux {
    socket: String,
    home: TempDir,
}

impl Tmux {
    /// Runs `wkdb` with these arguments in a terminal of this size. None where there is no tmux, which a test tells.
    pub(crate) fn start(arguments: &str, size: (u16, u16)) -> Option<Tmux> {
        Tmux::start_program(&[], &format!("{} {arguments}", env!("CARGO_BIN_EXE_wkdb")), size)
    }

    /// The same for a command of the shell's, with settings in its environment, as `NAME=value`.
    pub(crate) fn start_program(settings: &[&str], command: &str, size: (u16, u16)) -> Option<Tmux> {
        if Command::new("tmux").arg("-V").output().is_err() {
            assert!(std::env::var_os("WKDB_TEST_TMUX").is_none(), "tmux is missing: install it");
            eprintln!("tmux is missing: this test is passed over");
            return None;
        }
        let home = TempDir::new().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = format!("wkdb-test-{}-{number}", std::process::id());
        let tmux = Tmux { socket, home };
        let script = script(command);
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let home = tmux.home.path().to_string_lossy().into_owned();
        let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/code");
        let environment = [
            format!("HOME={home}"),
            format!("XDG_CONFIG_HOME={home}"),
            format!("WKDB_CACHE_DIR={cache}"),
            format!("WKDB_RECORD_DIR={home}"),
            "COLORTERM=".into(),
            "NO_COLOR=".into(),
        ];
        let mut arguments = vec!["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows];
        environment.iter().for_each(|setting| arguments.extend(["-e", setting]));
        settings.iter().for_each(|setting| arguments.extend(["-e", setting]));
        arguments.extend(["sh", "-c", &script]);
        tmux.run(&arguments);
        Some(tmux)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `wkdb` once more in the same terminal, with the same home.
    pub(crate) fn again(&self, arguments: &str) {
        let script = script(&format!("{} {arguments}", env!("CARGO_BIN_EXE_wkdb")));
        self.run(&["respawn-pane", "-k", "sh", "-c", &script]);
    }

    /// The directory that it takes for its home.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a command line.
    pub(crate) fn command(&self, line: &str) {
        self.run(&["send-keys", "-l", &format!(":{line}")]);
        self.keys(&["Enter"]);
    }

    /// Presses a button of the mouse at a place of the screen, counted from 0, and lets it go; or moves it there while it
    /// is pressed.
    pub(crate) fn mouse(&self, what: Mouse, column: usize, row: usize) {
        // As terminals tell it: the button, the place counted from 1, and M, or m when it is let go.
        let (button, end) = match what {
            Mouse::Press => (0, 'M'),
            Mouse::Drag => (32, 'M'),
            Mouse::Release => (0, 'm'),
        };
        let told = format!("\x1b[<{button};{};{}{end}", column + 1, row + 1);
        let bytes: Vec<String> = told.bytes().map(|byte| format!("{byte:02x}")).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        self.run(&[&["send-keys", "-H"], &bytes[..]].concat());
    }

    /// Writes to the terminal behind the program's back.
    pub(crate) fn scribble(&self, text: &str) {
        std::fs::write(self.state("#{pane_tty}"), text).unwrap();
    }

    /// What is on the screen, with the sequences that colour it.
    pub(crate) fn coloured(&self) -> String {
        self.run(&["capture-pane", "-e", "-p"])
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until all of these are on the screen, and gives it.
    pub(crate) fn wait(&self, wanted: &[&str]) -> String {
        self.wait_for(&format!("{wanted:?}"), |screen| wanted.iter().all(|text| screen.contains(text)))
    }

    /// Waits until the screen is as it should be, and gives it.
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not come:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the terminal so large.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Makes it so large, waits until it is, and meanwhile presses keys that the program, which stands still, has not taken.
    pub(crate) fn resize_and_press(&self, columns: u16, rows: u16, keys: &[&str]) {
        let program = Pid::from_raw(self.process());
        kill(program, Signal::SIGSTOP).unwrap();
        self.keys(keys);
        self.resize(columns, rows);
        let terminal = self.state("#{pane_tty}");
        let start = Instant::now();
        loop {
            let size = Command::new("stty").args(["-F", &terminal, "size"]).output().unwrap().stdout;
            if String::from_utf8_lossy(&size).trim() == format!("{rows} {columns}") {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "the terminal keeps its size");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(program, Signal::SIGCONT).unwrap();
    }

    /// What tmux knows of the terminal's state, by a format of its own.
    pub(crate) fn state(&self, format: &str) -> String {
        self.run(&["display-message", "-p", format]).trim().to_owned()
    }

    /// The process that runs in it below the shell.
    pub(crate) fn process(&self) -> i32 {
        let shell = self.state("#{pane_pid}");
        let start = Instant::now();
        loop {
            let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                return child.parse().unwrap();
            }
            assert!(start.elapsed() < PATIENCE, "nothing runs in the terminal");
        }
    }

    /// The terminal is as it was before: the program has left it, with this exit code. Gives what is on it.
    pub(crate) fn left(&self, code: i32) -> String {
        let screen = self.wait(&[&format!("left with {code}"), "extproc"]);
        assert_eq!(self.state("#{alternate_on} #{mouse_any_flag} #{cursor_flag}"), "0 0 1", "{screen}");
        let settings: Vec<&str> = screen.split_whitespace().collect();
        for setting in ["icanon", "echo", "isig", "opost"] {
            assert!(settings.contains(&setting), "{setting} is off:\n{screen}");
        }
        screen
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}
