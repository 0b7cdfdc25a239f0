//! A live run in fast code, to which debuggers come, and from which they go: it is the run that it is without them.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, JournalConfig, MachineConfig, Pace};
use wkdb::process::MachineProcess;
use wkdb::process::protocol::FromMachine;
use wkdb::session::{Live, Relay, Rewindable, Tap, Tapped, Variants};
use wkdb_debugger::inferior::{
    BreakpointSpec, Direction, Goal, Inferior, Limits, Notice, Resume, Status, Stop, StopReason,
};
use wkdb_tracer::recording::{Entry, Position, Verifier};
use wkdb_tracer::{GuestTime, Outcome, Tick, Totals};

use super::PATIENCE;

thread_local! {
    /// The processes that were started for this test, in order.
    static STARTED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

fn start(config: MachineConfig) -> io::Result<MachineProcess> {
    let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config)?;
    STARTED.with_borrow_mut(|started| started.push(process.id()));
    Ok(process)
}

/// What a recording would have of a run: all that leads to it and all that it printed, with its places.
type Heard = Arc<Mutex<Vec<(Position, Entry)>>>;

struct Session {
    run: Relay,
    heard: Heard,
    console: String,
    complaints: Vec<String>,
    end: Option<(Outcome, Totals)>,
    _files: Files,
}

const SCRIPT: &str = "expect \"minik# \"\nsend \"stress 40\\n\"\nexpect \"minik# \"\nsend \"ps\\n\"\n\
    expect \"minik# \"\nwait 30s\nsend \"crash div0\\n\"\nexpect \"minik# \"\nsend \"stress 40\\n\"\nexpect \"minik# \"\n";

fn config(files: &Files, change: impl FnOnce(&mut MachineConfig)) -> MachineConfig {
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
    config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: false };
    config.journal = Some(JournalConfig::record());
    change(&mut config);
    config
}

fn debug(config: &MachineConfig) -> MachineConfig {
    let mut config = config.clone();
    config.engine.debug = true;
    (config.store_checks, config.load_checks) = (true, true);
    config
}

impl Session {
    fn start(change: impl FnOnce(&mut MachineConfig)) -> Session {
        Session::with(change, |config, variants, tap| {
            Relay::start(config, variants, |process| Tapped::new(process, tap)).unwrap()
        })
    }

    /// The same in code for debugging from its start on, where it stands.
    fn start_stopped(change: impl FnOnce(&mut MachineConfig)) -> Session {
        Session::with(change, |config, variants, tap| {
            let mut debug = debug(&config);
            debug.attach = true;
            let machine = Live::over(Tapped::new(start(debug).unwrap(), tap));
            let machine = Rewindable::over(machine, variants.limits).unwrap();
            Relay::stopped(machine, variants, config.pace).unwrap()
        })
    }

    fn with(
        change: impl FnOnce(&mut MachineConfig),
        begin: impl FnOnce(MachineConfig, Variants, Tap) -> Relay,
    ) -> Session {
        let files = Files::write(KERNEL_7_0).unwrap();
        let config = config(&files, change);
        let limits = Limits { spacing: 500_000, ..Limits::default() };
        let variants = Variants { fast: Some(config.clone()), debug: Some(debug(&config)), limits, start };
        let heard = Heard::default();
        let theirs = heard.clone();
        let mut at = Position::default();
        let tap = move |message: &FromMachine| match message {
            FromMachine::At(position) => at = *position,
            FromMachine::Took(entry) if entry.is_from_outside() => theirs.lock().unwrap().push((at, entry.clone())),
            FromMachine::Console(bytes) => theirs.lock().unwrap().push((at, Entry::Console(bytes.clone()))),
            _ => {}
        };
        let run = begin(config, variants, Box::new(tap));
        Session { run, heard, console: String::new(), complaints: Vec::new(), end: None, _files: files }
    }

    /// Takes what is told within a while.
    fn hear(&mut self) -> Option<Stop> {
        self.hear_for(Duration::from_millis(50))
    }

