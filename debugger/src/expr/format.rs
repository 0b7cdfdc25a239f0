//! Values as text, the way gdb prints them.

use super::eval::Evaluator;
use super::value::{Content, Scalar, Value};
use super::{ExprError, c_type};
use crate::symbols::{Encoding, Member, Piece, Place, TypeId, TypeKind, Whereabouts};

/// As many equal elements are shown as one that repeats.
const REPEATS: usize = 10;
/// Where the text of a value breaks off, in bytes.
const MAX_TEXT: usize = 256 * 1024;

/// How a number is written: gdb's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `x`.
    Hex,
    /// `z`: hexadecimal with leading zeros.
    PaddedHex,
    /// `d`.
    Decimal,
    /// `u`.
    Unsigned,
    /// `o`.
    Octal,
    /// `t`.
    Binary,
    /// `c`.
    Char,
    /// `a`: an address with its symbol.
    Address,
    /// `f`.
    Float,
    /// `s`: text.
    Text,
}

impl Letter {
    /// The format with a letter of gdb's.
    pub fn from_letter(letter: char) -> Option<Letter> {
        Some(match letter {
            'x' => Letter::Hex,
            'z' => Letter::PaddedHex,
            'd' => Letter::Decimal,
            'u' => Letter::Unsigned,
            'o' => Letter::Octal,
            't' => Letter::Binary,
            'c' => Letter::Char,
            'a' => Letter::Address,
            'f' => Letter::Float,
            's' => Letter::Text,
            _ => return None,
        })
    }
}

/// How values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// How numbers are written; `None`: as their types have it.
    pub letter: Option<Letter>,
    /// How many elements of arrays and characters of texts are shown.
    pub max_elements: usize,
    /// How deep structures in structures are shown.
    pub max_depth: usize,
    /// A member a line.
    pub pretty: bool,
}

impl Default for Format {
    fn default() -> Self {
        Format { letter: None, max_elements: 200, max_depth: 20, pretty: false }
    }
}

impl Evaluator<'_> {
    /// A value as text. What cannot be read of it is told in its place.
    pub fn format(&mut self, value: &Value, format: &Format) -> String {
        let mut printer = Printer { evaluator: self, format, text: String::new() };
        printer.top(value);
        let mut text = printer.text;
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(end);
            text.push_str("...");
        }
        text
    }

    /// An address with the symbol that holds it: `0x1f20 <init_task+4>`.
    pub fn address_text(&mut self, address: u64) -> String {
        match self.symbol_text(address) {
            Some(symbol) => format!("{address:#x} {symbol}"),
            None => format!("{address:#x}"),
        }
    }

    fn symbol_text(&mut self, address: u64) -> Option<String> {
        let relative = address.checked_sub(self.memory_base().ok()?)?;
        let (symbol, offset) = self.symbols.symbol_at(relative)?;
        Some(match offset {
            0 => format!("<{}>", symbol.name),
            _ => format!("<{}+{offset}>", symbol.name),
        })
    }

    /// The name of the function that a pointer of this value calls.
    fn function_text(&mut self, pointer: u64) -> Option<String> {
        let place = pointer.checked_sub(self.table_base().ok()?)?;
        Some(format!("<{}>", self.symbols.function_name(self.symbols.table_function(place)?)))
    }
}

struct Printer<'p, 'a> {
    evaluator: &'p mut Evaluator<'a>,
    format: &'p Format,
    text: String,
}

impl Printer<'_, '_> {
    fn top(&mut self, value: &Value) {
        let symbols = self.evaluator.symbols;
        if let TypeKind::Pointer { to, reference } = symbols.resolve(value.ty).1.kind
            && self.format.letter.is_none()
        {
            if reference {
                let target = self.evaluator.pointed(value);
                self.text.push_str(&format!("({}) ", c_type::type_text(symbols, value.ty)));
                return match target {
                    Ok(target) => {
                        let address = target.address().map(|address| format!("@{address:#x}: ")).unwrap_or_default();
                        self.text.push_str(&address);
                        self.value(&target, 0);
                    }
                    Err(error) => self.failed(&error),
                };
            }
            if !self.is_char(to) {
                self.text.push_str(&format!("({}) ", c_type::type_text(symbols, value.ty)));
            }
        }
        self.value(value, 0);
    }

