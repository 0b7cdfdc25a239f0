//! `type`, `echo`.

use super::super::Reply;
use super::super::error::Result;
use super::super::words::Words;
use super::Command;
use crate::inferior::Inferior;

/// Type at the guest's console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeIn(pub Vec<u8>);

impl TypeIn {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let enter = !words.take("-n");
        let text = words.rest().unwrap_or("");
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let bytes = match quoted {
            Some(text) => unescape(text).map_err(|problem| words.wrong(problem))?,
            None => {
                let mut bytes = text.as_bytes().to_vec();
                // What a terminal's Enter sends.
                bytes.extend(enter.then_some(b'\r'));
                bytes
            }
        };
        if bytes.is_empty() {
            return Err(words.wrong("nothing to type"));
        }
        Ok(Command::TypeIn(TypeIn(bytes)))
    }

    pub(super) fn run(self, inferior: &mut dyn Inferior) -> Result<Reply> {
        inferior.type_in(&self.0)?;
        Ok(Reply::nothing())
    }
}

/// Print a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo(pub String);

impl Echo {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let text = unescape(words.rest().unwrap_or("")).map_err(|problem| words.wrong(problem))?;
        Ok(Command::Echo(Echo(String::from_utf8_lossy(&text).into_owned() + "\n")))
    }

    pub(super) fn run(self) -> Result<Reply> {
        Ok(Reply::say(self.0))
    }
}

/// Text with C escapes.
fn unescape(text: &str) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match chars.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('e') => 0x1b,
            Some('0') => 0,
            Some(same @ ('\\' | '"')) => same as u8,
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = Some(&digits).filter(|digits| digits.len() == 2 && !digits.starts_with('+'));
                let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                byte.ok_or_else(|| format!("\\x{digits} is no byte: two hexadecimal digits must follow \\x"))?
            }
            Some(other) => {
                return Err(format!("there is no escape \\{other}: use \\n \\r \\t \\e \\0 \\xNN \\\\ \\\""));
            }
            None => return Err("the text ends within an escape".into()),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let parse = |text: &str| match TypeIn::parse(&mut Words::new("type", "", text)) {
            Ok(Command::TypeIn(TypeIn(bytes))) => Ok(bytes),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(parse("ls -l").unwrap(), b"ls -l\r");
        assert_eq!(parse("-n q").unwrap(), b"q");
        assert_eq!(parse("").unwrap(), b"\r");
        assert_eq!(parse(r#""\x03a\"\\\n""#).unwrap(), b"\x03a\"\\\n");
        for bad in ["-n", r#""""#, r#""\x1""#, r#""\x+1""#, r#""\q""#, "\"\\\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