    fn hear_for(&mut self, wait: Duration) -> Option<Stop> {
        let mut stopped = None;
        for notice in self.run.notices(wait).unwrap() {
            match notice {
                Notice::Console(bytes) => self.console.push_str(&String::from_utf8_lossy(&bytes)),
                Notice::Stopped(stop) => stopped = Some(*stop),
                Notice::Ended(outcome, totals) => self.end = Some((*outcome, *totals)),
                Notice::Event(event) => {
                    if let wkdb_tracer::Event::Complaint { text, .. } = *event {
                        self.complaints.push(text);
                    }
                }
                _ => {}
            }
        }
        stopped
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Session) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}; console: {}\n{:?}", self.console, self.complaints);
            assert_eq!(self.hear(), None, "{what}");
        }
    }

    fn expect(&mut self, text: &str) {
        self.until(text, |session| session.console.contains(text));
        self.console.clear();
    }

    fn stop(&mut self) -> Stop {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no stop; console: {}\n{:?}", self.console, self.complaints);
            assert_eq!(self.end, None);
            if let Some(stop) = self.hear() {
                return stop;
            }
        }
    }

    /// As the server for gdb does it, and the loop around it.
    fn attach(&mut self) -> Stop {
        assert_eq!(self.run.status(), &Status::Running);
        self.run.interrupt().unwrap();
        self.run.set_attached(true).unwrap();
        let stop = self.stop();
        assert_eq!(stop.reason, StopReason::Interrupt, "{:?}", self.complaints);
        assert!(self.run.is_debug() && matches!(self.run.status(), Status::Stopped(_)), "{:?}", self.complaints);
        stop
    }

    fn detach(&mut self) {
        self.run.resume(&Resume::go()).unwrap();
        self.run.set_attached(false).unwrap();
    }

    /// Lets the run go on until the fast machine leads again.
    fn fast_again(&mut self) {
        self.until("fast again", |session| !session.run.is_debug());
        assert_eq!(self.complaints, Vec::<String>::new());
    }

    fn end(&mut self) -> (Outcome, Totals) {
        self.until("the end", |session| session.end.is_some());
        self.end.clone().unwrap()
    }

    fn heard(&self) -> Vec<(Position, Entry)> {
        self.heard.lock().unwrap().clone()
    }
}

/// Checks that a recording's verifier takes one for the other, whichever of the two was recorded. Where a debugger stops
/// the machine in the middle of a slice, what was printed in it so far is told there, with that place, and the rest at the
/// slice's end: nobody can know that end before. So the verifier joins the pieces, and compares the slices that they are of.
fn assert_same_run(one: &[(Position, Entry)], other: &[(Position, Entry)]) {
    for (recorded, replayed) in [(one, other), (other, one)] {
        let mut verifier = Verifier::new(recorded.iter().cloned().map(Ok), true);
        let compared = replayed.iter().try_for_each(|(at, entry)| verifier.entry(*at, entry));
        if let Err(divergence) = compared.and_then(|()| verifier.at_end()) {
            let near = |run: &[(Position, Entry)]| {
                let slice = divergence.at.slices;
                let near = run.iter().filter(|(at, _)| at.slices.abs_diff(slice) <= 2);
                near.map(|entry| format!("\n    {entry:?}")).collect::<String>()
            };
            panic!("{divergence}\n  one: {}\n  the other: {}", near(recorded), near(replayed));
        }
    }
}

fn scripted(config: &mut MachineConfig) {
    config.script = Some(SCRIPT.to_owned());
    config.until.push(Condition::Script);
    config.seed = 5;
}

