//! The memory of a process: there is no MMU, so these are pieces of the one memory that all share.

use serde::Serialize;

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Areas of one process. More are none.
const MAX_AREAS: usize = 65_536;

/// Bytes of a page: no kernel for Wasm has others, and areas that minik keeps are counted in them.
const PAGE_SHIFT: u64 = 12;

/// A piece of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapRow {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// What may be done there, as /proc/PID/maps writes it; nothing watches over that.
    pub access: Option<String>,
    /// The file that it is from.
    pub file: Option<String>,
    /// What it is for: `image`, `data`, `stack`, `heap`, `arguments`, `mapping`.
    pub what: Vec<&'static str>,
}

/// The memory of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapsView {
    /// When.
    pub now: Now,
    /// Whose.
    pub task: TaskRef,
    /// Its `mm_struct`; `None` for a thread of the kernel's own.
    pub mm: Option<u64>,
    /// By address.
    pub maps: Vec<MapRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl<'i> Kernel<'i> {
    /// A process's areas (`struct vm_area_struct`): in a maple tree from 6.1 on, before that in a list.
    fn areas(&self, mm: &Object<'_, 'i>, who: &TaskRef) -> Vec<Object<'_, 'i>> {
        let entries = if let Some(tree) = mm.member("mm_mt") {
            self.maple_tree(tree.address(), &format!("the memory areas of {who}"))
        } else if let Some(first) = mm.u("mmap") {
            let next = self.type_named("struct vm_area_struct").and_then(|ty| self.field(ty, "vm_next"));
            next.map(|next| self.chain(first, next.offset, MAX_AREAS, &format!("the memory areas of {who}")))
                .unwrap_or_default()
        } else {
            Vec::new()
        };
        let areas = entries.into_iter().take(MAX_AREAS);
        areas.filter_map(|entry| self.object("struct vm_area_struct", entry)).collect()
    }

    /// What a process's descriptor says that a range is for.
    fn purposes(&self, mm: &Object<'_, 'i>, start: u64, end: u64) -> Vec<&'static str> {
        const PARTS: [(&str, &str, &str); 6] = [
            ("start_code", "end_code", "code"),
            ("start_data", "end_data", "data"),
            ("start_brk", "brk", "heap"),
            ("arg_start", "env_end", "arguments"),
            ("context.bin_start", "context.bin_end", "image"),
            ("bin_start", "bin_end", "image"),
        ];
        let within = |first: u64, last: u64| first < end && last > start && first < last;
        let mut purposes: Vec<&'static str> = (PARTS.iter())
            .filter(|(first, last, _)| mm.u(first).zip(mm.u(last)).is_some_and(|(a, b)| within(a, b)))
            .map(|(.., what)| *what)
            .collect();
        // The stack grows down from there.
        if mm.u("start_stack").is_some_and(|top| top > start && top <= end) {
            purposes.push("stack");
        }
        purposes
    }

    fn area_row(&self, mm: &Object<'_, 'i>, area: &Object<'_, 'i>) -> Option<MapRow> {
        let (start, end) = (area.u("vm_start")?, area.u("vm_end")?);
        // VM_READ, VM_WRITE, VM_EXEC, VM_SHARED; VM_MAYSHARE stands for shared where there is no MMU.
        let access = area.u("vm_flags").map(|flags| {
            let letter = |bit: u64, letter| if flags & bit != 0 { letter } else { '-' };
            let shared = if flags & 0x88 != 0 { 's' } else { 'p' };
            [letter(1, 'r'), letter(2, 'w'), letter(4, 'x'), shared].iter().collect()
        });
        let file = area.follow("vm_file").and_then(|file| self.file_path(&file));
        if end <= start {
            self.problem(format!(
                "the memory area {:#x} ends at {end:#x}, before its start {start:#x}",
                area.address()
            ));
        }
        Some(MapRow { start, end, access, file, what: self.purposes(mm, start, end) })
    }

    /// The pieces that minik's descriptor names one by one, and those that the process has asked for.
    fn minik_areas(&self, mm: &Object<'_, 'i>, who: &TaskRef) -> Vec<MapRow> {
        let Some(mmaps) = mm.member("mmaps") else { return Vec::new() };
        let block = |start: u64, order: u64, what| MapRow {
            start,
            end: start.saturating_add(1 << (order.min(20) + PAGE_SHIFT)),
            access: None,
            file: None,
            what,
        };
        let mut rows = Vec::new();
        if let (Some(start), Some(end)) = (mm.u("bin_start"), mm.u("bin_end")) {
            rows.push(MapRow { start, end, access: None, file: None, what: vec!["image"] });
        }
        if let (Some(start), Some(order)) = (mm.u("data_start"), mm.u("data_order")) {
            rows.push(block(start, order, vec!["data"]));
        }
        if let (Some(start), Some(order)) = (mm.u("start_brk"), mm.u("stack_order")) {
            rows.push(block(start, order, vec!["heap", "stack"]));
        }
        for entry in self.list(mmaps.address(), &format!("the mappings of {who}")) {
            let area = self.container("struct vm_area", "list", entry);
            let area = area.and_then(|area| area.u("start").zip(area.u("order")));
            rows.extend(area.map(|(start, order)| block(start, order, vec!["mapping"])));
        }
        rows
    }

    /// The pieces of memory of a task's process.
    pub(super) fn map_rows(&self, task: &Object<'_, 'i>) -> (Option<u64>, Vec<MapRow>) {
        let who = self.task_ref(task);
        let Some(mm) = task.follow("mm") else { return (None, Vec::new()) };
        let mut maps: Vec<MapRow> = self.areas(&mm, &who).iter().filter_map(|area| self.area_row(&mm, area)).collect();
        maps.extend(self.minik_areas(&mm, &who));
        maps.sort_by_key(|row| (row.start, row.end));
        (Some(mm.address()), maps)
    }

    /// The memory of a task's process.
    pub fn maps(&self, task: &Object<'_, 'i>) -> MapsView {
        let (mm, maps) = self.map_rows(task);
        MapsView { now: self.now(), task: self.task_ref(task), mm, maps, problems: self.take_problems() }
    }
}

impl MapsView {
    /// As a table.
    pub fn text(&self) -> Output {
        let mut out = Output::from("memory of ");
        out.mark(Style::Task, self.task.to_string());
        match self.mm {
            Some(mm) => out.line(format!(", mm_struct {mm:#x}")),
            None => out.line(": it has none of its own"),
        };
        if !self.maps.is_empty() {
            let mut table = Table::new(["Start", "End", "Bytes", "May", "For", "File"]);
            for row in &self.maps {
                table.row([
                    styled(format!("{:#x}", row.start), Style::Address),
                    styled(format!("{:#x}", row.end), Style::Address),
                    plain(row.end.saturating_sub(row.start)),
                    cell(row.access.clone()),
                    plain(row.what.join(", ")),
                    plain(row.file.as_deref().unwrap_or("")),
                ]);
            }
            out.append(&table.into_output());
        }
        tell_problems(&mut out, &self.problems);
        out
    }
}
