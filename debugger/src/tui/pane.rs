//! The panes: what there is to look at, each by its name and key.

use serde::{Deserialize, Serialize};

/// A pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pane {
    /// CPUs, and what each of them runs.
    Cpus,
    /// Tasks.
    Tasks,
    /// The call stack of the selected task.
    Stack,
    /// The source around the selected frame.
    Source,
    /// The instructions around the selected frame.
    Disassembly,
    /// The variables of the selected frame.
    Variables,
    /// A window into memory.
    Memory,
    /// Breakpoints and watches.
    Points,
    /// The guest's console.
    Console,
    /// The kernel's timers, and its workqueues.
    Timers,
    /// What is wrong with the guest, as it is noticed.
    Findings,
    /// What happened in the run.
    Events,
    /// Commands and their answers.
    Commands,
    /// Why the machine stopped, and what changed since it stopped before.
    Stop,
    /// The run as a bar, from its start to the present.
    Timeline,
}

impl Pane {
    /// All of them, in the order of the help page.
    pub const ALL: [Pane; 15] = [
        Pane::Cpus,
        Pane::Tasks,
        Pane::Stack,
        Pane::Source,
        Pane::Disassembly,
        Pane::Variables,
        Pane::Memory,
        Pane::Points,
        Pane::Console,
        Pane::Timers,
        Pane::Findings,
        Pane::Events,
        Pane::Commands,
        Pane::Stop,
        Pane::Timeline,
    ];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Pane::Cpus => "CPUs",
            Pane::Tasks => "Tasks",
            Pane::Stack => "Stack",
            Pane::Source => "Source",
            Pane::Disassembly => "Disassembly",
            Pane::Variables => "Variables",
            Pane::Memory => "Memory",
            Pane::Points => "Break & Watch",
            Pane::Console => "Console",
            Pane::Timers => "Timers & Work",
            Pane::Findings => "Findings",
            Pane::Events => "Events",
            Pane::Commands => "Commands",
            Pane::Stop => "Stop",
            Pane::Timeline => "Timeline",
        }
    }

    /// Its title where there is little room.
    pub fn short(self) -> &'static str {
        match self {
            Pane::Disassembly => "Wasm",
            Pane::Variables => "Vars",
            Pane::Memory => "Mem",
            Pane::Points => "Points",
            Pane::Timers => "Timers",
            Pane::Findings => "Finds",
            Pane::Commands => "Cmds",
            other => other.title(),
        }
    }

    /// The key that leads to it behind `g`.
    pub fn key(self) -> char {
        match self {
            Pane::Cpus => 'c',
            Pane::Tasks => 't',
            Pane::Stack => 's',
            Pane::Source => 'u',
            Pane::Disassembly => 'd',
            Pane::Variables => 'v',
            Pane::Memory => 'm',
            Pane::Points => 'b',
            Pane::Console => 'o',
            Pane::Timers => 'k',
            Pane::Findings => 'f',
            Pane::Events => 'e',
            Pane::Commands => 'x',
            Pane::Stop => 'w',
            Pane::Timeline => 'l',
        }
    }

    /// The pane of a key behind `g`.
    pub fn of_key(key: char) -> Option<Pane> {
        Pane::ALL.into_iter().find(|pane| pane.key() == key)
    }

    /// The pane of a name, as layouts have it, or as its beginning.
    pub fn named(name: &str) -> Option<Pane> {
        let name = name.to_lowercase();
        let names = |pane: &Pane| format!("{pane:?}").to_lowercase();
        let exact = Pane::ALL.into_iter().find(|pane| names(pane) == name);
        exact.or_else(|| Pane::ALL.into_iter().find(|pane| !name.is_empty() && names(pane).starts_with(&name)))
    }

    /// Whether its newest lines are at its end, which it then shows.
    pub fn grows(self) -> bool {
        matches!(self, Pane::Findings | Pane::Events | Pane::Commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pane_has_a_key_of_its_own_and_gg_is_left_free() {
        for pane in Pane::ALL {
            assert_eq!(Pane::of_key(pane.key()), Some(pane));
            assert_ne!(pane.key(), 'g');
        }
    }

    #[test]
    fn panes_are_named_by_their_beginnings() {
        assert_eq!(Pane::named("DIS"), Some(Pane::Disassembly));
        assert_eq!(Pane::named("stack"), Some(Pane::Stack));
        assert_eq!(Pane::named("stop"), Some(Pane::Stop));
        assert_eq!(Pane::named(""), None);
        assert_eq!(Pane::named("nothing"), None);
    }
}
