//! From what the machine tells to events in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Category, Field, Phase, Record, Thread, TraceEvent, TraceWhat, WakeCause, syscalls};
use crate::{CodeAddress, Context, Cpu, Event, Frame, GuestTime, ModuleId, RunnerId, TaskId, Tick, WatchHit, Writer};

/// Who knows what functions are called.
pub trait Names {
    /// The name of a function of a module.
    fn function(&mut self, module: ModuleId, function: u32) -> String;
    /// Where a frame is: function, file and line, as far as they are known.
    fn place(&mut self, frame: &Frame) -> String;
    /// The function whose copy begins at an instruction, and the function that the copy is in.
    fn point(&mut self, address: CodeAddress) -> (String, String);
    /// What a watch is called.
    fn watch(&mut self, watch: u32) -> String;
    /// Whether the function is one that raises or handles interrupts.
    fn is_interrupt(&self, name: &str) -> bool;
}

/// Something that a task began and has not ended.
#[derive(Debug)]
struct Open {
    what: Opened,
    category: Category,
    name: String,
    since: GuestTime,
}

#[derive(Debug, PartialEq, Eq)]
enum Opened {
    Function(ModuleId, u32),
    Syscall,
    Handler,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Presenter {
    threads: BTreeMap<RunnerId, Arc<Thread>>,
    open: BTreeMap<RunnerId, Vec<Open>>,
    /// Where the trace is.
    last: (Tick, GuestTime),
    /// Which CPU each runner was on last.
    cpus: BTreeMap<RunnerId, Cpu>,
}

/// When and where.
#[derive(Clone, Copy)]
struct At {
    tick: Tick,
    time: GuestTime,
    cpu: Cpu,
    runner: RunnerId,
}

impl Presenter {
    /// What a record amounts to: no event where it only names a task or is part of a profile, several where it ends what
    /// was begun before.
    pub fn record(&mut self, record: &Record, names: &mut dyn Names) -> Vec<TraceEvent> {
        let Record { tick, time, runner, cpu, what } = record;
        let at = At { tick: *tick, time: *time, cpu: *cpu, runner: *runner };
        self.last = (at.tick, at.time);
        self.cpus.insert(at.runner, at.cpu);
        let instant =
            |this: &Self, category, name: &str, fields| vec![this.event(at, category, Phase::Instant, name, fields)];
        match what {
            TraceWhat::Task { task, comm, pid, idle } => {
                let thread = Thread { runner: *runner, task: *task, comm: comm.clone(), pid: *pid, idle: *idle };
                self.threads.insert(*runner, Arc::new(thread));
                Vec::new()
            }
            TraceWhat::Born { by } => {
                let mut event = self.event(at, Category::Sched, Phase::Instant, "born", Vec::new());
                event.other = by.map(|by| self.thread(by));
                vec![event]
            }
            TraceWhat::Gone => {
                let mut events = self.close(at, 0);
                events.push(self.event(at, Category::Sched, Phase::Instant, "gone", Vec::new()));
                events
            }
            TraceWhat::Switch { next, task } => {
                let mut event = self.event(at, Category::Sched, Phase::Instant, "switch", Vec::new());
                match next {
                    Some(next) => event.other = Some(self.thread(*next)),
                    None => event.fields.push(("lost", Field::Hex(task.0))),
                }
                vec![event]
            }
            TraceWhat::Wait { address, deadline } => {
                let mut fields = vec![("address", Field::Hex(*address))];
                if *deadline != GuestTime::NEVER {
                    fields.push(("for_ns", Field::Int(int(deadline.0.saturating_sub(time.0)))));
                }
                instant(self, Category::Wake, "wait", fields)
            }
            TraceWhat::Wake { woken, cause } => {
                let (name, fields) = match cause {
                    WakeCause::Notify { address } => ("wake", vec![("address", Field::Hex(*address))]),
                    WakeCause::Timeout => ("timeout", Vec::new()),
                };
                let mut event = self.event(at, Category::Wake, Phase::Instant, name, fields);
                event.other = (woken != runner).then(|| self.thread(*woken));
                vec![event]
            }
            TraceWhat::HostCall { name, args } => {
                let fields = vec![("args", Field::Text(plain(args)))];
                instant(self, Category::Host, name, fields)
            }
            TraceWhat::Enter { module, function, args } => {
                let name = names.function(*module, *function);
                let category = if names.is_interrupt(&name) { Category::Irq } else { Category::Function };
                let what = Opened::Function(*module, *function);
                vec![self.begin(at, what, category, &name, vec![("args", Field::Text(plain(args)))])]
            }
            TraceWhat::Exit { module, function, result } => {
                let what = Opened::Function(*module, *function);
                self.end(at, &what, result.map(|result| Field::Text(word(result))))
            }
            TraceWhat::Syscall { number, args, data } => {
                let fields = vec![
                    ("args", Field::Text(syscalls::arguments(*number, args, data))),
                    ("nr", Field::Int(i64::from(*number))),
                ];
                vec![self.begin(at, Opened::Syscall, Category::Syscall, &syscalls::name(*number), fields)]
            }
            TraceWhat::SyscallExit { result } => {
                self.end(at, &Opened::Syscall, Some(Field::Text(syscalls::result(*result))))
            }
            TraceWhat::Handler => {
                vec![self.begin(at, Opened::Handler, Category::Syscall, "signal handler", Vec::new())]
            }
            TraceWhat::HandlerEnd => self.end(at, &Opened::Handler, None),
            TraceWhat::Unwound => self.close(at, 0),
            TraceWhat::Console(bytes) => instant(self, Category::Console, "print", vec![("text", text(bytes))]),
            TraceWhat::Input(bytes) => instant(self, Category::Console, "read", vec![("text", text(bytes))]),
            TraceWhat::Reached(address) => {
                let (name, within) = names.point(*address);
                instant(self, Category::Function, &name, vec![("within", Field::Text(within))])
            }
            TraceWhat::Sample { .. } => Vec::new(),
        }
    }

