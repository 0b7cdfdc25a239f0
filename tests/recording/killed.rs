//! Whenever the program is killed, its recording opens and replays to its last whole block.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::program::{Ended, call, kernel, wkdb};

#[test]
fn fifty_recorders_killed_at_random_moments() {
    // Prints so much that blocks are written all the time.
    let chatty = kernel("(loop $more (call $hello) (br $more))");
    let folder = tempfile::tempdir().unwrap();
    let (cut_in_a_block, console) = (AtomicU64::new(0), AtomicU64::new(0));
    let next = AtomicU64::new(0);
    let kill_one = |number: u64| {
        let path = folder.path().join(format!("{number}.wkr"));
        let mut child = wkdb()
            .args(["run", "--stall", "1h", "--record"])
            .args([&path, chatty.path()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let reading = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        // No two at the same moment, most while much is being written.
        std::thread::sleep(Duration::from_micros(500 + number * number * 97 + number * 1013 % 7919));
        child.kill().unwrap();
        child.wait().unwrap();
        reading.join().unwrap().unwrap();
        let replayed: Ended = call(&["replay", path.to_str().unwrap(), "--verify", "--json"]);
        assert_eq!(replayed.code, Some(0), "{number}: {}", replayed.stderr);
        let json = replayed.json();
        assert_eq!((&json["same"], &json["complete"]), (&true.into(), &false.into()), "{number}: {json}");
        assert!(replayed.stderr.contains("replayed to where the recording was cut off"), "{}", replayed.stderr);
        console.fetch_add(json["console_bytes"].as_u64().unwrap(), Ordering::Relaxed);
        let info: serde_json::Value =
            serde_json::from_str(&call(&["info", path.to_str().unwrap(), "--json"]).stdout).unwrap();
        assert_eq!(info["ticks"], json["ticks"], "it was not replayed to the last block");
        cut_in_a_block.fetch_add(u64::from(info["ending"]["lost_bytes"] != 0), Ordering::Relaxed);
        std::fs::remove_file(path).unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= 50 {
                        return;
                    }
                    kill_one(number);
                }
            });
        }
    });
    assert!(console.into_inner() > 100_000, "hardly anything was recorded");
}
