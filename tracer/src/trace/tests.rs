//! Events and exports of records made by hand; the guests' own are in the workspace's `tests/trace`.

use proptest::prelude::*;

use super::export::{Ctf, Export, Perfetto, TraceDat, write_flamegraph};
use super::*;
use crate::{CodeAddress, CodeOffset, Context, Cpu, Event, Frame, GuestTime, ModuleId, RunnerId, TaskId, Tick};

/// Names made of numbers.
struct Numbered;

impl Names for Numbered {
    fn function(&mut self, _: ModuleId, function: u32) -> String {
        format!("f{function}")
    }
    fn place(&mut self, frame: &Frame) -> String {
        format!("f{} at {}", frame.function, frame.address.offset)
    }
    fn point(&mut self, address: CodeAddress) -> (String, String) {
        (address.offset.to_string(), "f0".into())
    }
    fn watch(&mut self, watch: u32) -> String {
        format!("w{watch}")
    }
    fn is_interrupt(&self, name: &str) -> bool {
        name == "f9"
    }
}

fn record(tick: u64, runner: u32, what: TraceWhat) -> Record {
    Record { tick: Tick(tick), time: GuestTime(tick * 10), runner: RunnerId(runner), cpu: Cpu(runner % 4), what }
}

fn enter(function: u32) -> TraceWhat {
    TraceWhat::Enter { module: ModuleId::KERNEL, function, args: vec![1, u64::MAX] }
}

fn exit(function: u32) -> TraceWhat {
    TraceWhat::Exit { module: ModuleId::KERNEL, function, result: Some(0x1234_5678) }
}

fn syscall(number: u32) -> TraceWhat {
    TraceWhat::Syscall { number, args: vec![3, 0x100, 5], data: vec![b"hello".to_vec()] }
}

/// All records as events, with those that end what is open.
fn present(records: &[Record]) -> Vec<TraceEvent> {
    let mut presenter = Presenter::default();
    let mut events: Vec<_> = records.iter().flat_map(|record| presenter.record(record, &mut Numbered)).collect();
    events.extend(presenter.finish());
    events
}

fn shapes(events: &[TraceEvent]) -> Vec<String> {
    let sign = |phase| match phase {
        Phase::Begin => '>',
        Phase::End => '<',
        Phase::Instant => '-',
    };
    events.iter().map(|event| format!("{}{}", sign(event.phase), event.name)).collect()
}

#[test]
fn calls_that_never_return_end_where_they_are_left() {
    let told = [
        // Exec: everything of the old image is gone.
        record(1, 1, enter(1)),
        record(2, 1, syscall(221)),
        record(3, 1, enter(2)),
        record(4, 1, TraceWhat::Unwound),
        // A handler runs inside of a system call, and leaves its own by a signal return.
        record(5, 1, syscall(64)),
        record(6, 1, TraceWhat::Handler),
        record(7, 1, syscall(139)),
        record(8, 1, TraceWhat::HandlerEnd),
        record(9, 1, TraceWhat::SyscallExit { result: -4i64 as u64 }),
        // An exception leaves the inner one.
        record(10, 1, enter(1)),
        record(11, 1, enter(2)),
        record(12, 1, exit(1)),
        // A return of what was entered before the trace.
        record(13, 1, exit(3)),
        // The task dies, another is still at it when the run ends.
        record(14, 1, syscall(93)),
        record(15, 2, enter(9)),
        record(16, 1, TraceWhat::Gone),
    ];
    let events = present(&told);
    assert_eq!(
        shapes(&events),
        [
            ">f1",
            ">execve",
            ">f2",
            "<f2",
            "<execve",
            "<f1",
            ">write",
            ">signal handler",
            ">rt_sigreturn",
            "<rt_sigreturn",
            "<signal handler",
            "<write",
            ">f1",
            ">f2",
            "<f2",
            "<f1",
            ">exit",
            ">f9",
            "<exit",
            "-gone",
            "<f9"
        ]
    );
    assert_eq!(events[11].field("result"), Some(&Field::Text("-1 EINTR".into())));
    assert_eq!(events[11].took_ns, Some(40));
    assert_eq!(events[6].field("args"), Some(&Field::Text("3, \"hello\", 5".into())));
    assert_eq!(events[17].category, Category::Irq);
}

#[test]
fn what_is_open_when_the_run_panics_does_not_end_before_that() {
    let mut presenter = Presenter::default();
    presenter.record(&record(1, 1, enter(1)), &mut Numbered);
    let (tick, time) = (Tick(9), GuestTime(90));
    let context = Context { runner: RunnerId(1), task: TaskId(0x1000), comm: "sh".into(), cpu: Cpu(0), tick, time };
    let panic = Event::Panic { context, message: "no more".into(), stack: Vec::new() };
    presenter.run_event(&panic, &mut Numbered).unwrap();
    let ends = presenter.finish();
    assert_eq!(ends.iter().map(|event| (event.tick, event.time)).collect::<Vec<_>>(), [(tick, time)]);
}

#[test]
fn tasks_are_called_what_they_are_called_by_then() {
    let named = |comm: &str| TraceWhat::Task { task: TaskId(0x40), comm: comm.into(), pid: Some(7), idle: false };
    let told = [record(1, 5, named("init")), record(2, 5, enter(1)), record(3, 5, named("sh")), record(4, 5, exit(1))];
    let comms: Vec<_> = present(&told).into_iter().map(|event| event.thread.to_string()).collect();
    assert_eq!(comms, ["init/7", "sh/7"]);
}

