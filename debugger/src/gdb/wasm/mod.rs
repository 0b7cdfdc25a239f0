//! lldb's own Wasm: the guest as lldb's Wasm plugin sees one, beside [the processor](super) that gdb and other clients are
//! shown.
//!
//! ```text
//! 63 62 61       32 31        0
//!  0  0  0           address       guest memory; frames and what else is in the layout, where that has it
//!  0  0  task + 1    offset        a task's table
//!  0  1  module      offset        the module that lldb is given
//! ```
//!
//! lldb needs no file: modules are read from here, and what their debug information says of frames leads to
//! [tables](crate::companion::table). Addresses of code are those of Wasm, and so are instructions.
//!
//! The plugin says neither of which task it wants a local, nor can it be told where outer frames are; where it asks for
//! locals all the same, those of the task whose stack it asked for last are meant.

mod answers;
mod memory;
mod replies;
mod steps;

use std::collections::BTreeMap;

use gdbstub::common::Tid;
use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use super::target::Face;

pub(super) use answers::{Handled, handle};
pub(super) use replies::{libraries, pc_field, stop_reply};
pub(super) use steps::run_through_call;

/// The bits that tell what an address is of.
const KIND_SHIFT: u32 = 62;
/// Of a module.
const OBJECT: u64 = 1 << KIND_SHIFT;
/// Where the module's id is.
const MODULE_SHIFT: u32 = 32;

/// What a connection remembers.
#[derive(Debug, Default)]
pub(super) struct Native {
    /// Whose stack was asked for last.
    stack_of: Option<Tid>,
    /// Breakpoints that were asked for in front of a function's first instruction, by that.
    asked: BTreeMap<CodeAddress, CodeAddress>,
}

/// What an address is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An address of the layout, or of a table.
    Memory(u64),
    /// A byte of a module that lldb is given.
    Object(ModuleId, u64),
    Nothing,
}

fn place(address: u64) -> Place {
    match address >> KIND_SHIFT {
        0 => Place::Memory(address),
        1 => Place::Object(
            ModuleId((address >> MODULE_SHIFT) as u32 & ((1 << (KIND_SHIFT - MODULE_SHIFT)) - 1)),
            address & 0xffff_ffff,
        ),
        _ => Place::Nothing,
    }
}

/// The first address of a module.
fn object_address(module: ModuleId) -> u64 {
    OBJECT | u64::from(module.0) << MODULE_SHIFT
}

/// The address of an instruction. Of a module that lldb is not given, one where nothing is.
fn code_address(face: &mut Face<'_>, address: CodeAddress) -> u64 {
    let start = face.files.object(face.inferior, address.module).map_or(0, |object| object.code_start);
    object_address(address.module) + start + u64::from(address.offset.0)
}

/// The code at an address.
fn code_at(face: &mut Face<'_>, address: u64) -> Option<CodeAddress> {
    let Place::Object(module, offset) = place(address) else { return None };
    let object = face.files.object(face.inferior, module)?;
    let offset = CodeOffset(u32::try_from(offset.checked_sub(object.code_start)?).ok()?);
    face.view.modules.code(module)?.has(offset).then_some(CodeAddress { module, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_they_are_of() {
        assert_eq!(place(0x11688), Place::Memory(0x11688));
        assert_eq!(place(0x3_0000_0010), Place::Memory(0x3_0000_0010));
        assert_eq!(place(object_address(ModuleId(5)) + 0x793), Place::Object(ModuleId(5), 0x793));
        assert_eq!(place(u64::MAX), Place::Nothing);
    }
}
