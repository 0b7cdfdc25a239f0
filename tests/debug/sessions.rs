//! The written sessions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wkdb::demo::SCENES;

use crate::wkdb;

/// What stands before a command line of the shell, and before a command of the debugger.
const SHELL: &str = "$ wkdb ";
const PROMPT: &str = "(wkdb) ";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions")
}

/// Plays a session again: each of its runs with the commands that follow.
fn play(name: &str, written: &str) -> String {
    let mut lines = written.lines().peekable();
    let mut said = String::new();
    while let Some(line) = lines.peek().filter(|line| !line.starts_with(SHELL)) {
        said.push_str(&format!("{line}\n"));
        lines.next();
    }
    while let Some(line) = lines.next() {
        let Some(arguments) = line.strip_prefix(SHELL) else { panic!("{name}: {line:?} is before the first run") };
        let mut command = wkdb();
        command.args(arguments.split_whitespace());
        while let Some(line) = lines.peek().filter(|line| !line.starts_with(SHELL)) {
            if let Some(typed) = line.strip_prefix(PROMPT) {
                command.arg("-e").arg(typed);
            }
            lines.next();
        }
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        let failed = stdout.lines().any(|line| line.starts_with("error: "));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(failed)), "{name}: {stdout}\n{errors}");
        // Without what the guest leaves at the ends of its lines.
        let stdout: String = stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        said.push_str(&format!("{line}\n{stdout}\n"));
    }
    said.trim_end().to_owned() + "\n"
}

fn check(name: &str) {
    let path = directory().join(format!("{name}.txt"));
    let written = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let said = play(name, &written);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, said).unwrap();
        return;
    }
    let different = written.lines().zip(said.lines()).position(|(written, said)| written != said);
    let different = different.unwrap_or(written.lines().count().min(said.lines().count()));
    assert!(
        written == said,
        "{name}, line {}: not what was written (BLESS=1 renews it)\n  written: {:?}\n  said:    {:?}",
        different + 1,
        written.lines().nth(different),
        said.lines().nth(different),
    );
}

macro_rules! sessions {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            check($name);
        })*

        /// Every file is played, and every planted bug is found in one.
        #[test]
        fn every_planted_bug_is_found_in_a_session() {
            let played = BTreeSet::from([$($name.to_owned()),*]);
            let written = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
            let written: BTreeSet<_> =
                written.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
            assert_eq!(played, written);
            for scene in SCENES {
                assert!(played.contains(scene.name), "no session finds {}", scene.name);
                assert!(played.contains(&format!("back-{}", scene.name)), "no session goes back to {}", scene.name);
            }
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/linux-guest/arch/wasm/kernel/planted_bugs.c");
            let source = fs::read_to_string(source).unwrap();
            let (_, table) = source.split_once("} planted[] = {\n").unwrap();
            let names = table.lines().map_while(|line| line.strip_prefix("\t{ \"")?.split('"').next());
            assert_eq!(names.clone().count(), 9);
            for name in names {
                assert!(played.contains(&format!("linux-{name}")), "no session goes back to Linux's {name}");
            }
        }
    };
}

sessions! {
    a_stray_write_is_found: "stray-write";
    a_stalled_timer_is_found: "timer-stall";
    a_corrupt_workqueue_is_found: "wq-corrupt";
    a_descriptor_table_in_wrong_hands_is_found: "fdtable";
    a_callback_queued_twice_is_found: "rcu";
    a_stack_overflow_is_found: "stack-overflow";
    a_user_program_that_writes_into_the_kernel_is_found: "user-write";
    a_lost_wakeup_is_found: "lost-wakeup";
    spinning_cpus_are_found: "deadlock";
    sleeping_tasks_are_found: "deadlock-sleep";
    a_breakpoint_waits_for_programs_that_start_later: "pending";
    a_tour_shows_the_commands: "tour";
    the_way_back_leads_to_a_stray_write: "back-stray-write";
    the_way_back_leads_to_a_stalled_timer: "back-timer-stall";
    the_way_back_leads_to_a_corrupt_workqueue: "back-wq-corrupt";
    the_way_back_leads_to_a_descriptor_table_in_wrong_hands: "back-fdtable";
    the_way_back_leads_to_a_callback_queued_twice: "back-rcu";
    the_way_back_leads_to_a_stack_overflow: "back-stack-overflow";
    the_way_back_leads_to_a_user_program: "back-user-write";
    the_way_back_leads_to_a_lost_wakeup: "back-lost-wakeup";
    the_way_back_leads_to_the_locks_of_spinning_cpus: "back-deadlock";
    the_way_back_leads_to_the_mutexes_of_sleeping_tasks: "back-deadlock-sleep";
    in_linux_the_way_back_leads_to_a_stray_write: "linux-stray-write";
    in_linux_the_way_back_leads_to_a_corrupt_workqueue: "linux-wq-corrupt";
    in_linux_the_way_back_leads_to_a_table_of_files: "linux-fdtable";
    in_linux_the_way_back_leads_to_a_callback: "linux-rcu";
    in_linux_the_way_back_leads_to_a_stalled_timer: "linux-timer-stall";
    in_linux_the_way_back_leads_to_a_user_program: "linux-user-write";
    in_linux_the_way_back_leads_to_a_stack_overflow: "linux-stack-overflow";
    in_linux_the_way_back_leads_to_a_lost_wakeup: "linux-lost-wakeup";
    in_linux_the_way_back_leads_to_two_mutexes: "linux-deadlock";
}
