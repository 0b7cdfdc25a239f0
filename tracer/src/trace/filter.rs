//! `--filter`: which events are shown.

use std::str::FromStr;

use super::{Category, Field, Phase, TraceEvent};

/// One condition, `KEY OPERATOR VALUE`: an event passes if it is so.
///
/// Keys are `category` (or `kind`), `name`, `comm`, `pid`, `cpu`, `tick`, `time` (in seconds), `phase`, `other` (the comm of
/// the other task), `took` (in seconds), and the names of fields. `=` and `!=` take a pattern with `*` and `?`; `<`, `<=`,
/// `>`, `>=` compare numbers. An event that does not have the key does not pass, but with `!=`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    key: String,
    operator: Operator,
    value: String,
    number: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no operator in it.
    #[error("{0}: a filter is KEY=VALUE, or with !=, <, <=, >, >= in between")]
    NoOperator(String),
    /// It is compared with something that is no number.
    #[error("{0}: <, <=, >, >= compare with a number; {1:?} is none")]
    NoNumber(String, String),
    /// There is no such category.
    #[error("{0}: {1}")]
    NoCategory(String, String),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let at = text.find(['=', '!', '<', '>']).filter(|&at| at > 0);
        let at = at.ok_or_else(|| FilterError::NoOperator(text.to_owned()))?;
        let (key, rest) = text.split_at(at);
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = operators.into_iter().find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?)));
        let (operator, value) = found.ok_or_else(|| FilterError::NoOperator(text.to_owned()))?;
        let (key, value) = (key.trim(), value.trim().to_owned());
        let number = number(&value);
        if number.is_none() && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(FilterError::NoNumber(text.to_owned(), value));
        }
        let key = if key == "kind" { "category" } else { key }.to_owned();
        let mut value = value;
        if key == "category" && !value.contains(['*', '?']) {
            let category: Category = value.parse().map_err(|error| FilterError::NoCategory(text.to_owned(), error))?;
            value = category.name().to_owned();
        }
        Ok(Filter { key, operator, value, number })
    }
}

/// A number, also a hexadecimal one, or seconds with their unit.
fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(|value| value as f64);
    }
    let units = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let value: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(value * factor)
    });
    parsed.or_else(|| text.parse().ok()).filter(|value: &f64| value.is_finite())
}

impl Filter {
    /// Whether an event passes.
    pub fn passes(&self, event: &TraceEvent) -> bool {
        let text = |text: &str| Some((text.to_owned(), None));
        let int = |value: i128| Some((value.to_string(), Some(value as f64)));
        let seconds = |ns: u64| Some((format!("{:.9}", ns as f64 / 1e9), Some(ns as f64 / 1e9)));
        let found: Option<(String, Option<f64>)> = match self.key.as_str() {
            "category" => text(event.category.name()),
            "name" => text(&event.name),
            "comm" => text(&event.thread.comm),
            "pid" => event.thread.pid.and_then(|pid| int(pid.into())),
            "other" => event.other.as_ref().and_then(|other| text(&other.comm)),
            "cpu" => int(event.cpu.0.into()),
            "tick" => int(event.tick.0.into()),
            "time" => seconds(event.time.0),
            "took" => event.took_ns.and_then(seconds),
            "phase" => text(match event.phase {
                Phase::Begin => "begin",
                Phase::End => "end",
                Phase::Instant => "instant",
            }),
            field => event.field(field).map(|field| {
                let value = match field {
                    Field::Int(value) => Some(*value as f64),
                    Field::Hex(value) => Some(*value as f64),
                    Field::Text(_) => None,
                };
                (field.to_string(), value)
            }),
        };
        let Some((text, value)) = found else { return self.operator == Operator::NotEqual };
        let equal = || value.is_some() && value == self.number || glob(&self.value, &text);
        let compared = value.zip(self.number).and_then(|(one, other)| one.partial_cmp(&other));
        match self.operator {
            Operator::Equal => equal(),
            Operator::NotEqual => !equal(),
            Operator::Less => compared.is_some_and(|order| order.is_lt()),
            Operator::AtMost => compared.is_some_and(|order| order.is_le()),
            Operator::Greater => compared.is_some_and(|order| order.is_gt()),
            Operator::AtLeast => compared.is_some_and(|order| order.is_ge()),
        }
    }
}

/// Whether `text` is as `pattern` says: `*` stands for anything, `?` for one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and what it stands for ends here.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, end)) => {
                    *end += 1;
                    (p, t) = (*at + 1, *end);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}
