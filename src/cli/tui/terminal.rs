//! The terminal, given to the screen and always taken back: when it is left, and before anybody who panics says why.
//!
//! Whoever panics, on any thread, gives it back. The screen may be in the midst of a frame then, on another thread: what it
//! still writes must not come behind that. So both hold the lock of standard output while they look whose terminal it is,
//! and as long as they write.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};

/// Whether the terminal is the screen's. Changed and looked at under the lock of standard output.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken over until this is dropped or somebody panics.
pub(super) struct Screen {
    open: bool,
}

impl Screen {
    /// Takes it over.
    pub(super) fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // On any thread: what it says is to be read.
            let _ = give_back();
            before(info);
        }));
        let mut stdout = io::stdout().lock();
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::Release);
        let screen = Screen { open: true };
        execute!(stdout, EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, cursor::Hide)?;
        Ok(screen)
    }

    /// Gives it back.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.open = false;
        give_back()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.open {
            // There is nobody to tell.
            let _ = give_back();
        }
    }
}

/// Gives the terminal back as it was, once.
fn give_back() -> io::Result<()> {
    // Who panics while it writes has the lock, and gets it again.
    let mut stdout = io::stdout().lock();
    if !TAKEN.swap(false, Ordering::AcqRel) {
        return Ok(());
    }
    let written = execute!(stdout, DisableBracketedPaste, DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
    disable_raw_mode()?;
    written
}

/// What the screen writes to: the terminal, as long as that is the screen's.
pub(super) struct ToScreen;

impl Write for ToScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stdout = io::stdout().lock();
        if TAKEN.load(Ordering::Acquire) { stdout.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
