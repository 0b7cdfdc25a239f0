//! RCU: grace periods, and what waits for them.

use serde::Serialize;

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Callbacks of one list that are followed.
const MAX_CALLBACKS: usize = 10_000;

/// Callbacks of one list that are told one by one.
const TOLD: usize = 8;

/// `kfree_rcu()` of kernels before 6.9 keeps in place of a function how far from the start of its object it is.
const MAX_OFFSET: u64 = 4096;

/// A callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Callback {
    /// Its `rcu_head`.
    pub address: u64,
    /// What it calls; the pointer with a question mark, where that is no function.
    pub function: Option<String>,
}

/// Some callbacks of a CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallbackList {
    /// What they wait for: `done`, `wait`, `next-ready`, `next`.
    pub stage: &'static str,
    /// How many the kernel counts.
    pub count: Option<i64>,
    /// The first ones.
    pub callbacks: Vec<Callback>,
}

/// RCU on a CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RcuCpu {
    /// Which.
    pub cpu: u32,
    /// The grace period that it knows of.
    pub gp_seq: Option<u64>,
    /// The one that its callbacks need.
    pub gp_seq_needed: Option<u64>,
    /// The present grace period waits for it.
    pub qs_pending: Option<bool>,
    /// Callbacks that it has run.
    pub invoked: Option<u64>,
    /// All callbacks that it has, counted by the kernel.
    pub count: Option<i64>,
    /// By stage.
    pub lists: Vec<CallbackList>,
}

/// RCU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RcuView {
    /// When.
    pub now: Now,
    /// The kind of RCU, by its own name.
    pub name: Option<String>,
    /// The count of grace periods as the kernel keeps it. In Linux the two lowest bits say whether one is under way.
    pub gp_seq: Option<u64>,
    /// A grace period is under way; `None` where that is not told.
    pub under_way: Option<bool>,
    /// Jiffies since the present or last one began.
    pub age: Option<i64>,
    /// The state of the thread that runs grace periods, as a number.
    pub gp_state: Option<i64>,
    /// A grace period is wanted.
    pub wanted: Option<bool>,
    /// The thread that runs grace periods.
    pub gp_thread: Option<TaskRef>,
    /// By CPU.
    pub cpus: Vec<RcuCpu>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl<'i> Kernel<'i> {
    /// Callbacks from a first one up to where the list's tail is, or to its end.
    fn callbacks(&self, first: u64, what: &str) -> Vec<Callback> {
        let offset = |path| Some(self.field(self.type_named("struct callback_head")?, path)?.offset);
        let (Some(next), Some(func)) = (offset("next"), offset("func")) else { return Vec::new() };
        let chain = self.chain(first, next, MAX_CALLBACKS, what);
        let row = |address: u64| {
            let pointer = self.memory.unsigned(address.wrapping_add(func), self.word());
            let function = match pointer {
                Some(offset) if offset < MAX_OFFSET && self.function(offset).is_none() => {
                    Some(format!("kfree of {:#x}", address.wrapping_sub(offset)))
                }
                pointer => self.function_in(pointer.unwrap_or(0), || format!("{what}: the callback {address:#x}")),
            };
            Callback { address, function }
        };
        chain.into_iter().map(row).collect()
    }

    /// Linux's list: one chain, cut into four stages by pointers to the `next` of each stage's last one.
    fn segments(&self, list: &Object<'_, '_>, cpu: u32) -> Vec<CallbackList> {
        const STAGES: [&str; 4] = ["done", "wait", "next-ready", "next"];
        let what = format!("cpu{cpu}'s RCU callbacks");
        let mut all = self.callbacks(list.u("head").unwrap_or(0), &what).into_iter().peekable();
        let (tails, counts) = (list.member("tails"), list.member("seglen"));
        let mut lists = Vec::new();
        for (number, stage) in (0..).zip(STAGES) {
            let tail = tails.as_ref().and_then(|tails| tails.index(number)?.unsigned());
            let before = if number == 0 { list.member("head").map(|head| head.address()) } else { None };
            let before = before.or_else(|| tails.as_ref()?.index(number.checked_sub(1)?)?.unsigned());
            let mut callbacks = Vec::new();
            // A stage without callbacks has the tail of the one before it.
            if tail != before {
                for callback in all.by_ref() {
                    let last = Some(callback.address) == tail;
                    callbacks.push(callback);
                    if last {
                        break;
                    }
                }
            }
            let count = counts.as_ref().and_then(|counts| counts.index(number)?.signed());
            let count = count.or(Some(callbacks.len() as i64));
            lists.push(CallbackList { stage, count, callbacks });
        }
        let counted: i64 = lists.iter().map(|list| list.callbacks.len() as i64).sum();
        if list.i("len").is_some_and(|len| len != counted) && all.peek().is_none() && !self.is_running() {
            self.problem(format!("{what}: {counted} are on the list, but its len is {}", list.i("len").unwrap_or(0)));
        }
        lists
    }

    /// minik's three lists.
    fn lists(&self, data: &Object<'_, '_>, cpu: u32) -> Vec<CallbackList> {
        let stages =
            [("done", "done.head", "done.len"), ("wait", "wait.head", "wait.len"), ("next", "next.head", "next.len")];
        let lists = stages.into_iter().filter_map(|(stage, head, len)| {
            let head = data.u(head)?;
            let callbacks = self.callbacks(head, &format!("cpu{cpu}'s RCU callbacks that are {stage}"));
            Some(CallbackList { stage, count: data.i(len), callbacks })
        });
        lists.collect()
    }

    /// All callbacks that wait for their time on one of the CPUs.
    pub(super) fn pending_callbacks(&self) -> Vec<u64> {
        let mut pending = Vec::new();
        for cpu in self.online_cpus() {
            let Some(data) = self.per_cpu("rcu_data", cpu) else { continue };
            let lists = match data.member("cblist") {
                Some(list) => self.segments(&list, cpu),
                None => self.lists(&data, cpu),
            };
            pending.extend(lists.iter().flat_map(|list| &list.callbacks).map(|callback| callback.address));
        }
        pending
    }

    fn rcu_cpu(&self, cpu: u32) -> Option<RcuCpu> {
        let data = self.per_cpu("rcu_data", cpu)?;
        let lists = match data.member("cblist") {
            Some(list) => self.segments(&list, cpu),
            None => self.lists(&data, cpu),
        };
        let told = lists.into_iter().map(|mut list| {
            list.callbacks.truncate(TOLD);
            list
        });
        let lists: Vec<CallbackList> = told.collect();
        let sum = lists.iter().filter_map(|list| list.count).try_fold(0_i64, i64::checked_add);
        Some(RcuCpu {
            cpu,
            gp_seq: data.u("gp_seq"),
            gp_seq_needed: data.u("gp_seq_needed"),
            qs_pending: data.member_of(&["qs_pending", "core_needs_qs"]).and_then(|flag| Some(flag.unsigned()? != 0)),
            invoked: data.member_of(&["n_cbs_invoked", "n_invoked"]).and_then(|count| count.unsigned()),
            count: data.i("cblist.len").or(sum),
            lists,
        })
    }

    /// Grace periods and callbacks.
    pub fn rcu(&self) -> RcuView {
        let cpus = self.online_cpus().into_iter().filter_map(|cpu| self.rcu_cpu(cpu)).collect();
        let state = self.variable("rcu_state");
        let state = state.as_ref();
        let gp_seq = state.and_then(|state| state.u("gp_seq"));
        let is_linux = state.is_some_and(|state| state.member("gp_flags").is_some());
        let now = self.short_jiffies();
        RcuView {
            now: self.now(),
            name: state.and_then(|state| state.name("name")),
            gp_seq,
            under_way: gp_seq.filter(|_| is_linux).map(|seq| seq & 3 != 0),
            age: state.and_then(|state| state.u("gp_start")).zip(now).map(|(at, now)| self.jiffies_between(now, at)),
            gp_state: state.and_then(|state| state.i("gp_state")),
            wanted: state.and_then(|state| Some(state.member_of(&["gp_needed", "gp_flags"])?.unsigned()? & 1 != 0)),
            gp_thread: state.and_then(|state| self.task_at(state.u("gp_kthread")?)),
            cpus,
            problems: self.take_problems(),
        }
    }
}