    fn failed(&mut self, error: &ExprError) {
        self.text.push_str(&match error {
            ExprError::NoPlace { cause, .. } => format!("<{cause}>"),
            ExprError::PartlyOptimizedOut => "<optimized out>".to_owned(),
            other => format!("<error: {other}>"),
        });
    }

    fn value(&mut self, value: &Value, depth: usize) {
        if let Err(error) = self.try_value(value, depth) {
            self.failed(&error);
        }
    }

    fn try_value(&mut self, value: &Value, depth: usize) -> Result<(), ExprError> {
        let symbols = self.evaluator.symbols;
        let (_, ty) = symbols.resolve(value.ty);
        if let Content::Function(index) = value.content {
            let at = symbols.function(index).map(|function| format!("{:#x} ", function.start.0)).unwrap_or_default();
            let name = symbols.function_name(index);
            self.text.push_str(&format!("{{{}}} {at}<{name}>", c_type::type_text(symbols, value.ty)));
            return Ok(());
        }
        if let Content::Place(Place(pieces)) = &value.content
            && let [Piece { at: Whereabouts::ImplicitPointer(_), .. }] = &pieces[..]
        {
            self.text.push_str("(synthetic pointer)");
            return Ok(());
        }
        match &ty.kind {
            TypeKind::Composite(composite) => {
                if composite.incomplete {
                    self.text.push_str("<incomplete type>");
                    return Ok(());
                }
                if depth >= self.format.max_depth || self.text.len() > MAX_TEXT {
                    self.text.push_str("{...}");
                    return Ok(());
                }
                let mut members: Vec<Member> = composite.members.clone();
                if let Some(variants) = &composite.variants {
                    members.extend(self.variant(value, variants)?);
                }
                self.members(value, &members, depth);
                Ok(())
            }
            TypeKind::Array { element, count } => self.array(value, *element, *count, depth),
            TypeKind::Void => {
                self.text.push_str("void");
                Ok(())
            }
            _ => self.number(value),
        }
    }

    /// The members of the variant that a Rust enum has.
    fn variant(&mut self, value: &Value, variants: &crate::symbols::Variants) -> Result<Vec<Member>, ExprError> {
        let found = match &variants.discriminant {
            Some(member) => {
                let part = self.evaluator.part(value, member.offset, member.ty, member.bits)?;
                Some(self.evaluator.integer(&part)?)
            }
            None => None,
        };
        let all = &variants.variants;
        let chosen = all.iter().find(|(value, _)| value.is_some() && *value == found);
        let chosen = chosen.or_else(|| all.iter().find(|(value, _)| value.is_none()));
        Ok(chosen.map(|(_, members)| members.clone()).unwrap_or_default())
    }

