//! Words of memory and their values in words: what a value is, and what lies at an address.

use wkdb_tracer::{ModuleId, RunnerId};

use super::explorer::Explorer;
use crate::expr::{Evaluator, FrameTarget};
use crate::kernel::{Finding, StackUse};
use crate::symbols::{DataSource, Symbols, TypeId, TypeKind};

/// Below this there are no data of a guest's: the first page of Wasm.
const FIRST_PAGE: u64 = 1 << 16;

/// Members of members that are named.
const MOST_NESTED: usize = 8;

impl Explorer<'_> {
    /// Why a value cannot be a pointer; none if it can be one.
    pub(super) fn nonsense(&mut self, value: u64) -> Option<String> {
        let bytes = value.to_le_bytes();
        let word = match self.code(ModuleId::KERNEL).map(|code| code.word()) {
            Some(8) => &bytes[..],
            _ => &bytes[..4],
        };
        if word.iter().all(|byte| *byte == 0xff) {
            return Some("−1".to_owned());
        }
        if value == 0 {
            return Some("null".to_owned());
        }
        if word.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            let text: String = word.iter().map(|byte| char::from(*byte)).collect();
            return Some(format!("the text {text:?}"));
        }
        if word.iter().all(|byte| *byte == word[0]) {
            return Some(format!("the byte {:#04x} repeated", word[0]));
        }
        if !self.is_memory(value) {
            return Some("beyond the memory".to_owned());
        }
        if value < FIRST_PAGE {
            return Some("in the first page, where nothing is".to_owned());
        }
        (!value.is_multiple_of(4)).then(|| "not aligned".to_owned())
    }

    /// A value as a pointer: with the name of what lies there.
    pub(super) fn pointer_text(&mut self, value: u64) -> String {
        match self.variable_at(value) {
            Some(name) if value >= FIRST_PAGE => format!("{value:#x} <{name}>"),
            _ => format!("{value:#x}"),
        }
    }

    /// What a pointer means: where a variable begins, that, not its first member.
    pub(super) fn variable_at(&mut self, address: u64) -> Option<String> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        let whole =
            symbols.symbol_at(address).filter(|(_, offset)| *offset == 0).map(|(symbol, _)| symbol.name.clone());
        whole.or_else(|| {
            // The same for a member that is a structure: `minik_eth0.stats_lock`.
            let name = self.data_name(address)?;
            let before = address.checked_sub(1).and_then(|before| self.data_name(before)).unwrap_or_default();
            let mut common = 0;
            for ((at, one), other) in name.char_indices().zip(before.chars().map(Some).chain(std::iter::repeat(None))) {
                if Some(one) != other {
                    break;
                }
                if matches!(one, '.' | '[') {
                    common = at;
                }
            }
            // The first member of the name that the byte before does not share.
            let end = name[common + 1..].find('.').map_or(name.len(), |end| common + 1 + end);
            Some(name[..end].to_owned())
        })
    }

    /// A value as a function pointer of the kernel's.
    pub(super) fn function_text(&mut self, value: u64) -> Option<String> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        Some(symbols.function_name(symbols.table_function(value)?))
    }

    /// The datum of the kernel's that has an address, down to its member: `first_worker.pool`.
    pub(super) fn data_name(&mut self, address: u64) -> Option<String> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        let (symbol, offset) = symbols.symbol_at(address)?;
        if symbol.size.is_some_and(|size| offset >= size.max(1)) {
            return None;
        }
        // A symbol in the middle of a variable says less than its member.
        if symbol.source != DataSource::Dwarf
            && let Some(before) = symbol.address.checked_sub(1)
            && let Some((around, _)) = symbols.symbol_at(before)
            && let Some(into) = address.checked_sub(around.address)
            && around.source == DataSource::Dwarf
            && around.size.is_some_and(|size| into < size)
        {
            return Some(named(&symbols, &around.name, around.address, into));
        }
        Some(named(&symbols, &symbol.name, symbol.address, offset))
    }

    /// What lies at an address, by all that is known of it, the most exact first.
    pub(super) fn what_is_at(&mut self, address: u64) -> Vec<String> {
        let mut texts = Vec::new();
        texts.extend(self.data_name(address));
        let findings = self.kernel(|kernel| kernel.address(address).findings).unwrap_or_default();
        for finding in findings {
            match &finding {
                Finding::Variable { .. } if !texts.is_empty() => {}
                Finding::Function { .. } | Finding::NearNull => {}
                Finding::PerCpu { cpu, name, offset } => {
                    let symbols = self.symbols(ModuleId::KERNEL);
                    let own = symbols.as_ref().and_then(|symbols| {
                        let symbol = symbols.data_symbol(name)?;
                        Some(named(symbols, name, symbol.address, *offset))
                    });
                    texts.push(format!("cpu{cpu}'s {}", own.unwrap_or_else(|| format!("{name}+{offset:#x}"))));
                }
                Finding::Task { task, offset } => {
                    let member = self.member("struct task_struct", *offset);
                    texts.push(format!("{} of the task {task}", member.unwrap_or_else(|| format!("byte {offset}"))));
                }
                // What is in static data is no page's.
                Finding::Page(page) if page.object.is_none() && !texts.is_empty() => {}
                other => texts.push(other.text()),
            }
        }
        texts
    }

    fn member(&mut self, ty: &str, offset: u64) -> Option<String> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        let ty = symbols.type_named(ty, None)?;
        Some(member_path(&symbols, ty, offset).trim_start_matches('.').to_owned())
    }

    /// How the source calls a word in a frame: `worker->pool`. By the first variable that points to something around it.
    pub(super) fn expression(&mut self, runner: RunnerId, level: usize, address: u64) -> Option<String> {
        let frames = self.inferior.frames(runner).ok()?;
        let depth = frames.len().checked_sub(level + 1)?;
        let frame = *frames.get(depth)?;
        let module = frame.address.module;
        let symbols = self.symbols(module)?;
        let inlined = symbols.locate(frame.address.offset).frames.len();
        for inline in 0..inlined {
            let target = FrameTarget::new(self.inferior, module, runner, depth as u32, inline);
            let mut target = target.ok()?;
            let mut evaluator = Evaluator::new(&symbols, &mut target);
            for (variable, value) in evaluator.locals() {
                let TypeKind::Pointer { to, .. } = symbols.resolve(variable.ty).1.kind else { continue };
                let Some(size) = symbols.size_of(to).filter(|&size| size > 0) else { continue };
                let Ok(value) = value.and_then(|value| evaluator.integer(&value)) else { continue };
                let Ok(value) = u64::try_from(value) else { continue };
                if (value..value.saturating_add(size)).contains(&address) {
                    let path = member_path(&symbols, to, address - value);
                    return Some(match path.strip_prefix('.') {
                        Some(path) => format!("{}->{path}", variable.name),
                        None => format!("*{}{path}", variable.name),
                    });
                }
            }
        }
        None
    }

    /// The kernel stack of a task.
    pub(super) fn kernel_stack(&mut self, runner: RunnerId) -> Option<StackUse> {
        self.kernel(|kernel| kernel.stack_of(runner)).flatten()
    }
}

