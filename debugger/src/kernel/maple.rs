//! Maple trees: what a range of addresses leads to, as Linux keeps a process's memory areas from 6.1 on.
//!
//! A pointer to a node has the node's kind in the bits that its alignment leaves free; see `include/linux/maple_tree.h`.

use std::collections::HashSet;

use super::Kernel;

/// Levels of a tree: with ten entries a node, more than addresses need.
const MAX_DEPTH: usize = 16;

/// Nodes are aligned to this; what is below it in a pointer is the kind.
const NODE_MASK: u64 = 255;

/// Where the pivots and slots of a kind of node are.
struct Shape {
    parent: u64,
    pivots: u64,
    pivot_count: u64,
    slots: u64,
    slot_count: u64,
}

/// A walk through a tree.
struct Walk<'w> {
    what: &'w str,
    /// What every range leads to, in order.
    entries: Vec<u64>,
    seen: HashSet<u64>,
}

impl Kernel<'_> {
    /// The entries of a maple tree in the order of what they are for, by the address of its `struct maple_tree`.
    pub(super) fn maple_tree(&self, tree: u64, what: &str) -> Vec<u64> {
        let mut walk = Walk { what, entries: Vec::new(), seen: HashSet::new() };
        let root = self.type_named("struct maple_tree").and_then(|ty| self.field(ty, "ma_root"));
        let root = root.and_then(|root| self.memory.unsigned(tree.wrapping_add(root.offset), self.word()));
        match root {
            None | Some(0) => {}
            // A tree of one entry for the range from 0 on has no nodes.
            Some(root) if root & 3 != 2 => walk.entries.push(root),
            Some(root) => self.maple_node(root, None, (0, self.long_mask()), 0, &mut walk),
        }
        walk.entries
    }

    fn shape(&self, kind: u64) -> Option<(Shape, bool)> {
        // enum maple_type: dense, leaf, range, range with gaps.
        let (name, leaf) = match kind {
            1 => ("struct maple_range_64", true),
            2 => ("struct maple_range_64", false),
            3 => ("struct maple_arange_64", false),
            _ => return None,
        };
        let ty = self.type_named(name)?;
        let array = |path| {
            let field = self.field(ty, path)?;
            let object = super::Object::new(self, field.offset, field.ty);
            Some((field.offset, object.count()?))
        };
        let ((pivots, pivot_count), (slots, slot_count)) = (array("pivot")?, array("slot")?);
        let parent = self.field(ty, "parent")?.offset;
        Some((Shape { parent, pivots, pivot_count, slots, slot_count }, leaf))
    }

    /// Adds what is below a node, whose entries are for the range from `min` to `max`.
    fn maple_node(&self, pointer: u64, above: Option<u64>, range: (u64, u64), depth: usize, walk: &mut Walk) {
        let (mut min, max) = range;
        let (node, kind) = (pointer & !NODE_MASK, pointer >> 3 & 15);
        let what = walk.what;
        let broken = |why: &str| self.problem(format!("{what}: the maple node {node:#x} {why}"));
        if !self.step() {
            return;
        }
        if node < super::LOWEST || depth >= MAX_DEPTH || !walk.seen.insert(node) {
            return broken("cannot be where it is found");
        }
        let Some((shape, leaf)) = self.shape(kind) else { return broken(&format!("has the unknown kind {kind}")) };
        let load = |offset: u64| self.memory.unsigned(node.wrapping_add(offset) & self.address_mask(), self.word());
        let Some(parent) = load(shape.parent) else { return broken("is where there is no memory") };
        if let Some(above) = above
            && parent & !NODE_MASK != above
        {
            return broken(&format!("has another parent, {:#x}, than {above:#x}", parent & !NODE_MASK));
        }
        for slot in 0..shape.slot_count {
            // The last range of a node ends where the node's does, and has no pivot then, or one of zero.
            let pivot = if slot < shape.pivot_count { load(shape.pivots + slot * self.word()) } else { None };
            let end = pivot.filter(|&pivot| pivot != 0 || slot == 0).unwrap_or(max);
            if end < min || end > max {
                return broken(&format!("has the pivot {end:#x}, which is not from {min:#x} to {max:#x}"));
            }
            let Some(entry) = load(shape.slots + slot * self.word()) else { return };
            match entry {
                0 => {}
                // What the tree keeps for itself: a place that is only reserved.
                entry if leaf && entry & 3 == 2 => {}
                entry if leaf => walk.entries.push(entry),
                entry => self.maple_node(entry, Some(node), (min, end), depth + 1, walk),
            }
            if end >= max {
                break;
            }
            min = end + 1;
        }
    }
}
