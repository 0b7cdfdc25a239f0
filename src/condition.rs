//! When a run ends: the conditions of `--until`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wkdb_tracer::{GuestTime, Tick};

use crate::script;
use crate::units::{self, UnitError};

/// Something that ends a run when it comes true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The guest has printed these bytes on its console; find them with [`script::TextMatcher`].
    Console(Vec<u8>),
    /// Guest time has come this far.
    Time(GuestTime),
    /// The machine has come this far.
    Tick(Tick),
    /// The guest panicked.
    Panic,
    /// The guest's code trapped.
    Trap,
    /// The input script has ended.
    Script,
    /// A detector found something.
    Finding,
}

/// A condition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// A word that is none.
    #[error("{0:?} is no condition; use console=TEXT, time=5m, tick=N, panic, trap, finding or script")]
    Unknown(String),
    /// A word that needs a value.
    #[error("{name} needs a value, as in {example}")]
    NoValue {
        /// The condition.
        name: &'static str,
        /// How it is used.
        example: &'static str,
    },
    /// A word that has no value.
    #[error("{0} has no value: write {0} alone")]
    Value(&'static str),
    /// A text with a wrong escape.
    #[error("console={text}: {message}")]
    Text {
        /// The value.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// A time that is none.
    #[error("time: {0}")]
    Time(#[from] UnitError),
    /// A tick that is no number.
    #[error("tick={0}: expected a whole number below 2^64, as in tick=1000000")]
    Tick(String),
}

impl FromStr for Condition {
    type Err = ConditionError;

    /// Reads `console=TEXT` (with C escapes), `time=SPAN`, `tick=N`, `panic`, `trap`, `finding` or `script`.
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let needed =
            |name, example| value.filter(|value| !value.is_empty()).ok_or(ConditionError::NoValue { name, example });
        let plain = |condition, name| if value.is_none() { Ok(condition) } else { Err(ConditionError::Value(name)) };
        match name {
            "console" => {
                let text = needed("console", "console='login: '")?;
                script::unescape(text)
                    .map(Condition::Console)
                    .map_err(|message| ConditionError::Text { text: text.into(), message })
            }
            "time" => Ok(Condition::Time(GuestTime::from(units::parse_span(needed("time", "time=5m")?)?))),
            "tick" => {
                let number = needed("tick", "tick=1000000")?;
                // A number of this size is easier to type in groups.
                let tick = number.replace('_', "").parse().map_err(|_| ConditionError::Tick(number.into()))?;
                Ok(Condition::Tick(Tick(tick)))
            }
            "panic" => plain(Condition::Panic, "panic"),
            "trap" => plain(Condition::Trap, "trap"),
            "script" => plain(Condition::Script, "script"),
            "finding" => plain(Condition::Finding, "finding"),
            _ => Err(ConditionError::Unknown(text.into())),
        }
    }
}

impl fmt::Display for Condition {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Console(text) => write!(f, "console={}", script::escaped(text)),
            Condition::Time(at) => write!(f, "time={}", units::format_span(Duration::from_nanos(at.0))),
            Condition::Tick(tick) => write!(f, "tick={tick}"),
            Condition::Panic => f.write_str("panic"),
            Condition::Trap => f.write_str("trap"),
            Condition::Script => f.write_str("script"),
            Condition::Finding => f.write_str("finding"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_condition() {
        let read = |text: &str| text.parse::<Condition>().unwrap();
        assert_eq!(read("console=login: "), Condition::Console(b"login: ".to_vec()));
        assert_eq!(read(r"console=a=b\n"), Condition::Console(b"a=b\n".to_vec()));
        assert_eq!(read("time=5m"), Condition::Time(GuestTime(300_000_000_000)));
        assert_eq!(read("tick=1_000"), Condition::Tick(Tick(1000)));
        assert_eq!(read("panic"), Condition::Panic);
        assert_eq!(read("trap"), Condition::Trap);
        assert_eq!(read("script"), Condition::Script);
        assert_eq!(read("finding"), Condition::Finding);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let say = |text: &str| text.parse::<Condition>().unwrap_err().to_string();
        assert_eq!(
            say("reboot"),
            r#""reboot" is no condition; use console=TEXT, time=5m, tick=N, panic, trap, finding or script"#
        );
        assert_eq!(say("console="), "console needs a value, as in console='login: '");
        assert_eq!(say("time"), "time needs a value, as in time=5m");
        assert_eq!(say("panic=1"), "panic has no value: write panic alone");
        assert_eq!(say("tick=-1"), "tick=-1: expected a whole number below 2^64, as in tick=1000000");
        assert!(say("time=5").starts_with("time: \"5\" is not a time span"));
        assert!(say(r"console=\q").starts_with(r"console=\q: unknown escape"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            condition in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..20).prop_map(Condition::Console),
                any::<u64>().prop_map(|ns| Condition::Time(GuestTime(ns))),
                any::<u64>().prop_map(|tick| Condition::Tick(Tick(tick))),
            ],
        ) {
            prop_assert_eq!(condition.to_string().parse(), Ok(condition));
        }
    }
}
