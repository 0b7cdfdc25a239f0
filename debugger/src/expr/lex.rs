//! Text into tokens.

use super::ExprError;

/// The longest expression, in bytes.
const MAX_LEN: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Integer {
        value: u64,
        decimal: bool,
        unsigned: bool,
        longs: u8,
    },
    /// A number with a fraction; whether it is a `float`.
    Float(f64, bool),
    Char(u8),
    Text(Vec<u8>),
    /// A name, with `file::` or namespaces before it.
    Name(String),
    Dollar(String),
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 44] = [
    "<<=", ">>=", "...", "->", "..", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=",
    "&=", "|=", "^=", "::", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "=", "?", ":", ",", ".", "(",
    ")", "[", "]", "@",
];

/// The tokens of a text with the bytes that they begin at.
pub(super) fn lex(text: &str) -> Result<Vec<(usize, Token)>, ExprError> {
    if text.len() > MAX_LEN {
        return Err(ExprError::TooLarge("the expression"));
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip(char::is_whitespace);
        let start = lexer.at;
        match lexer.token()? {
            Some(token) => tokens.push((start, token)),
            None => return Ok(tokens),
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip(&mut self, which: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|letter| !which(letter)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn error<T>(&self, position: usize, message: impl Into<String>) -> Result<T, ExprError> {
        Err(ExprError::Syntax { position, message: message.into() })
    }

    fn token(&mut self) -> Result<Option<Token>, ExprError> {
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let start = self.at;
        Ok(Some(match first {
            '0'..='9' => self.number()?,
            '\'' => self.quoted_name().map_or_else(|| self.character(), |name| Ok(Token::Name(name)))?,
            '"' => Token::Text(self.quoted('"')?),
            '$' => {
                self.at += 1;
                Token::Dollar(self.skip(is_name).to_owned())
            }
            letter if is_name(letter) => Token::Name(self.name()),
            letter => match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
                Some(sign) => {
                    self.at += sign.len();
                    Token::Sign(sign)
                }
                None => return self.error(start, format!("no expression has {letter:?} in it")),
            },
        }))
    }

    /// A name, with those before `::`.
    fn name(&mut self) -> String {
        let start = self.at;
        self.skip(is_name);
        while let Some(next) = self.rest().strip_prefix("::")
            && next.starts_with(is_name)
        {
            self.at += 2;
            self.skip(is_name);
        }
        self.text[start..self.at].to_owned()
    }

    /// `'kernel/workqueue.c'::name`.
    fn quoted_name(&mut self) -> Option<String> {
        let inside = &self.rest()[1..];
        let end = inside.find('\'')?;
        let after = inside[end + 1..].strip_prefix("::")?;
        if !after.starts_with(is_name) {
            return None;
        }
        self.at += end + 4;
        Some(format!("{}::{}", &inside[..end], self.name()))
    }

    fn character(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        match self.quoted('\'')?[..] {
            [byte] => Ok(Token::Char(byte)),
            _ => self.error(start, "a character is one byte between quotes"),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Vec<u8>, ExprError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(letter) = self.rest().chars().next() else {
                return self.error(start, format!("a closing {quote} is missing for the one"));
            };
            self.at += letter.len_utf8();
            if letter == quote {
                return Ok(bytes);
            }
            if letter == '\\' {
                bytes.push(self.escape()?);
            } else {
                bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }

    fn escape(&mut self) -> Result<u8, ExprError> {
        let start = self.at - 1;
        let Some(letter) = self.rest().chars().next() else { return self.error(start, "an escape is cut short") };
        if letter.is_digit(8) {
            let digits: String = self.rest().chars().take(3).take_while(|digit| digit.is_digit(8)).collect();
            self.at += digits.len();
            return u8::from_str_radix(&digits, 8)
                .or_else(|_| self.error(start, "an octal escape is more than a byte"));
        }
        self.at += letter.len_utf8();
        Ok(match letter {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'a' => 7,
            'b' => 8,
            'e' => 27,
            'f' => 12,
            'v' => 11,
            'x' => {
                let digits: String = self.rest().chars().take(2).take_while(char::is_ascii_hexdigit).collect();
                self.at += digits.len();
                return u8::from_str_radix(&digits, 16).or_else(|_| self.error(start, "\\x needs hexadecimal digits"));
            }
            '\\' | '\'' | '"' | '?' => letter as u8,
            other => return self.error(start, format!("there is no escape \\{other}")),
        })
    }

    fn number(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        let rest = self.rest();
        let (radix, prefix) = match rest.as_bytes() {
            [b'0', b'x' | b'X', ..] => (16, 2),
            [b'0', b'b' | b'B', ..] => (2, 2),
            [b'0', b'0'..=b'9', ..] => (8, 1),
            _ => (10, 0),
        };
        self.at += prefix;
        let digits = self.skip(|letter| letter.is_digit(radix) || letter == '_').replace('_', "");
        // `1..4` is a slice's bounds, not a number and a dot.
        let fraction = self.rest().starts_with('.') && !self.rest().starts_with("..");
        if radix == 10 && (fraction || self.rest().starts_with(['e', 'E'])) {
            return self.float(start);
        }
        let suffix = self.skip(is_name).to_lowercase();
        let unsigned = suffix.contains('u');
        let longs = suffix.matches('l').count();
        if suffix.chars().any(|letter| !matches!(letter, 'u' | 'l')) || longs > 2 || suffix.matches('u').count() > 1 {
            return self.error(start, format!("{} is no number", &self.text[start..self.at]));
        }
        match u64::from_str_radix(&digits, radix) {
            Ok(value) => Ok(Token::Integer { value, decimal: radix == 10, unsigned, longs: longs as u8 }),
            Err(_) => self.error(start, format!("{} is no number of 64 bits", &self.text[start..self.at])),
        }
    }

    fn float(&mut self, start: usize) -> Result<Token, ExprError> {
        if self.rest().starts_with('.') {
            self.at += 1;
            self.skip(|letter| letter.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.skip(|letter| letter.is_ascii_digit());
        }
        let text = &self.text[start..self.at];
        let single = self.rest().starts_with(['f', 'F']);
        self.at += usize::from(single);
        text.parse()
            .map(|value| Token::Float(value, single))
            .or_else(|_| self.error(start, format!("{text} is no number")))
    }
}
