//! Ownership rules: a field of a structure of the kernel's may be written by the functions of some files alone.
//!
//! ```text
//! rules ─▶ Kernel::parts: every instance that is in use ─▶ watches of their fields ─▶ a write
//!   ▲             every interval, anew                                                  │
//!   └── whose code is it? the first function on the stack that is not a helper ◀────────┘
//!              │ not the owner's
//!              ▼
//!       is the instance still in use? ─▶ finding
//! ```
//!
//! Instances are looked for at every interval, and after the owner of some has written them, or a task was made, or is
//! gone: soon, but not at once, and the later the more there are.
//!
//! A callback of RCU's is known as soon as it is put on a list, by what is written there: it may be overwritten in the
//! next moment.
//!
//! Who owns what is the same in every run of a kernel: see `remembered`.
//!
//! What it cannot see: a write into an instance that began to be used since the last look; one by a function of the owner's
//! that was given a wrong pointer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use wkdb_debugger::inferior::{WatchCondition, WatchId, WatchKind, WatchSpec};
use wkdb_debugger::kernel::Part;
use wkdb_tracer::{CodeOffset, Frame, GuestTime, ModuleId};

use super::super::executor::Machine;
use super::super::images::Images;
use super::Guest;

/// Who owns what in the kernels that are known: Linux from 6.1 on, and minik.
const BUILT_IN: &[&str] = &[
    "struct worker.pool only kernel/workqueue.c",
    "struct worker.current_work only kernel/workqueue.c",
    "struct worker.current_func only kernel/workqueue.c",
    "struct worker.current_pwq only kernel/workqueue.c",
    "struct worker.task only kernel/workqueue.c",
    "struct worker_pool.worklist only kernel/workqueue.c",
    "struct worker_pool.idle_list only kernel/workqueue.c",
    "struct worker_pool.nr_workers only kernel/workqueue.c",
    "struct timer_base.clk only kernel/time/timer.c, kernel/timer.c",
    "struct timer_base.next_expiry only kernel/time/timer.c, kernel/timer.c",
    "struct timer_base.running_timer only kernel/time/timer.c, kernel/timer.c",
    "struct timer_base.pending_map only kernel/time/timer.c, kernel/timer.c",
    "struct files_struct.fdt only fs/file.c",
    "struct fdtable.max_fds only fs/file.c",
    "struct fdtable.fd only fs/file.c",
    "struct fdtable.fd[] only fs/file.c",
    "struct callback_head.func only kernel/rcu/, kernel/rcu.c",
    "struct callback_head.next only kernel/rcu/, kernel/rcu.c",
    "struct rcu_data.cblist only kernel/rcu/, kernel/rcu.c",
    "struct rcu_data.next only kernel/rcu/, kernel/rcu.c",
    "struct rcu_data.wait only kernel/rcu/, kernel/rcu.c",
    "struct rcu_data.done only kernel/rcu/, kernel/rcu.c",
    "struct work_struct.func only kernel/workqueue.c",
    "struct work_struct.entry only kernel/workqueue.c",
    "struct rq.curr only kernel/sched/, kernel/sched.c",
    "struct rq.idle only kernel/sched/, kernel/sched.c",
    "struct rq.nr_running only kernel/sched/, kernel/sched.c",
];

/// Code that works for whoever calls it: whose it is, the caller says.
const HELPERS: &[&str] = &["lib/", "mm/", "kernel/locking/", "kernel/spinlock.c", "arch/wasm/lib/"];

/// Structures of which others may be in use once one of them is written by its owner, or once a task is made or gone. The
/// rest is where it is for good, or is known as soon as it is in use.
const WORK: &[&str] = &["struct worker_pool", "struct worker", "struct work_struct"];
const FILES: &[&str] = &["struct files_struct", "struct fdtable"];
const OF_TASKS: &[&str] = &["struct task_struct", "struct files_struct", "struct fdtable"];

/// Helpers that call each other, above which the owner is remembered.
const MOST_HELPERS: usize = 7;

/// Callbacks of which it is known from their lists alone that they are in use: that many, the last ones.
const LEARNED: usize = 256;

/// Structures that are taken off their lists by a write into themselves.
const LISTED: &[&str] = &["struct work_struct"];

/// Guest time, in nanoseconds, from one look for all instances to the next.
const INTERVAL_NS: u64 = 250_000_000;

/// Guest time, in nanoseconds, that passes at least from one look for instances to the next, for each so many that there
/// are: a look takes longer the more there is to see.
const REST_NS: u64 = 1_000_000;
const REST_FOR: u64 = 32;

/// A rule: `struct worker.pool only kernel/workqueue.c, kernel/other.c`. What ends in a slash is a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRule {
    type_name: &'static str,
    path: &'static str,
    files: Vec<String>,
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule: write it as 'struct worker.pool only kernel/workqueue.c', with more files after commas")]
pub struct BadRule(String);

