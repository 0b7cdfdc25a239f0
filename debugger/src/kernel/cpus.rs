//! CPUs: what each runs, and what it has been asked for and not done yet.

use serde::Serialize;

use super::text::{cell, hex, plain, seconds, styled, tell_problems};
use super::{Kernel, Now, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Kinds of interrupts that are counted: no kernel has more.
const MAX_KINDS: u64 = 64;

/// A CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CpuRow {
    /// Its number.
    pub cpu: u32,
    /// It takes part.
    pub online: Option<bool>,
    /// What its run queue says that it runs.
    pub current: Option<TaskRef>,
    /// That is its idle task.
    pub idle: Option<bool>,
    /// What the host lets run on it: another one than `current` in the middle of a switch, or where the baton is lost.
    pub holder: Option<TaskRef>,
    /// `runs`, `idles`, `waits`, `can run`, `nobody`: what the host says of the holder.
    pub doing: &'static str,
    /// Until when the holder waits, in nanoseconds of the guest's clock; `None`: for ever, or it does not wait.
    pub until_ns: Option<u64>,
    /// Interrupts that it has not served yet, a bit each.
    pub raised_irqs: Option<u64>,
    /// What other CPUs want of it, a bit each.
    pub raised_ipis: Option<u64>,
    /// Interrupts that it has served since boot, where the kernel counts them.
    pub nr_irqs: Option<u64>,
    /// Soft interrupts that it has served since boot.
    pub nr_softirqs: Option<u64>,
    /// When its timer is due, in nanoseconds of the guest's clock; `None`: never, or not known.
    pub next_event_ns: Option<u64>,
    /// It has been told to look for another task to run.
    pub need_resched: Option<bool>,
    /// Tasks that want to run on it, the one that does included; its idle task is not counted.
    pub nr_running: Option<u64>,
    /// Switches from one task to another so far.
    pub nr_switches: Option<u64>,
}

