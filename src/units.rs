//! Amounts as people type them: spans of time (`2.5s`, `100ms`, `5m`) and sizes (`2GiB`, `64K`).
//!
//! All arithmetic is exact: a span is a whole number of nanoseconds or it is refused.

use std::time::Duration;

use thiserror::Error;
use wkdb_tracer::GuestTime;

/// Units of time in nanoseconds, the largest first.
const TIME: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size in bytes, the largest first.
const SIZE: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// An amount that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// There is no number at the beginning.
    #[error("{0:?} is not {1}: it must begin with a number")]
    NoNumber(String, Quantity),
    /// There is no unit that we know after the number.
    #[error("{text:?} is not {quantity}: {unit:?} is no unit; use {units}", units = .quantity.units())]
    Unit {
        /// What was typed.
        text: String,
        /// What follows the number.
        unit: String,
        /// What was asked for.
        quantity: Quantity,
    },
    /// More decimals than the smallest unit has.
    #[error("{0:?} is not a whole number of {1}")]
    TooFine(String, &'static str),
    /// More than 64 bits hold.
    #[error("{0:?} is too large: at most {1}")]
    TooLarge(String, &'static str),
}

/// What kind of amount was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A span of time.
    Time,
    /// A number of bytes.
    Size,
}

impl Quantity {
    fn units(self) -> &'static str {
        match self {
            Quantity::Time => "ns, us, ms, s, m or h, as in 2.5s",
            Quantity::Size => "B, KiB, MiB, GiB or TiB, as in 2GiB",
        }
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Quantity::Time => "a time span",
            Quantity::Size => "a size",
        })
    }
}

/// Reads a span of time: a decimal number and one of `ns us ms s m h`. At most 2⁶⁴−1 ns (584 years).
///
/// # Errors
///
/// [`UnitError`] if it is anything else, or not a whole number of nanoseconds.
pub fn parse_span(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text, Quantity::Time)?;
    // The micro sign and the Greek letter look alike.
    let unit = if matches!(unit, "µs" | "μs") { "us" } else { unit };
    let Some(&(_, scale)) = TIME.iter().find(|(name, _)| *name == unit) else {
        return Err(UnitError::Unit { text: text.into(), unit: unit.into(), quantity: Quantity::Time });
    };
    scaled(text, number, scale, "nanoseconds", "2^64 nanoseconds (584 years)").map(Duration::from_nanos)
}

/// Reads a span of guest time, as [`parse_span`], for a command line.
///
/// # Errors
///
/// As [`parse_span`].
pub fn parse_guest_span(text: &str) -> Result<GuestTime, UnitError> {
    parse_span(text).map(GuestTime::from)
}

/// Writes a span so that [`parse_span`] reads the same one: in the largest unit that it has at least one of, hours and
/// minutes only when they are whole.
pub fn format_span(span: Duration) -> String {
    let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let fits = |&&(unit, scale): &&(&str, u64)| match unit {
        "h" | "m" => ns >= scale && ns % scale == 0,
        _ => ns >= scale,
    };
    match TIME.iter().find(fits) {
        Some(&(unit, scale)) => format!("{}{unit}", decimal(ns, scale)),
        None => "0s".into(),
    }
}

/// Reads a size in bytes: a decimal number and one of `B KiB MiB GiB TiB`, or their initials; no unit means bytes.
/// `KB` and `K` are 1024 bytes too.
///
/// # Errors
///
/// [`UnitError`] if it is anything else, or not a whole number of bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text, Quantity::Size)?;
    let initial = |name: &str| {
        let short = &name[..1];
        unit.eq_ignore_ascii_case(name)
            || unit.eq_ignore_ascii_case(short)
            || unit.strip_suffix(['B', 'b']).is_some_and(|unit| unit.eq_ignore_ascii_case(short))
    };
    let scale = match SIZE.iter().find(|(name, _)| initial(name)) {
        Some(&(_, scale)) => scale,
        None if unit.is_empty() || unit.eq_ignore_ascii_case("B") => 1,
        None => return Err(UnitError::Unit { text: text.into(), unit: unit.into(), quantity: Quantity::Size }),
    };
    scaled(text, number, scale, "bytes", "2^64 bytes")
}

