//! A guest that has run its script, stopped where that ends.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::linux::LinuxFiles;
use wkdb::demo::{Files, KERNEL_6_4, KERNEL_7_0};
use wkdb::machine::{Cache, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::Live;
use wkdb_debugger::inferior::{Inferior, Notice, Resume, StopReason};
use wkdb_debugger::kernel::{View, ViewKind, ViewRequest};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{GuestTime, Outcome};

const PATIENCE: Duration = Duration::from_secs(240);

/// A guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    Minik6_4,
    Minik7_0,
    Linux,
}

/// See the module.
pub(crate) struct Seen {
    pub(crate) live: Live,
    pub(crate) symbols: Rc<Symbols>,
    /// Without carriage returns.
    pub(crate) console: String,
    /// Why it stopped.
    pub(crate) reason: StopReason,
}

/// The tests' own store of compiled code.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")
}

fn files(guest: Guest) -> (PathBuf, PathBuf) {
    static MINIK: OnceLock<[Files; 2]> = OnceLock::new();
    static LINUX: OnceLock<LinuxFiles> = OnceLock::new();
    if guest == Guest::Linux {
        let files = LINUX.get_or_init(|| LinuxFiles::write(None).unwrap());
        return (files.kernel(), files.initramfs());
    }
    let both = MINIK.get_or_init(|| [KERNEL_6_4, KERNEL_7_0].map(|kernel| Files::write(kernel).unwrap()));
    let files = &both[usize::from(guest == Guest::Minik7_0)];
    (files.kernel(), files.initramfs())
}

/// A script that types lines, each after a prompt, and waits for the last prompt.
pub(crate) fn typed(prompt: &str, lines: &[&str]) -> String {
    let mut script = format!("expect \"{prompt}\"\n");
    for line in lines {
        script.push_str(&format!("send \"{line}\\n\"\nexpect \"{prompt}\"\n"));
    }
    script
}

impl Seen {
    /// Boots a guest with `line` on its command line, types and expects `script`, and stops where it ends.
    pub(crate) fn after(guest: Guest, line: &str, script: &str, seed: u64) -> Seen {
        let (kernel, initramfs) = files(guest);
        let symbols = Rc::new(Symbols::load(std::fs::read(&kernel).unwrap()).unwrap());
        let mut config = MachineConfig::new(kernel);
        config.initrd = Some(initramfs);
        config.command_line = format!("console=hvc {line}");
        config.cache = Some(Cache { directory: cache(), limit: DEFAULT_LIMIT });
        config.max_time = Some(GuestTime(5_000_000_000_000));
        config.script = Some(script.to_owned());
        config.until.push(Condition::Script);
        config.seed = seed;
        config.attach = true;
        let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
        let mut seen = Seen { live: Live::over(process), symbols, console: String::new(), reason: StopReason::Start };
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no end; console: {}", seen.console);
            for notice in seen.live.notices(Duration::from_millis(100)).unwrap() {
                match notice {
                    Notice::Console(bytes) => {
                        seen.console.push_str(&String::from_utf8_lossy(&bytes).replace('\r', ""));
                    }
                    Notice::Stopped(stop) => match stop.reason {
                        StopReason::End(_) | StopReason::Panic { .. } => {
                            seen.reason = stop.reason;
                            return seen;
                        }
                        _ => seen.live.resume(&Resume::go()).unwrap(),
                    },
                    Notice::Ended(outcome, _) => panic!("{outcome:?}: {}", seen.console),
                    _ => {}
                }
            }
        }
    }

    /// What the guest printed behind the last time that it was told to do something.
    pub(crate) fn printed(&self, command: &str) -> &str {
        assert_eq!(self.reason, StopReason::End(Box::new(Outcome::Until("script".into()))), "{}", self.console);
        let (_, printed) = self.console.rsplit_once(&format!("# {command}\n")).unwrap_or_else(|| {
            panic!("{command} was not typed: {}", self.console);
        });
        printed.split("\n# ").next().unwrap().split("\nminik# ").next().unwrap()
    }

    pub(crate) fn view_of(&mut self, kind: ViewKind, of: Option<u64>) -> View {
        ViewRequest { kind, of }.view(&mut self.live, self.symbols.clone()).unwrap()
    }

    pub(crate) fn view(&mut self, kind: ViewKind) -> View {
        self.view_of(kind, None)
    }
}

/// Takes a view apart that is known to be of some kind.
macro_rules! only {
    ($view:expr, $kind:ident) => {
        match $view {
            wkdb_debugger::kernel::View::$kind(view) => view,
            other => panic!("{other:?}"),
        }
    };
}
pub(crate) use only;
