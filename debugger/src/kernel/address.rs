//! What is at an address: whose memory it is, by everything that the kernel knows.

use serde::Serialize;

use super::slab::PageInfo;
use super::text::tell_problems;
use super::{Kernel, Now, TaskRef};
use crate::commands::Output;

/// One thing that is known of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// Below everything: a null pointer with an offset leads here.
    NearNull,
    /// There is no memory.
    NoMemory,
    /// A variable of the kernel's.
    Variable {
        /// Its name.
        name: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// A CPU's own copy of a variable.
    PerCpu {
        /// Whose.
        cpu: u32,
        /// The variable.
        name: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// As a function pointer, it calls this.
    Function {
        /// The function's name.
        name: String,
    },
    /// In a task's `task_struct`.
    Task {
        /// Whose.
        task: TaskRef,
        /// Bytes from its start.
        offset: u64,
    },
    /// In a task's kernel stack.
    Stack {
        /// Whose.
        task: TaskRef,
        /// Bytes from the stack's top down to the address.
        depth: u64,
        /// In the part that is in use; `None` where the stack pointer is not known.
        in_use: Option<bool>,
    },
    /// In the memory of a process.
    User {
        /// The first thread that was found with it.
        task: TaskRef,
        /// Where the piece begins.
        start: u64,
        /// The byte behind its last.
        end: u64,
        /// What it is for.
        what: Vec<&'static str>,
        /// The file that it is from.
        file: Option<String>,
    },
    /// In a page that an allocator has.
    Page(PageInfo),
}

/// What is at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressView {
    /// When.
    pub now: Now,
    /// Which.
    pub address: u64,
    /// What is known of it, the most telling first.
    pub findings: Vec<Finding>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl Kernel<'_> {
    /// The CPU whose copies of per-CPU variables hold an address, and where their symbols have it.
    fn per_cpu_at(&self, address: u64) -> Option<(u32, u64)> {
        /// Copies of one CPU's variables are not larger.
        const MAX_UNIT: u64 = 1 << 22;
        let word = |name| self.variable(name).and_then(|size| size.unsigned());
        let offsets: Vec<(u32, u64)> =
            self.possible_cpus().into_iter().filter_map(|cpu| Some((cpu, self.per_cpu_offset(cpu)?))).collect();
        let distance = |pair: &[(u32, u64)]| pair[1].1.checked_sub(pair[0].1).filter(|&size| size > 0);
        // Without a variable that has it, the unit is what lies between two CPUs'.
        let unit = word("pcpu_unit_size").or_else(|| offsets.get(1..)?.windows(2).find_map(distance));
        let unit = unit.filter(|&unit| (1..=MAX_UNIT).contains(&unit))?;
        let known = ["__per_cpu_start", "__start_percpu", "raised_irqs", "runqueues", "timer_bases", "rcu_data"];
        let known = known.iter().filter_map(|name| self.symbols.data_symbol(name));
        let first = known.map(|symbol| symbol.address).min()?;
        // What a CPU has allocated lies behind its copies of variables, and belongs to no symbol.
        offsets.into_iter().find_map(|(cpu, offset)| {
            let own = address.wrapping_sub(offset) & self.address_mask();
            (offset != 0 && own.checked_sub(first).is_some_and(|into| into < unit)).then_some((cpu, own))
        })
    }

    fn task_findings(&self, address: u64, findings: &mut Vec<Finding>) {
        let mut spaces = std::collections::HashSet::new();
        for (task, _) in self.all_tasks() {
            if self.tired() {
                return;
            }
            if let Some(offset) = address.checked_sub(task.address()).filter(|&at| at < task.size().unwrap_or(0)) {
                findings.push(Finding::Task { task: self.task_ref(&task), offset });
            }
            let stack = self.stack_use(&task, self.runner(task.address()));
            if let Some(stack) = stack
                && let Some(top) = stack.base.checked_add(stack.size)
                && (stack.base..top).contains(&address)
            {
                let in_use = stack.pointer.map(|pointer| address >= pointer);
                findings.push(Finding::Stack { task: self.task_ref(&task), depth: top - address, in_use });
            }
            // Threads share their process's memory, which is told once.
            if task.u("mm").is_some_and(|mm| mm != 0 && spaces.insert(mm)) {
                let (_, maps) = self.map_rows(&task);
                for row in maps.into_iter().filter(|row| (row.start..row.end).contains(&address)) {
                    let (start, end, what, file) = (row.start, row.end, row.what, row.file);
                    findings.push(Finding::User { task: self.task_ref(&task), start, end, what, file });
                }
            }
        }
    }

    /// Everything that is known of an address.
    pub fn address(&self, address: u64) -> AddressView {
        let mut findings = Vec::new();
        if self.memory.unsigned(address, 1).is_none() {
            findings.push(Finding::NoMemory);
        } else {
            if address < super::LOWEST {
                findings.push(Finding::NearNull);
            }
            if let Some((symbol, offset)) = self.symbols.symbol_at(address) {
                findings.push(Finding::Variable { name: symbol.name.clone(), offset });
            }
            if let Some((cpu, own)) = self.per_cpu_at(address) {
                let (name, offset) = match self.symbols.symbol_at(own) {
                    Some((symbol, offset)) => (symbol.name.clone(), offset),
                    None => ("what was allocated for each CPU".to_owned(), own),
                };
                findings.push(Finding::PerCpu { cpu, name, offset });
            }
            self.task_findings(address, &mut findings);
            findings.extend(self.page_info(address).map(Finding::Page));
        }
        if let Some(name) = self.function(address) {
            findings.push(Finding::Function { name });
        }
        AddressView { now: self.now(), address, findings, problems: self.take_problems() }
    }
}

