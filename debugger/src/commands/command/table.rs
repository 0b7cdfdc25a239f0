//! The commands by name, with what `help` says of them.

use super::super::CommandError;
use super::super::error::Result;
use super::super::words::{Words, nearest};
use super::*;

/// What kind of words a command takes, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Takes {
    Nothing,
    Location,
    /// A moment: a word of `goto`, or a bookmark.
    Moment,
    Expression,
    Breakpoint,
    Task,
    Topic,
    View,
    Command,
    File,
}

/// Chapters of `help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Chapter {
    Stopping,
    Running,
    Past,
    Looking,
    Changing,
    Session,
}

impl Chapter {
    pub(in super::super) const ALL: [(Chapter, &'static str); 6] = [
        (Chapter::Stopping, "Where to stop"),
        (Chapter::Running, "Going on"),
        (Chapter::Past, "Going back, and looking at the past"),
        (Chapter::Looking, "Looking"),
        (Chapter::Changing, "Changing the guest"),
        (Chapter::Session, "The session"),
    ];
}

/// A command as the table has it.
pub(in super::super) struct Entry {
    pub(in super::super) name: &'static str,
    /// Other names, also abbreviations that mean this command though they are the beginning of others too.
    pub(in super::super) aliases: &'static [&'static str],
    pub(in super::super) chapter: Chapter,
    pub(in super::super) takes: Takes,
    /// What may follow the name.
    pub(in super::super) usage: &'static str,
    /// What it does: a line, and more after an empty one.
    pub(in super::super) about: &'static str,
    pub(in super::super) parse: fn(&mut Words) -> Result<Command>,
}

impl Entry {
    /// Whether an empty line after it does it again.
    pub(in super::super) fn repeats(&self) -> bool {
        let steps = self.chapter == Chapter::Running && !matches!(self.name, "run-to" | "advance" | "interrupt");
        let back = self.chapter == Chapter::Past && self.name.starts_with("reverse-");
        steps || back || matches!(self.name, "up" | "down" | "x" | "list")
    }
}

/// A row, in the order in which its fields are read.
const fn entry(
    chapter: Chapter,
    name: &'static str,
    aliases: &'static [&'static str],
    takes: Takes,
    usage: &'static str,
    parse: fn(&mut Words) -> Result<Command>,
    about: &'static str,
) -> Entry {
    Entry { name, aliases, chapter, takes, usage, about, parse }
}

