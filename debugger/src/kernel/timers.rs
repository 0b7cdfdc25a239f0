//! Timers: the wheel of each CPU, and the trees of high-resolution timers.

use serde::Serialize;

use super::text::{cell, plain, relative, seconds, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Wheels of a CPU, clocks of a CPU, buckets of a wheel: no kernel has more.
const MAX_BASES: u64 = 16;
const MAX_BUCKETS: u64 = 4096;

/// A timer in a wheel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimerRow {
    /// Its `timer_list`.
    pub address: u64,
    /// What it calls; the pointer with a question mark, where that is no function.
    pub function: Option<String>,
    /// What it is for: the work that it will queue, the task that it will wake, the variable that it is part of.
    pub of: Option<String>,
    /// When it is due, in jiffies as a `long` has them.
    pub expires: Option<u64>,
    /// Jiffies until then; negative once that has passed. Timers are late by up to an eighth of their length.
    pub due_in: Option<i64>,
    /// The bucket of the wheel that it is in.
    pub bucket: u64,
}

/// A wheel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseRow {
    /// Whose.
    pub cpu: u32,
    /// Which of the CPU's: `standard`, `local`, `global`, `deferrable`.
    pub name: &'static str,
    /// Its `timer_base`.
    pub address: u64,
    /// The jiffy up to which it has run its timers.
    pub clk: Option<u64>,
    /// Jiffies that `clk` is behind the kernel's: it may be without harm while nothing is due.
    pub lag: Option<i64>,
    /// The jiffy at which it next has something to do.
    pub next_expiry: Option<u64>,
    /// Jiffies until then; negative once that has passed.
    pub next_in: Option<i64>,
    /// How far the first of its timers is overdue, in jiffies; 0 if none is.
    pub overdue: u64,
    /// Its CPU idles, and has seen to it that it will be woken.
    pub is_idle: Option<bool>,
    /// The kernel says that there are timers.
    pub timers_pending: Option<bool>,
    /// The function of the timer that runs now.
    pub running: Option<String>,
    /// Its timers, the first to be due first.
    pub timers: Vec<TimerRow>,
}

/// A high-resolution timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HrtimerRow {
    /// Its `hrtimer`.
    pub address: u64,
    /// What it calls.
    pub function: Option<String>,
    /// The task that it will wake, or the variable that it is part of.
    pub of: Option<String>,
    /// When it is due, in nanoseconds of its clock.
    pub expires_ns: Option<i64>,
}

/// The high-resolution timers of a CPU by one clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HrtimerBase {
    /// Whose.
    pub cpu: u32,
    /// The clock's number (`clockid_t`: 0 real time, 1 monotonic, 7 boot time, 11 TAI).
    pub clock: Option<i64>,
    /// Which of the CPU's bases it is: the later half runs in soft interrupts.
    pub index: u64,
    /// When the CPU's first one is due, in nanoseconds of the monotonic clock.
    pub expires_next_ns: Option<i64>,
    /// The timers, the first to be due first.
    pub timers: Vec<HrtimerRow>,
}

/// All timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimersView {
    /// When.
    pub now: Now,
    /// The wheels, by CPU.
    pub bases: Vec<BaseRow>,
    /// Bases with high-resolution timers, by CPU; none where the kernel has no such timers.
    pub hrtimers: Vec<HrtimerBase>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

/// The names of a CPU's wheels, by how many it has.
fn base_name(count: u64, index: u64) -> &'static str {
    match (count, index) {
        (3, 0) => "local",
        (3, 1) => "global",
        (_, 0) => "standard",
        _ => "deferrable",
    }
}

impl<'i> Kernel<'i> {
    /// The clock of a wheel at an address: where it is, and how many bytes.
    pub fn timer_clock(&self, base: u64) -> Option<(u64, u64)> {
        let clock = self.object("struct timer_base", base)?.member("clk")?;
        Some((clock.address(), clock.size()?))
    }

