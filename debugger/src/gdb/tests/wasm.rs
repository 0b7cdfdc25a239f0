//! What lldb's own Wasm asks, packet by packet.

use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId, RunnerId};

use super::super::front::Client;
use super::fake::Fake;
use super::transcripts::Talk;
use crate::companion::layout::FrameStack;
use crate::companion::{WasmObject, layout::WordSize, table};
use crate::inferior::{BreakpointId, Step, StepKind, StopReason, Who};

const OBJECT: u64 = 1 << 62;

fn talk() -> Talk {
    Talk::of(Client::Wasm, Fake::new())
}

fn word(reply: &str) -> u64 {
    let bytes: Vec<u8> =
        (0..reply.len() / 2).map(|n| u8::from_str_radix(&reply[2 * n..2 * n + 2], 16).unwrap()).collect();
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Reads all of the module that lldb is given.
fn object(talk: &mut Talk) -> WasmObject {
    let mut bytes = Vec::new();
    loop {
        let reply = talk.ask(&format!("m{:x},40", OBJECT + bytes.len() as u64));
        if reply.starts_with('E') {
            return WasmObject::of(bytes).expect("a module");
        }
        bytes.extend((0..reply.len() / 2).map(|n| u8::from_str_radix(&reply[2 * n..2 * n + 2], 16).unwrap()));
    }
}

/// The address of an instruction of the fake's as lldb sees it.
fn address(talk: &mut Talk, function: u32, instruction: usize) -> u64 {
    let start = object(talk).code_start;
    OBJECT + start + talk.fake.address(function, instruction) - 0xe000_0000
}

#[test]
fn a_module_is_read_from_its_address() {
    let mut talk = talk();
    assert!(talk.ask("qSupported:xmlRegisters=i386").contains("qXfer:libraries:read+"));
    assert!(!talk.ask("qSupported:xmlRegisters=i386").contains("qXfer:features"));
    assert!(talk.ask("qXfer:libraries:read::0,fff").contains("address=\"0x4000000000000000\""));
    let object = object(&mut talk);
    wasmparser::Parser::new(0).parse_all(&object.wasm).for_each(|payload| drop(payload.unwrap()));
    let code = &object.wasm[object.code_start as usize..];
    let whole = talk.fake.module.to_vec();
    let at = whole.windows(16).position(|window| window == &code[..16]);
    assert!(at.is_some(), "the code is that of the guest's module");
}

#[test]
fn what_is_asked_first_says_that_this_is_wasm() {
    let mut talk = talk();
    assert!(talk.ask("qHostInfo").contains("arch:wasm32;"));
    assert!(talk.ask("qProcessInfo").starts_with("pid:1;"));
    assert!(talk.ask("qRegisterInfo0").ends_with("generic:pc;"));
    assert_eq!(talk.ask("qRegisterInfo3"), "E45");
    assert_eq!(talk.ask("QThreadSuffixSupported"), "OK");
    assert_eq!(talk.ask("qXfer:features:read:target.xml:0,fff"), "");
}

#[test]
fn a_stack_is_the_next_instructions_of_its_frames() {
    let mut talk = talk();
    let (inner, outer) = (address(&mut talk, 0, 5), address(&mut talk, 1, 2));
    let stack = talk.ask("qWasmCallStack:1");
    assert_eq!(stack.len(), 32);
    assert_eq!((word(&stack[..16]), word(&stack[16..])), (inner, outer));
    assert_eq!(word(&talk.ask("p0;thread:1;")), inner);
    assert_eq!(talk.ask("qWasmCallStack:3"), "", "it has not run");
    assert_eq!(talk.ask("qWasmCallStack:0"), "E16");
}

#[test]
fn tables_lead_to_a_tasks_frames_whoever_was_asked_about_last() {
    let mut talk = talk();
    talk.ask("qWasmCallStack:2");
    let base = word(&talk.ask("p1;thread:1;"));
    assert_eq!(base, table::address(RunnerId(0)));
    assert_eq!(word(&talk.ask("p2;thread:1;")), 0);
    let frames = FrameStack::new(WordSize::Four, 0, &[2, 1]);
    for depth in 0..2 {
        let row = base + word(&talk.ask(&format!("qWasmLocal:{depth};{}", table::ROW_LOCAL)));
        let cfa = word(&talk.ask(&format!("m{:x},4", row + table::CFA)));
        assert_eq!(Some(cfa), frames.cfa(depth as usize));
        let pc = word(&talk.ask(&format!("m{:x},4", row + table::PC)));
        let state = &talk.fake.states[&RunnerId(0)][depth as usize];
        assert_eq!(pc, u64::from(state.frame.address.offset.0), "of outer frames, the call");
        let stack_pointer = word(&talk.ask(&format!("m{:x},4", row + table::STACK_POINTER)));
        assert_eq!(stack_pointer, [4080, 4096][depth as usize]);
        // The first local.
        assert_eq!(word(&talk.ask(&format!("m{:x},4", cfa - 16 - 8))), 41);
    }
    let counter = base + table::GLOBALS + 8;
    assert_eq!(word(&talk.ask(&format!("m{counter:x},8"))), 7);
    assert_eq!(talk.ask(&format!("m{:x},4", base + 0x1000)), "E0e", "there are no more frames");
}

#[test]
fn locals_are_those_of_the_stack_that_was_asked_for() {
    let mut talk = talk();
    talk.ask("qWasmCallStack:1");
    assert_eq!(talk.ask("qWasmLocal:0;1"), "f00f0000");
    assert_eq!(talk.ask("qWasmStackValue:0;1"), "0200000001000000");
    assert_eq!(talk.ask("qWasmGlobal:1;1"), "0700000000000000");
    talk.ask("qWasmCallStack:2");
    assert_eq!(talk.ask("qWasmLocal:0;0"), "29000000");
    assert_eq!(talk.ask("qWasmLocal:0;1"), "E03", "that one has none");
    assert_eq!(talk.ask("qWasmLocal:9;0"), "E03");
    assert_eq!(talk.ask("qWasmLocal:x"), "E16");
}

#[test]
fn a_stop_is_at_the_address_that_its_breakpoint_was_asked_for() {
    let mut talk = talk();
    let first = address(&mut talk, 0, 0);
    // `inner` declares a local: its body begins before its first instruction.
    let body = first - 3;
    assert_eq!(talk.ask(&format!("Z0,{body:x},1")), "OK");
    let spec = talk.fake.breakpoints.values().next().expect("it is set").clone();
    let CodeAddress { module, offset } = spec.address;
    assert_eq!(module, ModuleId::KERNEL);
    let state = &mut talk.fake.states.get_mut(&RunnerId(0)).unwrap()[0];
    state.frame.address.offset = offset;
    let id = *talk.fake.breakpoints.keys().next().unwrap();
    assert_eq!(id, BreakpointId(1));
    talk.fake.script.push_back(StopReason::Breakpoint(vec![id]));
    let reply = talk.ask("vCont;c");
    let pc = reply.split(";00:").nth(1).and_then(|rest| rest.split(';').next()).expect("the pc is told");
    assert_eq!(word(pc), body, "{reply}");
    assert!(reply.contains("reason:breakpoint;"), "{reply}");
    assert_eq!(talk.ask(&format!("z0,{body:x},1")), "OK");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let mut talk = talk();
    assert_eq!(talk.ask("QEnableErrorStrings"), "OK");
    let why = |reply: &str| {
        let text = reply.split_once(';').unwrap_or_else(|| panic!("{reply}")).1;
        (0..text.len() / 2)
            .map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap() as char)
            .collect::<String>()
    };
    assert!(why(&talk.ask("Z0,4000000000000000,1")).contains("no code"));
    assert!(why(&talk.ask("Z0,40,1")).contains("nothing"));
    assert!(why(&talk.ask("Z2,4000000000000010,4")).contains("nothing"));
    assert!(why(&talk.ask("M4000000000000010,1:00")).contains("cannot be changed"));
    assert!(why(&talk.ask("M180000000,1:00")).contains("global"));
    assert!(why(&talk.ask("P0=00;thread:1;")).contains("cannot be changed"));
    assert_eq!(talk.ask("M40,1:2a"), "OK");
    assert_eq!(talk.ask("m40,1"), "2a");
    assert_eq!(talk.ask("Z2,40,4"), "OK");
}

