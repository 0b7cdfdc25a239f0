//! Says of a run what went wrong in it: one symptom, the same for all runs in which the same went wrong.

use std::collections::HashMap;
use std::sync::Arc;

use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{Event, Frame, ModuleId, Outcome, RunnerReport, RunnerState};
use xxhash_rust::xxh3::xxh3_128;

use super::run::{Note, Observed};
use super::symptom::{Kind, Symptom};
use crate::condition::Condition;

/// The version of these rules. Results by other rules cannot be joined with ours.
pub const RULES: u32 = 2;

/// Functions that a symptom names, of one stack.
const FUNCTIONS: usize = 3;
/// Functions that a symptom names of tasks that wait for each other.
const PLACES: usize = 4;
/// How deep in a stack a lock is looked for, in functions of the source.
const LOCK_DEPTH: usize = 8;

/// What makes up the name of a function that waits for a lock, between its underscores.
const LOCK_WORDS: &[&str] =
    &["lock", "trylock", "spin", "spinlock", "mutex", "rwlock", "rwsem", "semaphore", "sem", "down", "relax"];
/// How functions are called that a kernel goes through when it panics for whatever reason.
const PANIC_WORDS: &[&str] = &["panic", "die", "oops", "bug", "dump", "trap", "trace", "raise", "exception", "printk"];

/// Judges runs of one guest. Has its symbols.
pub struct Judge {
    kernel_bytes: Arc<[u8]>,
    kernel: Option<Option<Symbols>>,
    /// By the hash of the module: the numbers of modules are a run's own.
    users: HashMap<u128, Option<Symbols>>,
    /// The runs are to reach something before their time is up.
    goals: bool,
    ignore: Vec<String>,
}

impl Judge {
    /// One for runs of this kernel that end at these conditions. A symptom whose text contains one of `ignore` is none.
    pub fn new(kernel: Arc<[u8]>, until: &[Condition], ignore: &[String]) -> Self {
        let goals =
            until.iter().any(|condition| !matches!(condition, Condition::Panic | Condition::Trap | Condition::Finding));
        Judge { kernel_bytes: kernel, kernel: None, users: HashMap::new(), goals, ignore: ignore.to_vec() }
    }

    /// What went wrong, if anything. What a detector found goes first: it is nearer to the mistake than what came of it.
    /// Then the end, if it is a bad one: what was noticed before often led to it. Then what was noticed first; then what
    /// was missed.
    pub fn symptom(&mut self, run: &Observed) -> Option<Symptom> {
        for note in run.notes.iter().filter(|note| matches!(note, Note::Event(Event::Finding(_)))) {
            let symptom = self.noticed(note, run);
            if let Some(symptom) = symptom.filter(|symptom| !self.ignores(symptom)) {
                return Some(symptom);
            }
        }
        let end = self.bad_end(run);
        if let Some(symptom) = end.filter(|symptom| !self.ignores(symptom)) {
            return Some(symptom);
        }
        for note in &run.notes {
            let symptom = self.noticed(note, run);
            if let Some(symptom) = symptom.filter(|symptom| !self.ignores(symptom)) {
                return Some(symptom);
            }
        }
        let missed = match &run.outcome {
            Outcome::Script { reason, .. } => Some(Symptom::new(Kind::Script, reason, Vec::new())),
            Outcome::MaxTime if self.goals => {
                Some(Symptom::new(Kind::MaxTime, "the end of the run was not reached in its time", Vec::new()))
            }
            _ => None,
        };
        missed.filter(|symptom| !self.ignores(symptom))
    }

    fn ignores(&self, symptom: &Symptom) -> bool {
        let text = symptom.to_string();
        self.ignore.iter().any(|ignored| text.contains(ignored.as_str()))
    }

    fn bad_end(&mut self, run: &Observed) -> Option<Symptom> {
        match &run.outcome {
            Outcome::Panic => Some(self.panic(run)),
            Outcome::Until(condition) if condition == "panic" => Some(self.panic(run)),
            Outcome::Deadlock(reports) => {
                let functions = self.waiting_places(reports, false, run);
                Some(Symptom::new(Kind::Deadlock, "every task waits", functions))
            }
            Outcome::Spin(reports) => {
                let functions = self.waiting_places(reports, true, run);
                Some(Symptom::new(Kind::Spin, "tasks run and nothing gets done", functions))
            }
            Outcome::Broken(reason) => Some(Symptom::new(Kind::Broken, reason, Vec::new())),
            _ => None,
        }
    }

