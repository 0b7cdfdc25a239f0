//! `--watch SYMBOL|0xADDR[:LEN]`.

use std::str::FromStr;

/// What a `--watch` names, before symbols are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchArg {
    /// As it was written.
    pub(crate) text: String,
    /// Where.
    pub(crate) place: Place,
    /// How many bytes; a symbol has a size of its own.
    pub(crate) len: Option<u64>,
}

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A guest address.
    Address(u64),
    /// A variable of the kernel.
    Symbol(String),
}

/// The bytes watched at an address without a length: a word.
pub(crate) const DEFAULT_LEN: u64 = 4;

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl FromStr for WatchArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, len) = match text.rsplit_once(':') {
            Some((place, len)) => {
                let len = number(len).filter(|&len| len > 0);
                let len = len.ok_or_else(|| format!("the length in {text:?} must be a number of bytes, at least 1"))?;
                (place, Some(len))
            }
            None => (text, None),
        };
        let place = if place.starts_with(|c: char| c.is_ascii_digit()) {
            let address = number(place);
            Place::Address(address.ok_or_else(|| format!("{place:?} is not an address: use 0x1234 or a symbol"))?)
        } else if place.is_empty() {
            return Err("give a symbol or an address, as in --watch jiffies_64 or --watch 0x1000:16".into());
        } else {
            Place::Symbol(place.to_owned())
        };
        if let (Place::Address(address), len) = (&place, len.unwrap_or(DEFAULT_LEN))
            && address.checked_add(len).is_none()
        {
            return Err(format!("{text:?} reaches past the end of the address space"));
        }
        Ok(WatchArg { text: text.to_owned(), place, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text: &str| text.parse::<WatchArg>().map(|w| (w.place, w.len));
        assert_eq!(parse("jiffies_64"), Ok((Place::Symbol("jiffies_64".into()), None)));
        assert_eq!(parse("runqueues:16"), Ok((Place::Symbol("runqueues".into()), Some(16))));
        assert_eq!(parse("0x1f:0x10"), Ok((Place::Address(0x1f), Some(16))));
        assert_eq!(parse("4096"), Ok((Place::Address(4096), None)));
        for bad in ["", ":4", "0xzz", "x:0", "x:y", "0xffffffffffffffff:2", "12ab"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