#[test]
fn a_module_that_is_loaded_later_is_told_of_with_the_next_stop() {
    let mut talk = talk();
    talk.ask("qXfer:libraries:read::0,fff");
    talk.fake.load_module();
    talk.hear();
    talk.fake.script.extend([StopReason::Step, StopReason::Step]);
    assert!(talk.ask("vCont;s:1").contains("library:;"));
    assert!(talk.ask("qXfer:libraries:read::0,fff").contains("address=\"0x4000000100000000\""));
    assert!(!talk.ask("vCont;s:1").contains("library:;"));
}

#[test]
fn where_a_module_is_loaded_it_is_told_of_by_a_signal_at_which_lldb_goes_on() {
    let mut talk = talk();
    talk.ask("qXfer:libraries:read::0,fff");
    talk.fake.load_module();
    talk.hear();
    talk.fake.script.push_back(StopReason::ModuleLoaded(wkdb_tracer::ModuleId(1)));
    let told = talk.ask("vCont;c");
    assert!(told.starts_with("T1cthread:1;") && told.contains("library:;") && !told.contains("reason:"), "{told}");
}

#[test]
fn a_step_over_a_call_is_told_by_the_threads_that_run_meanwhile() {
    let mut talk = talk();
    // Where `outer` calls `inner`.
    let call = talk.fake.states[&RunnerId(1)][0].frame.address.offset;
    let mut step = |packet: &str| {
        talk.fake.script.push_back(StopReason::Step);
        assert!(talk.ask(packet).starts_with("T05"));
        talk.fake.resumed.pop().expect("it went on")
    };
    let over = step("vCont;c:1;c:3;s:2");
    assert_eq!(over.who, Who::All);
    let Some(Step { runner: RunnerId(1), kind: StepKind::Over(range) }) = over.step else { panic!("{over:?}") };
    assert_eq!(range, call..CodeOffset(call.0 + 2));
    let into = step("vCont;s:2");
    assert_eq!(into.who, Who::All);
    assert_eq!(into.step, Some(Step { runner: RunnerId(1), kind: StepKind::Instruction }));
    // No call: the same to all.
    let plain = step("vCont;c:2;c:3;s:1");
    assert_eq!((plain.who, plain.step), (Who::All, Some(Step { runner: RunnerId(0), kind: StepKind::Instruction })));
    let all = step("vCont;c:1;c:2;c:3");
    assert_eq!((all.who, all.step), (Who::All, None));
    let alone = step("vCont;c:2");
    assert_eq!((alone.who, alone.step), (Who::Only(RunnerId(1)), None));
}
