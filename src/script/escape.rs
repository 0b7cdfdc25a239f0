//! Texts in double quotes with C escapes, both ways.

/// What is wrong with an escape sequence or a quoted text, and how many bytes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EscapeError {
    pub(super) at: usize,
    pub(super) message: String,
}

fn wrong(at: usize, message: impl Into<String>) -> EscapeError {
    EscapeError { at, message: message.into() }
}

/// Reads a quoted text at the start of `source`: its bytes, and the length of the quoted text with its quotes.
pub(super) fn quoted(source: &str) -> Result<(Vec<u8>, usize), EscapeError> {
    if !source.starts_with('"') {
        return Err(wrong(0, "expected a text in double quotes"));
    }
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        match source.as_bytes().get(at) {
            None => return Err(wrong(source.len(), "the text does not end: expected a closing double quote")),
            Some(b'"') => return Ok((bytes, at + 1)),
            Some(b'\\') => {
                let (byte, length) = escape(&source.as_bytes()[at..], at)?;
                bytes.push(byte);
                at += length;
            }
            Some(&byte) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
}

/// Replaces the escapes in a text without quotes.
pub(super) fn unescaped(source: &str) -> Result<Vec<u8>, EscapeError> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(&byte) = source.as_bytes().get(at) {
        let (byte, length) = if byte == b'\\' { escape(&source.as_bytes()[at..], at)? } else { (byte, 1) };
        bytes.push(byte);
        at += length;
    }
    Ok(bytes)
}

/// Reads the escape sequence at the start of `source`, which begins with a backslash at offset `at`.
fn escape(source: &[u8], at: usize) -> Result<(u8, usize), EscapeError> {
    let Some(&letter) = source.get(1) else {
        return Err(wrong(at, "expected a character after the backslash"));
    };
    let simple = match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'e' => 0x1b,
        b'\\' | b'"' | b'\'' => letter,
        b'x' => {
            let digit = |index: usize| source.get(index).and_then(|&byte| char::from(byte).to_digit(16));
            let (Some(high), Some(low)) = (digit(2), digit(3)) else {
                return Err(wrong(at, "expected two hexadecimal digits after \\x, as in \\x1b"));
            };
            return Ok(((high * 16 + low) as u8, 4));
        }
        b'0'..=b'7' => {
            let digits = source[1..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
            let (value, count) =
                digits.fold((0u32, 0), |(value, count), &byte| (value * 8 + u32::from(byte - b'0'), count + 1));
            let Ok(byte) = u8::try_from(value) else {
                return Err(wrong(at, "an octal escape is at most \\377"));
            };
            return Ok((byte, 1 + count));
        }
        _ => {
            return Err(wrong(
                at,
                "unknown escape: expected one of \\n \\r \\t \\e \\a \\b \\f \\v \\\\ \\\" \\xNN or octal digits",
            ));
        }
    };
    Ok((simple, 2))
}

/// Writes bytes as a quoted text that reads back as the same bytes.
pub fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

/// The same without the quotes around it.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '"' | '\\' => text.extend(['\\', character]),
                _ if character.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in character.encode_utf8(&mut buffer).bytes() {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_escape() {
        let (bytes, length) = quoted(r#""a\n\r\t\e\a\b\f\v\\\"\'\x1B\0\33\3771ü" rest"#).unwrap();
        assert_eq!(bytes, b"a\n\r\t\x1b\x07\x08\x0c\x0b\\\"'\x1b\0\x1b\xff1\xc3\xbc");
        assert_eq!(length, r#""a\n\r\t\e\a\b\f\v\\\"\'\x1B\0\33\3771ü""#.len());
    }

    #[test]
    fn mistakes_have_their_place() {
        let at = |source: &str| quoted(source).unwrap_err().at;
        assert_eq!(at("x"), 0);
        assert_eq!(at(r#""ab\q""#), 3);
        assert_eq!(at(r#""\x1g""#), 1);
        assert_eq!(at(r#""\x"#), 1);
        assert_eq!(at(r#""\400""#), 1);
        assert_eq!(at(r#""abc"#), 4);
        assert_eq!(at(r#""abc\"#), 4);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = quote(&bytes);
            prop_assert_eq!(quoted(&text), Ok((bytes.clone(), text.len())));
            prop_assert_eq!(unescaped(&escaped(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\"?([\\\\\"nxe0-9a-f ü]|\\PC){0,20}") {
            if let Ok((_, length)) = quoted(&text) {
                prop_assert!(text.is_char_boundary(length));
            }
            let _ = unescaped(&text);
        }
    }
}
