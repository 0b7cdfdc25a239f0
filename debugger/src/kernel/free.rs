//! Which objects of a slab are free: those that the slab itself says, and those that a CPU or a node keeps ready for the
//! next one who wants some.
//!
//! | kernel | a slab has its free objects | and ready ones are |
//! | --- | --- | --- |
//! | SLUB before 7.0 | in a chain, each with a pointer to the next one in it | in a chain of the CPU that has taken the slab |
//! | SLUB from 6.18 on | likewise | in sheaves, arrays of pointers, of each CPU and of the node |
//! | SLAB, up to 6.7 | as numbers in an array | in arrays of pointers, of each CPU and of the node |

use std::collections::HashSet;

use super::{Kernel, Object};

/// Free objects of a slab, of a chain, of an array that are looked at.
const MAX_FREE: u64 = 4096;

/// Nodes of memory: no kernel for Wasm has more than one.
const MAX_NODES: u64 = 16;

impl<'i> Kernel<'i> {
    /// Whether an object of a slab is free. `None` where that is on no list that can be read: the pointers in free objects may
    /// be scrambled.
    pub(super) fn is_free(&self, slab: &Object<'_, 'i>, cache: &Object<'_, 'i>, object: u64) -> Option<bool> {
        if self.ready_objects(cache).contains(&object) {
            return Some(true);
        }
        let free = match slab.member("s_mem") {
            Some(first) => self.numbered_objects(slab, cache, first.unsigned()?),
            None => self.chained_objects(slab, cache),
        };
        free.map(|free| free.contains(&object))
    }

    /// A CPU's own copy of what a pointer to per-CPU memory means.
    fn copy_of(&self, type_name: &'static str, template: u64, cpu: u32) -> Option<Object<'_, 'i>> {
        let own = template.wrapping_add(self.per_cpu_offset(cpu)?) & self.address_mask();
        self.object(type_name, own)
    }

    /// SLUB's free objects of a slab: of its own chain, and of those of CPUs that have taken the slab.
    fn chained_objects(&self, slab: &Object<'_, 'i>, cache: &Object<'_, 'i>) -> Option<HashSet<u64>> {
        if cache.member("random").is_some() {
            return None;
        }
        let offset = cache.u("offset")?;
        let mut free = HashSet::new();
        let mut follow = |first: Option<u64>| {
            let first = first.filter(|&first| first != 0);
            let chain = first.map(|first| self.chain(first, offset, MAX_FREE as usize, "a slab's free list"));
            free.extend(chain.unwrap_or_default());
        };
        follow(slab.u("freelist"));
        if let Some(template) = cache.u("cpu_slab").filter(|&template| template != 0) {
            for cpu in self.online_cpus() {
                let own = self.copy_of("struct kmem_cache_cpu", template, cpu)?;
                let its_slab = own.member_of(&["slab", "page"]).and_then(|slab| slab.unsigned());
                if its_slab == Some(slab.address()) {
                    follow(own.u("freelist"));
                }
            }
        }
        Some(free)
    }

    /// SLAB's free objects of a slab: a list of numbers, of which those from `active` on are free.
    fn numbered_objects(&self, slab: &Object<'_, 'i>, cache: &Object<'_, 'i>, first: u64) -> Option<HashSet<u64>> {
        let width = self.symbols.size_of(self.type_named("freelist_idx_t")?)?;
        let (numbers, size) = (slab.u("freelist")?, cache.u("size")?);
        let mut free = HashSet::new();
        for index in slab.u("active")?..cache.u("num")?.min(MAX_FREE) {
            let at = numbers.wrapping_add(index.wrapping_mul(width)) & self.address_mask();
            let Some(number) = self.memory.unsigned(at, width).filter(|_| self.step()) else {
                self.problem(format!("there is no memory where a slab's list of free objects should be, at {at:#x}"));
                return None;
            };
            free.insert(first.wrapping_add(number.wrapping_mul(size)) & self.address_mask());
        }
        Some(free)
    }

    /// Objects of a cache that lie ready, whichever slab they are of. Those that wait for a grace period are not free yet.
    fn ready_objects(&self, cache: &Object<'_, 'i>) -> HashSet<u64> {
        let mut ready = HashSet::new();
        for cpu in self.online_cpus() {
            let copy =
                |member, type_name| self.copy_of(type_name, cache.u(member).filter(|&template| template != 0)?, cpu);
            if let Some(sheaves) = copy("cpu_sheaves", "struct slub_percpu_sheaves") {
                for sheaf in ["main", "spare"].into_iter().filter_map(|member| sheaves.follow(member)) {
                    self.add_array(&sheaf, "size", "objects", &mut ready);
                }
            }
            if let Some(array) = copy("cpu_cache", "struct array_cache") {
                self.add_array(&array, "avail", "entry", &mut ready);
            }
        }
        let nodes = cache.member_of(&["per_node", "node"]);
        for node in nodes.iter().flat_map(|nodes| nodes.elements(MAX_NODES)) {
            // A pointer to the node, or a structure of pointers to what it has.
            let node = node.target().unwrap_or(node);
            if let Some(shared) = node.follow("shared") {
                self.add_array(&shared, "avail", "entry", &mut ready);
            }
            let Some(full) = node.follow("barn").and_then(|barn| barn.member("sheaves_full")) else { continue };
            for entry in self.list(full.address(), "the full sheaves of a slab cache") {
                let Some(sheaf) = self.container("struct slab_sheaf", "barn_list", entry) else { break };
                self.add_array(&sheaf, "size", "objects", &mut ready);
            }
        }
        ready
    }

    /// The pointers that an array has, as many as its count says.
    fn add_array(&self, of: &Object<'_, 'i>, count: &'static str, array: &'static str, found: &mut HashSet<u64>) {
        let (Some(count), Some(array)) = (of.u(count), of.member(array)) else { return };
        if count > MAX_FREE {
            self.problem(format!("{:#x} says that it has {count} free objects", of.address()));
        }
        for index in 0..count.min(MAX_FREE) {
            let at = array.address().wrapping_add(index * self.word()) & self.address_mask();
            let Some(object) = self.memory.unsigned(at, self.word()).filter(|_| self.step()) else {
                return self.unreadable(at);
            };
            found.insert(object);
        }
    }
}
