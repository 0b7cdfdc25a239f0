//! Where ticks go: samples of call stacks, each standing for the ticks since the one before.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use super::{Names, Record, TraceWhat};
use crate::RunnerId;

/// Stacks and the ticks they stand for.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    comms: BTreeMap<RunnerId, String>,
    /// By stack, the task's name first and the innermost function last.
    stacks: BTreeMap<Vec<String>, u64>,
    total: u64,
    samples: u64,
}

impl Profile {
    /// Takes what a record says.
    pub fn record(&mut self, record: &Record, names: &mut dyn Names) {
        match &record.what {
            TraceWhat::Task { comm, .. } => _ = self.comms.insert(record.runner, comm.clone()),
            TraceWhat::Sample { ticks, stack } => {
                let comm = self.comms.get(&record.runner).cloned().unwrap_or_else(|| record.runner.to_string());
                let functions = stack.iter().rev().map(|frame| names.function(frame.address.module, frame.function));
                let stack: Vec<String> = std::iter::once(comm).chain(functions).map(|name| foldable(&name)).collect();
                *self.stacks.entry(stack).or_default() += ticks;
                self.total += ticks;
                self.samples += 1;
            }
            _ => {}
        }
    }

    /// Ticks of all samples.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Stacks in the form that flame graph programs read: `task;outer;inner TICKS`, a line each, sorted.
    ///
    /// # Errors
    ///
    /// As the writer's.
    pub fn write_folded(&self, out: &mut impl io::Write) -> io::Result<()> {
        for (stack, ticks) in &self.stacks {
            writeln!(out, "{} {ticks}", stack.join(";"))?;
        }
        Ok(())
    }

    /// The functions that most ticks went to: by themselves, and with what they called.
    pub fn table(&self, rows: usize) -> String {
        let mut functions: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for (stack, ticks) in &self.stacks {
            let mut seen = std::collections::BTreeSet::new();
            for name in stack.iter().skip(1).filter(|name| seen.insert(name.as_str())) {
                functions.entry(name).or_default()[1] += ticks;
            }
            if let Some(leaf) = stack.iter().skip(1).next_back() {
                functions.entry(leaf).or_default()[0] += ticks;
            }
        }
        let mut sorted: Vec<_> = functions.into_iter().collect();
        sorted.sort_by_key(|(name, [alone, with])| (std::cmp::Reverse((*alone, *with)), *name));
        let share = |ticks: u64| ticks as f64 * 100.0 / self.total.max(1) as f64;
        let mut text = format!(
            "{} ticks in {} samples\n   self%        self   total%       total  function\n",
            self.total, self.samples
        );
        for (name, [alone, with]) in sorted.into_iter().take(rows) {
            // A string can always be written to.
            let _ = writeln!(text, "{:7.2}% {alone:11} {:7.2}% {with:11}  {name}", share(alone), share(with));
        }
        text
    }

    pub(super) fn stacks(&self) -> &BTreeMap<Vec<String>, u64> {
        &self.stacks
    }
}

/// A name without what separates names from each other and from their number.
fn foldable(name: &str) -> String {
    name.chars().map(|c| if c == ';' || c.is_whitespace() { '_' } else { c }).collect()
}
