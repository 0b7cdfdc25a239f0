//! An explanation is the same from wherever in the run it is asked for.

use crate::bugs::LINUX;
use crate::recorded::{Recorded, text, wkdb};

/// What is said from a moment of a recording on, without the stack of the symptom: of a program that is not loaded yet,
/// nothing is known.
fn explained_at(recorded: &Recorded, moment: &str) -> String {
    let (goto, mut command) = (format!("goto {moment}"), wkdb());
    let output = command.args(["debug", "x.wkr", "-e", &goto, "-e", "explain"]).current_dir(recorded.folder()).output();
    let output = output.unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", text(&output.stderr));
    let (_, said) = said.rsplit_once("(wkdb) explain\n").unwrap_or_else(|| panic!("{said}"));
    said.lines().skip_while(|line| !line.starts_with("  1. ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_trap_is_explained_from_its_own_tick_as_from_the_end() {
    let bug = LINUX.iter().find(|bug| bug.name == "fdtable").unwrap();
    let recorded = Recorded::run(bug, bug.seed);
    let tick = recorded.json()["symptom"]["tick"].as_u64().unwrap();
    let whole = explained_at(&recorded, "end");
    assert!(whole.contains("culprit: binder_copy_transaction"), "{whole}");
    assert_eq!(explained_at(&recorded, &tick.to_string()), whole, "from {tick}");
}
