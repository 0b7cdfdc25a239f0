//! What detectors find: something in the guest that is wrong, with who did it and what the memory was.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Context, Frame};

/// Something that watches the guest for one kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Detector {
    /// A stack pointer that leaves its stack.
    Stack,
    /// A store into the first 64 KiB.
    Null,
    /// A store of a user program outside of what its process owns.
    UserStores,
    /// A store into a field of the kernel's by code that does not own it.
    Guard,
    /// A timer wheel that stands still.
    Timers,
    /// Broken pools, workers and works; works that wait too long.
    Workqueues,
    /// Broken callback lists; grace periods that do not end.
    Rcu,
    /// A call through a function pointer that is none, or of another type.
    Callbacks,
    /// CPUs that spin, or sleep while there is something to do.
    Lockup,
    /// A CPU that no runner holds.
    Baton,
    /// What a trap's access went to: its address, and what is there.
    Trap,
    /// A store into another task's stack, where that task has nothing that others may write.
    StackContents,
}

/// What a detector costs the run that it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cost {
    /// Nothing before something is wrong.
    Free,
    /// A few percent.
    Low,
    /// As much as a watch: each store is checked.
    Stores,
    /// It reads the kernel's structures every now and then.
    Looks,
}

impl Cost {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Cost::Free => "free",
            Cost::Low => "a few percent",
            Cost::Stores => "checks every store",
            Cost::Looks => "looks at the kernel now and then",
        }
    }
}

impl Detector {
    /// All, in the order in which they are listed.
    pub const ALL: [Detector; 12] = [
        Detector::Stack,
        Detector::StackContents,
        Detector::Null,
        Detector::UserStores,
        Detector::Guard,
        Detector::Timers,
        Detector::Workqueues,
        Detector::Rcu,
        Detector::Callbacks,
        Detector::Lockup,
        Detector::Baton,
        Detector::Trap,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Detector::Stack => "stack",
            Detector::Null => "null",
            Detector::UserStores => "user-stores",
            Detector::Guard => "guard",
            Detector::Timers => "timers",
            Detector::Workqueues => "workqueues",
            Detector::Rcu => "rcu",
            Detector::Callbacks => "callbacks",
            Detector::Lockup => "lockup",
            Detector::Baton => "baton",
            Detector::Trap => "trap",
            Detector::StackContents => "stack-contents",
        }
    }

    /// What it finds, in a line.
    pub fn summary(self) -> &'static str {
        match self {
            Detector::Stack => "a stack pointer that leaves its stack, at the very function",
            Detector::Null => "writes into the first 64 KiB, through null pointers",
            Detector::UserStores => "writes of user programs outside of what their process owns",
            Detector::Guard => "writes into fields of the kernel's by code that does not own them (--guard)",
            Detector::Timers => "a timer wheel that falls behind, timers that do not run, jiffies that stand still",
            Detector::Workqueues => "broken workqueue structures, works that wait or run too long",
            Detector::Rcu => "broken callback lists, grace periods that do not end",
            Detector::Callbacks => {
                "calls through pointers that are no function of the right type, before they are made"
            }
            Detector::Lockup => "CPUs that spin, or sleep while something waits for them",
            Detector::Baton => "CPUs that no task holds any more",
            Detector::Trap => "where the access went that trapped, and what is there",
            Detector::StackContents => "stores into another task's kernel stack that hit none of its variables",
        }
    }

    /// What it costs.
    pub fn cost(self) -> Cost {
        match self {
            Detector::Baton => Cost::Free,
            Detector::Stack | Detector::Callbacks | Detector::Trap => Cost::Low,
            Detector::Null | Detector::UserStores | Detector::Guard | Detector::StackContents => Cost::Stores,
            Detector::Timers | Detector::Workqueues | Detector::Rcu | Detector::Lockup => Cost::Looks,
        }
    }

    /// Whether it only says more of what is told in any case: of a trap. That is no mistake of its own.
    pub fn explains(self) -> bool {
        matches!(self, Detector::Trap | Detector::Callbacks)
    }

    /// Whether a run has it unless it is told otherwise.
    pub fn is_default(self) -> bool {
        use Detector::{Baton, Lockup, Rcu, Stack, Timers, Workqueues};
        matches!(self, Stack | Timers | Workqueues | Rcu | Lockup | Baton)
    }

    /// Those that a run has unless it is told otherwise.
    pub fn defaults() -> BTreeSet<Detector> {
        Detector::ALL.into_iter().filter(|detector| detector.is_default()).collect()
    }

    /// Reads a list of names, with `default`, `all` and `none` among them.
    ///
    /// # Errors
    /// A word that is none of them; the text lists the names.
    pub fn parse_set(list: &str) -> Result<BTreeSet<Detector>, UnknownDetector> {
        let mut set = BTreeSet::new();
        for name in list.split(',').map(str::trim) {
            match name {
                "default" => set.extend(Detector::defaults()),
                "all" => set.extend(Detector::ALL),
                "none" => {}
                name => _ = set.insert(name.parse()?),
            }
        }
        Ok(set)
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no detector has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDetector(pub String);

impl fmt::Display for UnknownDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Detector::ALL.iter().map(|detector| detector.name()).collect();
        write!(f, "there is no detector {:?}; there are {}, and default, all, none", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownDetector {}

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Self, UnknownDetector> {
        let found = Detector::ALL.into_iter().find(|detector| detector.name() == name);
        found.ok_or_else(|| UnknownDetector(name.to_owned()))
    }
}

/// Memory that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// Its first byte.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

/// What a write changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The bytes before it, if they are known.
    pub old: Option<Vec<u8>>,
    /// The bytes after it.
    pub new: Vec<u8>,
}