#[test]
fn filters_compare_names_and_numbers() {
    let told = [record(100, 2, syscall(64)), record(300, 2, TraceWhat::SyscallExit { result: 5 })];
    let events = present(&told);
    let passes = |filter: &str, event: &TraceEvent| filter.parse::<Filter>().unwrap().passes(event);
    for filter in [
        "name=wr*",
        "name=w?ite",
        "category=syscalls",
        "cpu=2",
        "cpu<3",
        "cpu!=1",
        "tick>=100",
        "time<=0.000001",
        "nr=0x40",
        "time=1us",
        "pid!=3",
    ] {
        assert!(passes(filter, &events[0]), "{filter}");
    }
    for filter in ["name=read", "cpu!=2", "tick>100", "took>1ns", "nosuch=1", "pid=3", "kind=sched"] {
        assert!(!passes(filter, &events[0]), "{filter}");
    }
    assert!(passes("took=2us", &events[1]) && passes("result=5", &events[1]) && passes("phase=end", &events[1]));
    for bad in ["", "name", "=x", "cpu<many", "cpu<", "kind=weather", "!=x"] {
        assert!(bad.parse::<Filter>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_profile_adds_up() {
    let frame = |function| Frame { address: CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(1) }, function };
    let sample = |ticks, stack: &[u32]| TraceWhat::Sample { ticks, stack: stack.iter().map(|&f| frame(f)).collect() };
    let task = TraceWhat::Task { task: TaskId(0), comm: "a b;c".into(), pid: None, idle: false };
    let mut profile = Profile::default();
    // f2 calls itself: it counts once.
    for what in [task, sample(10, &[2, 2, 1]), sample(20, &[1]), sample(10, &[2, 2, 1]), sample(5, &[])] {
        profile.record(&record(1, 1, what), &mut Numbered);
    }
    let mut folded = Vec::new();
    profile.write_folded(&mut folded).unwrap();
    assert_eq!(String::from_utf8(folded).unwrap(), "a_b_c 5\na_b_c;f1 20\na_b_c;f1;f2;f2 20\n");
    let table = profile.table(10);
    let rows: Vec<Vec<&str>> = table.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["44.44%", "20", "88.89%", "40", "f1"], ["44.44%", "20", "44.44%", "20", "f2"]]);
    let mut svg = Vec::new();
    write_flamegraph(&profile, "<run>", &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("&lt;run&gt;") && svg.contains("<title>f1: 40 ticks, 88.89%</title>"), "{svg}");
}

/// Any record, also ones that no machine would tell.
fn any_what() -> impl Strategy<Value = TraceWhat> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..6000);
    prop_oneof![
        (any::<u64>(), ".*", any::<Option<u32>>(), any::<bool>()).prop_map(|(task, comm, pid, idle)| TraceWhat::Task {
            task: TaskId(task),
            comm,
            pid,
            idle
        }),
        any::<Option<u32>>().prop_map(|by| TraceWhat::Born { by: by.map(RunnerId) }),
        Just(TraceWhat::Gone),
        (any::<Option<u32>>(), any::<u64>())
            .prop_map(|(next, task)| TraceWhat::Switch { next: next.map(RunnerId), task: TaskId(task) }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(address, deadline)| TraceWhat::Wait { address, deadline: GuestTime(deadline) }),
        (0..5u32).prop_map(|woken| TraceWhat::Wake { woken: RunnerId(woken), cause: WakeCause::Timeout }),
        (".*", proptest::collection::vec(any::<u64>(), 0..9))
            .prop_map(|(name, args)| TraceWhat::HostCall { name, args }),
        (0..4u32).prop_map(enter),
        (0..4u32).prop_map(exit),
        (0..500u32, proptest::collection::vec(any::<u64>(), 0..9), proptest::collection::vec(bytes(), 0..3))
            .prop_map(|(number, args, data)| TraceWhat::Syscall { number, args, data }),
        any::<u64>().prop_map(|result| TraceWhat::SyscallExit { result }),
        Just(TraceWhat::Handler),
        Just(TraceWhat::HandlerEnd),
        Just(TraceWhat::Unwound),
        bytes().prop_map(TraceWhat::Console),
        bytes().prop_map(TraceWhat::Input),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_told_begins_and_ends_pair_and_every_export_takes_it(
        told in proptest::collection::vec((any::<u32>(), 0..5u32, any_what()), 0..60)
    ) {
        let mut tick = 0u64;
        let records: Vec<_> = told.into_iter().map(|(ticks, runner, what)| {
            tick += u64::from(ticks);
            record(tick, runner, what)
        }).collect();
        let mut events = present(&records);
        events.extend(Presenter::default().run_event(&Event::Complaint { context: None, text: "?".into() }, &mut Numbered));
        let mut open = std::collections::HashMap::<_, Vec<&str>>::new();
        for event in &events {
            let open = open.entry(event.thread.runner).or_default();
            match event.phase {
                Phase::Begin => open.push(&event.name),
                Phase::End => prop_assert_eq!(open.pop(), Some(event.name.as_str())),
                Phase::Instant => {}
            }
            prop_assert!(!to_text(event).contains('\n'));
            to_json(event);
        }
        prop_assert!(open.values().all(Vec::is_empty));
        let directory = tempfile::tempdir().unwrap();
        let (mut perfetto, mut dat) = (Vec::new(), Vec::new());
        {
            let ctf = Ctf::create(&directory.path().join("ctf")).unwrap();
            let exports: [Box<dyn Export>; 3] =
                [Box::new(Perfetto::new(&mut perfetto)), Box::new(TraceDat::new(&mut dat)), Box::new(ctf)];
            for mut export in exports {
                for event in &events {
                    export.event(event).unwrap();
                }
                export.finish().unwrap();
            }
        }
        prop_assert!(!perfetto.is_empty() && dat.starts_with(b"\x17\x08\x44tracing6\0"));
    }
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
    assert!(Ctf::create(directory.path()).is_err());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
