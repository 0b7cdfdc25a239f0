//! Places in code as people name them.

use wkdb_tracer::{CodeOffset, ModuleId};

use super::error::{CommandError, Result};
use super::words::parse_number;

/// A place in code, before symbols are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationSpec {
    /// `*0x1234` in the kernel, `*2:0x1234` in module 2.
    Address(ModuleId, CodeOffset),
    /// `FILE:LINE`.
    Line {
        /// The end of the file's path; none means the file that the selected frame is in.
        file: Option<String>,
        /// Counted from 1.
        line: u32,
    },
    /// `FUNCTION` or `FILE:FUNCTION`.
    Function {
        /// The end of the file's path.
        file: Option<String>,
        /// Its name.
        name: String,
    },
    /// `+3` or `-3`: lines after or before that of the selected frame.
    Offset(i64),
}

impl LocationSpec {
    /// Reads a location.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<LocationSpec> {
        let wrong = || {
            CommandError::refused(format!(
                "{text:?} is no location: use FILE:LINE, LINE, FUNCTION, FILE:FUNCTION, *0xOFFSET or *MODULE:0xOFFSET"
            ))
        };
        if let Some(address) = text.strip_prefix('*') {
            let (module, offset) = match address.split_once(':') {
                Some((module, offset)) => (parse_number(module).ok_or_else(wrong)?, offset),
                None => (0, address),
            };
            let offset = parse_number(offset).ok_or_else(wrong)?;
            let (module, offset) = (u32::try_from(module), u32::try_from(offset));
            let (Ok(module), Ok(offset)) = (module, offset) else { return Err(wrong()) };
            return Ok(LocationSpec::Address(ModuleId(module), CodeOffset(offset)));
        }
        if let Some(rest) = text.strip_prefix(['+', '-']) {
            let lines = rest.parse::<u32>().map_err(|_| wrong())?;
            let lines = i64::from(lines);
            return Ok(LocationSpec::Offset(if text.starts_with('-') { -lines } else { lines }));
        }
        let (file, last) = match text.rsplit_once(':') {
            Some((file, last)) if !file.is_empty() => (Some(file.to_owned()), last),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            let line = last.parse().ok().filter(|&line| line > 0).ok_or_else(wrong)?;
            return Ok(LocationSpec::Line { file, line });
        }
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '[' | ']' | '<' | '>' | ':');
        if last.is_empty() || !last.chars().all(is_name) {
            return Err(wrong());
        }
        Ok(LocationSpec::Function { file, name: last.to_owned() })
    }
}

/// Splits `LOCATION if CONDITION` and the like at a word: what is before it, and what is behind it.
pub(super) fn split_at_word<'a>(text: &'a str, word: &str) -> (&'a str, Option<&'a str>) {
    let mut from = 0;
    while let Some(found) = text[from..].find(word).map(|at| at + from) {
        let end = found + word.len();
        let before = text[..found].chars().next_back().is_none_or(char::is_whitespace);
        // gdb takes `if(x)` too.
        let after = text[end..].chars().next().is_none_or(|c| c.is_whitespace() || c == '(');
        if before && after {
            return (text[..found].trim_end(), Some(text[end..].trim()));
        }
        from = end;
    }
    (text.trim_end(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let parse = |text: &str| LocationSpec::parse(text).unwrap();
        let function = |file: Option<&str>, name: &str| LocationSpec::Function {
            file: file.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!(parse("worker_thread"), function(None, "worker_thread"));
        assert_eq!(parse("kernel/fork.c:dup_fd"), function(Some("kernel/fork.c"), "dup_fd"));
        assert_eq!(parse("func[12]"), function(None, "func[12]"));
        assert_eq!(parse("fork.c:12"), LocationSpec::Line { file: Some("fork.c".into()), line: 12 });
        assert_eq!(parse("12"), LocationSpec::Line { file: None, line: 12 });
        assert_eq!(parse("*0x1f"), LocationSpec::Address(ModuleId::KERNEL, CodeOffset(31)));
        assert_eq!(parse("*2:31"), LocationSpec::Address(ModuleId(2), CodeOffset(31)));
        assert_eq!(parse("+3"), LocationSpec::Offset(3));
        assert_eq!(parse("-3"), LocationSpec::Offset(-3));
        for bad in ["", "*", "*x", "*1:", ":3", "f.c:", "f.c:0", "12x", "a b", "+", "*0x1ffffffff", "f.c:99999999999"] {
            assert!(LocationSpec::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_are_split_off_at_whole_words() {
        assert_eq!(split_at_word("f.c:3 if x == 1", "if"), ("f.c:3", Some("x == 1")));
        assert_eq!(split_at_word("notify if(a)", "if"), ("notify", Some("(a)")));
        assert_eq!(split_at_word("if x", "if"), ("", Some("x")));
        assert_eq!(split_at_word("elif.c:3", "if"), ("elif.c:3", None));
        assert_eq!(split_at_word("a->if_index", "if"), ("a->if_index", None));
    }
}