    /// What an event of the run amounts to.
    pub fn run_event(&mut self, event: &Event, names: &mut dyn Names) -> Option<TraceEvent> {
        let context = event.context();
        let at = match context {
            Some(Context { runner, cpu, tick, time, .. }) => {
                At { tick: *tick, time: *time, cpu: *cpu, runner: *runner }
            }
            None => At { tick: self.last.0, time: self.last.1, cpu: Cpu(0), runner: RunnerId(0) },
        };
        // The last thing that is told may be how the run ended: nothing ends before that.
        self.last = self.last.max((at.tick, at.time));
        if let Some(Context { runner, task, comm, .. }) = context {
            let thread =
                || Arc::new(Thread { runner: *runner, task: *task, comm: comm.clone(), pid: None, idle: false });
            self.threads.entry(*runner).or_insert_with(thread);
        }
        let (category, name, mut fields) = match event {
            Event::Watch(hit) => (Category::Watch, names.watch(hit.watch), watch_fields(hit, names)),
            Event::Trap { reason, .. } => {
                (Category::Event, "trap".into(), vec![("reason", Field::Text(reason.clone()))])
            }
            Event::Panic { message, .. } => {
                (Category::Event, "panic".into(), vec![("message", Field::Text(message.clone()))])
            }
            Event::Hog { for_ns, .. } => (Category::Event, "hog".into(), vec![("for_ns", Field::Int(int(*for_ns)))]),
            Event::Complaint { text, .. } => {
                (Category::Event, "complaint".into(), vec![("text", Field::Text(text.clone()))])
            }
            Event::Finding(finding) => (
                Category::Event,
                finding.detector.name().into(),
                vec![("finding", Field::Text(finding.headline.clone()))],
            ),
            Event::CpuStarted { .. } => (Category::Sched, "cpu started".into(), Vec::new()),
            Event::CpuStopped { .. } => (Category::Sched, "cpu stopped".into(), Vec::new()),
            // The records say more.
            Event::TaskBorn { .. } | Event::TaskGone { .. } => return None,
        };
        if !matches!(event, Event::Watch(_))
            && let Some(frame) = event.stack().first()
        {
            fields.push(("at", Field::Text(names.place(frame))));
        }
        Some(self.event(at, category, Phase::Instant, &name, fields))
    }

