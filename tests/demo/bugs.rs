//! The planted bugs, through the real binary: each shows what it should, and the races only for some seeds.

use std::process::{Command, Output, Stdio};

use wkdb::demo::{SCENES, Scene};

const ERAS: [&str; 2] = ["6.4", "7.0"];

fn wkdb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wkdb"))
        .args(args)
        .env("WKDB_RECORD_DIR", "")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What was printed, but for the line that announces the scene: it names the symptom whether that shows or not.
fn text(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let announces = |line: &&str| SCENES.iter().any(|scene| *line == format!("wkdb: {}: {}", scene.name, scene.about));
    let kept: Vec<_> = said.lines().filter(|line| !announces(line)).collect();
    assert!(kept.len() < said.lines().count(), "the scene was not announced: {said}");
    kept.join("\n")
}

/// What a scene has to print.
fn symptom(scene: &Scene) -> &'static [&'static str] {
    match scene.name {
        "stray-write" => {
            &["ff ff ff ff by evdev_stop_autorepeat drivers/evdev.c", "trap: unaligned atomic", "wq_worker_comm"]
        }
        "timer-stall" => &["by rtc_align drivers/rtc.c", "expect \"CPUs online\" was not printed"],
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