    /// A panic: because of the last trap, if that was the same task's.
    fn panic(&mut self, run: &Observed) -> Symptom {
        let Some(Event::Panic { context, message, stack }) = &run.panic else {
            return Symptom::new(Kind::Panic, "the guest panicked", Vec::new());
        };
        match &run.last_trap {
            Some(Event::Trap { context: trapped, reason, stack }) if trapped.runner == context.runner => {
                Symptom::new(Kind::Panic, &format!("trap: {reason}"), self.functions(stack, run, FUNCTIONS))
            }
            _ => {
                let mut functions = self.functions(stack, run, LOCK_DEPTH);
                let own = functions.iter().position(|name| !has_word(name, PANIC_WORDS)).unwrap_or(0);
                functions.drain(..own);
                functions.truncate(FUNCTIONS);
                Symptom::new(Kind::Panic, message, functions)
            }
        }
    }

    fn noticed(&mut self, note: &Note, run: &Observed) -> Option<Symptom> {
        Some(match note {
            Note::Console(line) => Symptom::new(Kind::Console, line, Vec::new()),
            Note::Event(Event::Trap { reason, stack, .. }) => {
                Symptom::new(Kind::Trap, reason, self.functions(stack, run, FUNCTIONS))
            }
            Note::Event(Event::Hog { context, stack, .. }) => {
                let functions = self.functions(stack, run, LOCK_DEPTH);
                Symptom::new(Kind::Hog, &format!("{} holds its CPU", context.comm), vec![place(&functions)])
            }
            Note::Event(Event::Finding(finding)) => {
                Symptom::new(Kind::Finding, finding.detector.name(), self.functions(&finding.stack, run, 1))
            }
            Note::Event(Event::Complaint { text, .. }) => Symptom::new(Kind::Contract, text, Vec::new()),
            Note::Event(_) => return None,
        })
    }

    /// Where tasks wait for each other: of those that take a lock, who takes it; of a machine that spins, else, where
    /// its tasks are.
    fn waiting_places(&mut self, reports: &[RunnerReport], spins: bool, run: &Observed) -> Vec<String> {
        let runs = |report: &&RunnerReport| !spins || report.state == RunnerState::Runnable;
        let stacks: Vec<_> =
            reports.iter().filter(runs).map(|report| self.functions(&report.stack, run, LOCK_DEPTH)).collect();
        let in_locks = stacks.iter().filter(|stack| stack.iter().any(|name| has_word(name, LOCK_WORDS)));
        let mut places: Vec<_> = in_locks.map(|stack| place(stack)).collect();
        if places.is_empty() && spins {
            places = stacks.iter().map(|stack| place(stack)).collect();
        }
        places.retain(|place| !place.is_empty());
        places.sort_unstable();
        places.dedup();
        places.truncate(PLACES);
        places
    }

    /// The innermost functions of a stack, of the source, by their names.
    fn functions(&mut self, stack: &[Frame], run: &Observed, most: usize) -> Vec<String> {
        let mut names = Vec::new();
        for frame in stack {
            let frames = match self.symbols(frame.address.module, run) {
                Some(symbols) => symbols.locate(frame.address.offset).frames,
                None => Vec::new(),
            };
            names.extend(frames.into_iter().map(|frame| own_name(&frame.function).to_owned()));
            if names.len() >= most {
                break;
            }
        }
        names.truncate(most);
        names
    }

    fn symbols(&mut self, module: ModuleId, run: &Observed) -> Option<&Symbols> {
        if module == ModuleId::KERNEL {
            let bytes = &self.kernel_bytes;
            return self.kernel.get_or_insert_with(|| Symbols::load(bytes.clone()).ok()).as_ref();
        }
        let (_, bytes) = run.modules.iter().find(|(known, _)| *known == module)?;
        self.users.entry(xxh3_128(bytes)).or_insert_with(|| Symbols::load(bytes.clone()).ok()).as_ref()
    }
}

/// A function's name without what a compiler adds: `.llvm.123`, `.constprop.0`.
fn own_name(name: &str) -> &str {
    name.split('.').next().filter(|name| !name.is_empty()).unwrap_or(name)
}

fn has_word(name: &str, words: &[&str]) -> bool {
    name.split('_').any(|word| words.contains(&word))
}

