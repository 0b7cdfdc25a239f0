//! Walks along the kernel's lists and trees. What was overwritten ends a walk and is told; nothing is followed twice.

use std::collections::HashSet;

use super::Kernel;

/// Entries of one list. Longer ones are none.
const MAX_ENTRIES: usize = 100_000;

/// Levels of a red-black tree: one of more has more nodes than memory has room for.
const MAX_DEPTH: usize = 64;

/// Where the pointers of a `struct rb_node` are.
#[derive(Clone, Copy)]
struct RbNode {
    parent: u64,
    left: u64,
    right: u64,
}

/// A walk through a red-black tree.
struct RbWalk<'w> {
    shape: RbNode,
    what: &'w str,
    /// In order.
    nodes: Vec<u64>,
    seen: HashSet<u64>,
}

impl Kernel<'_> {
    /// The addresses of the entries (`struct list_head`) of a circular list, in order. Each one's `prev` must lead to the
    /// one before it: where it does not, the walk ends, and the problem says so of `what`.
    pub(super) fn list(&self, head: u64, what: &str) -> Vec<u64> {
        let (Some(first), Some(last)) = (self.pointer_at(head, 0), self.pointer_at(head, 1)) else {
            self.problem(format!("{what}: there is no memory at {head:#x}"));
            return Vec::new();
        };
        // A list that was never made has no entries.
        if first == 0 && last == 0 {
            return Vec::new();
        }
        let mut entries: Vec<u64> = Vec::new();
        let mut seen = HashSet::new();
        let (mut before, mut entry) = (head, first);
        while entry != head {
            let after = entries.len();
            let broken = |why: String| self.problem(format!("{what} is broken after {after} entries: {why}"));
            if !self.step() {
                return entries;
            }
            if entry < super::LOWEST || !entry.is_multiple_of(self.word()) {
                broken(format!("the next of {before:#x} is {entry:#x}, which is no list entry"));
                return entries;
            }
            let (Some(next), Some(prev)) = (self.pointer_at(entry, 0), self.pointer_at(entry, 1)) else {
                broken(format!("the next of {before:#x} is {entry:#x}, where there is no memory"));
                return entries;
            };
            if prev != before {
                broken(format!("the next of {before:#x} is {entry:#x}, but the prev of that is {prev:#x}"));
                return entries;
            }
            if !seen.insert(entry) || entries.len() >= MAX_ENTRIES {
                broken(format!("it does not come back to its head {head:#x}"));
                return entries;
            }
            entries.push(entry);
            (before, entry) = (entry, next);
        }
        if last != before {
            self.problem(format!("{what}: the last entry is {before:#x}, but the head's prev is {last:#x}"));
        }
        entries
    }

    /// The addresses of the entries (`struct hlist_node`) of a list with a head of one pointer, in order.
    pub(super) fn hlist(&self, head: u64, what: &str) -> Vec<u64> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        // What points to an entry: `pprev` leads back to it.
        let mut from = head;
        loop {
            let Some(entry) = self.pointer_at(from, 0) else {
                self.problem(format!("{what}: there is no memory at {from:#x}"));
                return entries;
            };
            if entry == 0 || !self.step() {
                return entries;
            }
            let after = entries.len();
            let broken = |why: &str| {
                self.problem(format!("{what} is broken after {after} entries: {from:#x} leads to {entry:#x}, {why}"));
            };
            if entry < super::LOWEST || !entry.is_multiple_of(self.word()) {
                broken("which is no list entry");
                return entries;
            }
            match self.pointer_at(entry, 1) {
                None => {
                    broken("where there is no memory");
                    return entries;
                }
                Some(back) if back != from => {
                    broken(&format!("but that comes from {back:#x}"));
                    return entries;
                }
                Some(_) => {}
            }
            if !seen.insert(entry) || entries.len() >= MAX_ENTRIES {
                broken("where it was before");
                return entries;
            }
            entries.push(entry);
            from = entry;
        }
    }

    /// The addresses of a chain of structures, each with a pointer to the next one `offset` bytes from its start, at most
    /// `max`. A null ends it.
    pub(super) fn chain(&self, first: u64, offset: u64, max: usize, what: &str) -> Vec<u64> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        let mut entry = first;
        while entry != 0 && entries.len() < max && self.step() {
            let after = entries.len();
            let broken = |why: &str| self.problem(format!("{what} is broken after {after} entries: {entry:#x} {why}"));
            if entry < super::LOWEST || !entry.is_multiple_of(self.word()) {
                broken("is no entry");
                return entries;
            }
            if !seen.insert(entry) {
                broken("was there before");
                return entries;
            }
            let Some(next) = self.memory.unsigned(entry.wrapping_add(offset) & self.address_mask(), self.word()) else {
                broken("is where there is no memory");
                return entries;
            };
            entries.push(entry);
            entry = next;
        }
        entries
    }

    /// The addresses of the nodes (`struct rb_node`) of a red-black tree in order, by the address of its `struct rb_root`.
    /// Each node must know its parent.
    pub(super) fn rb_tree(&self, root: u64, what: &str) -> Vec<u64> {
        let offsets = self.type_named("struct rb_node").and_then(|ty| {
            let offset = |path| self.field(ty, path).map(|field| field.offset);
            Some(RbNode { parent: offset("__rb_parent_color")?, left: offset("rb_left")?, right: offset("rb_right")? })
        });
        let Some(shape) = offsets else { return Vec::new() };
        let Some(top) = self.pointer_at(root, 0) else {
            self.problem(format!("{what}: there is no memory at {root:#x}"));
            return Vec::new();
        };
        let mut walk = RbWalk { shape, what, nodes: Vec::new(), seen: HashSet::new() };
        self.rb_subtree(top, 0, 0, &mut walk);
        walk.nodes
    }

    /// Adds a subtree to a walk. What is broken in it is left out.
    fn rb_subtree(&self, node: u64, parent: u64, depth: usize, walk: &mut RbWalk) {
        if node == 0 || !self.step() {
            return;
        }
        let what = walk.what;
        let broken = |why: &str| self.problem(format!("{what} is broken below {parent:#x}: {node:#x} {why}"));
        if node < super::LOWEST || !node.is_multiple_of(4) {
            return broken("is no node");
        }
        let load = |offset: u64| self.memory.unsigned(node.wrapping_add(offset) & self.address_mask(), self.word());
        let (Some(above), Some(left), Some(right)) =
            (load(walk.shape.parent), load(walk.shape.left), load(walk.shape.right))
        else {
            return broken("is where there is no memory");
        };
        // The lowest bits are the colour.
        if above & !3 != parent {
            return broken(&format!("has another parent, {:#x}", above & !3));
        }
        if !walk.seen.insert(node) || depth >= MAX_DEPTH {
            return broken("was there before, or lies too deep");
        }
        self.rb_subtree(left, node, depth + 1, walk);
        walk.nodes.push(node);
        self.rb_subtree(right, node, depth + 1, walk);
    }

    fn pointer_at(&self, address: u64, index: u64) -> Option<u64> {
        let word = self.word();
        self.memory.unsigned(address.wrapping_add(index * word) & self.address_mask(), word)
    }
}
