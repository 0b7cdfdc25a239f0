//! The terminal while a guest runs: raw, with one way out, and always given back.

use std::io::{self, IsTerminal, Write};

use crossterm::terminal;

/// Ctrl-A.
const ESCAPE: u8 = 1;

/// The person's terminal, in raw mode if it is one, until this is dropped.
pub(super) struct Terminal {
    raw: bool,
    escaped: bool,
}

impl Terminal {
    /// Takes the terminal over if standard input is one.
    ///
    /// # Errors
    ///
    /// Where the terminal cannot be put into raw mode.
    pub(super) fn open(wanted: bool) -> io::Result<Self> {
        let raw = wanted && io::stdin().is_terminal();
        if raw {
            terminal::enable_raw_mode()?;
        }
        Ok(Terminal { raw, escaped: false })
    }

    /// Whether a person is there.
    pub(super) fn is_raw(&self) -> bool {
        self.raw
    }

    /// What of `typed` goes to the guest, and whether the person leaves. Ctrl-A x leaves, Ctrl-A Ctrl-A types one.
    pub(super) fn typed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if !self.raw {
            return (typed.to_vec(), false);
        }
        let mut input = Vec::new();
        for &byte in typed {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, b'x' | b'X') => return (input, true),
                (true, ESCAPE) | (false, _) => input.push(byte),
                (true, _) => input.extend([ESCAPE, byte]),
            }
        }
        (input, false)
    }

    /// Says something of ours on standard error.
    pub(super) fn say(&self, text: &str) {
        let text = text.trim_end();
        let text = if self.raw { text.replace('\n', "\r\n") + "\r\n" } else { format!("{text}\n") };
        // There is nobody to tell if standard error is gone.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.raw {
            let _ = terminal::disable_raw_mode();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out() {
        let mut terminal = Terminal { raw: true, escaped: false };
        assert_eq!(terminal.typed(b"ls\x01"), (b"ls".to_vec(), false));
        assert_eq!(terminal.typed(b"q\x01\x01\x03"), (b"\x01q\x01\x03".to_vec(), false));
        assert_eq!(terminal.typed(b"a\x01xb"), (b"a".to_vec(), true));
        // Nothing to give back.
        std::mem::forget(terminal);
        let mut pipe = Terminal { raw: false, escaped: false };
        assert_eq!(pipe.typed(b"\x01x"), (b"\x01x".to_vec(), false));
    }
}