impl RcuView {
    /// As a headline and a table.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        let mut words = vec![self.name.clone().unwrap_or_else(|| "RCU".to_owned())];
        words.extend(self.gp_seq.map(|seq| format!("gp_seq {seq}")));
        words.extend(
            self.under_way.map(|is| if is { "a grace period is under way" } else { "no grace period" }.to_owned()),
        );
        words.extend(self.age.map(|age| format!("the last one began {age} jiffies ago")));
        words.extend(self.wanted.filter(|&wanted| wanted).map(|_| "one is wanted".to_owned()));
        words.extend(self.gp_thread.as_ref().map(|task| format!("run by {task}")));
        out.line(words.join(", "));
        let mut table = Table::new(["CPU", "gp_seq", "Needs", "Waited for", "Callbacks", "Run so far", "First ones"]);
        for cpu in &self.cpus {
            let first = cpu.lists.iter().filter(|list| !list.callbacks.is_empty()).map(|list| {
                let names = list.callbacks.iter().map(|callback| callback.function.as_deref().unwrap_or("null"));
                format!("{}: {}", list.stage, names.collect::<Vec<_>>().join(" "))
            });
            table.row([
                plain(cpu.cpu),
                cell(cpu.gp_seq),
                cell(cpu.gp_seq_needed),
                cell(cpu.qs_pending.map(|is| if is { "yes" } else { "no" })),
                cell(cpu.count),
                cell(cpu.invoked),
                styled(first.collect::<Vec<_>>().join("; "), Style::Function),
            ]);
        }
        out.append(&table.into_output());
        tell_problems(&mut out, &self.problems);
        out
    }
}
