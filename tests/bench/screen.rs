//! How long a key takes to be seen on the screen while the guest runs at full speed.
//!
//! Run by `scripts/bench.sh`, or `cargo bench --bench screen`. Times are those on the clock: run it on a machine that does
//! nothing else.

#[path = "../tui/machine.rs"]
#[expect(dead_code, reason = "the tests look at more")]
mod machine;
#[path = "../tui/pressed.rs"]
mod pressed;

use std::time::Duration;

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn main() {
    let measured = pressed::measure();
    println!("| what | goal | measured |");
    println!("| --- | --- | --- |");
    println!(
        "| `--tui`: a key to its frame, 64 CPUs at full speed, 200×60 | ≤ 16 ms | median {}, p95 {}, longest {} |",
        ms(measured.at(50)),
        ms(measured.at(95)),
        ms(measured.at(100)),
    );
    println!(
        "| the same: frames drawn, samples that were dropped, of {} keys | | {}, {} |",
        measured.latencies.len(),
        measured.frames,
        measured.last.dropped,
    );
}
