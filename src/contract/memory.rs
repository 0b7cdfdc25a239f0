//! The one shared memory that every module of the guest imports.

use super::error::Refusal;
use super::outline::Outline;
use super::types::{ExternType, MemoryShape, PointerWidth};

/// Pages of 64 KiB that 32-bit addresses reach.
const MAX_PAGES_32: u64 = 1 << 16;
/// Pages of 64 KiB that 64-bit addresses reach.
const MAX_PAGES_64: u64 = 1 << 48;
/// 64 KiB, the only page size of the guest, as a power of two.
const PAGE_LOG2: u32 = 16;

/// Finds `env.memory` and adds to `refusals` whatever is wrong with it.
pub(super) fn check(outline: &Outline, refusals: &mut Vec<Refusal>) -> Option<MemoryShape> {
    let memories: Vec<_> = outline
        .imports
        .iter()
        .filter_map(|import| match &import.ty {
            ExternType::Memory(ty) => Some((import, *ty)),
            _ => None,
        })
        .collect();
    if outline.defined_memories > 0 {
        refusals.push(Refusal::MemoryDefined);
    }
    let (import, ty) = match memories[..] {
        [] => {
            if outline.defined_memories == 0 {
                refusals.push(Refusal::NoMemory);
            }
            return None;
        }
        [one] => one,
        [first, ..] => {
            refusals.push(Refusal::SeveralMemories(memories.len()));
            first
        }
    };
    if (import.module.as_str(), import.name.as_str()) != ("env", "memory") {
        refusals.push(Refusal::UnknownImport {
            module: import.module.clone(),
            name: import.name.clone(),
            ty: import.ty.to_string(),
        });
    }
    if !ty.shared {
        refusals.push(Refusal::MemoryNotShared);
    }
    if let Some(log2) = ty.page_size_log2.filter(|&log2| log2 != PAGE_LOG2) {
        refusals.push(Refusal::PageSize(log2));
    }
    let (width, limit) =
        if ty.memory64 { (PointerWidth::W64, MAX_PAGES_64) } else { (PointerWidth::W32, MAX_PAGES_32) };
    let Some(max) = ty.maximum else {
        refusals.push(Refusal::MemoryWithoutMaximum);
        return None;
    };
    if ty.initial > max || max > limit {
        refusals.push(Refusal::MemoryLimits { min: ty.initial, max, limit });
    }
    Some(MemoryShape { min_pages: ty.initial, max_pages: max, width })
}