/// Names of types and members, each kept once for the life of the process.
fn keep(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None => {
            let name: &'static str = name.to_owned().leak();
            names.insert(name);
            name
        }
    }
}

impl FromStr for GuardRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(text.to_owned());
        let (what, files) = text.split_once(" only ").ok_or_else(bad)?;
        let (kind, rest) = what.trim().split_once(' ').ok_or_else(bad)?;
        let (name, path) = rest.trim().split_once('.').ok_or_else(bad)?;
        let files: Vec<String> = files.split(',').map(|file| file.trim().to_owned()).collect();
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.[]".contains(c));
        if !["struct", "union"].contains(&kind) || !word(name) || !word(path) || files.iter().any(String::is_empty) {
            return Err(bad());
        }
        Ok(GuardRule { type_name: keep(&format!("{kind} {name}")), path: keep(path), files })
    }
}

impl fmt::Display for GuardRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} only {}", self.type_name, self.path, self.files.join(", "))
    }
}

/// Whether a file of the source is one of these, or in one of these directories.
fn is_among(file: &str, names: &[impl AsRef<str>]) -> bool {
    let file = file.trim_start_matches("./");
    names.iter().map(AsRef::as_ref).any(|name| match name.ends_with('/') {
        true => file.starts_with(name) || file.contains(&format!("/{name}")),
        false => file == name || file.strip_suffix(name).is_some_and(|front| front.ends_with('/')),
    })
}

/// Whose code is on a stack.
enum Code {
    /// The owner's, as so many of the innermost frames say.
    Owner(usize),
    /// Others'.
    Stranger,
    /// Nobody knows the file.
    Unknown,
}

impl GuardRule {
    /// Whose the code on a stack is: by the innermost function that is not a helper.
    fn code(&self, images: &Images, stack: &[Frame]) -> Code {
        for (frame, depth) in stack.iter().zip(1..) {
            if frame.address.module != ModuleId::KERNEL {
                return Code::Stranger;
            }
            let symbols = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
            let Some(symbols) = symbols else { return Code::Unknown };
            for source in symbols.locate(frame.address.offset).frames {
                let Some(source) = source.source else { continue };
                if is_among(&source.file, &self.files) {
                    return Code::Owner(depth);
                }
                if !source.file.ends_with(".h") && !is_among(&source.file, HELPERS) {
                    return Code::Stranger;
                }
            }
        }
        Code::Unknown
    }
}

/// The instructions of the innermost frames of a stack.
fn places(frames: &[Frame]) -> Vec<u32> {
    frames.iter().map(|frame| frame.address.offset.0).collect()
}

/// Where code is known to be an owner's, by the text of the rule: the innermost frames.
pub(super) type Owners = BTreeMap<String, BTreeSet<Vec<u32>>>;

/// A part of a structure that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Guarded {
    rule: usize,
    part: Part,
}

/// The rules of a machine and what they are applied to.
#[derive(Debug, Default)]
pub(in crate::machine) struct Guards {
    rules: Vec<GuardRule>,
    watched: BTreeMap<WatchId, Guarded>,
    /// All that is watched.
    known: BTreeSet<Guarded>,
    /// Where code was found to be allowed: rule, and the innermost frames, of which all but the last are helpers'.
    allowed: BTreeSet<(usize, Vec<u32>)>,
    /// There are some among them that are not kept for other runs.
    pub(super) has_new_owners: bool,
    /// What other runs found out was taken over.
    pub(super) remembers: bool,
    /// What was asked for has been looked at.
    checked: bool,
    /// Of each rule about callbacks: its number, and where its member is in one.
    callbacks: Vec<(usize, u64, u64)>,
    /// What was learned of them since all were looked for, the oldest first.
    learned: VecDeque<WatchId>,
    /// Of these types there may be other instances since they were looked for.
    changed: BTreeSet<&'static str>,
    /// Not before this moment they are looked for again.
    rests: GuestTime,
    /// From this moment on all are.
    next: GuestTime,
}

/// A write that no rule allows, if what it wrote is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Violation(usize, Part);

