//! Memory as it is: gdb's `x`.

use super::ExprError;
use super::eval::Evaluator;
use super::format::{Format, Letter, quoted};
use super::value::Value;
use crate::symbols::Unavailable;

/// The most units of one command.
const MAX_UNITS: u64 = 65_536;
/// The most bytes shown of a text.
const MAX_TEXT: u64 = 4096;

/// What of memory is shown: `x/8xw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examine {
    /// How many units.
    pub count: u64,
    /// How each is written; `Text` shows texts up to their zero.
    pub letter: Letter,
    /// The size of a unit in bytes: 1, 2, 4 or 8.
    pub size: u64,
}

impl Examine {
    /// Reads what stands behind the slash of `x/8xw`: a count, a format and a size (`b`, `h`, `w`, `g`), in any order
    /// of the letters, each of which may be missing.
    ///
    /// # Errors
    /// There is another letter.
    pub fn parse(text: &str, address_size: u64) -> Result<Examine, ExprError> {
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let syntax = |position, message: String| ExprError::Syntax { position, message };
        let count = match &text[..digits] {
            "" => 1,
            number => number.parse().map_err(|_| syntax(0, format!("{number} is too many")))?,
        };
        let (mut letter, mut size) = (None, None);
        for (at, found) in text[digits..].char_indices() {
            match found {
                'b' => size = Some(1),
                'h' => size = Some(2),
                'w' => size = Some(4),
                'g' => size = Some(8),
                found => {
                    let known = Letter::from_letter(found);
                    let message = || format!("{found} is no format; there are x z d u o t c a f s, and sizes b h w g");
                    letter = Some(known.ok_or_else(|| syntax(digits + at, message()))?);
                }
            }
        }
        let letter = letter.unwrap_or(Letter::Hex);
        let usual = match letter {
            Letter::Char | Letter::Text => 1,
            Letter::Address => address_size,
            Letter::Float => 8,
            _ => 4,
        };
        Ok(Examine { count, letter, size: size.unwrap_or(usual) })
    }
}

impl Evaluator<'_> {
    /// Memory from an address on, as gdb's `x` shows it; and the address behind it.
    ///
    /// # Errors
    /// There is no memory at the address; if only the rest is missing, the text says so.
    pub fn examine(&mut self, address: u64, what: Examine) -> Result<(String, u64), ExprError> {
        if what.count > MAX_UNITS {
            return Err(ExprError::TooLarge("the range"));
        }
        if what.letter == Letter::Text {
            return self.examine_texts(address, what.count);
        }
        let per_line = match (what.size, what.letter) {
            (_, Letter::Binary) => 8 / what.size.max(1),
            (1, _) => 8,
            (2, _) => 8,
            (4, _) => 4,
            _ => 2,
        }
        .max(1);
        let ty = self.symbols.base_type(match what.size {
            1 => "unsigned char",
            2 => "unsigned short",
            4 if what.letter == Letter::Float => "float",
            4 => "unsigned int",
            _ if what.letter == Letter::Float => "double",
            _ => "unsigned long long",
        });
        let format = Format { letter: Some(pad(what.letter)), ..Format::default() };
        let mut text = String::new();
        let mut at = address;
        for number in 0..what.count {
            let unit = Value::memory(ty, at);
            // What is not there ends the list; at its start it is an error.
            if let Err(error) = self.load(&unit) {
                if number == 0 {
                    return Err(error);
                }
                text.push_str(&format!("\n{error}\n"));
                return Ok((text, at));
            }
            if number % per_line == 0 {
                if number > 0 {
                    text.push('\n');
                }
                text.push_str(&self.address_text(at));
                text.push(':');
            }
            text.push('\t');
            text.push_str(&self.format(&unit, &format));
            at = at.wrapping_add(what.size);
        }
        text.push('\n');
        Ok((text, at))
    }

    fn examine_texts(&mut self, address: u64, count: u64) -> Result<(String, u64), ExprError> {
        let mut text = String::new();
        let mut at = address;
        for number in 0..count.min(MAX_TEXT) {
            let bytes = match self.target.memory(at, 1) {
                Ok(_) => self.bytes_to_zero(at, MAX_TEXT),
                Err(error) if number == 0 => return Err(error.into()),
                Err(error) => {
                    text.push_str(&format!("{error}\n"));
                    break;
                }
            };
            let place = self.address_text(at);
            text.push_str(&format!("{place}:\t{}\n", quoted(&bytes, '"')));
            at = at.wrapping_add(bytes.len() as u64 + 1);
        }
        Ok((text, at))
    }

    /// The text that a pointer points to, in quotes; cut short after `limit` bytes.
    pub(super) fn text_at(&mut self, address: u64, limit: usize) -> String {
        match self.target.memory(address, 1) {
            Err(Unavailable(why)) => format!("<error: {why}>"),
            Ok(_) => {
                let bytes = self.bytes_to_zero(address, limit as u64 + 1);
                let cut = bytes.len() > limit;
                quoted(&bytes[..bytes.len().min(limit)], '"') + if cut { "..." } else { "" }
            }
        }
    }

    fn bytes_to_zero(&mut self, address: u64, limit: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < limit {
            let at = address.wrapping_add(bytes.len() as u64);
            // Less and less, where the memory ends.
            let part =
                [64, 8, 1].into_iter().find_map(|len| self.target.memory(at, len).ok().filter(|part| !part.is_empty()));
            let Some(part) = part else { break };
            let end = part.iter().position(|&byte| byte == 0);
            bytes.extend(&part[..end.unwrap_or(part.len())]);
            if end.is_some() {
                break;
            }
        }
        bytes.truncate(limit as usize);
        bytes
    }
}

/// gdb pads the numbers of `x/x` to their size.
fn pad(letter: Letter) -> Letter {
    if letter == Letter::Hex { Letter::PaddedHex } else { letter }
}