/// All commands, in the order in which `help` lists them.
pub(in super::super) const TABLE: &[Entry] = &[
    entry(
        Chapter::Stopping,
        "break",
        &["b", "br", "brea"],
        Takes::Location,
        "[LOCATION] [task TASK] [if CONDITION]",
        Break::parse,
        "Stop before a place in the code.\n\nLOCATION is FILE:LINE, LINE, FUNCTION, FILE:FUNCTION, *0xOFFSET (kernel \
         code), or *MODULE:0xOFFSET; without one, the selected frame's next instruction. A place that no module has \
         yet is waited for.",
    ),
    entry(
        Chapter::Stopping,
        "tbreak",
        &["tb"],
        Takes::Location,
        "[LOCATION] [task TASK] [if CONDITION]",
        Break::parse_temporary,
        "Stop before a place in the code, once.",
    ),
    entry(
        Chapter::Stopping,
        "watch",
        &["wa"],
        Takes::Expression,
        "EXPR [OPTIONS] [if CONDITION]",
        Watch::parse_write,
        "Stop after every write into a variable or range of memory, whoever makes it.\n\nOPTIONS:\n  -l, -location      \
         the same: a watch is always of the memory where EXPR lies now\n  --changed          only if the bytes \
         changed\n  --equals VALUE     only if it has this value afterwards\n  --task TASK        only by this \
         task\n  --cpu N            only on this CPU\n  --in PLACE         only by code of this file or \
         function\n  --unless-in PLACE  only by code outside of it\n  --log              do not stop: print it and go \
         on",
    ),
    entry(
        Chapter::Stopping,
        "rwatch",
        &["rw"],
        Takes::Expression,
        "EXPR [OPTIONS] [if CONDITION]",
        Watch::parse_read,
        "Stop after every read of a variable or range of memory. Options as for `watch`.",
    ),
    entry(
        Chapter::Stopping,
        "awatch",
        &["aw"],
        Takes::Expression,
        "EXPR [OPTIONS] [if CONDITION]",
        Watch::parse_access,
        "Stop after every access to a variable or range of memory. Options as for `watch`.",
    ),
    entry(
        Chapter::Stopping,
        "delete",
        &["d", "del"],
        Takes::Breakpoint,
        "[NUMBER…]",
        Delete::parse,
        "Take breakpoints and watches away; all of them without a number.",
    ),
    entry(
        Chapter::Stopping,
        "enable",
        &["en"],
        Takes::Breakpoint,
        "[NUMBER…]",
        Enable::parse_on,
        "Let breakpoints and watches stop again.",
    ),
    entry(
        Chapter::Stopping,
        "disable",
        &["dis"],
        Takes::Breakpoint,
        "[NUMBER…]",
        Enable::parse_off,
        "Keep breakpoints and watches, but do not let them stop.",
    ),
    entry(
        Chapter::Stopping,
        "condition",
        &["cond"],
        Takes::Breakpoint,
        "NUMBER [CONDITION]",
        Condition::parse,
        "Stop there only if an expression is not zero; without one, always.",
    ),
    entry(
        Chapter::Stopping,
        "ignore",
        &[],
        Takes::Breakpoint,
        "NUMBER COUNT",
        Ignore::parse,
        "Do not stop there the next COUNT times.",
    ),
    entry(
        Chapter::Running,
        "continue",
        &["c", "cont", "fg"],
        Takes::Nothing,
        "[COUNT]",
        Continue::parse_forward,
        "Let the machine run to the next stop.\n\nWith COUNT, the breakpoint stopped at is passed COUNT - 1 times.",
    ),
    entry(
        Chapter::Running,
        "step",
        &["s"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_step,
        "Run to another source line, also in a function that is called.",
    ),
    entry(
        Chapter::Running,
        "next",
        &["n"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_next,
        "Run to another source line of this function, or of its caller.",
    ),
    entry(
        Chapter::Running,
        "stepi",
        &["si"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_stepi,
        "Run one Wasm instruction.",
    ),
    entry(
        Chapter::Running,
        "nexti",
        &["ni"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_nexti,
        "Run one Wasm instruction; a call with all that is called.",
    ),
    entry(
        Chapter::Running,
        "finish",
        &["fin"],
        Takes::Nothing,
        "",
        Finish::parse_forward,
        "Run until the selected frame has returned, and print what it returned.",
    ),
    entry(
        Chapter::Running,
        "until",
        &["u"],
        Takes::Location,
        "[LOCATION]",
        Until::parse_until,
        "Run to a location, or until this frame returns; without one, as `next`, but not back to the top of a loop.",
    ),
    entry(
        Chapter::Running,
        "advance",
        &["adv"],
        Takes::Location,
        "LOCATION",
        Until::parse_advance,
        "Run to a location, or until this frame returns.",
    ),
    entry(
        Chapter::Running,
        "run-to",
        &[],
        Takes::Nothing,
        "TICK|TIME",
        RunTo::parse,
        "Run to a tick (759840) or to a time since the start of the guest (2.5s, 300ms).",
    ),
    entry(
        Chapter::Running,
        "interrupt",
        &[],
        Takes::Nothing,
        "",
        Interrupt::parse,
        "Stop the running machine (Ctrl-C does it too).",
    ),
    entry(
        Chapter::Past,
        "reverse-continue",
        &["bc", "rc"],
        Takes::Nothing,
        "[COUNT]",
        Continue::parse_backward,
        "Go back to the last stop before: a breakpoint, a watch, or the beginning of history.",
    ),
    entry(
        Chapter::Past,
        "reverse-step",
        &["rs"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_reverse_step,
        "Go back to the source line before.",
    ),
    entry(
        Chapter::Past,
        "reverse-next",
        &["rn"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_reverse_next,
        "Go back to the source line before, over calls.",
    ),
    entry(
        Chapter::Past,
        "reverse-stepi",
        &["rsi"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_reverse_stepi,
        "Go back one Wasm instruction.",
    ),
    entry(
        Chapter::Past,
        "reverse-nexti",
        &["rni"],
        Takes::Nothing,
        "[COUNT]",
        Step::parse_reverse_nexti,
        "Go back one Wasm instruction, over calls.",
    ),
    entry(
        Chapter::Past,
        "reverse-finish",
        &["rfin"],
        Takes::Nothing,
        "",
        Finish::parse_backward,
        "Go back to the call of this function.",
    ),
    entry(
        Chapter::Past,
        "goto",
        &[],
        Takes::Moment,
        "TICK | TIME | event N | start | end | present | [bookmark] NAME",
        Goto::parse,
        "Go to a moment of the run, past all breakpoints.\n\nTICK is as in `tick`, TIME has a unit (12.5s); `info events` \
         has the numbers of events, `info bookmarks` the names. `end` is the end of a recording, and the present of a live \
         run; `present` is as far as the run has come in this session.",
    ),
    entry(
        Chapter::Past,
        "who-wrote",
        &["ww"],
        Takes::Expression,
        "EXPR|ADDRESS [LENGTH] [--go]",
        WhoWrote::parse,
        "Find the last write into a variable or memory before now: when, who, where, what.\n\nNothing has to be set up \
         beforehand: the run is run again. The session stays where it is; with --go, it goes behind that write. Without \
         LENGTH (in bytes), as long as the variable is; 4 bytes at an ADDRESS.",
    ),
    entry(
        Chapter::Past,
        "history",
        &["hist"],
        Takes::Expression,
        "EXPR|ADDRESS [LENGTH] [--max N]",
        WriteHistory::parse,
        "List the writes into a variable or memory before now, from the start of history on.\n\nThe last N (20 unless told \
         otherwise) are listed, all are counted.",
    ),
    entry(
        Chapter::Past,
        "explain",
        &[],
        Takes::Nothing,
        "[--json]",
        Explain::parse,
        "Explain what went wrong in the run: from its first trap, panic or standstill back to who did it.\n\nThe bad value is \
         followed back to the word of memory that it came out of, that word to who wrote it last, and the memory to whom it \
         belonged; locks to who holds them, sleepers to who should have woken them. It ends with the culprit's name, or \
         with what is not known, and with commands that show it. The session stays where it is.",
    ),
    entry(
        Chapter::Past,
        "bookmark",
        &[],
        Takes::Nothing,
        "[NAME] | --delete NAME",
        Bookmark::parse,
        "Keep the place where the run is, exact to the instruction, for `goto NAME`.",
    ),
    entry(
        Chapter::Past,
        "checkpoints",
        &[],
        Takes::Nothing,
        "",
        Checkpoints::parse,
        "List the copies of the run that make going back quick, with what they cost.",
    ),
    entry(
        Chapter::Looking,
        "backtrace",
        &["bt", "where"],
        Takes::Nothing,
        "[full] [COUNT] [--all]",
        Backtrace::parse,
        "Print the call stack of the selected task.\n\n`full` adds the local variables; COUNT limits the frames (a negative \
         one prints the outermost); --all, or `thread apply all bt`, prints every task's.",
    ),
    entry(
        Chapter::Looking,
        "frame",
        &["f"],
        Takes::Nothing,
        "[NUMBER]",
        Frame::parse,
        "Select a frame of the call stack and print where it is.",
    ),
    entry(
        Chapter::Looking,
        "up",
        &[],
        Takes::Nothing,
        "[COUNT]",
        Frame::parse_up,
        "Select the frame that called this one.",
    ),
    entry(
        Chapter::Looking,
        "down",
        &["do"],
        Takes::Nothing,
        "[COUNT]",
        Frame::parse_down,
        "Select the frame that this one called.",
    ),
    entry(
        Chapter::Looking,
        "task",
        &["t", "ta", "tas"],
        Takes::Task,
        "[NUMBER | NAME | 0xADDRESS]",
        Task::parse,
        "Select a task: by its number in `info tasks`, its name, or its task_struct.",
    ),
    entry(
        Chapter::Looking,
        "thread",
        &["thr"],
        Takes::Task,
        "[NUMBER | NAME | 0xADDRESS | apply all bt]",
        Task::parse,
        "The same as `task`, as gdb calls it.",
    ),
    entry(Chapter::Looking, "tasks", &[], Takes::Nothing, "", Info::parse_tasks, "The same as `info tasks`."),
    entry(Chapter::Looking, "cpus", &[], Takes::Nothing, "", Info::parse_cpus, "The same as `info cpus`."),
    entry(
        Chapter::Looking,
        "info",
        &["i", "inf"],
        Takes::Topic,
        "TOPIC",
        Info::parse,
        "Tell about tasks, breakpoints, variables, modules … `info` alone lists the topics.",
    ),
    entry(
        Chapter::Looking,
        "kernel",
        &[],
        Takes::View,
        "VIEW [OF] [--json]",
        Kernel::parse,
        "Tell what the kernel's own structures say: cpus, tasks, timers, workqueues, rcu, dmesg … `kernel` alone lists the \
         views.\n\nWhat makes no sense in them is told behind the view, as a problem. --json prints a line of JSON.",
    ),
    entry(
        Chapter::Looking,
        "print",
        &["p", "inspect"],
        Takes::Expression,
        "[/FORMAT] EXPR",
        Print::parse,
        "Print the value of a C expression.\n\nFORMAT: x (hexadecimal), d, u, o, t (binary), c, a (address), f, s. Values are \
         kept as $1, $2 …; $ is the last one. $pc, $sp, $cpu, $task, $local0, $op0 are the selected frame's.",
    ),
    entry(
        Chapter::Looking,
        "x",
        &[],
        Takes::Expression,
        "[/COUNT FORMAT SIZE] ADDRESS",
        Examine::parse,
        "Print memory.\n\nFORMAT: x, d, u, o, t, c, a, f, s (string), i (instructions at *0xOFFSET); SIZE: b (1 byte), h (2), w (4), g (8).",
    ),
    entry(
        Chapter::Looking,
        "ptype",
        &["pt"],
        Takes::Expression,
        "TYPE|EXPR",
        Types::parse_ptype,
        "Print the definition of a type, or of an expression's type.",
    ),
    entry(
        Chapter::Looking,
        "whatis",
        &["wha"],
        Takes::Expression,
        "TYPE|EXPR",
        Types::parse_whatis,
        "Print the name of an expression's type.",
    ),
    entry(
        Chapter::Looking,
        "list",
        &["l"],
        Takes::Location,
        "[LOCATION | -]",
        List::parse,
        "Print source lines: around a location, or those that follow the last ones.",
    ),
    entry(
        Chapter::Looking,
        "disassemble",
        &["disas"],
        Takes::Location,
        "[FUNCTION | *0xOFFSET]",
        Disassemble::parse,
        "Print the Wasm instructions of a function; => marks the next one.",
    ),
    entry(
        Chapter::Looking,
        "tick",
        &[],
        Takes::Nothing,
        "",
        Moment::parse_tick,
        "Print the machine's position in ticks.",
    ),
    entry(Chapter::Looking, "time", &[], Takes::Nothing, "", Moment::parse_time, "Print the guest's clock."),
    entry(
        Chapter::Looking,
        "log",
        &[],
        Takes::Nothing,
        "[COUNT]",
        Log::parse,
        "Print the last events of the run (20 unless told otherwise).",
    ),
    entry(
        Chapter::Looking,
        "display",
        &["disp"],
        Takes::Expression,
        "[/FORMAT] [EXPR]",
        Display::parse,
        "Print an expression at every stop; without one, print all of them now.",
    ),
    entry(
        Chapter::Looking,
        "undisplay",
        &["und"],
        Takes::Nothing,
        "[NUMBER…]",
        Display::parse_undisplay,
        "Do not print an expression at every stop any more.",
    ),
    entry(
        Chapter::Changing,
        "set",
        &[],
        Takes::Expression,
        "[var] LVALUE = EXPR | $NAME = EXPR",
        SetValue::parse,
        "Change a variable of the guest, or one of your own ($NAME).",
    ),
    entry(
        Chapter::Changing,
        "call",
        &[],
        Takes::Expression,
        "EXPR",
        Print::parse_call,
        "Print an expression, as `print`; functions of the guest cannot be called.",
    ),
    entry(
        Chapter::Changing,
        "type",
        &[],
        Takes::Nothing,
        "[-n] TEXT | \"TEXT\"",
        TypeIn::parse,
        "Type a line at the guest's console.\n\n-n leaves out the Enter; text in quotes is typed as it is, with C escapes. The \
         guest reads it when it runs on.",
    ),
    entry(
        Chapter::Session,
        "source",
        &["so"],
        Takes::File,
        "FILE",
        Source::parse,
        "Run the commands of a file, a line each; # begins a comment.",
    ),
    entry(
        Chapter::Session,
        "directory",
        &["dir"],
        Takes::File,
        "[DIRECTORY]",
        Directory::parse,
        "Look for source files in this directory too; without one, tell where they are looked for.",
    ),
    entry(
        Chapter::Session,
        "help",
        &["h"],
        Takes::Command,
        "[COMMAND]",
        Help::parse,
        "Tell about a command, or list them.",
    ),
    entry(
        Chapter::Session,
        "echo",
        &[],
        Takes::Nothing,
        "TEXT",
        Echo::parse,
        "Print a text; C escapes are understood.",
    ),
    entry(
        Chapter::Session,
        "detach",
        &["det"],
        Takes::Nothing,
        "",
        Leave::parse_detach,
        "Leave, and let the guest run on.",
    ),
    entry(Chapter::Session, "kill", &["k"], Takes::Nothing, "", Leave::parse_kill, "End the run, and leave."),
    entry(Chapter::Session, "quit", &["q", "exit"], Takes::Nothing, "", Leave::parse_quit, "Leave, and end the run."),
];

/// Finds a command by its name, an alias, or the beginning of a name.
pub(in super::super) fn find(name: &str) -> Result<&'static Entry> {
    if let Some(entry) = TABLE.iter().find(|entry| entry.name == name || entry.aliases.contains(&name)) {
        return Ok(entry);
    }
    let found: Vec<_> = TABLE.iter().filter(|entry| !name.is_empty() && entry.name.starts_with(name)).collect();
    match found[..] {
        [entry] => Ok(entry),
        [] => {
            let near = nearest(name, TABLE.iter().map(|entry| entry.name).filter(|_| !name.is_empty()));
            Err(CommandError::Unknown { name: name.to_owned(), near })
        }
        ref several => {
            let candidates = several.iter().map(|entry| entry.name).collect();
            Err(CommandError::Ambiguous { name: name.to_owned(), candidates })
        }
    }
}

/// Splits a line into the command's name, what follows `/`, and the rest: `x/4xw $sp`, `p*p`, `info tasks`.
pub(in super::super) fn split(line: &str) -> (&str, &str, &str) {
    let line = line.trim();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    match rest.strip_prefix('/') {
        Some(rest) => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (name, &rest[..end], &rest[end..])
        }
        None => (name, "", rest),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_and_abbreviations_are_gdbs() {
        for (typed, name) in [
            ("b", "break"),
            ("br", "break"),
            ("tb", "tbreak"),
            ("d", "delete"),
            ("dis", "disable"),
            ("disa", "…"),
            ("disas", "disassemble"),
            ("en", "enable"),
            ("c", "continue"),
            ("cont", "continue"),
            ("s", "step"),
            ("n", "next"),
            ("si", "stepi"),
            ("ni", "nexti"),
            ("fin", "finish"),
            ("u", "until"),
            ("adv", "advance"),
            ("bt", "backtrace"),
            ("where", "backtrace"),
            ("f", "frame"),
            ("t", "task"),
            ("i", "info"),
            ("p", "print"),
            ("x", "x"),
            ("pt", "ptype"),
            ("wha", "whatis"),
            ("l", "list"),
            ("rs", "reverse-step"),
            ("rc", "reverse-continue"),
            ("bc", "reverse-continue"),
            ("rn", "reverse-next"),
            ("rsi", "reverse-stepi"),
            ("rfin", "reverse-finish"),
            ("ww", "who-wrote"),
            ("hist", "history"),
            ("goto", "goto"),
            ("undisp", "undisplay"),
            ("wat", "watch"),
            ("aw", "awatch"),
            ("h", "help"),
            ("q", "quit"),
            ("k", "kill"),
            ("ke", "kernel"),
            ("disp", "display"),
            ("cond", "condition"),
            ("ign", "ignore"),
        ] {
            match find(typed) {
                Ok(entry) => assert_eq!(entry.name, name, "{typed}"),
                Err(CommandError::Ambiguous { .. }) => assert_eq!(name, "…", "{typed}"),
                Err(error) => panic!("{typed}: {error}"),
            }
        }
    }

    #[test]
    fn an_unknown_command_is_told_with_what_it_is_like() {
        let error = |typed: &str| find(typed).err().unwrap().to_string();
        assert_eq!(error("brek"), "there is no command \"brek\"; did you mean break? `help` lists them");
        assert_eq!(
            error("re"),
            "\"re\" could be reverse-continue, reverse-step, reverse-next, reverse-stepi, \
            reverse-nexti, reverse-finish: type more of it"
        );
        assert_eq!(error(""), "there is no command \"\"; `help` lists them");
    }

    #[test]
    fn no_name_means_two_commands() {
        let mut names = BTreeMap::new();
        for entry in TABLE {
            for name in std::iter::once(&entry.name).chain(entry.aliases) {
                assert_eq!(names.insert(*name, entry.name), None, "{name}");
            }
            assert!(entry.about.lines().next().unwrap().ends_with(['.', ')']), "{}", entry.name);
        }
    }

    #[test]
    fn lines_are_split_as_gdb_does() {
        assert_eq!(split("x/4xw $sp"), ("x", "4xw", " $sp"));
        assert_eq!(split(" p *task "), ("p", "", " *task"));
        assert_eq!(split("p*task"), ("p", "", "*task"));
        assert_eq!(split("print/x 1"), ("print", "x", " 1"));
        assert_eq!(split("run-to 5s"), ("run-to", "", " 5s"));
        assert_eq!(split("12"), ("12", "", ""));
        assert_eq!(split(""), ("", "", ""));
        assert_eq!(split("é"), ("", "", "é"));
    }
}