/// All CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CpusView {
    /// When.
    pub now: Now,
    /// By number. Those that have never been there are left out.
    pub cpus: Vec<CpuRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl Kernel<'_> {
    /// Whether a task has been told to give way: by a flag of its run queue, or by a bit of its own whose number the
    /// kernel's debug information may have.
    fn need_resched(&self, queue: Option<&super::Object<'_, '_>>, current: Option<u64>) -> Option<bool> {
        if let Some(flag) = queue.and_then(|queue| queue.flag("need_resched")) {
            return Some(flag);
        }
        let bit = self.need_resched_bit()?;
        let flags = self.thread_info(&self.object("struct task_struct", current?)?)?.u("flags")?;
        Some(flags >> bit & 1 == 1)
    }

    fn cpu_row(&self, cpu: u32) -> CpuRow {
        let queue = self.per_cpu("runqueues", cpu);
        let pointer = |path| queue.as_ref().and_then(|queue| queue.u(path)).filter(|&task| task != 0);
        let current = pointer("curr");
        let idle = pointer("idle");
        let holder = self.runners().iter().find(|runner| runner.holds_cpu && runner.context.cpu.0 == cpu);
        let holder_idles = holder.is_some_and(|holder| Some(holder.context.task.0) == idle);
        use wkdb_tracer::{GuestTime, RunnerState};
        let (doing, until_ns) = match holder.map(|holder| holder.state) {
            None => ("nobody", None),
            Some(RunnerState::Waiting { deadline, .. }) => {
                let until = (deadline != GuestTime::NEVER).then_some(deadline.0);
                (if holder_idles { "idles" } else { "waits" }, until)
            }
            Some(RunnerState::Runnable) => ("runs", None),
            Some(RunnerState::SwitchedOut) => ("can run", None),
            Some(RunnerState::Stopped) => ("stopped", None),
        };
        // Linux counts both kinds here, minik each kind of interrupt there.
        let served = self.per_cpu("kstat", cpu);
        let sum = |counts: Option<super::Object<'_, '_>>| {
            let mut counts = counts?.elements(MAX_KINDS).map(|count| count.unsigned());
            counts.try_fold(0_u64, |sum, count| sum.checked_add(count?))
        };
        let nr_irqs = served.as_ref().and_then(|served| served.u("irqs_sum"));
        let nr_irqs = nr_irqs.or_else(|| sum(self.per_cpu("irq_count", cpu)));
        let nr_softirqs = sum(served.and_then(|served| served.member("softirqs")));
        let word = |name| self.per_cpu(name, cpu).and_then(|word| word.unsigned());
        // Never is the largest time there is, or -1.
        let is_time = |time: &i64| (0..i64::MAX).contains(time);
        let expiry = self.per_cpu("local_timer_expiries", cpu).and_then(|word| word.signed()).filter(is_time);
        let device = || self.per_cpu("tick_cpu_device", cpu)?.follow("evtdev")?.i("next_event").filter(is_time);
        CpuRow {
            cpu,
            online: self.is_online(cpu),
            current: current.and_then(|task| self.task_at(task)),
            idle: current.map(|current| Some(current) == idle),
            holder: holder.and_then(|holder| self.task_at(holder.context.task.0)),
            doing,
            until_ns,
            raised_irqs: word("raised_irqs"),
            raised_ipis: word("raised_ipis"),
            nr_irqs,
            nr_softirqs,
            next_event_ns: expiry.or_else(device).map(i64::cast_unsigned),
            need_resched: self.need_resched(queue.as_ref(), current),
            nr_running: queue.as_ref().and_then(|queue| queue.u("nr_running")),
            nr_switches: queue.as_ref().and_then(|queue| queue.u("nr_switches")),
        }
    }

    /// All CPUs that are, or were, there.
    pub fn cpus(&self) -> CpusView {
        let rows = self.possible_cpus().into_iter().map(|cpu| self.cpu_row(cpu));
        let cpus = rows.filter(|row| row.online != Some(false) || row.holder.is_some()).collect();
        CpusView { now: self.now(), cpus, problems: self.take_problems() }
    }
}

impl CpusView {
    /// As a table.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        out.line(self.now.text());
        let mut table = Table::new([
            "CPU",
            "Runs",
            "State",
            "Until",
            "Next event",
            "IRQs",
            "IPIs",
            "Served",
            "Soft",
            "Resched",
            "Queue",
            "Switches",
        ]);
        for row in &self.cpus {
            let runs = match (&row.current, &row.holder) {
                (Some(current), Some(holder)) if current.address != holder.address => {
                    format!("{current} (the host runs {holder})")
                }
                (Some(task), _) | (None, Some(task)) => task.to_string(),
                (None, None) => "?".to_owned(),
            };
            let resched = row.need_resched.map(|need| if need { "yes" } else { "no" });
            table.row([
                plain(match row.online {
                    Some(false) => format!("{} (offline)", row.cpu),
                    _ => row.cpu.to_string(),
                }),
                styled(runs, Style::Task),
                plain(row.doing),
                plain(row.until_ns.map(seconds).unwrap_or_default()),
                plain(row.next_event_ns.map_or_else(|| "never".to_owned(), seconds)),
                cell(hex(row.raised_irqs)),
                cell(hex(row.raised_ipis)),
                cell(row.nr_irqs),
                cell(row.nr_softirqs),
                cell(resched),
                cell(row.nr_running),
                cell(row.nr_switches),
            ]);
        }
        out.append(&table.into_output());
        tell_problems(&mut out, &self.problems);
        out
    }
}

impl Now {
    /// `tick 759840, time 2.000000, jiffies 4294937296`.
    pub(super) fn text(&self) -> String {
        let tick = self.tick.map(|tick| format!("tick {tick}"));
        let time = self.time_ns.map(|time| format!("time {}", seconds(time)));
        let jiffies = self.jiffies.map(|jiffies| format!("jiffies {jiffies}"));
        [tick, time, jiffies].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
