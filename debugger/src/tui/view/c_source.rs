//! Lines of C, coloured a little: comments, strings, words of the language.

use ratatui::style::Style;
use ratatui::text::Span;

use super::rows::span;
use crate::tui::theme::Theme;

const WORDS: [&str; 36] = [
    "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
    "float", "for", "goto", "if", "inline", "int", "long", "register", "return", "short", "signed", "sizeof", "static",
    "struct", "switch", "typedef", "typeof", "union", "unsigned", "void", "volatile", "while", "_Bool",
];

/// A line in pieces. Comments that span lines are known by their stars.
pub(super) fn coloured(line: &str, theme: &Theme) -> Vec<Span<'static>> {
    let trimmed = line.trim_start();
    if trimmed.starts_with('*') && !trimmed[1..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(') {
        return vec![span(line, theme.dim)];
    }
    let mut pieces: Vec<(usize, Style)> = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (len, style) = if rest.starts_with("//") {
            (rest.len(), theme.dim)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            (comment.find("*/").map_or(rest.len(), |at| at + 4), theme.dim)
        } else if first == '"' || first == '\'' {
            (quoted(rest, first), theme.place)
        } else if first.is_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let word = &rest[..len];
            let style = match () {
                () if WORDS.contains(&word) => theme.address,
                () if rest[len..].starts_with('(') => theme.function,
                () => Style::new(),
            };
            (len, style)
        } else if first == '#' && pieces.is_empty() {
            (rest.len(), theme.address)
        } else {
            let mut end = rest.len();
            for (at, c) in rest.char_indices().skip(1) {
                if c.is_alphabetic() || matches!(c, '_' | '"' | '\'' | '/' | '#') {
                    end = at;
                    break;
                }
            }
            (end, Style::new())
        };
        pieces.push((len, style));
        rest = &rest[len..];
    }
    let mut at = 0;
    let spans = pieces.into_iter().map(|(len, style)| {
        at += len;
        span(&line[at - len..at], style)
    });
    spans.collect()
}

/// The length of a string or character, with its quotes; to the end of the line if it is not closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::theme::ThemeName;

    #[test]
    fn words_calls_strings_and_comments_are_told_apart() {
        let theme = Theme::of(ThemeName::Dark);
        let spans = coloured(r#"	return call("a\"b", 'c'); // why"#, &theme);
        let find = |text: &str| spans.iter().find(|span| span.content == text).map(|span| span.style);
        assert_eq!(find("return"), Some(theme.address));
        assert_eq!(find("call"), Some(theme.function));
        assert_eq!(find(r#""a\"b""#), Some(theme.place));
        assert_eq!(find("// why"), Some(theme.dim));
        assert_eq!(coloured(" * of a comment", &theme).len(), 1);
        assert!(coloured(" *p = 1;", &theme).len() > 1);
    }

    proptest! {
        #[test]
        fn nothing_of_a_line_is_lost(line in "[\"'/*#a-z_é\\\\ (1]{0,30}|\\PC*") {
            let spans = coloured(&line, &Theme::of(ThemeName::Dark));
            prop_assert_eq!(spans.iter().map(|span| span.content.as_ref()).collect::<String>(), line);
        }
    }
}
