//! Whatever a client sends, the server goes on and the guest is not hurt.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::super::front::Client;
use super::super::wire::packet;
use super::fake::Fake;
use super::transcripts::Talk;
use crate::inferior::StopReason;

/// Packets that look like real ones.
fn almost_packet() -> impl Strategy<Value = Vec<u8>> {
    let heads = [
        "qSupported",
        "?",
        "H",
        "Hg",
        "Hc",
        "g",
        "G",
        "p",
        "P",
        "m",
        "M",
        "X",
        "x",
        "Z0,",
        "z0,",
        "Z1,",
        "Z2,",
        "Z3,",
        "Z4,",
        "z4,",
        "vCont",
        "vCont;",
        "vCont;r",
        "vCont;s:",
        "vCont?",
        "vFile:open:",
        "vFile:pread:",
        "vFile:close:",
        "vFile:fstat:",
        "vFile:setfs:",
        "qXfer:features:read:target.xml:",
        "qXfer:exec-file:read:",
        "qXfer:threads:read::",
        "qXfer:libraries:read::",
        "qRcmd,",
        "qThreadExtraInfo,",
        "qThreadStopInfo",
        "T",
        "s",
        "c",
        "C",
        "S",
        "bc",
        "bs",
        "vKill;",
        "vAttach;",
        "vRun;",
        "QEnableErrorStrings",
        "qC",
        "qfThreadInfo",
        "qsThreadInfo",
        "qCRC:",
        "!",
        "qHostInfo",
        "qOffsets",
        "qStructuredDataPlugins",
        "vCont;C1c:1;c:",
        "qRegisterInfo",
        "qWasmCallStack:",
        "qWasmLocal:",
        "qWasmGlobal:0;",
        "qWasmStackValue:",
        "p0;thread:",
        "x4000000000000000,",
        "m4000000000000000,",
        "m100000000,",
        "m180000000,",
        "Z0,40000000000000",
        "R",
    ];
    let tail = prop_oneof![
        "[0-9a-f]{0,17}(,[0-9a-f]{0,17})?([:;=,][0-9a-fcs.-]{0,20}){0,3}",
        proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| { bytes.into_iter().map(char::from).collect::<String>() }),
    ];
    (proptest::sample::select(heads.to_vec()), tail).prop_map(|(head, tail)| {
        let body: Vec<u8> = head.bytes().chain(tail.chars().map(|c| c as u8)).collect();
        packet(&body)
    })
}

/// A conversation: what is sent, whether there is a history to go back in, and whether the client is lldb's own Wasm.
fn conversation() -> impl Strategy<Value = (Vec<Vec<u8>>, bool, bool)> {
    let bytes = prop_oneof![4 => almost_packet(), 1 => proptest::collection::vec(any::<u8>(), 0..60)];
    (proptest::collection::vec(bytes, 1..40), any::<bool>(), any::<bool>())
}

fn held((input, history, wasm): (Vec<Vec<u8>>, bool, bool)) -> Result<(), TestCaseError> {
    let mut fake = Fake::new();
    fake.history = history;
    fake.script.extend(std::iter::repeat_n(StopReason::Step, 100));
    let before = fake.states.clone();
    let mut talk = Talk::of(if wasm { Client::Wasm } else { Client::Gdb }, fake);
    for bytes in &input {
        talk.send(bytes);
    }
    prop_assert_eq!(&talk.fake.states, &before);
    // It still answers, whatever was left open.
    talk.farewell = None;
    talk.send(b"#00");
    talk.send(b"\x03");
    prop_assert!(talk.ask("qC").starts_with("QC"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_neither_panics_nor_stops_the_conversation(input in conversation()) {
        held(input)?;
    }
}

/// Never the same garbage: for a quarter of `WKDB_FUZZ_SECONDS`, if that is set, for what fuzzes modules takes all of it.
#[test]
fn garbage_for_as_long_as_one_likes() {
    let seconds: u64 = std::env::var("WKDB_FUZZ_SECONDS").map_or(0, |seconds| seconds.parse().expect("a number"));
    let until = Instant::now() + Duration::from_secs(seconds) / 4;
    while Instant::now() < until {
        let config = ProptestConfig { cases: 50, rng_seed: RngSeed::Random, ..ProptestConfig::default() };
        TestRunner::new(config).run(&conversation(), held).unwrap_or_else(|error| panic!("{error}"));
    }
}
