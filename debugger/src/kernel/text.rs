//! What views have in common when they are told: problems, cells of tables, text from the guest.

use crate::commands::{Output, Style};

/// How many different problems a view tells.
const MAX_PROBLEMS: usize = 40;

/// What makes no sense in the kernel's memory, each once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: Vec<String>,
    more: u64,
}

impl Problems {
    pub(super) fn note(&mut self, text: String) {
        if self.told.contains(&text) {
            return;
        }
        match self.told.len() < MAX_PROBLEMS {
            true => self.told.push(text),
            false => self.more += 1,
        }
    }

    pub(super) fn take(&mut self) -> Vec<String> {
        let mut told = std::mem::take(&mut self.told);
        if self.more > 0 {
            told.push(format!("… and {} more", std::mem::take(&mut self.more)));
        }
        told
    }
}

/// A cell of a table.
pub(super) type Cell = (String, Option<Style>);

/// A plain cell; what is not known is a question mark.
pub(super) fn cell(value: Option<impl ToString>) -> Cell {
    (value.map_or_else(|| "?".to_owned(), |value| value.to_string()), None)
}

/// A plain cell.
pub(super) fn plain(text: impl ToString) -> Cell {
    (text.to_string(), None)
}

/// A cell with a mark.
pub(super) fn styled(text: impl ToString, style: Style) -> Cell {
    (text.to_string(), Some(style))
}

/// A number in hexadecimal.
pub(super) fn hex(value: Option<u64>) -> Option<String> {
    value.map(|value| format!("{value:#x}"))
}

/// The problems of a view, behind it.
pub(super) fn tell_problems(out: &mut Output, problems: &[String]) {
    for problem in problems {
        out.mark(Style::Problem, "problem: ").line(problem);
    }
}

/// Bytes as a line of text: what is no printable ASCII or UTF-8 is escaped.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() && c != '\t' {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Nanoseconds as seconds, as the kernel's log has them.
pub(super) fn seconds(ns: u64) -> String {
    wkdb_tracer::GuestTime(ns).to_string()
}

/// A number of jiffies with its sign: `+12`.
pub(super) fn relative(jiffies: i64) -> String {
    format!("{jiffies:+}")
}
