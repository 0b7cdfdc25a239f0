//! The guest's console as a terminal.

use std::fmt;
use std::num::NonZeroU16;

use vt100::{Parser, Screen};

/// Lines that can be scrolled back to.
const KEPT: usize = 10_000;

/// A terminal that shows what the guest prints.
pub struct Console {
    parser: Parser,
    /// The last byte was a carriage return.
    returned: bool,
    /// Bytes that were shown.
    pub shown: u64,
    /// Bytes that were dropped.
    pub dropped: u64,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("shown", &self.shown).field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        let (rows, columns) = size(24, 80);
        Console { parser: Parser::new(rows, columns, KEPT), returned: false, shown: 0, dropped: 0 }
    }
}

/// A terminal has a cell at least.
fn size(rows: u16, columns: u16) -> (NonZeroU16, NonZeroU16) {
    let at_least_one = |n: u16| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
    // A character may be two cells wide.
    (at_least_one(rows), at_least_one(columns.max(2)))
}

impl Console {
    /// Shows what the guest printed, after some that was dropped.
    pub fn print(&mut self, bytes: &[u8], dropped: u64) {
        if dropped > 0 {
            self.dropped += dropped;
            self.parser.process(format!("\r\n\x1b[7m[{dropped} bytes not shown]\x1b[m\r\n").as_bytes());
        }
        self.shown += bytes.len() as u64;
        // As a terminal's line discipline does where the guest has none: early consoles end lines without a return.
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(at);
            self.parser.process(line);
            let returned = line.last().map_or(self.returned, |&last| last == b'\r');
            self.parser.process(if returned { b"\n" } else { b"\r\n" });
            self.returned = false;
            rest = &after[1..];
        }
        self.parser.process(rest);
        self.returned = rest.last().map_or(self.returned, |&last| last == b'\r');
    }

    /// What it shows.
    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Makes it so large.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let (rows, columns) = size(rows, columns);
        if self.parser.screen().size() != (rows, columns) {
            self.parser.set_size(rows, columns);
        }
    }

    /// Scrolls back by so many lines, or forward if they are negative.
    pub fn scroll(&mut self, lines: i64) {
        let screen = self.parser.screen_mut();
        let back = i64::try_from(screen.scrollback()).unwrap_or(0).saturating_add(lines).max(0);
        screen.set_scrollback(usize::try_from(back).unwrap_or(0));
    }

    /// Shows the newest line.
    pub fn to_the_end(&mut self) {
        self.parser.screen_mut().set_scrollback(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_begin_at_the_left_with_and_without_a_return() {
        for pieces in [vec!["ab\ncd\r\nef"], vec!["ab\ncd\r", "\nef"], vec!["ab", "\n", "cd\r\n", "ef"]] {
            let mut console = Console::default();
            pieces.iter().for_each(|piece| console.print(piece.as_bytes(), 0));
            assert_eq!(console.screen().contents(), "ab\ncd\nef", "{pieces:?}");
        }
    }

    #[test]
    fn what_was_dropped_is_told_in_its_place() {
        let mut console = Console::default();
        console.print(b"before", 0);
        console.print(b"after", 7);
        assert_eq!(console.screen().contents(), "before\n[7 bytes not shown]\nafter");
        assert_eq!((console.shown, console.dropped), (11, 7));
    }

    #[test]
    fn one_can_scroll_back_and_not_further_than_there_is() {
        let mut console = Console::default();
        console.resize(2, 10);
        console.print(b"1\n2\n3\n4", 0);
        console.scroll(1);
        assert_eq!(console.screen().contents(), "2\n3");
        console.scroll(100);
        assert_eq!(console.screen().contents(), "1\n2");
        console.scroll(-1);
        assert_eq!(console.screen().contents(), "2\n3");
        console.to_the_end();
        assert_eq!(console.screen().contents(), "3\n4");
    }

    proptest! {
        #[test]
        fn no_guest_can_break_it(
            pieces in proptest::collection::vec(
                (prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    "\\PC{0,9}".prop_map(String::into_bytes),
                    "\x1b\\[[0-9;?]{0,6}[A-Za-z@`]".prop_map(String::into_bytes),
                ], 0u16..30, 0u16..30),
                0..20,
            )
        ) {
            let mut console = Console::default();
            for (bytes, rows, columns) in pieces {
                console.resize(rows, columns);
                console.print(&bytes, u64::from(rows == 3));
                console.scroll(i64::from(columns) - 5);
            }
        }
    }
}
