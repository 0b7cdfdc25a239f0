//! What is said of a run in words: events with functions and lines, and how it ended.

use std::collections::HashMap;
use std::sync::Arc;

use wkdb_debugger::symbols::{Symbols, backtrace};
use wkdb_tracer::{
    AccessKind, Context, Event, Finding, Frame, ModuleId, Outcome, RunnerReport, RunnerState, Totals, WatchHit, Writer,
};

use crate::machine::WatchRange;
use crate::watch_arg::{DEFAULT_LEN, Place, WatchArg};

/// Most frames shown of one stack.
const MAX_FRAMES: usize = 48;

/// A `--watch` that names nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// No such variable.
    #[error("--watch {0}: the kernel has no such variable; wkdb info lists what it exports, and an address works too")]
    UnknownSymbol(String),
    /// A variable whose size nobody knows.
    #[error("--watch {0}: the size of this symbol is not known (no debug information): give a length, as in {0}:4")]
    UnknownSize(String),
}

/// Turns what a machine tells into text. Has the symbols.
pub(crate) struct Reporter {
    kernel: Arc<[u8]>,
    symbols: HashMap<ModuleId, Option<Symbols>>,
    /// What each watch was called on the command line, in order.
    watches: Vec<String>,
}

impl Reporter {
    /// A reporter for runs of `kernel`.
    pub(crate) fn new(kernel: Vec<u8>) -> Self {
        Reporter { kernel: kernel.into(), symbols: HashMap::new(), watches: Vec::new() }
    }

    /// The kernel.
    pub(crate) fn kernel_bytes(&self) -> &Arc<[u8]> {
        &self.kernel
    }

    /// The machine gave the bytes of a user image.
    pub(crate) fn add_module(&mut self, module: ModuleId, bytes: Vec<u8>) {
        self.symbols.insert(module, Symbols::load(bytes).ok());
    }

    fn symbols(&mut self, module: ModuleId) -> Option<&Symbols> {
        if module == ModuleId::KERNEL && !self.symbols.contains_key(&module) {
            // The host has parsed it, so it has symbols, if only numbers for names.
            self.symbols.insert(module, Symbols::load(self.kernel.clone()).ok());
        }
        self.symbols.get(&module)?.as_ref()
    }

    /// What a `--watch` names, remembered under its name.
    pub(crate) fn resolve_watch(&mut self, watch: &WatchArg) -> Result<WatchRange, WatchError> {
        let range = match &watch.place {
            Place::Address(address) => WatchRange { address: *address, len: watch.len.unwrap_or(DEFAULT_LEN) },
            Place::Symbol(name) => {
                let symbol = self.symbols(ModuleId::KERNEL).and_then(|s| s.data_symbol(name));
                let symbol = symbol.ok_or_else(|| WatchError::UnknownSymbol(name.clone()))?;
                let len = watch.len.or(symbol.size.filter(|&size| size > 0));
                let len = len.ok_or_else(|| WatchError::UnknownSize(name.clone()))?;
                WatchRange { address: symbol.address, len }
            }
        };
        self.watches.push(watch.text.clone());
        Ok(range)
    }

