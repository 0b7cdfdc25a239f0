//! The bundled guest: it matches its sources, follows the host contract, and its planted bugs show what they should.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wkdb::demo::{SCENES, Scene};

const ERAS: [&str; 2] = ["6.4", "7.0"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// `scripts/build-demo.sh` tells what SOURCES.sha256 holds.
#[test]
fn committed_files_match_their_sources() {
    let list = std::fs::read_to_string(root().join("src/demo/SOURCES.sha256")).unwrap();
    let listed: BTreeSet<String> = list.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect();
    let mut present = BTreeSet::from(["scripts/build-demo.sh".to_owned()]);
    files_below(&root().join("src/demo/minik"), &mut present);
    assert_eq!(listed, present, "sources came or went: run scripts/build-demo.sh");
    let check = Command::new("sha256sum")
        .args(["--check", "--quiet", "--strict", "src/demo/SOURCES.sha256"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(check.status.success(), "run scripts/build-demo.sh: {}", String::from_utf8_lossy(&check.stdout));
}

fn wkdb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wkdb")).args(args).stdin(std::process::Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn run_script(era: &str, append: &str, script: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    std::fs::write(&input, script).unwrap();
    let append = format!("--append={append}");
    let input = format!("--input={}", input.display());
    text(&wkdb(&["demo", "--era", era, &append, &input, "--max-time", "60s"]))
}

/// `/bin/contract` checks each row of what the contract says of user programs, alone on a CPU and sharing one.
#[test]
fn contract_holds_row_by_row() {
    for era in ERAS {
        for cpus in [1, 2, 4, 64] {
            let script = "expect \"minik# \"\nsend \"contract\\r\"\nexpect \"contract: all 22 ok\"\n";
            let said = run_script(era, &format!("nr_cpus={cpus}"), script);
            assert!(said.contains("contract: all 22 ok"), "era {era}, {cpus} CPUs:\n{said}");
        }
    }
}

/// A worker that has been idle for five minutes releases itself; the console lives on.
#[test]
fn idle_workers_release_themselves() {
    for era in ERAS {
        let script = "expect \"minik# \"\nsend \"ps\\r\"\nexpect \"minik# \"\nsend \"ps\\r\"\nexpect \"kworker/0:4\"\n\
                      expect \"minik# \"\nwait 320s\nsend \"ps\\r\"\nexpect \"COMMAND\"\nexpect \"minik# \"\n";
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("input");
        std::fs::write(&input, script).unwrap();
        let input = format!("--input={}", input.display());
        let said = text(&wkdb(&["demo", "--era", era, &input, "--max-time", "400s"]));
        let last = said.rsplit("COMMAND").next().unwrap();
        assert!(last.contains("kworker/0:") && !last.contains("kworker/0:4"), "era {era}:\n{said}");
    }
}

/// What a scene has to print.
fn symptom(scene: &Scene) -> &'static [&'static str] {
    match scene.name {
        "stray-write" => {
            &["ff ff ff ff by evdev_stop_autorepeat drivers/evdev.c", "trap: unaligned atomic", "wq_worker_comm"]
        }
        "timer-stall" => &["by rtc_align drivers/rtc.c", "was not printed before the run's time limit"],
        "wq-corrupt" => &["trap: out of bounds memory access", "process_one_work"],
        "fdtable" => &["trap: unaligned atomic", "dup_fd"],
        "rcu" => &["trap: undefined element", "rcu_do_batch"],
        "stack-overflow" => &["acpi: name space", "trap: out of bounds memory access"],
        "user-write" => &["by draw_frame user/fbtest.c", "trap: out of bounds memory access", "fb_refresh_work"],
        "lost-wakeup" => &["D ring_reader", "task ring_reader:", "blocked for more than 120 seconds"],
        "deadlock" => &["only spins", "eth_get_stats", "eth_start_xmit"],
        "deadlock-sleep" => &["deadlock: every task waits", "mutex_lock"],
        other => panic!("say what {other} shows"),
    }
}

fn shows(said: &str, symptom: &[&str]) -> bool {
    symptom.iter().all(|part| said.contains(part))
}

#[test]
fn planted_bugs_show_for_their_seeds() {
    for scene in SCENES {
        for era in ERAS {
            let said = text(&wkdb(&["demo", scene.name, "--era", era]));
            assert!(shows(&said, symptom(scene)), "{} in era {era}:\n{said}", scene.name);
        }
    }
}

/// Races: another seed, another outcome.
#[test]
fn races_do_not_show_for_every_seed() {
    for (name, seed) in [("wq-corrupt", "4"), ("rcu", "4"), ("lost-wakeup", "4"), ("deadlock", "6")] {
        let scene = SCENES.iter().find(|scene| scene.name == name).unwrap();
        for era in ERAS {
            let said = text(&wkdb(&["demo", name, "--era", era, "--seed", seed]));
            assert!(said.contains("reached script") && !shows(&said, symptom(scene)), "{name} in era {era}:\n{said}");
        }
    }
}

/// Kernel and user code trap in all the ways there are; user code dies alone, the kernel panics.
#[test]
fn traps_end_as_the_contract_says() {
    let kinds = [
        ("unreachable", "unreachable"),
        ("div0", "divide by zero"),
        ("oob", "out of bounds memory access"),
        ("badcall", "undefined element"),
        ("wrongtype", "type mismatch"),
        ("stackoverflow", "call stack exhausted"),
    ];
    for (kind, message) in kinds {
        let user = format!(
            "expect \"minik# \"\nsend \"crash {kind}\\r\"\nexpect \"Illegal instruction\"\nexpect \"minik# \"\n"
        );
        let said = run_script("7.0", "nr_cpus=4", &user);
        assert!(said.contains(message) && said.contains("reached script"), "crash {kind}:\n{said}");
        let kernel = format!("expect \"minik# \"\nsend \"ktrap {kind}\\r\"\nexpect \"Fatal exception\"\nwait 5s\n");
        let said = run_script("7.0", "nr_cpus=4", &kernel);
        assert!(said.contains(message) && said.contains("the guest panicked"), "ktrap {kind}:\n{said}");
    }
    let off_stack = "expect \"minik# \"\nsend \"ktrap offstack\\r\"\nwait 5s\n";
    let said = run_script("6.4", "nr_cpus=4", off_stack);
    assert!(said.contains("is broken (sp ") && said.contains("stopped CPU 0"), "{said}");
}

/// A CPU goes off line, which destroys its runner, and comes back with a new one.
#[test]
fn a_cpu_goes_and_comes_back() {
    for era in ERAS {
        let script = "expect \"minik# \"\nsend \"cpu up 5\\r\"\nexpect \"CPU5 online\"\nexpect \"minik# \"\n\
                      send \"cpu down 5\\r\"\nexpect \"CPU5 offline\"\nexpect \"minik# \"\n\
                      send \"cpu up 5\\r\"\nexpect \"CPU5 online\"\nexpect \"minik# \"\n\
                      send \"stress 8 8\\r\"\nexpect \"counter 64: ok\"\nexpect \"minik# \"\n";
        let said = run_script(era, "nr_cpus=6", script);
        assert!(said.contains("reached script"), "era {era}:\n{said}");
    }
}

/// As many CPUs as the kernel has, and more tasks than that.
#[test]
fn sixty_four_cpus_and_five_hundred_tasks() {
    let script = "expect \"minik# \"\nsend \"uptime\\r\"\nexpect \"64 CPUs online\"\nexpect \"minik# \"\n\
                  send \"stress 100 5\\r\"\nexpect \"counter 500: ok\"\n";
    for era in ERAS {
        let said = run_script(era, "nr_cpus=64 tasks=500", script);
        assert!(said.contains("reached script"), "era {era}:\n{said}");
    }
}