/// The function that a task is in, whatever it does there to wait: a task that spins is found anywhere in that.
fn place(functions: &[String]) -> String {
    let lock = functions.iter().rposition(|name| has_word(name, LOCK_WORDS));
    let who = lock.and_then(|lock| functions.get(lock + 1)).or(functions.first());
    who.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::{Context, Cpu, GuestTime, RunnerId, TaskId, Tick, Totals};

    use super::*;

    fn run(outcome: Outcome, notes: Vec<Note>) -> Observed {
        let totals = Totals {
            ticks: Tick(1),
            time: GuestTime(1),
            seed: 0,
            memory_hash: 0,
            schedule_hash: 0,
            console_hash: 0,
            slices: 1,
            tasks: 1,
            tasks_alive: 1,
            cpus: 1,
        };
        Observed { outcome, totals, notes, last_trap: None, panic: None, modules: Vec::new() }
    }

    fn context(runner: u32) -> Context {
        Context {
            runner: RunnerId(runner),
            task: TaskId(1),
            comm: "sh".into(),
            cpu: Cpu(0),
            tick: Tick(1),
            time: GuestTime(1),
        }
    }

    fn judge(until: &[Condition], ignore: &[&str]) -> Judge {
        let ignore: Vec<_> = ignore.iter().map(|&text| text.to_owned()).collect();
        Judge::new(Arc::from(&b"no module"[..]), until, &ignore)
    }

    fn trap(runner: u32) -> Event {
        Event::Trap { context: context(runner), reason: "integer divide by zero".into(), stack: Vec::new() }
    }

    #[test]
    fn a_run_that_does_what_it_should_has_no_symptom() {
        for outcome in [Outcome::Until("script".into()), Outcome::MaxTime, Outcome::Quit] {
            assert_eq!(judge(&[], &[]).symptom(&run(outcome, Vec::new())), None);
        }
        assert_eq!(judge(&[Condition::Panic], &[]).symptom(&run(Outcome::MaxTime, Vec::new())), None);
        let missed = judge(&[Condition::Script], &[]).symptom(&run(Outcome::MaxTime, Vec::new())).unwrap();
        assert_eq!(missed.kind, Kind::MaxTime);
    }

    #[test]
    fn a_panic_is_named_after_the_trap_of_the_same_task() {
        let panic = Event::Panic { context: context(7), message: "Fatal exception 12".into(), stack: Vec::new() };
        for (runner, text) in [(7, "trap: integer divide by zero"), (8, "Fatal exception #")] {
            let mut seen = run(Outcome::Panic, vec![Note::Event(trap(runner))]);
            (seen.panic, seen.last_trap) = (Some(panic.clone()), Some(trap(runner)));
            let symptom = judge(&[], &[]).symptom(&seen).unwrap();
            assert_eq!((symptom.kind, symptom.text.as_str()), (Kind::Panic, text));
        }
    }

    #[test]
    fn what_was_noticed_first_goes_before_a_script_that_failed() {
        let failed = Outcome::Script { reason: "line 3: nothing".into(), console_tail: String::new() };
        let notes = vec![Note::Console("BUG: one".into()), Note::Event(trap(1))];
        assert_eq!(judge(&[], &[]).symptom(&run(failed.clone(), notes.clone())).unwrap().text, "BUG: one");
        assert_eq!(judge(&[], &["BUG"]).symptom(&run(failed.clone(), notes.clone())).unwrap().kind, Kind::Trap);
        let script = judge(&[], &["BUG", "trap: "]).symptom(&run(failed.clone(), notes.clone())).unwrap();
        assert_eq!(script.to_string(), "script: line #: nothing");
        assert_eq!(judge(&[], &["BUG", "trap: ", "script"]).symptom(&run(failed, notes)), None);
    }

    #[test]
    fn who_takes_a_lock_is_found_wherever_in_the_lock_it_spins() {
        let stack = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for names in [
            &["cpu_relax", "spin_lock", "eth_get_stats", "worker"][..],
            &["spin_lock", "eth_get_stats", "worker"],
            &["atomic_read", "__raw_spin_lock_slowpath", "spin_lock", "eth_get_stats"],
            &["eth_get_stats", "worker"],
        ] {
            assert_eq!(place(&stack(names)), "eth_get_stats");
        }
        assert_eq!(place(&stack(&["block_read", "clock_tick"])), "block_read", "neither blocks nor clocks are locks");
        assert_eq!(own_name("dup_fd.llvm.42"), "dup_fd");
    }
}