/// The name of a part of a variable.
fn named(symbols: &Symbols, name: &str, address: u64, offset: u64) -> String {
    let plain = || if offset == 0 { name.to_owned() } else { format!("{name}+{offset:#x}") };
    let is_it = |variable: &crate::symbols::Variable| {
        let place = symbols.place(variable, None, &mut NoFrame).ok();
        place.and_then(|place| place.address()) == Some(address)
    };
    match symbols.variables_named(name).into_iter().find(is_it) {
        Some(variable) => format!("{name}{}", member_path(symbols, variable.ty, offset)),
        None => plain(),
    }
}

/// The way to a byte of a type: `.entry.next`, `[3].func`; `+0x2` where it is within a member.
fn member_path(symbols: &Symbols, ty: TypeId, offset: u64) -> String {
    let (mut ty, mut offset, mut path) = (ty, offset, String::new());
    for _ in 0..MOST_NESTED {
        let (_, resolved) = symbols.resolve(ty);
        match &resolved.kind {
            TypeKind::Composite(composite) => {
                let holds = |member: &&crate::symbols::Member| {
                    let size = symbols.size_of(member.ty).unwrap_or(0);
                    member.bits.is_none() && (member.offset..member.offset + size).contains(&offset)
                };
                let Some(member) = composite.members.iter().find(holds) else { break };
                if let Some(name) = &member.name {
                    path.push_str(&format!(".{name}"));
                }
                (ty, offset) = (member.ty, offset - member.offset);
            }
            TypeKind::Array { element, .. } => {
                let Some(size) = symbols.size_of(*element).filter(|&size| size > 0) else { break };
                path.push_str(&format!("[{}]", offset / size));
                (ty, offset) = (*element, offset % size);
            }
            _ => break,
        }
    }
    if offset > 0 {
        path.push_str(&format!("+{offset:#x}"));
    }
    path
}

/// A frame that no location of a global needs.
struct NoFrame;

impl crate::symbols::FrameReader for NoFrame {
    fn slot(&mut self, slot: crate::symbols::Slot) -> Result<wkdb_tracer::WasmValue, crate::symbols::Unavailable> {
        Err(crate::symbols::Unavailable(format!("a global does not lie in {slot}")))
    }

    fn memory(&mut self, address: u64, _: u64) -> Result<Vec<u8>, crate::symbols::Unavailable> {
        Err(crate::symbols::Unavailable(format!("a global's place does not depend on memory at {address:#x}")))
    }
}
