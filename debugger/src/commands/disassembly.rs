//! Wasm code as text. wasmprinter is used here alone.

use std::io;
use std::ops::Range;

use wasmparser::{Parser, Payload};
use wkdb_tracer::CodeOffset;

/// A line of a function's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where the instruction begins.
    pub(super) offset: CodeOffset,
    /// It, indented by its nesting.
    pub(super) text: String,
}

/// The text of the instructions in `range` of a module.
///
/// # Errors
/// In words: the module cannot be printed.
pub(super) fn disassemble(module: &[u8], range: Range<CodeOffset>) -> Result<Vec<Line>, String> {
    let code = code_start(module)?;
    let in_file = |offset: CodeOffset| code + offset.0 as usize;
    let mut excerpt = Excerpt { wanted: in_file(range.start)..in_file(range.end), code, ..Excerpt::default() };
    let mut config = wasmprinter::Config::new();
    match config.name_unnamed(false).print(module, &mut excerpt) {
        Err(error) if !excerpt.over => Err(format!("{error:#}")),
        _ => {
            // The lines that begin the function and declare its locals are no instructions, and its last one closes a
            // bracket.
            excerpt.lines.retain(|line| !line.text.trim_start().starts_with(['(']));
            if let Some(last) = excerpt.lines.last_mut().filter(|line| line.text.trim() == ")") {
                last.text = "end".to_owned();
            }
            let instructions = excerpt.lines.len().saturating_sub(1);
            let indentation = |line: &Line| line.text.len() - line.text.trim_start().len();
            let least = excerpt.lines.iter().take(instructions).map(indentation).min().unwrap_or(0);
            for line in excerpt.lines.iter_mut().take(instructions) {
                line.text = line.text.split_off(least).trim_end().to_owned();
            }
            Ok(excerpt.lines)
        }
    }
}

/// Keeps some lines of what is printed, and ends the printing after them.
#[derive(Default)]
struct Excerpt {
    /// In the file.
    wanted: Range<usize>,
    /// Where the code section's contents begin in the file.
    code: usize,
    lines: Vec<Line>,
    /// The line that is printed now is one of them.
    inside: bool,
    /// All of them have been printed.
    over: bool,
}

impl wasmprinter::Print for Excerpt {
    fn write_str(&mut self, text: &str) -> io::Result<()> {
        if self.over {
            return Err(io::Error::other("the rest is not wanted"));
        }
        if self.inside
            && let Some(line) = self.lines.last_mut()
        {
            line.text.push_str(text);
        }
        Ok(())
    }

    fn start_line(&mut self, offset: Option<usize>) {
        self.inside = offset.is_some_and(|offset| self.wanted.contains(&offset));
        self.over |= offset.is_some_and(|offset| offset >= self.wanted.end);
        if let (true, Some(offset)) = (self.inside, offset) {
            // The wanted range begins behind the start of the code section.
            let offset = CodeOffset(u32::try_from(offset - self.code).unwrap_or(u32::MAX));
            self.lines.push(Line { offset, text: String::new() });
        }
    }
}

/// Where the contents of the code section begin in the file.
fn code_start(module: &[u8]) -> Result<usize, String> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CodeSectionStart { range, .. } = payload.map_err(|error| error.to_string())? {
            return Ok(range.start);
        }
    }
    Err("the module has no code".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;

    #[test]
    fn a_function_is_printed_with_its_offsets() {
        let module = wat::parse_str(
            r#"(module (func $first (nop)) (func $second (param i32) (result i32)
                (block (br_if 0 (local.get 0)) (return (i32.const 7))) (i32.const 9)) (func $third (nop)))"#,
        )
        .unwrap();
        let symbols = Symbols::load(module.clone()).unwrap();
        let second = symbols.functions_named("second").remove(0);
        let lines = disassemble(&module, second.start..second.end).unwrap();
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            text,
            [
                "block ;; label = @1",
                "  local.get 0",
                "  br_if 0 (;@1;)",
                "  i32.const 7",
                "  return",
                "end",
                "i32.const 9",
                "end"
            ]
        );
        let offsets: Vec<u32> = lines.iter().map(|line| line.offset.0 - second.start.0).collect();
        assert_eq!(offsets, [1, 3, 5, 7, 9, 10, 11, 13], "one byte declares that there are no locals");
    }

    #[test]
    fn what_is_no_module_is_told() {
        assert!(disassemble(b"", CodeOffset(0)..CodeOffset(9)).is_err());
        assert!(disassemble(b"\0asm\x01\0\0\0", CodeOffset(0)..CodeOffset(9)).unwrap_err().contains("no code"));
    }
}
