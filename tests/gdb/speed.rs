//! How quick it is over the wire.

use std::time::{Duration, Instant};

use crate::clients::Raw;
use crate::guest::Guest;

#[test]
fn a_stack_is_walked_and_instructions_are_stepped_and_how_quickly_is_printed() {
    let guest = Guest::start("demo");
    guest.shows("minik# ");
    let mut client = Raw::connect(guest.port);
    assert!(client.ask("?").starts_with('T'));
    // The shell's task, in user code, a system call and the scheduler: as gdb walks it.
    let threads = client.ask("qfThreadInfo");
    let shell = threads.rsplit(',').next().unwrap().to_owned();
    let began = Instant::now();
    assert_eq!(client.ask(&format!("Hg{shell}")), "OK");
    let mut frame = client.register(5);
    let mut frames = 1;
    // Until the host, whose frame has nothing outside.
    while client.word(frame - 4) != 0xefff_f008 {
        frame = client.word(frame - 8);
        frames += 1;
    }
    let walked = began.elapsed();
    assert!(frames >= 6, "{frames}");

    let mut steps = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert!(client.ask("vCont;s:1;c").starts_with("T05"));
        steps += 1;
    }
    let per_second = f64::from(steps) / began.elapsed().as_secs_f64();
    println!("{frames} frames walked in {walked:?}; {per_second:.0} stepi/s");
    assert!(steps > 0);
}