impl Finding {
    /// It, in words.
    pub fn text(&self) -> String {
        match self {
            Finding::NearNull => "near null: no pointer should lead here".to_owned(),
            Finding::NoMemory => "no memory".to_owned(),
            Finding::Variable { name, offset } => format!("variable {name}+{offset:#x}"),
            Finding::PerCpu { cpu, name, offset } => format!("cpu{cpu}'s {name}+{offset:#x}"),
            Finding::Function { name } => format!("as a function pointer, it calls {name}"),
            Finding::Task { task, offset } => format!("task_struct of {task}, byte {offset}"),
            Finding::Stack { task, depth, in_use } => {
                let used = match in_use {
                    Some(true) => ", in use",
                    Some(false) => ", below the stack pointer",
                    None => "",
                };
                format!("kernel stack of {task}, {depth} bytes below its top{used}")
            }
            Finding::User { task, start, end, what, file } => {
                let what = if what.is_empty() { "memory".to_owned() } else { what.join(" or ") };
                let file = file.as_ref().map(|file| format!(", from {file}")).unwrap_or_default();
                format!("user memory of {task}: {what}, {start:#x} to {end:#x}{file}")
            }
            Finding::Page(page) => {
                let used = match (page.count, &page.object) {
                    (_, Some(object)) => {
                        let state = match object.free {
                            Some(true) => "a free object",
                            Some(false) => "an object",
                            None => "an object, free or not,",
                        };
                        format!(
                            "{state} of the slab cache {}: {} bytes at {:#x}",
                            object.cache, object.size, object.start
                        )
                    }
                    // From 6.15 on not everything that is in use is counted.
                    (Some(0), None) => match page.mark.as_deref() {
                        Some(mark) if mark != "buddy" => format!("in use, marked as {mark}"),
                        _ => "free".to_owned(),
                    },
                    (Some(count), None) => format!("in use, count {count}"),
                    (None, None) => "of unknown use".to_owned(),
                };
                let head = page.head.map(|head| format!(" (of the block from page {head:#x} on)")).unwrap_or_default();
                format!("page {:#x}{head}: {used}", page.pfn)
            }
        }
    }
}

impl AddressView {
    /// A line for each thing that is known.
    pub fn text(&self) -> Output {
        let mut out = Output::from(format!("{:#x}", self.address));
        match self.findings.len() {
            0 => out.line(": nothing is known of it"),
            _ => out.line(""),
        };
        for finding in &self.findings {
            out.line(format!("  {}", finding.text()));
        }
        tell_problems(&mut out, &self.problems);
        out
    }
}