impl Guards {
    /// The rules that are built in, and these.
    ///
    /// # Errors
    /// One that cannot be read.
    pub(in crate::machine) fn new(more: &[String]) -> Result<Guards, BadRule> {
        let all = BUILT_IN.iter().copied().chain(more.iter().map(String::as_str));
        let rules = all.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Guards { rules, ..Guards::default() })
    }

    /// The owner of a list of callbacks has written there, if it is one: the words that it wrote name callbacks that are in
    /// use from now on. What is to be watched of them.
    pub(in crate::machine) fn learn(&self, watch: WatchId, bytes: &[u8], word: usize) -> Vec<(usize, Part)> {
        let rule = self.watched.get(&watch).and_then(|guarded| self.rules.get(guarded.rule));
        let of_lists = |rule: &&GuardRule| {
            let lists = [("struct rcu_data", "cblist"), ("struct rcu_data", "next"), ("struct callback_head", "next")];
            lists.contains(&(rule.type_name, rule.path))
        };
        if rule.filter(of_lists).is_none() {
            return Vec::new();
        }
        let words =
            bytes.chunks_exact(word).map(|bytes| bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)));
        let mut parts = Vec::new();
        for instance in words.filter(|&address| address >= super::null::UNUSED) {
            for &(rule, offset, len) in &self.callbacks {
                let part = Part { instance, address: instance.saturating_add(offset), len };
                if !self.known.contains(&Guarded { rule, part }) {
                    parts.push((rule, part));
                }
            }
        }
        parts
    }

    /// A part is watched from now on. Gives a watch that is one too many.
    pub(in crate::machine) fn guard(&mut self, watch: WatchId, (rule, part): (usize, Part)) -> Option<WatchId> {
        self.watched.insert(watch, Guarded { rule, part });
        self.known.insert(Guarded { rule, part });
        self.learned.push_back(watch);
        let oldest = if self.learned.len() > LEARNED { self.learned.pop_front() } else { None };
        oldest.filter(|oldest| self.watched.remove(oldest).is_some_and(|gone| self.known.remove(&gone)))
    }

    /// Whether what is written into is guarded, and the instruction is known to be its owner's.
    pub(in crate::machine) fn is_owners(&mut self, watch: WatchId, place: CodeOffset) -> bool {
        let Some(guarded) = self.watched.get(&watch) else { return false };
        if !self.allowed.contains(&(guarded.rule, vec![place.0])) {
            return false;
        }
        if let Some(rule) = self.rules.get(guarded.rule) {
            self.changed.extend(rule.others());
        }
        true
    }

    /// Where code is known to be an owner's.
    pub(super) fn owners(&self) -> Owners {
        let mut owners = Owners::new();
        for (rule, places) in &self.allowed {
            owners.entry(self.rules[*rule].to_string()).or_default().insert(places.clone());
        }
        owners
    }

    /// Those of other runs of the same kernel.
    pub(super) fn know_owners(&mut self, owners: &Owners) {
        for (number, rule) in self.rules.iter().enumerate() {
            let places = owners.get(&rule.to_string()).into_iter().flatten();
            self.allowed.extend(places.map(|places| (number, places.clone())));
        }
    }

    /// The rule that a write breaks, and how that is told; none if it may be written.
    pub(in crate::machine) fn breaks(
        &mut self,
        images: &Images,
        watch: WatchId,
        stack: &[Frame],
    ) -> Option<(Violation, String)> {
        let guarded = *self.watched.get(&watch)?;
        let rule = self.rules.get(guarded.rule)?;
        let own = stack.iter().take_while(|frame| frame.address.module == ModuleId::KERNEL).count();
        let is_known = (2..=own.min(MOST_HELPERS + 1))
            .any(|depth| self.allowed.contains(&(guarded.rule, places(&stack[..depth]))));
        let code = if is_known { Code::Unknown } else { rule.code(images, stack) };
        if let Code::Owner(depth) = code
            && depth <= MOST_HELPERS + 1
        {
            self.has_new_owners |= self.allowed.insert((guarded.rule, places(&stack[..depth])));
        }
        if !matches!(code, Code::Stranger) {
            self.changed.extend(rule.others());
            return None;
        }
        let GuardRule { type_name, path, files } = rule;
        let text = format!("{type_name}.{path} is written by what is not {}", files.join(" or "));
        Some((Violation(guarded.rule, guarded.part), text))
    }
}

impl Guards {
    /// A task was made, or is gone: what it has may be in use now, or no more.
    pub(in crate::machine) fn may_have_changed(&mut self) {
        if !self.rules.is_empty() {
            self.changed.extend(OF_TASKS);
        }
    }

    /// Whether it is time to look for instances again.
    pub(in crate::machine) fn is_due(&self, now: GuestTime) -> bool {
        !self.changed.is_empty() && now >= self.rests
    }
}

