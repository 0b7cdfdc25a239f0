//! `--quirk eager-release`: a CPU that nobody runs on any more, and whose mistake that is.

use crate::recorded::{Recorded, text, wkdb};

/// A run with the quirk.
fn eager(guest: &[&str], script: &str, detectors: &str) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("input"), script).unwrap();
    let mut command = wkdb();
    command.args(guest).args(["--quirk", "eager-release", "--expect-timeout", "20s", "--input", "input"]);
    command.args(["--detect", detectors, "--record", "x.wkr"]).current_dir(folder.path());
    let output = command.output().unwrap();
    Recorded::of(folder, text(&output.stdout) + &text(&output.stderr))
}

fn assert_explained(recorded: &Recorded, comm: &str, function: &str) {
    let said = recorded.explained();
    let culprit = said.lines().skip_while(|line| !line.starts_with("culprit: ")).collect::<Vec<_>>();
    assert!(!culprit.is_empty(), "nobody is named:\n{said}");
    assert!(culprit[0].starts_with(&format!("culprit: the host, called by {function} (")), "{said}");
    assert!(culprit[1].contains(&format!("destroyed {comm}")) && culprit[1].contains("wasm_release_task"), "{said}");
    assert!(
        said.contains(&format!("since {comm}")) && said.contains("it had the baton, and gave it to nobody"),
        "{said}"
    );
    assert!(said.contains("tasks there wait to be switched to"), "{said}");
    assert!(!said.contains("not known: "), "{said}");
    assert_eq!(said.matches("culprit: ").count(), 1, "{said}");
}

/// The five-minute freeze, with and without somebody who looks for it.
#[test]
fn the_console_that_freezes_after_five_minutes_is_explained() {
    let script = "expect \"minik# \"\nwait 400s\nsend \"echo alive\\n\"\nexpect \"\\nalive\"\n";
    for detectors in ["default", "none"] {
        let recorded = eager(&["demo"], script, detectors);
        assert_explained(&recorded, "kworker/0:", "release_task");
        let said = recorded.explained();
        assert!(said.contains("Nobody runs on cpu0 since kworker/0:"), "{said}");
        assert!(said.contains("expected to run there: "), "{said}");
        assert_eq!(said.contains("Symptom: baton: "), detectors == "default", "{said}");
    }
}

/// Of several CPUs that are lost, the finding's is explained.
#[test]
fn cpus_of_linux_that_threads_took_along_are_explained() {
    let script = "expect \"\\n# \"\nsend \"stress thread 20\\n\"\nexpect \"\\n# \"\nwait 20s\n";
    let guest = ["run", "linux", "--append", "nr_cpus=4"];
    let recorded = eager(&guest, script, "default");
    assert_explained(&recorded, "stress", "release_thread");
    let said = recorded.explained();
    let symptom = said.lines().next().unwrap();
    let cpu = symptom.split("nobody runs on ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(said.contains(&format!("Nobody runs on {cpu} since stress")), "{said}");
}