    /// Ends all that is open: the run is over.
    pub fn finish(&mut self) -> Vec<TraceEvent> {
        let runners: Vec<RunnerId> = self.open.keys().copied().collect();
        let (tick, time) = self.last;
        let ends = runners.into_iter().flat_map(|runner| {
            let cpu = self.cpus.get(&runner).copied().unwrap_or(Cpu(0));
            self.close(At { tick, time, cpu, runner }, 0)
        });
        ends.collect()
    }

    /// The task of a runner, as far as it is known.
    fn thread(&self, runner: RunnerId) -> Arc<Thread> {
        let unknown = || Thread { runner, task: TaskId(0), comm: runner.to_string(), pid: None, idle: false };
        self.threads.get(&runner).cloned().unwrap_or_else(|| Arc::new(unknown()))
    }

    fn event(
        &self,
        at: At,
        category: Category,
        phase: Phase,
        name: &str,
        fields: Vec<(&'static str, Field)>,
    ) -> TraceEvent {
        let At { tick, time, cpu, runner } = at;
        let (thread, name) = (self.thread(runner), name.to_owned());
        TraceEvent { tick, time, cpu, thread, category, phase, name, fields, other: None, took_ns: None }
    }

    fn begin(
        &mut self,
        at: At,
        what: Opened,
        category: Category,
        name: &str,
        fields: Vec<(&'static str, Field)>,
    ) -> TraceEvent {
        let open = Open { what, category, name: name.to_owned(), since: at.time };
        self.open.entry(at.runner).or_default().push(open);
        self.event(at, category, Phase::Begin, name, fields)
    }

    /// Ends the innermost of that kind, and first what was begun in it and never came back. Nothing if there is none: it
    /// was begun before the trace.
    fn end(&mut self, at: At, what: &Opened, result: Option<Field>) -> Vec<TraceEvent> {
        let open = self.open.get(&at.runner);
        let Some(depth) = open.and_then(|open| open.iter().rposition(|open| open.what == *what)) else {
            return Vec::new();
        };
        let mut events = self.close(at, depth);
        if let (Some(result), Some(event)) = (result, events.last_mut()) {
            event.fields.push(("result", result));
        }
        events
    }

    /// Ends all that is deeper than `depth`, the innermost first.
    fn close(&mut self, at: At, depth: usize) -> Vec<TraceEvent> {
        let Some(open) = self.open.get_mut(&at.runner) else { return Vec::new() };
        let closed = open.split_off(depth.min(open.len()));
        if open.is_empty() {
            self.open.remove(&at.runner);
        }
        let end = |open: Open| {
            let mut event = self.event(at, open.category, Phase::End, &open.name, Vec::new());
            event.took_ns = Some(at.time.0.saturating_sub(open.since.0));
            event
        };
        closed.into_iter().rev().map(end).collect()
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn text(bytes: &[u8]) -> Field {
    Field::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// A value of which only the bits are known: small numbers in decimal, others in hexadecimal.
fn word(value: u64) -> String {
    let int = value as i64;
    match int {
        -4096..0x10000 => int.to_string(),
        _ if i32::try_from(int).is_ok() => format!("{:#x}", int as u32),
        _ => format!("{value:#x}"),
    }
}

fn plain(args: &[u64]) -> String {
    args.iter().map(|&arg| word(arg)).collect::<Vec<_>>().join(", ")
}

fn watch_fields(hit: &WatchHit, names: &mut dyn Names) -> Vec<(&'static str, Field)> {
    let hex = |bytes: &[u8]| Field::Text(bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect());
    let by = match &hit.writer {
        Writer::Guest { stack } => stack.first().map(|frame| names.place(frame)),
        Writer::Host { action } => Some(format!("the host: {action}")),
    };
    let mut fields = vec![("address", Field::Hex(hit.address)), ("old", hex(&hit.old)), ("new", hex(&hit.new))];
    fields.extend(by.map(|by| ("by", Field::Text(by))));
    fields
}