#[test]
fn a_run_to_which_debuggers_came_and_from_which_they_went_is_the_run_without_them() {
    let mut alone = Session::start(scripted);
    let end = alone.end();
    let heard = alone.heard();
    assert!(heard.len() > 20 && matches!(end.0, Outcome::Until(_)), "{end:?}");

    let mut session = Session::start(scripted);
    session.expect("minik# ");
    let first = session.attach();
    // It has a past, back to its start, and comes back to the present.
    session.run.resume(&Resume { direction: Direction::Backward, ..Resume::go() }).unwrap();
    assert_eq!(session.stop().reason, StopReason::HistoryStart);
    session.run.history().unwrap().go_to(Goal::Tick(Tick(first.tick.0 / 2))).unwrap();
    assert_eq!(session.stop().tick, Tick(first.tick.0 / 2));
    session.run.history().unwrap().go_to(Goal::Present).unwrap();
    assert_eq!(session.stop().tick, first.tick);
    session.run.resume(&Resume { until_tick: Some(Tick(first.tick.0 + 100_000)), ..Resume::go() }).unwrap();
    assert_eq!(session.stop().reason, StopReason::Tick);
    session.detach();
    session.fast_again();
    let second = session.attach();
    assert!(second.tick > first.tick);
    session.detach();
    // At once again, wherever the other machine is.
    let third = session.attach();
    session.detach();
    session.fast_again();
    assert!(third.tick >= second.tick);
    assert_eq!(session.end(), end);
    assert_same_run(&session.heard(), &heard);
}

#[test]
fn a_client_that_has_left_when_its_stop_comes_leaves_a_run_that_goes_on() {
    let mut session = Session::start(scripted);
    session.expect("minik# ");
    session.attach();
    session.detach();
    // The machine for debugging leads. It is interrupted, and when it stops nobody is there any more.
    assert!(session.run.is_debug());
    session.run.interrupt().unwrap();
    session.run.set_attached(true).unwrap();
    session.run.set_attached(false).unwrap();
    session.end();
    assert_eq!(session.complaints, Vec::<String>::new());
}

#[test]
fn a_client_that_is_killed_while_it_waits_leaves_a_run_that_goes_on() {
    let mut alone = Session::start(scripted);
    let (end, heard) = (alone.end(), alone.heard());
    let mut session = Session::start(scripted);
    session.expect("minik# ");
    for wait in [0, 1, 10, 40] {
        session.run.interrupt().unwrap();
        session.run.set_attached(true).unwrap();
        let until = Instant::now() + Duration::from_millis(wait);
        while Instant::now() < until && !session.run.is_debug() {
            session.hear();
        }
        // As the server does it for one that is gone: only what is stopped is let go on.
        if matches!(session.run.status(), Status::Stopped(_)) {
            session.run.resume(&Resume::go()).unwrap();
        }
        session.run.set_attached(false).unwrap();
    }
    assert_eq!(session.end(), end);
    assert_same_run(&session.heard(), &heard);
    assert_eq!(session.complaints, Vec::<String>::new());
}

#[test]
fn what_is_printed_in_a_slice_in_which_a_debugger_stops_is_told_in_pieces_and_is_the_same_run() {
    let boots = |config: &mut MachineConfig| config.until.push(Condition::Time(GuestTime(200_000_000)));
    let mut alone = Session::start(boots);
    let end = alone.end();
    let mut session = Session::start_stopped(boots);
    // At places that have nothing to do with what is printed: some are behind it, in its slice.
    let stops = (1..200).map(|number| Tick(number * 5_000)).take_while(|tick| *tick < end.1.ticks);
    for tick in stops {
        session.run.resume(&Resume { until_tick: Some(tick), ..Resume::go() }).unwrap();
        assert_eq!(session.stop().reason, StopReason::Tick);
    }
    session.detach();
    assert_eq!(session.end(), end);
    let (heard, undisturbed) = (session.heard(), alone.heard());
    assert!(heard != undisturbed, "none of the stops is between what is printed and the end of its slice");
    assert_same_run(&heard, &undisturbed);
}