    fn members(&mut self, value: &Value, members: &[Member], depth: usize) {
        self.text.push('{');
        for (number, member) in members.iter().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            if self.text.len() > MAX_TEXT {
                self.text.push_str("...");
                break;
            }
            match self.format.pretty {
                true => self.text.push_str(&format!("\n{}", "  ".repeat(depth + 1))),
                false if number > 0 => self.text.push(' '),
                false => {}
            }
            if let Some(name) = &member.name {
                self.text.push_str(&format!("{name} = "));
            }
            match self.evaluator.part(value, member.offset, member.ty, member.bits) {
                Ok(part) => self.value(&part, depth + 1),
                Err(error) => self.failed(&error),
            }
        }
        if self.format.pretty && !members.is_empty() {
            self.text.push_str(&format!("\n{}", "  ".repeat(depth)));
        }
        self.text.push('}');
    }

    fn is_char(&self, ty: TypeId) -> bool {
        let (_, ty) = self.evaluator.symbols.resolve(ty);
        ty.size == Some(1) && matches!(ty.kind, TypeKind::Base(Encoding::SignedChar | Encoding::UnsignedChar))
    }

    fn array(&mut self, value: &Value, element: TypeId, count: Option<u64>, depth: usize) -> Result<(), ExprError> {
        let is_text = self.is_char(element) && matches!(self.format.letter, None | Some(Letter::Text));
        let Some(count) = count else {
            // Of open length: how many there are, only the program knows.
            return match value.address() {
                Some(address) => {
                    let text = self.evaluator.address_text(address);
                    self.text.push_str(&text);
                    if is_text {
                        let text = self.evaluator.text_at(address, self.format.max_elements);
                        self.text.push_str(&format!(" {text}"));
                    }
                    Ok(())
                }
                None => Err(ExprError::Type("an array of unknown length".into())),
            };
        };
        if depth >= self.format.max_depth {
            self.text.push_str("{...}");
            return Ok(());
        }
        let size = self.evaluator.size(element)?;
        // Repeated elements count as one, but how many are read has an end too.
        let most = (self.format.max_elements as u64).saturating_mul(64).min((1 << 20) / size.max(1)).max(1);
        let read = count.min(most);
        let whole = match value.content {
            Content::Memory(address) => Value::memory(self.evaluator.symbols.array_of(element, Some(read)), address),
            _ => value.clone(),
        };
        let bytes = self.evaluator.load(&whole)?;
        if is_text {
            self.text_of(&bytes, count);
            return Ok(());
        }
        self.text.push('{');
        let (mut at, mut shown) = (0, 0);
        let len = size as usize;
        while at < read as usize {
            if shown > 0 {
                self.text.push_str(", ");
            }
            if shown >= self.format.max_elements || self.text.len() > MAX_TEXT {
                self.text.push_str("...");
                break;
            }
            let one = |number: usize| bytes.get(number * len..(number + 1) * len).unwrap_or_default();
            let same = (at + 1..read as usize).take_while(|&next| len > 0 && one(next) == one(at)).count() + 1;
            let part = match value.content {
                Content::Memory(address) => Value::memory(element, address.wrapping_add(at as u64 * size)),
                _ => Value { ty: element, content: Content::Bytes(one(at).to_vec()), bits: None },
            };
            self.value(&part, depth + 1);
            if same >= REPEATS {
                self.text.push_str(&format!(" <repeats {same} times>"));
                at += same;
            } else {
                at += 1;
            }
            shown += 1;
            if at as u64 == read && read < count {
                self.text.push_str("...");
            }
        }
        self.text.push('}');
        Ok(())
    }

    /// An array of characters: up to its first zero, if there are only zeros from there on.
    fn text_of(&mut self, bytes: &[Option<u8>], count: u64) {
        if bytes.iter().all(Option::is_none) && !bytes.is_empty() {
            return self.text.push_str("<optimized out>");
        }
        let bytes: Vec<u8> = bytes.iter().map(|byte| byte.unwrap_or(b'?')).collect();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let shown = end.min(self.format.max_elements);
        let cut = shown < end || (bytes.len() as u64) < count;
        self.text.push_str(&quoted(&bytes[..shown], '"'));
        if cut {
            self.text.push_str("...");
        }
    }

    /// Anything that is no more than a number.
    fn number(&mut self, value: &Value) -> Result<(), ExprError> {
        let symbols = self.evaluator.symbols;
        let (_, ty) = symbols.resolve(value.ty);
        let scalar = self.evaluator.scalar(value)?;
        if let Some(letter) = self.format.letter {
            let text = self.lettered(scalar, letter)?;
            self.text.push_str(&text);
            return Ok(());
        }
        let text = match (&ty.kind, scalar) {
            (_, Scalar::Pointer { value: address, to }) => return self.pointer(address, to),
            (_, Scalar::Float { value, size: 4 }) => (value as f32).to_string(),
            (_, Scalar::Float { value, .. }) => value.to_string(),
            (TypeKind::Base(Encoding::Bool), Scalar::Int { value: 0, .. }) => "false".into(),
            (TypeKind::Base(Encoding::Bool), Scalar::Int { value: 1, .. }) => "true".into(),
            (TypeKind::Base(Encoding::SignedChar | Encoding::UnsignedChar), Scalar::Int { value, size: 1, .. }) => {
                format!("{value} {}", quoted(&[value as u8], '\''))
            }
            (TypeKind::Enum { enumerators, .. }, Scalar::Int { value, .. }) => enumerator(enumerators, value),
            (_, Scalar::Int { value, .. }) => value.to_string(),
        };
        self.text.push_str(&text);
        Ok(())
    }

    fn pointer(&mut self, address: u64, to: TypeId) -> Result<(), ExprError> {
        let symbols = self.evaluator.symbols;
        let is_function = matches!(symbols.resolve(to).1.kind, TypeKind::Function { .. });
        self.text.push_str(&format!("{address:#x}"));
        if address == 0 {
            return Ok(());
        }
        if is_function {
            let name = self.evaluator.function_text(address);
            self.text.push_str(&name.map(|name| format!(" {name}")).unwrap_or_default());
            return Ok(());
        }
        if let Some(symbol) = self.evaluator.symbol_text(address) {
            self.text.push_str(&format!(" {symbol}"));
        }
        if self.is_char(to) {
            let text = self.evaluator.text_at(address, self.format.max_elements);
            self.text.push(' ');
            self.text.push_str(&text);
        }
        Ok(())
    }

    fn lettered(&mut self, scalar: Scalar, letter: Letter) -> Result<String, ExprError> {
        let size = match scalar {
            Scalar::Int { size, .. } | Scalar::Float { size, .. } => size,
            Scalar::Pointer { .. } => self.evaluator.symbols.address_size(),
        };
        let bits = size.min(16) * 8;
        // A float is shown as what its bits are as a whole number.
        let number = match scalar {
            Scalar::Float { value, size: 4 } => i128::from((value as f32).to_bits()),
            Scalar::Float { value, .. } => i128::from(value.to_bits()),
            other => other.integer(),
        };
        let mask = if bits >= 128 { u128::MAX } else { (1 << bits) - 1 };
        let raw = number.cast_unsigned() & mask;
        Ok(match letter {
            Letter::Hex => format!("{raw:#x}"),
            Letter::PaddedHex => format!("{raw:#0width$x}", width = bits.div_ceil(4) as usize + 2),
            Letter::Decimal => super::value::truncated(number, bits as u32, true).to_string(),
            Letter::Unsigned => raw.to_string(),
            Letter::Octal if raw == 0 => "0".into(),
            Letter::Octal => format!("0{raw:o}"),
            Letter::Binary => format!("{raw:b}"),
            Letter::Char => {
                let byte = raw as u8;
                let shown = super::value::truncated(number, 8, true);
                format!("{shown} {}", quoted(&[byte], '\''))
            }
            Letter::Address => self.evaluator.address_text(raw as u64),
            Letter::Float => match (scalar, size) {
                (Scalar::Float { value, .. }, _) => value.to_string(),
                (_, 4) => f32::from_bits(raw as u32).to_string(),
                (_, 8) => f64::from_bits(raw as u64).to_string(),
                _ => number.to_string(),
            },
            Letter::Text => match scalar {
                Scalar::Pointer { value, to } if self.is_char(to) => {
                    format!("{value:#x} {}", self.evaluator.text_at(value, self.format.max_elements))
                }
                Scalar::Pointer { value, .. } => format!("{value:#x}"),
                _ => number.to_string(),
            },
        })
    }
}

