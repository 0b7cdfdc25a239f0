//! The memory that a process may write, read from its `mm_struct` by offsets that were worked out once: a program's code
//! asks for it whenever it writes somewhere new, so this must cost some reads of memory, and no DWARF.
//!
//! From 6.1 on Linux keeps a process's areas in a maple tree, before that in a list; minik's descriptor names its pieces one
//! by one. What [`Kernel::maps`](super::super::Kernel::maps) shows is the same, with more words.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::landmarks::{At, Survey};
use crate::symbols::Symbols;

/// Areas of one process. More are none.
const MAX_AREAS: usize = 65_536;

/// Nodes of a maple tree that are looked at, and how deep it is at most.
const MAX_NODES: usize = 65_536;
const MAX_DEPTH: usize = 16;

/// Nodes of maple trees are aligned to this; what is below it in a pointer is the kind.
const NODE_MASK: u64 = 255;

/// `VM_WRITE`.
const WRITABLE: u64 = 2;

/// Bytes of a page, as minik counts them.
const PAGE_SHIFT: u64 = 12;

/// A kind of node of a maple tree: where its pivots and its slots are, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    pivots: u64,
    pivot_count: u64,
    slots: u64,
    slot_count: u64,
}

/// How areas are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kept {
    /// In a maple tree, whose root is here in the descriptor.
    Tree { root: u64, range: Node, arange: Node },
    /// In a list, whose first one is here in the descriptor, and the next one here in each.
    List { first: At, next: At },
}

/// Linux's areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Areas {
    kept: Kept,
    start: At,
    end: At,
    flags: At,
}

/// minik's pieces: each with its start and the logarithm of its pages, and the list of those that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pieces {
    named: [Option<(At, At)>; 2],
    list: u64,
    entry: u64,
    piece: (At, At),
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaMarks {
    word: u64,
    areas: Option<Areas>,
    pieces: Option<Pieces>,
}

/// Reads a number of so many bytes of the guest's memory; none where there is no memory.
type Read<'r> = &'r dyn Fn(u64, u64) -> Option<u64>;

impl AreaMarks {
    /// Those of a kernel; none if it does not say where it keeps a process's memory.
    pub fn of(symbols: &Symbols) -> Option<AreaMarks> {
        let survey = Survey { symbols };
        let marks = AreaMarks { word: symbols.address_size(), areas: areas(&survey), pieces: pieces(&survey) };
        (marks.areas.is_some() || marks.pieces.is_some()).then_some(marks)
    }

    /// What the process with this descriptor may write, as far as it can be read: what makes no sense ends the walk.
    pub fn writable(&self, mm: u64, read: Read<'_>) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        if let Some(areas) = &self.areas {
            for area in self.entries(areas, mm, read) {
                let part = |at: At| read(area.wrapping_add(at.offset), at.size);
                if let (Some(start), Some(end), Some(flags)) = (part(areas.start), part(areas.end), part(areas.flags))
                    && flags & WRITABLE != 0
                {
                    found.push(start..end);
                }
            }
        }
        if let Some(pieces) = &self.pieces {
            let block = |of: u64, (start, order): (At, At)| {
                let start = read(of.wrapping_add(start.offset), start.size)?;
                let order = read(of.wrapping_add(order.offset), order.size)?;
                Some(start..start.saturating_add(1 << (order.min(20) + PAGE_SHIFT)))
            };
            found.extend(pieces.named.iter().flatten().filter_map(|&at| block(mm, at)));
            let head = mm.wrapping_add(pieces.list);
            let mut entry = read(head, self.word);
            while let Some(at) = entry.filter(|&at| at != head && at != 0)
                && found.len() < MAX_AREAS
            {
                found.extend(block(at.wrapping_sub(pieces.entry), pieces.piece));
                entry = read(at, self.word);
            }
        }
        found.retain(|area| area.start != 0 && area.start < area.end);
        found
    }

    /// Linux's areas, by their addresses.
    fn entries(&self, areas: &Areas, mm: u64, read: Read<'_>) -> Vec<u64> {
        let mut entries = Vec::new();
        match areas.kept {
            Kept::Tree { root, range, arange } => match read(mm.wrapping_add(root), self.word) {
                None | Some(0) => {}
                // A tree of one entry for the range from 0 on has no nodes.
                Some(root) if root & 3 != 2 => entries.push(root),
                Some(root) => {
                    let top = if self.word == 8 { u64::MAX } else { u64::from(u32::MAX) };
                    let mut walk = Walk { word: self.word, read, range, arange, nodes: 0, entries: &mut entries };
                    walk.node(root, (0, top), 0);
                }
            },
            Kept::List { first, next } => {
                let mut area = read(mm.wrapping_add(first.offset), first.size);
                while let Some(at) = area.filter(|&at| at != 0)
                    && entries.len() < MAX_AREAS
                {
                    entries.push(at);
                    area = read(at.wrapping_add(next.offset), next.size);
                }
            }
        }
        entries
    }
}

