//! How long a key takes to be seen while the guest runs at full speed: measured for a test and for the benchmarks' table.

use std::io;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use wkdb::demo::sources;
use wkdb::machine::{DetectConfig, MachineConfig};
use wkdb_debugger::commands::Config;
use wkdb_debugger::tui::app::{self, Timed};
use wkdb_debugger::tui::sample::Sample;
use wkdb_debugger::tui::session::{Gate, Setting, serve};
use wkdb_debugger::tui::{Event, Settings, State, ThemeName};

use super::machine::shown_with;

/// For how long keys are pressed.
const TIME: Duration = Duration::from_secs(6);

/// Between two keys.
const PERIOD: Duration = Duration::from_millis(30);

/// What is pressed, again and again: it changes layouts, panes, lists and modes.
const KEYS: &str = "2jjkGggjv3jk1gujjkjG4/a?q2gtjjoojkgcvjk";

/// More work than is done in that time.
const AT_WORK: &str = "expect \"minik# \"\nsend \"stress 64 1000000\\n\"\n";

/// What was measured.
pub(crate) struct Measured {
    /// From a key to the frame that shows it, in ascending order.
    pub(crate) latencies: Vec<Duration>,
    /// Frames drawn.
    pub(crate) frames: u64,
    /// The machine at the end.
    pub(crate) last: Sample,
}

impl Measured {
    /// So many percent of the keys were seen at least so soon.
    pub(crate) fn at(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

/// Presses keys on a large screen that shows minik with 64 busy CPUs.
pub(crate) fn measure() -> Measured {
    // As `wkdb demo --tui` has it.
    let detecting = |config: &mut MachineConfig| config.detect = DetectConfig::defaults();
    let (machine, _files) = shown_with(None, "nr_cpus=64 tasks=300", Some(AT_WORK), detecting);
    let (tell, events) = channel::<Timed>();
    let (effects, asked) = channel();
    let gate = Gate::default();
    let to_screen = tell.clone();
    let setting = Setting {
        config: Config { bundled_sources: sources::MINIK, ..Config::default() },
        effects: asked,
        tell: move |told| to_screen.send((Instant::now(), Event::Session(told))).is_ok(),
        gate: gate.clone(),
        save: Box::new(|_| Err("not here".into())),
        first: Vec::new(),
    };
    let session = std::thread::spawn(move || serve(machine, setting));
    let presser = std::thread::spawn(move || {
        // It boots, and sees symbols for the first time, without being measured.
        std::thread::sleep(Duration::from_secs(3));
        let until = Instant::now() + TIME;
        for c in KEYS.chars().cycle() {
            let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
            if Instant::now() > until || tell.send((Instant::now(), Event::Key(key))).is_err() {
                break;
            }
            std::thread::sleep(PERIOD);
        }
        let _ = tell.send((Instant::now(), Event::Leave));
    });
    let size = Rect::new(0, 0, 200, 60);
    let options = TerminalOptions { viewport: Viewport::Fixed(size) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(io::sink()), options).unwrap();
    let mut state = State::new("minik", (size.width, size.height), Settings::default(), ThemeName::Dark);
    let measured = app::run(&mut terminal, &mut state, &events, &effects, &gate, true).unwrap();
    presser.join().unwrap();
    let last = state.data.sample.clone();
    drop((effects, events));
    session.join().unwrap();
    let mut latencies = measured.latencies;
    latencies.sort_unstable();
    Measured { latencies, frames: measured.frames, last }
}