/// Something that a detector found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Who found it.
    pub detector: Detector,
    /// Who did it, or whom it befell, and when; none where it is about nobody.
    pub context: Option<Context>,
    /// What is wrong, in a line without the time and the place.
    pub headline: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// The call stack that did it, or is stuck, innermost first; empty where there is none.
    pub stack: Vec<Frame>,
    /// The memory that it is about, if it is about some.
    pub area: Option<Area>,
    /// What was written there, if it is about a write.
    pub change: Option<Change>,
}

impl Finding {
    /// A finding of which no more is known than what is wrong.
    pub fn new(detector: Detector, headline: impl Into<String>) -> Finding {
        Finding {
            detector,
            context: None,
            headline: headline.into(),
            details: Vec::new(),
            stack: Vec::new(),
            area: None,
            change: None,
        }
    }

    /// The same, about somebody.
    #[must_use]
    pub fn about(self, context: Context) -> Finding {
        Finding { context: Some(context), ..self }
    }

    /// The same, with a call stack.
    #[must_use]
    pub fn at(self, stack: Vec<Frame>) -> Finding {
        Finding { stack, ..self }
    }

    /// The same, about some memory.
    #[must_use]
    pub fn on(self, address: u64, len: u64) -> Finding {
        Finding { area: Some(Area { address, len }), ..self }
    }

    /// The same, with another line of what is known.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Finding {
        self.details.push(line.into());
        self
    }
}

impl fmt::Display for Finding {
    /// `stack: sh leaves its kernel stack`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detector, self.headline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_a_wrong_one_lists_them() {
        for detector in Detector::ALL {
            assert_eq!(detector.name().parse(), Ok(detector));
        }
        assert_eq!(Detector::parse_set("all").unwrap().len(), Detector::ALL.len());
        assert_eq!(Detector::parse_set("none").unwrap(), BTreeSet::new());
        assert_eq!(Detector::parse_set("default").unwrap(), Detector::defaults());
        let two = Detector::parse_set("null, stack").unwrap();
        assert_eq!(two, [Detector::Stack, Detector::Null].into());
        let error = Detector::parse_set("stack,heap").unwrap_err().to_string();
        assert!(error.starts_with("there is no detector \"heap\"; there are stack, stack-contents, null, "), "{error}");
        assert!(Detector::parse_set("").is_err());
    }
}