/// An enumerator by its value, or several that are flags.
fn enumerator(enumerators: &[(String, i128)], value: i128) -> String {
    if let Some((name, _)) = enumerators.iter().find(|(_, known)| *known == value) {
        return name.clone();
    }
    let is_flag = |value: i128| value > 0 && value.count_ones() == 1;
    let flags = enumerators.iter().filter(|(_, value)| *value != 0).all(|(_, value)| is_flag(*value));
    if !flags || value <= 0 {
        return value.to_string();
    }
    let mut left = value;
    let mut names = Vec::new();
    for (name, flag) in enumerators {
        if *flag != 0 && left & flag == *flag {
            names.push(name.clone());
            left &= !flag;
        }
    }
    match (names.is_empty(), left) {
        (true, _) => value.to_string(),
        (false, 0) => format!("({})", names.join(" | ")),
        (false, left) => format!("({} | unknown: {left:#x})", names.join(" | ")),
    }
}

/// Bytes between quotes, with C's escapes.
pub(super) fn quoted(bytes: &[u8], quote: char) -> String {
    let mut text = String::from(quote);
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            7 => text.push_str("\\a"),
            8 => text.push_str("\\b"),
            27 => text.push_str("\\033"),
            b'\\' => text.push_str("\\\\"),
            _ if char::from(byte) == quote => text.extend(['\\', quote]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push(quote);
    text
}