#[test]
fn a_guest_goes_on_at_once_when_its_debugger_leaves_before_the_machine_for_debugging_is_there() {
    let mut session = Session::start(|c| c.pace = Pace::Real);
    session.expect("minik# ");
    // There is a way to go for a machine that begins at the start.
    session.run.type_in(b"stress 40\r").unwrap();
    session.expect("minik# ");
    session.run.interrupt().unwrap();
    session.run.set_attached(true).unwrap();
    session.until("a machine for debugging on its way", |session| session.run.progress().is_some());
    session.run.set_attached(false).unwrap();
    assert_eq!(session.run.status(), &Status::Running);
    session.run.type_in(b"echo one\r").unwrap();
    session.expect("\none\r");
    assert!(!session.run.is_debug() && session.run.progress().is_none(), "it had to wait for the other machine");
    // The next one finds the way shorter, and the same run at its end.
    session.attach();
    session.detach();
    session.fast_again();
}

#[test]
fn debuggers_that_come_and_go_faster_than_the_machines_can_follow_leave_the_run_as_it_is() {
    let busy = |config: &mut MachineConfig| {
        scripted(config);
        let stress = "send \"stress 40\\n\"\nexpect \"minik# \"\n".repeat(60);
        config.script = Some(format!("expect \"minik# \"\n{stress}"));
    };
    let mut alone = Session::start(busy);
    let (end, heard) = (alone.end(), alone.heard());
    let mut session = Session::start(busy);
    session.expect("minik# ");
    // The fast machine follows, and is caught on its way.
    for _ in 0..20 {
        session.attach();
        session.detach();
    }
    for number in 0..120 {
        if session.end.is_some() {
            break;
        }
        session.run.interrupt().unwrap();
        session.run.set_attached(true).unwrap();
        // A machine is somewhere on its way to the other one's place, and will be sent on to the next.
        for _ in 0..number % 7 {
            session.hear_for(Duration::from_micros(300));
        }
        // As the server does it for one that is gone: only what is stopped is let go on.
        if matches!(session.run.status(), Status::Stopped(_)) {
            session.run.resume(&Resume::go()).unwrap();
        }
        session.run.set_attached(false).unwrap();
        session.hear_for(Duration::ZERO);
    }
    // One of the stops may have been under way when its debugger left.
    let deadline = Instant::now() + PATIENCE;
    while session.end.is_none() {
        assert!(Instant::now() < deadline, "it does not end; {:?}", session.complaints);
        if matches!(session.run.status(), Status::Stopped(_)) {
            session.run.resume(&Resume::go()).unwrap();
        }
        session.hear();
    }
    assert_eq!(session.end(), end);
    assert_eq!(session.complaints, Vec::<String>::new());
    assert_same_run(&session.heard(), &heard);
}

#[test]
fn a_machine_that_is_killed_while_the_other_one_leads_is_replaced_when_it_is_needed() {
    let mut alone = Session::start(scripted);
    let (end, heard) = (alone.end(), alone.heard());
    STARTED.with_borrow_mut(Vec::clear);
    let mut session = Session::start(scripted);
    session.expect("minik# ");
    session.attach();
    session.detach();
    session.fast_again();
    let started = STARTED.with_borrow(Vec::clone);
    let [_, debug] = started[..] else { panic!("{started:?}") };
    kill(Pid::from_raw(debug as i32), Signal::SIGKILL).unwrap();
    session.attach();
    assert_eq!(STARTED.with_borrow(Vec::len), 3);
    session.detach();
    assert_eq!(session.end(), end);
    assert_eq!(session.complaints, Vec::<String>::new());
    assert_same_run(&session.heard(), &heard);
}