/// Writes a size for people: three digits or so, in the largest unit that it has at least one of.
pub fn format_size(bytes: u64) -> String {
    let Some(&(unit, scale)) = SIZE.iter().find(|(_, scale)| bytes >= *scale) else { return format!("{bytes} B") };
    let tenths = u128::from(bytes) * 10 / u128::from(scale);
    match tenths {
        100.. => format!("{} {unit}", tenths / 10),
        _ if tenths % 10 == 0 => format!("{} {unit}", tenths / 10),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

fn split(text: &str, quantity: Quantity) -> Result<(&str, &str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    if number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1 {
        Ok((number, unit.trim_start()))
    } else {
        Err(UnitError::NoNumber(text.into(), quantity))
    }
}

/// Computes `number × scale` exactly.
fn scaled(text: &str, number: &str, scale: u64, smallest: &'static str, most: &'static str) -> Result<u64, UnitError> {
    let too_large = || UnitError::TooLarge(text.into(), most);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |digits: &str| match digits {
        "" => Ok(0),
        digits => digits.parse::<u64>().map_err(|_| too_large()),
    };
    let whole = digits(whole)?.checked_mul(scale).ok_or_else(too_large)?;
    // More decimals than this no unit of time can use, and no person types them for a size.
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 18 {
        return Err(UnitError::TooFine(text.into(), smallest));
    }
    let divisor = 10u128.pow(fraction.len() as u32);
    let numerator = u128::from(digits(fraction)?) * u128::from(scale);
    if numerator % divisor != 0 {
        return Err(UnitError::TooFine(text.into(), smallest));
    }
    let fraction = u64::try_from(numerator / divisor).map_err(|_| too_large())?;
    whole.checked_add(fraction).ok_or_else(too_large)
}

/// `value / scale` in decimals; exact for scales that are powers of ten, or that divide the value.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ns(text: &str) -> u64 {
        u64::try_from(parse_span(text).unwrap().as_nanos()).unwrap()
    }

    #[test]
    fn spans_in_every_unit() {
        assert_eq!(ns("2.5s"), 2_500_000_000);
        assert_eq!(ns("5m"), 300_000_000_000);
        assert_eq!(ns("1h"), 3_600_000_000_000);
        assert_eq!(ns("100ms"), 100_000_000);
        assert_eq!(ns("1.5 us"), 1_500);
        assert_eq!(ns("3µs"), 3_000);
        assert_eq!(ns("7ns"), 7);
        assert_eq!(ns(".5s"), 500_000_000);
        assert_eq!(ns("1.000000000000000000000000s"), 1_000_000_000);
    }

    #[test]
    fn wrong_spans_say_why() {
        let say = |text: &str| parse_span(text).unwrap_err().to_string();
        assert_eq!(say("5"), r#""5" is not a time span: "" is no unit; use ns, us, ms, s, m or h, as in 2.5s"#);
        assert_eq!(say("soon"), r#""soon" is not a time span: it must begin with a number"#);
        assert!(say("1.2.3s").contains("must begin with a number"));
        assert!(say("-1s").contains("must begin with a number"));
        assert!(say("5 days").contains(r#""days" is no unit"#));
        assert_eq!(say("0.5ns"), r#""0.5ns" is not a whole number of nanoseconds"#);
        assert!(say("0.0000000000000000001h").contains("whole number"));
        assert_eq!(say("99999999h"), r#""99999999h" is too large: at most 2^64 nanoseconds (584 years)"#);
        assert!(say("99999999999999999999999s").contains("too large"));
    }

    #[test]
    fn spans_are_written_in_a_readable_unit() {
        let write = |text: &str| format_span(parse_span(text).unwrap());
        for same in ["2.5s", "100ms", "5m", "1h", "90s", "1.000000001s", "0s", "1.5us", "7ns"] {
            assert_eq!(write(same), same);
        }
        assert_eq!(write("3600s"), "1h");
        assert_eq!(write("0.25ms"), "250us");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("64k"), Ok(65536));
        assert_eq!(parse_size("1.5MB"), Ok(3 << 19));
        assert_eq!(parse_size("12"), Ok(12));
        assert_eq!(parse_size("12 B"), Ok(12));
        assert!(parse_size("2 boxes").unwrap_err().to_string().contains("GiB"));
        assert!(parse_size("0.5").is_err());
        assert_eq!(format_size(1023), "1023 B");
        assert_eq!(format_size(1536), "1.5 KiB");
        assert_eq!(format_size(4 << 30), "4 GiB");
        assert_eq!(format_size(u64::MAX), "16777215 TiB");
    }

    proptest! {
        #[test]
        fn a_written_span_is_read_back(ns in any::<u64>(), shift in 0u32..64) {
            let span = Duration::from_nanos(ns >> shift);
            prop_assert_eq!(parse_span(&format_span(span)), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.]{0,30}[a-zA-Zµ ]{0,4}") {
            let _ = (parse_span(&text), parse_size(&text));
        }
    }
}
