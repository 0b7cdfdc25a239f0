//! What happened, in words: what all exports know of a trace.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Cpu, GuestTime, RunnerId, TaskId, Tick};

/// A task, as traces name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its runner: never reused.
    pub runner: RunnerId,
    /// Its `task_struct`.
    pub task: TaskId,
    /// Its name.
    pub comm: String,
    /// Its process id, where that is known.
    pub pid: Option<u32>,
    /// It is the idle task of a CPU.
    pub idle: bool,
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{}/{pid}", self.comm),
            None => write!(f, "{} ({})", self.comm, self.task),
        }
    }
}

/// What kind of thing an event is: what `--events` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Tasks are born, die, and are switched to.
    Sched,
    /// Atomic waits begin and end.
    Wake,
    /// Interrupts are raised and handled.
    Irq,
    /// System calls.
    Syscall,
    /// Functions that are probed.
    Function,
    /// What the guest prints and reads.
    Console,
    /// Calls of the host.
    Host,
    /// Accesses to what is watched.
    Watch,
    /// Traps, panics, what the host complains about.
    Event,
}

impl Category {
    /// All.
    pub const ALL: [Category; 9] = [
        Category::Sched,
        Category::Wake,
        Category::Irq,
        Category::Syscall,
        Category::Function,
        Category::Console,
        Category::Host,
        Category::Watch,
        Category::Event,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Category::Sched => "sched",
            Category::Wake => "wake",
            Category::Irq => "irq",
            Category::Syscall => "syscall",
            Category::Function => "function",
            Category::Console => "console",
            Category::Host => "host",
            Category::Watch => "watch",
            Category::Event => "event",
        }
    }
}

impl FromStr for Category {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = text.strip_suffix('s').unwrap_or(text);
        let found = Category::ALL.into_iter().find(|category| [text, one].contains(&category.name()));
        found.ok_or_else(|| {
            let names: Vec<_> = Category::ALL.iter().map(|category| category.name()).collect();
            format!("no kind of event is called {text}; there are {}", names.join(", "))
        })
    }
}

/// Which part of something an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It begins.
    Begin,
    /// What the thread began last ends. The name is that of its begin.
    End,
    /// It takes no time.
    Instant,
}

/// A value of an event's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Field {
    /// A number.
    Int(i64),
    /// A number that is read in hexadecimal: an address.
    Hex(u64),
    /// Text.
    Text(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Int(value) => value.fmt(f),
            Field::Hex(value) => write!(f, "{value:#x}"),
            Field::Text(text) => f.write_str(text),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
    /// The CPU.
    pub cpu: Cpu,
    /// Who did it, or to whom it happened.
    pub thread: Arc<Thread>,
    /// What kind of thing.
    pub category: Category,
    /// Which part of it.
    pub phase: Phase,
    /// What it is called: the function, the system call, `switch`, …
    pub name: String,
    /// Particulars.
    pub fields: Vec<(&'static str, Field)>,
    /// The other task that it is about: who was switched to, who was woken.
    pub other: Option<Arc<Thread>>,
    /// Of an end: how long it took, in nanoseconds of guest time.
    pub took_ns: Option<u64>,
}

impl TraceEvent {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}
