//! Conversations, packet by packet: what a client sends after `>`, what it gets after `<`.

use std::fmt::Write as _;

use wkdb_tracer::{ModuleId, Outcome, WatchHit, Writer};

use super::super::attention::Attention;
use super::super::front::Client;
use super::super::link::{Farewell, Link, Shared};
use super::super::wire::{Framer, Inbound, hex, packet};
use super::super::{files::Files, view::View};
use super::fake::{Fake, parts};
use crate::inferior::{BreakpointId, Inferior, Notice, Resume, StepKind, StopReason, WatchId, Who};

/// A client that talks with a server about a fake.
pub(super) struct Talk {
    pub(super) fake: Fake,
    pub(super) shared: Shared,
    pub(super) link: Link,
    pub(super) farewell: Option<Farewell>,
    text: String,
}

fn shared() -> Shared {
    let parts = parts();
    Shared {
        view: View::new(None),
        files: Files::new(parts.companions),
        monitor: parts.monitor,
        attention: Attention::default(),
    }
}

impl Talk {
    pub(super) fn new(fake: Fake) -> Talk {
        Talk::of(Client::Gdb, fake)
    }

    /// A client that came to the port of such ones.
    pub(super) fn of(client: Client, mut fake: Fake) -> Talk {
        let link = Link::new(client, &mut fake).unwrap();
        let mut talk = Talk { fake, shared: shared(), link, farewell: None, text: String::new() };
        talk.ask("QStartNoAckMode");
        talk.link.receive(b"+", &mut talk.shared, &mut talk.fake);
        talk.text.clear();
        talk
    }

