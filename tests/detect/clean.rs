//! A guest without mistakes: nothing is found, whatever it does.

use crate::command_line::wkdb;

#[test]
fn nothing_is_found_in_a_guest_that_does_nothing_wrong() {
    for seed in ["1", "2", "3"] {
        for sched in ["fair", "random"] {
            let output = wkdb(&[
                "demo",
                "--seed",
                seed,
                "--sched",
                sched,
                "--append",
                "stress=12 tasks=24",
                "--detect",
                "all",
                "--until",
                "time=4s",
            ]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("finding"), "seed {seed}, {sched}: {said}");
            assert_eq!(output.status.code(), Some(0), "seed {seed}, {sched}: {said}");
        }
    }
}
