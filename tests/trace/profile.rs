//! Where the ticks of a run go.

use crate::guest::{minik, traced};

#[test]
fn a_profile_accounts_for_every_tick() {
    let directory = tempfile::tempdir().unwrap();
    let (folded, svg) = (directory.path().join("folded"), directory.path().join("flame.svg"));
    let exports = [format!("folded={}", folded.display()), format!("flamegraph={}", svg.display())];
    let args = ["--sample", "500", "--profile", "--export", &exports[0], "--export", &exports[1]];
    let table = traced(minik(), &args);
    let total: u64 = table.split_once(' ').unwrap().0.parse().unwrap();
    let folded = std::fs::read_to_string(&folded).unwrap();
    let ticks = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(ticks.sum::<u64>(), total);
    // All but what came after the last sample.
    let info: serde_json::Value = {
        let output = crate::program::wkdb().args(["replay", "--verify", "--json"]).arg(minik()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let ran = info["ticks"].as_u64().unwrap();
    assert!(total <= ran && ran - total < 500 + 500, "{total} of {ran}");
    // Stacks begin with the task and go from the outermost function inwards.
    assert!(folded.lines().any(|line| line.starts_with("swapper/0;_start;")), "{folded}");
    let svg = std::fs::read_to_string(&svg).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("<title>_start: "), "{svg}");
}
