//! Whatever is typed, the debugger answers.

use proptest::prelude::*;

use super::sessions::Session;
use crate::commands::{Command, Config, Monitor};
use crate::gdb::MonitorCommands as _;

/// Words that commands are made of, right and wrong.
const WORDS: &[&str] = &[
    "break",
    "tbreak",
    "watch",
    "rwatch",
    "delete",
    "goto",
    "who-wrote",
    "history",
    "bookmark",
    "reverse-step",
    "--go",
    "--max",
    "end",
    "event",
    "events",
    "checkpoints",
    "condition",
    "ignore",
    "print",
    "print/x",
    "x/4xw",
    "x/2i",
    "list",
    "info",
    "locals",
    "scope",
    "symbol",
    "line",
    "task",
    "thread",
    "apply",
    "all",
    "bt",
    "full",
    "up",
    "frame",
    "disas",
    "display",
    "set",
    "var",
    "$x",
    "=",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "*0x39",
    "*",
    "pool",
    "->",
    ".",
    "[",
    "]",
    "worker_pools",
    "jiffies_64",
    "process_one_work",
    "workqueue.c:28",
    "if",
    "--log",
    "--in",
    "--cpu",
    "--equals",
    "source",
    "directory",
    "type",
    "\"",
    "\\",
    "é",
    "/",
    "(",
    ")",
    "&",
    "ptype",
    "struct",
    "until",
    "help",
    "#",
    "next",
    "undisplay",
    "enable",
    "disable",
    "finish",
    "stepi",
    "$",
    "@",
    "'",
    "run-to",
    "5ms",
    "list",
    ",",
    "echo",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_answered(lines in prop::collection::vec(prop::collection::vec(prop::sample::select(WORDS), 1..7), 1..8)) {
        let mut session = Session::new();
        session.say("tbreak touch_pool");
        session.say("c");
        for words in lines {
            let line = words.join(" ");
            session.say(&line);
            session.completions(&line);
        }
    }

    #[test]
    fn any_text_is_answered(line in "\\PC{0,40}") {
        let mut session = Session::new();
        session.completions(&line);
        let _ = Command::parse(&line);
        session.say(&format!("print {line}"));
        session.say(&format!("break {line}"));
        session.say(&format!("watch {line}"));
    }
}

#[test]
fn monitor_has_the_commands_but_those_that_are_gdbs_own() {
    let mut toy = super::toy::Toy::new();
    let mut monitor = Monitor::new(Config::default());
    assert!(monitor.run(&mut toy, "tasks").contains("kworker/0:0"));
    assert!(monitor.run(&mut toy, "print worker_pools[1].id").contains("$1 = 2"));
    assert!(monitor.run(&mut toy, "disas process_one_work").contains("i64.store offset=8"));
    assert_eq!(monitor.run(&mut toy, "tick"), "tick 0, guest time 0.000000\n");
    assert!(monitor.run(&mut toy, "info version").starts_with("wkdb "));
    assert!(monitor.run(&mut toy, "help").contains("Looking:"));
    for line in ["continue", "step", "break lost", "watch jiffies_64", "quit", "until 3", "nosuch"] {
        let said = monitor.run(&mut toy, line);
        assert!(said.contains("gdb") || said.contains("no command"), "{line}: {said}");
    }
    assert!(monitor.run(&mut toy, "watch jiffies_64 --log").starts_with("Watch 1: "));
}