#[test]
fn what_is_typed_reaches_the_run_whichever_machine_leads_and_its_past_has_it() {
    let mut session = Session::start(|c| c.pace = Pace::Real);
    session.expect("minik# ");
    session.run.type_in(b"echo one\r").unwrap();
    session.expect("\none\r");
    let first = session.attach();
    // To the machine that has taken over, while it stands.
    session.run.type_in(b"echo two\r").unwrap();
    session.run.resume(&Resume::go()).unwrap();
    session.expect("\ntwo\r");
    session.run.interrupt().unwrap();
    let second = session.stop();
    // Back before it was typed, and forwards through it.
    session.run.history().unwrap().go_to(Goal::Tick(Tick(first.tick.0 - 1000))).unwrap();
    session.stop();
    session.run.resume(&Resume::go()).unwrap();
    let end = session.stop();
    assert_eq!((end.reason, end.tick), (StopReason::HistoryEnd, second.tick));
    assert!(!session.console.contains("two"), "what is run again is not printed again");
    session.detach();
    session.run.type_in(b"echo three\r").unwrap();
    session.expect("\nthree\r");
    session.fast_again();
    session.run.type_in(b"echo four\r").unwrap();
    session.expect("\nfour\r");
    let asked = Instant::now();
    session.attach();
    println!("attached after {:?}", asked.elapsed());
    session.run.quit().unwrap();
    assert_eq!(session.end().0, Outcome::Quit);
    let heard = session.heard();
    let typed = heard.iter().filter(|(_, entry)| matches!(entry, Entry::Input(_))).count();
    assert_eq!(typed, 4);
    let mut ordered = heard.clone();
    ordered.sort_by_key(|(at, _)| *at);
    assert!(ordered == heard, "places do not go backwards");
}

/// An address below all that the guest has.
const UNUSED: u64 = 0x200;

#[test]
fn what_a_debugger_wrote_between_slices_or_at_a_tick_is_in_the_fast_machine_too() {
    let mut session = Session::start(|_| {});
    session.expect("minik# ");
    for round in 0..3u8 {
        session.attach();
        session.run.write_memory(UNUSED, &[round + 1; 4]).unwrap();
        session.detach();
        session.run.type_in(format!("echo round{round}\r").as_bytes()).unwrap();
        session.expect(&format!("\nround{round}\r"));
        session.fast_again();
        session.attach();
        assert_eq!(session.run.read_memory(UNUSED, 4).unwrap(), [round + 1; 4]);
        session.detach();
        session.fast_again();
    }
    session.run.quit().unwrap();
    assert_eq!(session.end().0, Outcome::Quit);
    let heard = session.heard();
    let changes = heard.iter().filter(|(_, entry)| matches!(entry, Entry::Intervention(_)));
    assert_eq!(changes.count(), 3 + 1, "each change is told once, and the end");
}

#[test]
fn where_a_debugger_wrote_at_an_instruction_the_run_stays_in_code_for_debugging_and_somebody_is_told() {
    let mut session = Session::start(|_| {});
    session.expect("minik# ");
    session.attach();
    let symbols = wkdb_debugger::symbols::Symbols::load(KERNEL_7_0.to_vec()).unwrap();
    let offset = symbols.functions_named("schedule")[0].start;
    let address = wkdb_tracer::CodeAddress { module: wkdb_tracer::ModuleId::KERNEL, offset };
    let spec = BreakpointSpec { address, only: None, temporary: false };
    let breakpoint = session.run.insert_breakpoint(&spec).unwrap();
    session.run.resume(&Resume::go()).unwrap();
    assert!(matches!(session.stop().reason, StopReason::Breakpoint(_)));
    session.run.write_memory(UNUSED, &[7; 4]).unwrap();
    session.run.remove_breakpoint(breakpoint).unwrap();
    session.detach();
    session.until("a complaint", |session| !session.complaints.is_empty());
    assert!(session.complaints[0].contains("stays in the code for debugging"), "{:?}", session.complaints);
    session.run.type_in(b"echo on\r").unwrap();
    session.expect("\non\r");
    assert!(session.run.is_debug());
    session.attach();
    assert_eq!(session.run.read_memory(UNUSED, 4).unwrap(), [7; 4]);
    session.detach();
    assert_eq!(session.complaints.len(), 1, "{:?}", session.complaints);
}
