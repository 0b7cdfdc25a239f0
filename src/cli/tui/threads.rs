//! The threads around the screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::Event as TerminalEvent;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use wkdb_debugger::tui::Event;
use wkdb_debugger::tui::app::Timed;

/// How often the input thread looks whether it is still wanted, and how large the terminal is.
const LOOK: Duration = Duration::from_millis(100);

/// Has the screen left if its thread panics: nobody would hear a key any more, or what becomes of it.
struct LeavesIfPanicking(Sender<Timed>);

impl Drop for LeavesIfPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may have been left already.
            let _ = self.0.send((Instant::now(), Event::Leave));
        }
    }
}

/// Starts a thread that the screen depends on.
///
/// # Errors
/// There are too many.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    tell: Sender<Timed>,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    let leaves = LeavesIfPanicking(tell);
    let work = move || {
        let _leaves = leaves;
        work()
    };
    std::thread::Builder::new().name(name.into()).spawn(work).context("a thread cannot be started")
}

/// Columns and rows of the terminal; none if it does not say.
fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The thread that hears the terminal.
pub(super) struct Input {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Input {
    pub(super) fn start(tell: Sender<Timed>) -> anyhow::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let events = tell.clone();
        let hear = move || {
            let mut size = terminal_size();
            while !seen.load(Ordering::Acquire) {
                // Told by a signal, which crossterm forgets where a key comes at the same moment.
                let now = terminal_size();
                if now != size
                    && let Some((columns, rows)) = now
                {
                    size = now;
                    if events.send((Instant::now(), Event::Resize(columns, rows))).is_err() {
                        break;
                    }
                }
                let event = match crossterm::event::poll(LOOK) {
                    Ok(false) => continue,
                    Ok(true) => crossterm::event::read(),
                    Err(error) => Err(error),
                };
                let event = match event {
                    Ok(TerminalEvent::Key(key)) => Event::Key(key),
                    Ok(TerminalEvent::Mouse(mouse)) => Event::Mouse(mouse),
                    Ok(TerminalEvent::Paste(text)) => Event::Paste(text),
                    // What it is now is looked at anyway.
                    Ok(TerminalEvent::Resize(..) | TerminalEvent::FocusGained | TerminalEvent::FocusLost) => continue,
                    // The terminal is gone.
                    Err(_) => Event::Leave,
                };
                let leave = event == Event::Leave;
                if events.send((Instant::now(), event)).is_err() || leave {
                    break;
                }
            }
        };
        Ok(Input { over, thread: spawn("input", tell, hear)? })
    }

    pub(super) fn stop(self) {
        self.over.store(true, Ordering::Release);
        // It has nothing left to tell if it panicked.
        let _ = self.thread.join();
    }
}

/// The thread that hears signals.
pub(super) struct Watcher {
    handle: signal_hook::iterator::Handle,
    thread: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(tell: Sender<Timed>) -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT]).context("cannot handle signals")?;
        let handle = signals.handle();
        let events = tell.clone();
        let hear = move || {
            for _ in signals.forever() {
                if events.send((Instant::now(), Event::Leave)).is_err() {
                    break;
                }
            }
        };
        Ok(Watcher { handle, thread: spawn("signals", tell, hear)? })
    }

    pub(super) fn stop(self) {
        self.handle.close();
        let _ = self.thread.join();
    }
}
