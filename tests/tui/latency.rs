//! Keys are seen while the guest runs at full speed: `scripts/bench.sh` has how soon.

use wkdb_debugger::tui::sample::Doing;

use super::pressed::measure;

#[test]
fn keys_are_seen_while_64_cpus_run_at_full_speed() {
    let measured = measure();
    let last = &measured.last;
    assert_eq!((&last.doing, last.cpus.len()), (&Doing::Running, 64));
    assert!(last.cpus.iter().filter(|cpu| cpu.ticks > 10_000).count() > 32, "the CPUs are at work");
    let keys = measured.latencies.len();
    assert!(keys > 50, "{keys}");
    println!(
        "keys to frames, 64 CPUs at work: {keys} keys, median {:?}, p95 {:?}, max {:?}; {} frames, {} ticks, guest time \
         {}, {} samples dropped",
        measured.at(50),
        measured.at(95),
        measured.at(100),
        measured.frames,
        last.tick,
        last.time,
        last.dropped,
    );
}