    /// What a timer is for, by what the kernel usually builds around one with this function.
    fn timer_of(&self, timer: &Object<'_, '_>, function: Option<&str>) -> Option<String> {
        let task = |task: Option<TaskRef>| task.map(|task| task.to_string());
        match function {
            Some("delayed_work_timer_fn") => {
                let delayed = self.container("struct delayed_work", "timer", timer.address())?;
                self.function(delayed.u("work.func")?)
            }
            Some("process_timeout") => {
                let sleeper = self.container("struct process_timer", "timer", timer.address())?;
                task(self.task_at(sleeper.u("task")?))
            }
            Some("hrtimer_wakeup") => {
                let sleeper = self.container("struct hrtimer_sleeper", "timer", timer.address())?;
                task(self.task_at(sleeper.u("task")?))
            }
            _ => self.symbol(timer.address()),
        }
    }

    fn timer_row(&self, timer: &Object<'_, '_>, bucket: u64, now: Option<u64>) -> TimerRow {
        let pointer = timer.u("function").unwrap_or(0);
        let function = self.function_in(pointer, || format!("the timer {:#x}", timer.address()));
        let expires = timer.u("expires");
        TimerRow {
            address: timer.address(),
            of: self.timer_of(timer, function.as_deref()),
            function,
            expires,
            due_in: expires.zip(now).map(|(expires, now)| self.jiffies_between(expires, now)),
            bucket,
        }
    }

    /// The entries of a bucket: a circular list in minik and old kernels, one with a single pointer as its head in others.
    fn bucket(&self, bucket: &Object<'_, '_>, what: &str) -> Vec<u64> {
        match bucket.member("first") {
            Some(first) => self.hlist(first.address(), what),
            None => self.list(bucket.address(), what),
        }
    }

    fn base_row(&self, cpu: u32, base: &Object<'_, 'i>, name: &'static str) -> BaseRow {
        let now = self.short_jiffies();
        let mut timers: Vec<TimerRow> = Vec::new();
        let buckets = base.member("vectors");
        for (number, bucket) in (0..).zip(buckets.iter().flat_map(|buckets| buckets.elements(MAX_BUCKETS))) {
            if self.tired() {
                break;
            }
            let what = format!("bucket {number} of cpu{cpu}'s {name} timers");
            let entries = self.bucket(&bucket, &what);
            let marked = self.bit(base, "pending_map", number);
            if marked == Some(entries.is_empty()) {
                let (says, has) = if entries.is_empty() { ("timers", "none") } else { ("none", "some") };
                self.problem(format!("{what}: pending_map says that there are {says}, and there are {has}"));
            }
            for entry in entries {
                let Some(timer) = self.container("struct timer_list", "entry", entry) else { break };
                timers.push(self.timer_row(&timer, number, now));
            }
        }
        timers.sort_by_key(|timer| (timer.due_in, timer.address));
        let behind = |path| base.u(path).zip(now).map(|(at, now)| self.jiffies_between(now, at));
        let overdue = timers.iter().filter_map(|timer| timer.due_in).min().filter(|&due| due < 0);
        let running = base.u("running_timer").filter(|&timer| timer != 0);
        BaseRow {
            cpu,
            name,
            address: base.address(),
            clk: base.u("clk"),
            lag: behind("clk"),
            next_expiry: base.u("next_expiry"),
            next_in: behind("next_expiry").map(|behind| -behind),
            overdue: overdue.map_or(0, i64::unsigned_abs),
            is_idle: base.flag("is_idle"),
            timers_pending: base.flag("timers_pending"),
            running: running.and_then(|timer| {
                let function = self.object("struct timer_list", timer)?.u("function")?;
                self.function_in(function, || format!("the running timer {timer:#x}"))
            }),
            timers,
        }
    }

    /// A bit of a bitmap, which is an array of `long`s.
    pub(super) fn bit(&self, object: &Object<'_, '_>, map: &'static str, number: u64) -> Option<bool> {
        let map = object.member(map)?;
        let width = map.index(0)?.size()? * 8;
        let word = map.index(number.checked_div(width)?)?.unsigned()?;
        Some(word >> (number % width) & 1 == 1)
    }