    /// Sends a packet and writes down what comes back.
    pub(super) fn ask(&mut self, body: &str) -> String {
        let _ = writeln!(self.text, "> {body}");
        self.send(&packet(body.as_bytes()))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> String {
        self.farewell = self.farewell.or(self.link.receive(bytes, &mut self.shared, &mut self.fake));
        self.hear()
    }

    /// Passes on what the fake tells, and writes down what the client gets.
    pub(super) fn hear(&mut self) -> String {
        for notice in self.fake.notices(std::time::Duration::ZERO).unwrap() {
            match notice {
                Notice::Stopped(stop) => {
                    self.shared.view.forget();
                    self.link.stopped(&stop, &mut self.shared, &mut self.fake);
                    self.link.attached(&mut self.shared, &mut self.fake);
                }
                Notice::Module(_) => self.shared.view.expect_modules(),
                Notice::Ended(outcome, _) => self.link.ended(&super::super::stop::exit_reply(&outcome)),
                _ => {}
            }
        }
        let out = std::mem::take(&mut self.link.out);
        let mut last = String::new();
        for inbound in Framer::default().push(&out) {
            if let Inbound::Packet(body) = inbound {
                last = String::from_utf8_lossy(&body).into_owned();
                let _ = writeln!(self.text, "< {last}");
            }
        }
        last
    }

    fn transcript(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

#[test]
fn a_client_attaches_and_looks_around() {
    let mut talk = Talk::new(Fake::new());
    for body in [
        "qSupported:multiprocess+;swbreak+;xmlRegisters=i386",
        "vMustReplyEmpty",
        "?",
        "qC",
        "qAttached",
        "qXfer:exec-file:read::0,100",
        "qXfer:threads:read::0,1000",
        "qfThreadInfo",
        "qThreadExtraInfo,2",
        "vCont?",
        "Hg2",
        "p8",
        "T3",
        "T9",
        "qRcmd,7469636b",
        "D",
    ] {
        talk.ask(body);
    }
    assert_eq!(talk.farewell, Some(Farewell::Detach));
    insta::assert_snapshot!(talk.transcript());
}

#[test]
fn a_stack_is_memory_that_call_frame_information_can_walk() {
    let fake = Fake::new();
    let layout_return = fake.address(1, 2);
    let mut talk = Talk::new(fake);
    let word = |hex: &str| {
        u32::from_be_bytes(std::array::from_fn(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()))
            .swap_bytes()
    };
    let register = |talk: &mut Talk, n: u32| word(&talk.ask(&format!("p{n:x}")));
    let (pc, sp, cfa, ebx) =
        (register(&mut talk, 8), register(&mut talk, 4), register(&mut talk, 5), register(&mut talk, 3));
    assert_eq!(u64::from(pc), talk.fake.address(0, 5));
    assert_eq!(sp, 4080);
    let memory = |talk: &mut Talk, at: u32| word(&talk.ask(&format!("m{at:x},4")));
    assert_eq!(u64::from(memory(&mut talk, cfa - 4)), layout_return, "behind the call");
    let caller = memory(&mut talk, cfa - 8);
    assert!(caller > cfa);
    assert_eq!(memory(&mut talk, cfa - 12), 4096, "what the prologue took is given back");
    assert_eq!(memory(&mut talk, cfa - 16 - 8), 41, "local 0");
    assert_eq!(memory(&mut talk, cfa - 16 - 16), 4080, "local 1");
    assert_eq!(memory(&mut talk, cfa), 4080, "operand 0");
    assert_eq!((memory(&mut talk, cfa + 8), memory(&mut talk, cfa + 12)), (2, 1), "operand 1, an i64");
    assert_eq!(memory(&mut talk, caller - 24), 41, "local 0 of the caller");
    assert_eq!(memory(&mut talk, caller - 4), 0xefff_f008, "the host called it");
    assert_eq!(memory(&mut talk, ebx), 4080, "global 0");
    assert_eq!(memory(&mut talk, ebx + 8), 7, "global 1");
    assert_eq!(register(&mut talk, 0), 2, "the top operand, low");
    assert_eq!(register(&mut talk, 2), 1, "and high");
}

#[test]
fn frames_of_other_tasks_are_read_without_selecting_them() {
    let mut talk = Talk::new(Fake::new());
    talk.ask("Hg2");
    let cfa = talk.ask("p5");
    let cfa = u32::from_str_radix(&cfa, 16).unwrap().swap_bytes();
    let local = format!("m{:x},4", cfa - 24);
    assert_eq!(talk.ask(&local), "29000000");
    talk.ask("Hg1");
    assert_eq!(talk.ask(&local), "29000000");
    talk.ask("Hg3");
    assert_eq!(talk.ask(&local), "29000000", "a task without frames");
    // A line of a cache, which begins where no frame is.
    let line = talk.ask(&format!("m{:x},200", (cfa - 24) & !0x1ff));
    assert!(line.contains("29000000"), "{line}");
}

#[test]
fn memory_is_read_and_written_and_what_cannot_be_is_said() {
    let mut talk = Talk::new(Fake::new());
    let code = talk.fake.address(0, 0);
    for body in [
        "m10,4",
        "mfffe,8",
        "m10000,4",
        "md0000000,1",
        "mfffffffffffffff0,ffffffffffffffff",
        &format!("m{code:x},1"),
        &format!("m{code:x},2"),
        "mefff0000,4",
        "M10,2:aabb",
        "X12,1:c",
        "m10,4",
        "M20000,1:00",
        &format!("M{code:x},1:00"),
        "Mef000008,1:09",
        "mef000008,8",
        "Mef000080,1:09",
        "Mfffefbc8,4:01000000",
        "Mfffefbe0,4:01000000",
        "Mfffefbdc,4:01000000",
        "P8=00000000",
        "P8=47000000",
        "G00",
    ] {
        talk.ask(body);
    }
    insta::assert_snapshot!(talk.transcript());
}

#[test]
fn reads_longer_than_a_packet_are_cut() {
    let mut talk = Talk::new(Fake::new());
    let reply = talk.ask("m0,ffffffff");
    assert!(reply.len() > 0x8000 && reply.len() <= 0x1_0000, "{}", reply.len());
}

#[test]
fn steps_and_locks_become_resumes() {
    let mut fake = Fake::new();
    fake.script.extend(std::iter::repeat_n(StopReason::Step, 9));
    let (start, end) = (fake.address(0, 0), fake.address(0, 3));
    let mut talk = Talk::new(fake);
    for body in [
        "vCont;c",
        "vCont;s:2;c",
        "vCont;s:2",
        &format!("vCont;r{start:x},{end:x}:1;c:-1"),
        "vCont;r10,20:1;c",
        "vCont;c:3",
        "Hc2",
        "s",
        "C05",
        "Hc-1",
        "c",
    ] {
        talk.ask(body);
    }
    let resumed = std::mem::take(&mut talk.fake.resumed);
    let all: Vec<(Who, Option<StepKind>)> =
        resumed.iter().map(|resume| (resume.who, resume.step.as_ref().map(|step| step.kind.clone()))).collect();
    let layout = 0xe000_0000;
    let offset = |address: u64| wkdb_tracer::CodeOffset((address - layout) as u32);
    let only = |runner| Who::Only(wkdb_tracer::RunnerId(runner));
    assert_eq!(
        all,
        [
            (Who::All, None),
            (Who::All, Some(StepKind::Instruction)),
            (only(1), Some(StepKind::Instruction)),
            (Who::All, Some(StepKind::Into(offset(start)..offset(end)))),
            (Who::All, Some(StepKind::Instruction)),
            (only(2), None),
            (only(1), Some(StepKind::Instruction)),
            (only(1), None),
            (Who::All, None),
        ]
    );
    assert_eq!(resumed[1].step.as_ref().unwrap().runner, wkdb_tracer::RunnerId(1));
}

#[test]
fn breakpoints_come_and_go_and_their_stops_say_which() {
    let mut fake = Fake::new();
    fake.script.extend([StopReason::Breakpoint(vec![BreakpointId(1)]), StopReason::Breakpoint(vec![BreakpointId(3)])]);
    let address = fake.address(0, 2);
    let mut talk = Talk::new(fake);
    assert_eq!(talk.ask(&format!("Z0,{address:x},1")), "OK");
    assert_eq!(talk.ask(&format!("Z0,{address:x},1")), "OK", "twice is once");
    assert_eq!(talk.fake.breakpoints.len(), 1);
    assert_eq!(talk.ask(&format!("Z1,{:x},1", address + 2)), "OK");
    assert_eq!(talk.ask("Z0,effff008,1"), "OK", "where the host is called back");
    assert!(talk.ask("Z0,100,1").starts_with("E.there is no code at 0x100"));
    assert!(talk.ask("vCont;c").contains("swbreak:;"));
    // gdb takes them away at each stop, and sets them again.
    assert_eq!(talk.ask(&format!("z0,{address:x},1")), "OK");
    assert_eq!(talk.ask(&format!("Z0,{address:x},1")), "OK");
    assert_eq!(talk.ask(&format!("z1,{:x},1", address + 2)), "OK");
    assert!(talk.ask("vCont;c").contains("T05thread:1;05:"), "somebody else's");
    assert_eq!(talk.fake.breakpoints.keys().collect::<Vec<_>>(), [&BreakpointId(1)]);
    assert_eq!(talk.ask(&format!("z0,{:x},1", address + 9)), "E16", "not set");
}

#[test]
fn going_on_from_a_breakpoint_lets_all_tasks_run_and_none_run_past_it() {
    let mut fake = Fake::new();
    fake.script.extend([StopReason::Step, StopReason::Step]);
    let here = fake.address(0, 5);
    let mut talk = Talk::new(fake);
    // As gdb does it.
    talk.ask(&format!("Z0,{here:x},1"));
    talk.ask(&format!("z0,{here:x},1"));
    talk.ask("vCont;s:1");
    assert_eq!((talk.fake.resumed[0].who, talk.fake.breakpoints.len()), (Who::All, 1));
    // A step of one task alone that is not about a breakpoint.
    talk.ask("vCont;s:2");
    assert_eq!(talk.fake.resumed[1].who, Who::Only(wkdb_tracer::RunnerId(1)));
    assert_eq!(talk.fake.breakpoints.len(), 0);
}

fn hit(address: u64) -> WatchHit {
    WatchHit {
        kind: wkdb_tracer::AccessKind::Write,
        watch: 0,
        address,
        old: vec![0],
        new: vec![1],
        store_address: address,
        store_len: 1,
        writer: Writer::Host { action: "console input".into() },
        context: None,
    }
}

#[test]
fn watches_have_their_kinds_and_lengths_and_tell_where_they_were_hit() {
    let mut fake = Fake::new();
    fake.script.extend([
        StopReason::Watch(vec![(WatchId(1), hit(0x105))]),
        StopReason::Watch(vec![(WatchId(2), hit(0x200))]),
        StopReason::Watch(vec![(WatchId(3), hit(0x2ff))]),
    ]);
    let mut talk = Talk::new(fake);
    for body in ["Z2,100,2345", "Z3,200,1", "Z4,300,8", "vCont;c", "vCont;c", "vCont;c", "z2,100,2345"] {
        talk.ask(body);
    }
    for refused in ["Z2,fffefbc8,4", "Z2,ef000000,4", "Z2,e0000010,4", "Z2,20000,4", "Z2,effe0000,4"] {
        talk.ask(refused);
    }
    insta::assert_snapshot!(talk.transcript());
    let specs: Vec<(u64, u64)> = talk.fake.watches.values().map(|spec| (spec.address, spec.len)).collect();
    assert_eq!(specs, [(0x100, 0x2345), (0x200, 1), (0x300, 8)], "the first goes with the next resume");
    talk.ask("vCont;c");
    assert_eq!(talk.fake.watches.len(), 2);
}

#[test]
fn stops_and_ends_are_told_as_signals_and_exits() {
    let mut fake = Fake::new();
    let trap = StopReason::Trap { reason: "integer divide by zero".into() };
    let panic = StopReason::Panic { message: "not syncing: no init".into() };
    fake.script.extend([trap, panic, StopReason::End(Box::new(Outcome::MaxTime)), StopReason::HistoryEnd]);
    let mut talk = Talk::new(fake);
    for _ in 0..5 {
        talk.ask("vCont;c");
    }
    talk.fake.end(Outcome::MaxTime);
    talk.hear();
    talk.ask("?");
    talk.ask("vCont;c");
    insta::assert_snapshot!(talk.transcript());
}

#[test]
fn a_module_that_was_loaded_is_told_before_the_stop() {
    let mut fake = Fake::new();
    fake.script.extend([StopReason::Step, StopReason::Step]);
    let mut talk = Talk::new(fake);
    talk.ask("qXfer:libraries:read::0,100");
    talk.fake.load_module();
    assert_eq!(talk.ask("vCont;c"), "T05thread:1;library:;");
    assert_eq!(talk.fake.resumed.len(), 1);
    // The client goes on, but the machine has stopped for another reason.
    assert!(talk.ask("vCont;c").starts_with("T05thread:1;05:"));
    assert_eq!(talk.fake.resumed.len(), 1);
    assert!(talk.ask("vCont;c").starts_with("T05thread:1;05:"));
    assert_eq!(talk.fake.resumed.len(), 2);
}

#[test]
fn a_thread_that_cannot_go_on_is_the_one_that_stops_and_it_is_said_why() {
    let mut fake = Fake::new();
    fake.refusal = Some("runner 1 waits for others".into());
    let mut talk = Talk::new(fake);
    talk.ask("Hg1");
    // gdb lets this one run, and expects it to stop.
    assert!(talk.ask("vCont;s:2").starts_with("T02thread:2;"));
    assert!(talk.transcript().contains(&format!("< O{}", hex(b"wkdb: runner 1 waits for others\n"))));
}

#[test]
fn ctrl_c_stops_a_running_machine_and_nothing_else() {
    let mut talk = Talk::new(Fake::new());
    assert_eq!(talk.send(b"\x03"), "", "it is stopped");
    assert_eq!(talk.ask("vCont;c"), "", "it runs");
    assert!(talk.send(b"\x03").starts_with("T02thread:1;"));
}

#[test]
fn a_client_that_comes_while_the_machine_runs_is_answered_when_it_has_stopped() {
    let mut fake = Fake::new();
    fake.resume(&Resume::go()).unwrap();
    let mut talk = Talk::new(fake);
    assert!(talk.ask("?").starts_with("T02thread:1;"));
}

#[test]
fn history_is_gone_back_in_where_there_is_one() {
    let mut talk = Talk::new(Fake::new());
    assert!(!talk.ask("qSupported").contains("Reverse"));
    assert_eq!(talk.ask("bc"), "", "not known");
    let mut fake = Fake::new();
    fake.history = true;
    fake.script.extend([StopReason::HistoryStart, StopReason::Step]);
    let mut talk = Talk::new(fake);
    assert!(talk.ask("qSupported").contains("ReverseContinue+;ReverseStep+"));
    assert!(talk.ask("bc").contains("replaylog:begin;"));
    talk.ask("bs");
    assert_eq!(talk.fake.resumed[1].direction, crate::inferior::Direction::Backward);
    assert_eq!(talk.fake.resumed[1].step.as_ref().unwrap().kind, StepKind::Instruction);
}

#[test]
fn lldb_is_told_apart_and_told_more() {
    let mut fake = Fake::new();
    fake.script.push_back(StopReason::Trap { reason: "unreachable".into() });
    let mut talk = Talk::new(fake);
    for body in [
        "qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+",
        "QThreadSuffixSupported",
        "QListThreadsInStopReply",
        "QEnableErrorStrings",
        "qHostInfo",
        "qProcessInfo",
        "?",
        "qThreadStopInfo2",
        "jThreadsInfo",
        "vCont;c",
        "m20000,4",
    ] {
        talk.ask(body);
    }
    insta::assert_snapshot!(talk.transcript());
}

#[test]
fn without_acknowledgements_off_every_packet_is_acknowledged_and_replies_can_be_had_again() {
    let mut fake = Fake::new();
    let mut shared = shared();
    let mut link = Link::new(Client::Gdb, &mut fake).unwrap();
    link.receive(b"$qC#b4", &mut shared, &mut fake);
    link.receive(b"-", &mut shared, &mut fake);
    link.receive(b"$qC#00", &mut shared, &mut fake);
    assert_eq!(String::from_utf8(link.out).unwrap(), "+$QC1#c5$QC1#c5-");
}

#[test]
fn before_the_first_task_there_is_a_thread_without_frames() {
    let mut fake = Fake::new();
    fake.tasks.clear();
    fake.states.clear();
    fake.stop(StopReason::Start);
    let mut talk = Talk::new(fake);
    assert!(talk.ask("?").starts_with("T05thread:1;"));
    assert!(talk.ask("qXfer:threads:read::0,1000").contains("the guest has not started"));
    assert_eq!(talk.ask("p8"), "08f0ffef");
}

/// `vCont;c`, and Ctrl-C at once.
fn go_on_and_interrupt(talk: &mut Talk) -> String {
    talk.send(&[&packet(b"vCont;c")[..], b"\x03"].concat())
}

#[test]
fn an_interrupt_is_not_lost_where_the_machine_has_just_stopped_for_nobody() {
    let mut talk = Talk::new(Fake::new());
    talk.ask("?");
    // Of this module the client was told when it came.
    talk.fake.script.push_back(StopReason::ModuleLoaded(ModuleId(0)));
    assert!(go_on_and_interrupt(&mut talk).starts_with("T02thread:1;"));
    // It was served: the next time nobody stops it.
    talk.fake.script.extend([StopReason::ModuleLoaded(ModuleId(0)), StopReason::Step]);
    talk.ask("vCont;c");
    assert!(talk.hear().starts_with("T05thread:1;"));
}

#[test]
fn an_interrupt_is_not_lost_where_the_client_goes_on_by_itself() {
    for late in [false, true] {
        let mut talk = Talk::new(Fake::new());
        talk.ask("qXfer:libraries:read::0,1000");
        talk.fake.load_module();
        talk.fake.script.push_back(StopReason::ModuleLoaded(ModuleId(1)));
        let told = if late { talk.ask("vCont;c") } else { go_on_and_interrupt(&mut talk) };
        assert_eq!(told, "T05thread:1;library:;");
        if late {
            talk.send(b"\x03");
        }
        talk.ask("qXfer:libraries:read::0,1000");
        let resumed = talk.fake.resumed.len();
        assert!(talk.ask("vCont;c").starts_with("T02thread:1;"));
        assert_eq!(talk.fake.resumed.len(), resumed, "it went on");
        talk.fake.script.push_back(StopReason::Step);
        assert!(talk.ask("vCont;c").starts_with("T05thread:1;"), "it was served");
    }
}

#[test]
fn an_interrupt_behind_a_stop_is_forgotten() {
    let mut talk = Talk::new(Fake::new());
    talk.ask("?");
    talk.fake.script.push_back(StopReason::Step);
    assert!(go_on_and_interrupt(&mut talk).starts_with("T05thread:1;"));
    talk.send(b"\x03");
    talk.fake.script.push_back(StopReason::Step);
    assert!(talk.ask("vCont;c").starts_with("T05thread:1;"));
}