/// A walk through a maple tree.
struct Walk<'w, 'r> {
    word: u64,
    read: Read<'r>,
    range: Node,
    arange: Node,
    nodes: usize,
    entries: &'w mut Vec<u64>,
}

impl Walk<'_, '_> {
    /// Adds what is below a node, whose entries are for the range from `min` to `max`.
    fn node(&mut self, pointer: u64, (mut min, max): (u64, u64), depth: usize) {
        // enum maple_type: dense, leaf, range, range with gaps.
        let (shape, leaf) = match pointer >> 3 & 15 {
            1 => (self.range, true),
            2 => (self.range, false),
            3 => (self.arange, false),
            _ => return,
        };
        self.nodes += 1;
        if depth >= MAX_DEPTH || self.nodes > MAX_NODES {
            return;
        }
        let node = pointer & !NODE_MASK;
        let (read, word) = (self.read, self.word);
        let load = |offset: u64, index: u64| read(node.wrapping_add(offset).wrapping_add(index * word), word);
        for slot in 0..shape.slot_count {
            // The last range of a node ends where the node's does, and has no pivot then, or one of zero.
            let pivot = if slot < shape.pivot_count { load(shape.pivots, slot) } else { None };
            let end = pivot.filter(|&pivot| pivot != 0 || slot == 0).unwrap_or(max);
            let Some(entry) = load(shape.slots, slot).filter(|_| (min..=max).contains(&end)) else { return };
            match entry {
                0 => {}
                // What the tree keeps for itself: a place that is only reserved.
                entry if leaf && entry & 3 == 2 => {}
                entry if leaf => self.entries.push(entry),
                entry => self.node(entry, (min, end), depth + 1),
            }
            if end >= max || self.entries.len() >= MAX_AREAS {
                break;
            }
            min = end + 1;
        }
    }
}

fn areas(survey: &Survey<'_>) -> Option<Areas> {
    let (mm, area) = (survey.ty("struct mm_struct")?, survey.ty("struct vm_area_struct")?);
    let tree = || {
        let node = |name| {
            let ty = survey.ty(name)?;
            let (pivots, slots) = (survey.field(ty, "pivot")?, survey.field(ty, "slot")?);
            let ((_, _, pivot_count), (_, _, slot_count)) = (survey.array(pivots.ty)?, survey.array(slots.ty)?);
            Some(Node { pivots: pivots.offset, pivot_count, slots: slots.offset, slot_count })
        };
        let root = survey.offset(mm, "mm_mt.ma_root")?;
        Some(Kept::Tree { root, range: node("struct maple_range_64")?, arange: node("struct maple_arange_64")? })
    };
    let list = || Some(Kept::List { first: survey.at(mm, "mmap")?, next: survey.at(area, "vm_next")? });
    Some(Areas {
        kept: tree().or_else(list)?,
        start: survey.at(area, "vm_start")?,
        end: survey.at(area, "vm_end")?,
        flags: survey.at(area, "vm_flags")?,
    })
}

fn pieces(survey: &Survey<'_>) -> Option<Pieces> {
    let (mm, piece) = (survey.ty("struct mm_struct")?, survey.ty("struct vm_area")?);
    let named = [("data_start", "data_order"), ("start_brk", "stack_order")];
    Some(Pieces {
        named: named.map(|(start, order)| Some((survey.at(mm, start)?, survey.at(mm, order)?))),
        list: survey.offset(mm, "mmaps")?,
        entry: survey.offset(piece, "list")?,
        piece: (survey.at(piece, "start")?, survey.at(piece, "order")?),
    })
}