    fn hrtimer_base(&self, cpu: u32, index: u64, base: &Object<'_, 'i>, next: Option<i64>) -> HrtimerBase {
        let what = format!("cpu{cpu}'s hrtimers of clock {index}");
        let root = base.member_of(&["active.rb_root.rb_root.rb_node", "active.rb_root.rb_node", "active.head.rb_node"]);
        let nodes = root.map(|root| self.rb_tree(root.address(), &what)).unwrap_or_default();
        let timers = nodes.into_iter().filter_map(|node| {
            let timer = self.container("struct hrtimer", "node.node", node)?;
            let pointer = timer.u("function").unwrap_or(0);
            let function = self.function_in(pointer, || format!("the hrtimer {:#x}", timer.address()));
            Some(HrtimerRow {
                address: timer.address(),
                of: self.timer_of(&timer, function.as_deref()),
                function,
                expires_ns: timer.i("node.expires"),
            })
        });
        HrtimerBase { cpu, clock: base.i("clockid"), index, expires_next_ns: next, timers: timers.collect() }
    }

    /// All timers of the CPUs that take part.
    pub fn timers(&self) -> TimersView {
        let (mut bases, mut hrtimers) = (Vec::new(), Vec::new());
        for cpu in self.online_cpus() {
            if let Some(wheels) = self.per_cpu("timer_bases", cpu) {
                let count = wheels.count().unwrap_or(1);
                for (index, base) in (0..).zip(wheels.elements(MAX_BASES)) {
                    bases.push(self.base_row(cpu, &base, base_name(count, index)));
                }
            }
            if let Some(clocks) = self.per_cpu("hrtimer_bases", cpu) {
                // The largest time there is stands for none.
                let next = clocks.i("expires_next").filter(|&next| next != i64::MAX);
                let clock_bases = clocks.member("clock_base");
                let clock_bases = clock_bases.iter().flat_map(|bases| bases.elements(MAX_BASES));
                let all = (0..).zip(clock_bases).map(|(index, base)| self.hrtimer_base(cpu, index, &base, next));
                hrtimers.extend(all.filter(|base| !base.timers.is_empty()));
            }
        }
        TimersView { now: self.now(), bases, hrtimers, problems: self.take_problems() }
    }
}

impl TimersView {
    /// As tables.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        out.line(self.now.text());
        let mut table = Table::new(["CPU", "Wheel", "clk", "Behind", "Next", "In", "Timers", "Overdue", ""]);
        for base in &self.bases {
            let mut notes = Vec::new();
            notes.extend((base.is_idle == Some(true)).then(|| "idle".to_owned()));
            notes.extend(base.running.as_ref().map(|function| format!("runs {function}")));
            table.row([
                plain(base.cpu),
                plain(base.name),
                cell(base.clk),
                cell(base.lag),
                cell(base.next_expiry.filter(|_| base.timers_pending != Some(false))),
                cell(base.next_in.map(relative).filter(|_| base.timers_pending != Some(false))),
                plain(base.timers.len()),
                plain(base.overdue),
                plain(notes.join(", ")),
            ]);
        }
        out.append(&table.into_output());
        let mut table = Table::new(["CPU", "Timer", "Due", "In", "Function", "Of"]);
        let mut any = false;
        for base in &self.bases {
            for timer in &base.timers {
                any = true;
                table.row([
                    plain(base.cpu),
                    styled(format!("{:#x}", timer.address), Style::Address),
                    cell(timer.expires),
                    cell(timer.due_in.map(relative)),
                    styled(timer.function.as_deref().unwrap_or("?"), Style::Function),
                    plain(timer.of.as_deref().unwrap_or("")),
                ]);
            }
        }
        if any {
            out.line("").append(&table.into_output());
        }
        if !self.hrtimers.is_empty() {
            let mut table = Table::new(["CPU", "Clock", "hrtimer", "Due", "Function", "Of"]);
            for base in &self.hrtimers {
                for timer in &base.timers {
                    let due = timer.expires_ns.and_then(|ns| u64::try_from(ns).ok()).map(seconds);
                    table.row([
                        plain(base.cpu),
                        cell(base.clock),
                        styled(format!("{:#x}", timer.address), Style::Address),
                        cell(due),
                        styled(timer.function.as_deref().unwrap_or("?"), Style::Function),
                        plain(timer.of.as_deref().unwrap_or("")),
                    ]);
                }
            }
            out.line("").append(&table.into_output());
        }
        tell_problems(&mut out, &self.problems);
        out
    }
}