impl Machine {
    /// Finds out anew what the rules are to be applied to: all of them now and then, and those about what may have changed.
    pub(in crate::machine) fn follow_guarded(&mut self) {
        let (rules, changed, all) = {
            let mut core = self.shared.core.borrow_mut();
            let now = core.now;
            let guards = &mut core.detection.guards;
            let all = now >= guards.next;
            if all {
                guards.next = GuestTime((now.0 / INTERVAL_NS + 1).saturating_mul(INTERVAL_NS));
            }
            (guards.rules.clone(), std::mem::take(&mut guards.changed), all)
        };
        if rules.is_empty() {
            return;
        }
        self.remember_guarded();
        let looked_for = |rule: usize| all || rules.get(rule).is_some_and(|rule| changed.contains(rule.type_name));
        let mut wanted = BTreeSet::new();
        let (mut unknown, mut callbacks) = (Vec::new(), Vec::new());
        {
            let mut guest = Guest::new(self);
            let Some(kernel) = guest.kernel() else { return };
            for (number, rule) in rules.iter().enumerate().filter(|(number, _)| looked_for(*number)) {
                if !kernel.has_member(rule.type_name, rule.path) {
                    unknown.push(number);
                    continue;
                }
                if rule.type_name == "struct callback_head"
                    && let Some((offset, len)) = kernel.member_place(rule.type_name, rule.path)
                {
                    callbacks.push((number, offset, len));
                }
                let parts = kernel.parts(rule.type_name, rule.path);
                wanted.extend(parts.into_iter().map(|part| Guarded { rule: number, part }));
            }
        }
        let mut shared = self.shared.core.borrow_mut();
        let core = &mut *shared;
        if all && !std::mem::replace(&mut core.detection.guards.checked, true) {
            for number in unknown.into_iter().filter(|&number| number >= BUILT_IN.len()) {
                core.complain(None, format!("--guard: this kernel has no {}", rules[number].what()));
            }
        }
        let mut gone = Vec::new();
        {
            let Guards { watched, known, .. } = &mut core.detection.guards;
            watched.retain(|id, guarded| {
                let stays = !looked_for(guarded.rule) || wanted.remove(guarded);
                if !stays {
                    known.remove(guarded);
                    gone.push(*id);
                }
                stays
            });
        }
        for id in gone {
            core.watches.remove(id);
        }
        for guarded in wanted {
            let Part { address, len, .. } = guarded.part;
            let condition = WatchCondition { changed: true, ..WatchCondition::default() };
            let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop: false };
            // Where there is no memory there is nothing to guard.
            if let Ok(id) = core.watches.insert_own(spec) {
                core.detection.guards.watched.insert(id, guarded);
                core.detection.guards.known.insert(guarded);
            }
        }
        if all {
            core.detection.guards.callbacks = callbacks;
            core.detection.guards.learned.clear();
        }
        let watched = core.detection.guards.watched.len() as u64;
        core.detection.guards.rests = core.now.after_ns(REST_NS * (1 + watched / REST_FOR));
        drop(shared);
        if all {
            self.keep_guarded();
        }
    }

    /// Whether what was written is still in use: what was freed may be anybody's.
    pub(in crate::machine) fn is_in_use(&mut self, Violation(rule, part): Violation) -> bool {
        let (rules, changed) = {
            let core = self.shared.core.borrow();
            (core.detection.guards.rules.clone(), core.detection.guards.changed.clone())
        };
        let Some(rule) = rules.get(rule) else { return false };
        // What was written may be what leads there. But whoever takes it off its list writes it.
        if LISTED.contains(&rule.type_name) && !changed.contains(rule.type_name) {
            return true;
        }
        let mut guest = Guest::new(self);
        let Some(kernel) = guest.kernel() else { return false };
        kernel.parts(rule.type_name, rule.path).contains(&part)
    }
}

impl GuardRule {
    /// The types of which others may be in use once this is written.
    fn others(&self) -> &'static [&'static str] {
        [WORK, FILES].into_iter().find(|types| types.contains(&self.type_name)).unwrap_or_default()
    }

    /// What it is about.
    fn what(&self) -> String {
        format!("{} with a member {}", self.type_name, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in BUILT_IN {
            assert_eq!(text.parse::<GuardRule>().unwrap().to_string(), *text);
        }
        let rule: GuardRule = "struct  a.b.c  only x.c ,y/ ".parse().unwrap();
        assert_eq!(rule.to_string(), "struct a.b.c only x.c, y/");
        for bad in ["worker.pool only a.c", "struct worker only a.c", "struct worker.pool", "struct w.p only a.c,", ""]
        {
            assert!(bad.parse::<GuardRule>().unwrap_err().to_string().contains("struct worker.pool only"), "{bad}");
        }
    }

    #[test]
    fn files_are_named_from_their_end_and_directories_anywhere() {
        let among = |file: &str, name: &str| is_among(file, &[name]);
        assert!(among("kernel/workqueue.c", "kernel/workqueue.c"));
        assert!(among("/usr/src/linux/kernel/workqueue.c", "kernel/workqueue.c"));
        assert!(!among("xkernel/workqueue.c", "kernel/workqueue.c"));
        assert!(among("kernel/rcu/tree.c", "kernel/rcu/") && among("/src/kernel/rcu/tree.c", "kernel/rcu/"));
        assert!(!among("kernel/rcutorture.c", "kernel/rcu/"));
    }
}
