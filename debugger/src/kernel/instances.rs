//! Structures of a type that the kernel uses now, found from its roots: what rules about who may write them are applied to.

use std::collections::BTreeSet;

use super::{Kernel, Object};

/// Elements of one per-CPU array.
const MAX_ELEMENTS: u64 = 64;

/// The largest table of open files: fs.nr_open, as it is by default.
const MAX_FDS: u64 = 1 << 20;

/// Memory that belongs to a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The structure.
    pub instance: u64,
    /// First byte.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

impl<'i> Kernel<'i> {
    /// Whether this kernel has such a structure with such a member: `struct worker` and `pool`. The member `fd[]` of a table
    /// of files is what its `fd` points to.
    pub fn has_member(&self, type_name: &'static str, path: &'static str) -> bool {
        let path = path.strip_suffix("[]").unwrap_or(path);
        self.type_named(type_name).is_some_and(|ty| self.field(ty, path).is_some())
    }

    /// Where a member is in its structure, and how long it is.
    pub fn member_place(&self, type_name: &'static str, path: &'static str) -> Option<(u64, u64)> {
        let field = self.field(self.type_named(type_name)?, path)?;
        Some((field.offset, self.symbols.size_of(field.ty)?))
    }

    /// The member of each structure of this type that is in use, as far as it is known where to look for them: workers and
    /// their pools, timer bases, tasks, their files, run queues, RCU's data and callbacks, and variables of the type.
    pub fn parts(&self, type_name: &'static str, path: &'static str) -> Vec<Part> {
        let mut parts = BTreeSet::new();
        for instance in self.instances(type_name) {
            let part = match path.strip_suffix("[]") {
                Some(pointer) => self.table(&instance, pointer),
                None => instance.member(path).and_then(|member| Some((member.address(), member.size()?))),
            };
            if let Some((address, len)) = part.filter(|(_, len)| *len > 0) {
                parts.insert(Part { instance: instance.address(), address, len });
            }
        }
        // What is found on the way that makes no sense is for the views to tell.
        self.take_problems();
        parts.into_iter().collect()
    }

    /// The pointers that a table of files has.
    fn table(&self, table: &Object<'_, 'i>, pointer: &'static str) -> Option<(u64, u64)> {
        let first = table.u(pointer).filter(|&first| first >= super::LOWEST)?;
        let count = table.u("max_fds").filter(|count| (1..=MAX_FDS).contains(count))?;
        Some((first, count * self.word()))
    }

    /// Those of a type, which are looked for once: several members may be asked for.
    fn instances(&self, type_name: &'static str) -> Vec<Object<'_, 'i>> {
        let known = self.instances.borrow().get(type_name).cloned();
        let known = known.unwrap_or_else(|| {
            let found = self.find_instances(type_name);
            let found: Vec<_> = found.iter().map(|object| (object.address(), object.type_id())).collect();
            self.instances.borrow_mut().insert(type_name, found.clone());
            found
        });
        known.into_iter().map(|(address, ty)| Object::new(self, address, ty)).collect()
    }

    fn find_instances(&self, type_name: &'static str) -> Vec<Object<'_, 'i>> {
        let per_cpu = |name: &'static str| {
            let copies = self.online_cpus().into_iter().filter_map(move |cpu| self.per_cpu(name, cpu));
            copies.flat_map(|copy| copy.elements(MAX_ELEMENTS)).collect::<Vec<_>>()
        };
        match type_name {
            "struct worker_pool" => self.pools().into_iter().map(|(pool, ..)| pool).collect(),
            "struct worker" => {
                let lists = self.pools().into_iter().filter_map(|(pool, ..)| pool.member("workers"));
                let entries = lists.flat_map(|head| self.list(head.address(), "the workers of a pool"));
                let workers = entries.filter_map(|entry| self.container("struct worker", "node", entry));
                workers.chain(self.rescuers()).collect()
            }
            "struct work_struct" => {
                let lists = self.pools().into_iter().filter_map(|(pool, ..)| pool.member("worklist"));
                let entries = lists.flat_map(|head| self.list(head.address(), "the worklist of a pool"));
                entries.filter_map(|entry| self.container("struct work_struct", "entry", entry)).collect()
            }
            "struct timer_base" => per_cpu("timer_bases"),
            "struct rq" => per_cpu("runqueues"),
            "struct rcu_data" => per_cpu("rcu_data"),
            "struct task_struct" => self.all_tasks().into_iter().map(|(task, _)| task).collect(),
            // Threads share theirs.
            "struct files_struct" => {
                let mut seen = BTreeSet::new();
                let tasks = self.instances("struct task_struct").into_iter();
                tasks.filter_map(|task| task.follow("files")).filter(|files| seen.insert(files.address())).collect()
            }
            "struct fdtable" => {
                let files = self.instances("struct files_struct").into_iter();
                files.filter_map(|files| files.follow("fdt")).collect()
            }
            "struct callback_head" => {
                let callbacks = self.pending_callbacks().into_iter();
                callbacks.filter_map(|callback| self.object("struct callback_head", callback)).collect()
            }
            _ => self.variables_of(type_name),
        }
    }

    /// The workers that wait for others to be stuck: they are in no pool.
    fn rescuers(&self) -> Vec<Object<'_, 'i>> {
        let queues = self.variable("workqueues").map(|head| self.list(head.address(), "the list of workqueues"));
        let queues = queues.unwrap_or_default().into_iter();
        let queues = queues.filter_map(|entry| self.container("struct workqueue_struct", "list", entry));
        queues.filter_map(|queue| queue.follow("rescuer")).collect()
    }

    /// Variables of a type, and arrays of it.
    fn variables_of(&self, type_name: &'static str) -> Vec<Object<'_, 'i>> {
        let Some(wanted) = self.type_named(type_name) else { return Vec::new() };
        let wanted = self.symbols.resolve(wanted).1;
        let mut found = Vec::new();
        for name in self.symbols.variable_names("") {
            for variable in self.symbols.variables_named(&name) {
                let place = self.symbols.place(&variable, None, &mut super::NoFrame).ok();
                let Some(address) = place.and_then(|place| place.address()) else { continue };
                let elements = Object::new(self, address, variable.ty).elements(MAX_ELEMENTS);
                found.extend(elements.filter(|element| element.is_of(&wanted)));
            }
        }
        found
    }
}