    /// An event in words; none for one that only matters to machines.
    pub(crate) fn event(&mut self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Trap { context, reason, stack } => {
                format!("wkdb: trap: {reason}\n  {}\n{}", who(context), self.stack(stack))
            }
            Event::Panic { context, message, stack } => {
                format!("wkdb: guest panic: {message}\n  {}\n{}", who(context), self.stack(stack))
            }
            Event::Hog { context, for_ns, others, stack } => {
                let seconds = *for_ns as f64 / 1e9;
                let others = match others {
                    0 => String::new(),
                    n => format!("; {n} other tasks wait for it"),
                };
                format!(
                    "wkdb: {} has been held for {seconds:.1} s of guest time by one task{others}\n  {}\n{}",
                    context.cpu,
                    who(context),
                    self.stack(stack)
                )
            }
            Event::Watch(hit) => self.watch_hit(hit),
            Event::Complaint { context, text } => match context {
                Some(context) => format!("wkdb: {text}\n  {}", who(context)),
                None => format!("wkdb: {text}"),
            },
            Event::Finding(finding) => self.finding(finding),
            Event::TaskBorn { .. } | Event::TaskGone { .. } | Event::CpuStarted { .. } => return None,
            Event::CpuStopped { context } => format!("wkdb: {} was stopped\n  {}", context.cpu, who(context)),
        })
    }

    fn finding(&mut self, finding: &Finding) -> String {
        let mut text = format!("wkdb: finding: {finding}\n");
        if let Some(context) = &finding.context {
            text.push_str(&format!("  {}\n", who(context)));
        }
        for line in &finding.details {
            text.push_str(&format!("  {line}\n"));
        }
        if let (Some(area), Some(change)) = (finding.area, &finding.change) {
            let old = change.old.as_deref().map_or_else(|| "?".to_owned(), bytes);
            text.push_str(&format!("  {:#x}: {old} -> {}\n", area.address, bytes(&change.new)));
        }
        if !finding.stack.is_empty() {
            text.push_str(&self.stack(&finding.stack));
        }
        text
    }

    fn watch_hit(&mut self, hit: &WatchHit) -> String {
        let name = self.watches.get(hit.watch as usize).cloned().unwrap_or_else(|| format!("watch {}", hit.watch));
        let mut text = format!("watch {name}: ");
        if let Some(context) = &hit.context {
            let Context { tick, time, cpu, task, comm, .. } = context;
            text.push_str(&format!("tick {tick} time {time} {cpu} {comm} ({task}): "));
        }
        let change = match hit.kind {
            AccessKind::Write => format!("{} -> {}", bytes(&hit.old), bytes(&hit.new)),
            AccessKind::Read => format!("{} read", bytes(&hit.new)),
        };
        text.push_str(&format!("{:#x}: {change}", hit.address));
        let whole = (hit.address, hit.new.len() as u64);
        if whole != (hit.store_address, hit.store_len) {
            let what = if hit.kind == AccessKind::Read { "load" } else { "store" };
            text.push_str(&format!(" (of a {what} of {} bytes at {:#x})", hit.store_len, hit.store_address));
        }
        match &hit.writer {
            Writer::Host { action } => text.push_str(&format!(" by the host: {action}")),
            Writer::Guest { stack } => {
                text.push_str(" by ");
                text.push_str(&stack.first().map_or_else(|| "unknown code".into(), |frame| self.line(frame)));
            }
        }
        text
    }

    /// A frame in one line: the functions of the source, the innermost first.
    fn line(&mut self, frame: &Frame) -> String {
        let Some(symbols) = self.symbols(frame.address.module) else {
            return format!("func[{}] at {}", frame.function, frame.address.offset);
        };
        let location = symbols.locate(frame.address.offset);
        let frames = location.frames.iter().map(|frame| match &frame.source {
            Some(source) => format!("{} {source}", frame.function),
            None => frame.function.clone(),
        });
        frames.collect::<Vec<_>>().join(" < ")
    }

    /// A whole stack, a line for every function of the source.
    fn stack(&mut self, stack: &[Frame]) -> String {
        let mut locations = Vec::new();
        let mut unknown = 0;
        for frame in stack.iter().take(MAX_FRAMES) {
            match self.symbols(frame.address.module) {
                Some(symbols) => locations.push(symbols.locate(frame.address.offset)),
                None => unknown += 1,
            }
        }
        let mut text: String = backtrace(&locations).lines().map(|line| format!("    {line}\n")).collect();
        if stack.is_empty() {
            text.push_str("    (no guest code on the stack)\n");
        }
        let more = stack.len().saturating_sub(MAX_FRAMES) + unknown;
        if more > 0 {
            text.push_str(&format!("    … and {more} more frames\n"));
        }
        text
    }

    fn runners(&mut self, reports: &[RunnerReport]) -> String {
        let mut text = String::new();
        for report in reports {
            let state = match report.state {
                RunnerState::Runnable => "runs".to_owned(),
                RunnerState::Waiting { address, .. } => format!("waits on the word at {address:#x}"),
                RunnerState::SwitchedOut => "waits to be switched to".to_owned(),
                RunnerState::Stopped => "is stopped".to_owned(),
            };
            let baton = if report.holds_cpu { ", holds its CPU" } else { "" };
            text.push_str(&format!("  {} {state}{baton}\n{}", who(&report.context), self.stack(&report.stack)));
        }
        text
    }

    /// How a run ended, in words.
    pub(crate) fn outcome(&mut self, outcome: &Outcome, totals: &Totals) -> String {
        let how = match outcome {
            Outcome::Until(condition) => format!("reached {condition}"),
            Outcome::MaxTime => "the time limit passed (--max-time)".to_owned(),
            Outcome::Panic => "the guest panicked".to_owned(),
            Outcome::Deadlock(reports) => {
                format!("deadlock: every task waits and nothing can wake one\n{}", self.runners(reports))
            }
            Outcome::Spin(reports) => format!(
                "the machine only spins: tasks run, but none of them waits, switches or prints\n{}",
                self.runners(reports)
            ),
            Outcome::Script { reason, console_tail } => {
                let tail: String = console_tail.lines().map(|line| format!("  | {line}\n")).collect();
                format!("{reason}\nthe console's last lines:\n{tail}")
            }
            Outcome::Quit => "left".to_owned(),
            Outcome::Broken(reason) => format!("the run cannot go on: {reason}"),
            Outcome::RecordingEnds => "the recording was cut off here".to_owned(),
        };
        format!(
            "wkdb: {}\nwkdb: tick {}, guest time {}, {} tasks, {} CPUs, seed {}",
            how.trim_end(),
            totals.ticks,
            totals.time,
            totals.tasks,
            totals.cpus,
            totals.seed
        )
    }
}

fn who(context: &Context) -> String {
    let Context { task, comm, cpu, tick, time, .. } = context;
    format!("task {task} ({comm}) on {cpu}, tick {tick}, guest time {time}")
}

fn bytes(bytes: &[u8]) -> String {
    /// More than this is cut.
    const MAX: usize = 32;
    let shown: Vec<_> = bytes.iter().take(MAX).map(|b| format!("{b:02x}")).collect();
    let more = if bytes.len() > MAX { format!(" … ({} bytes)", bytes.len()) } else { String::new() };
    shown.join(" ") + &more
}
