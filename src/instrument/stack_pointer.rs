//! Checks of the stack pointer: the guest's stack in memory grows down, and nothing guards its end.
//!
//! Clang keeps the pointer to it in a Wasm global. Where that is set to something that is not just more than it was, the
//! code compares it with the bounds that the host has set, and calls the host outside of them. What is put back where a
//! function returns was looked at when the function began.
//!
//! ```wat
//! global.set $stack_pointer                global.set $stack_pointer
//!                                          global.get $stack_pointer
//!                                          global.get $stack_low     ;; its lowest address
//!                                          i32.sub
//!                                          global.get $stack_room    ;; how far up it reaches
//!                                          i32.gt_u
//!                                          if                        ;; hinted: hardly ever
//!                                            global.get $stack_pointer
//!                                            i32.const 0             ;; 1 in a user image
//!                                            call $stack_left
//!                                          end
//! ```
//!
//! Both bounds are 0 at first, so the host is asked where the first stack is.

use wasmparser::{ExternalKind, Operator, TypeRef, ValType};

use super::RuntimeGlobals;
use super::body::{Scratch, Site};
use super::emit::Code;
use super::error::InstrumentError;
use super::host::{HostFunction, HostGlobal};
use super::sections::id;
use super::share::FLAGS;
use super::survey::Survey;

/// What a stack pointer is called, in names, exports and imports.
const NAME: &str = "__stack_pointer";

/// A module's stack pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackPointer {
    /// The global's index in the original module.
    pub(super) global: u32,
    /// Whether it has 64 bits.
    pub(super) wide: bool,
    /// What tells the host of its module: 1 for a user image.
    user: bool,
}

impl StackPointer {
    /// The module's stack pointer, if it has one that it can move.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(super) fn find(survey: &Survey<'_>, globals: RuntimeGlobals) -> Result<Option<StackPointer>, InstrumentError> {
        let found = match survey.stack_pointer() {
            Some(named) => Some(named),
            None => exported(survey)?.or(imported(survey)?),
        };
        let types = survey.types.as_ref();
        Ok(found.and_then(|global| {
            let ty = types.global_at(global);
            let wide = match ty.content_type {
                ValType::I32 => false,
                ValType::I64 => true,
                _ => return None,
            };
            ty.mutable.then_some(StackPointer { global, wide, user: globals == RuntimeGlobals::Import })
        }))
    }
}

fn exported(survey: &Survey<'_>) -> Result<Option<u32>, InstrumentError> {
    let Some(section) = survey.section(id::EXPORT) else { return Ok(None) };
    for export in survey.entries::<wasmparser::Export>(&section.contents)? {
        let export = export?;
        if export.kind == ExternalKind::Global && export.name == NAME {
            return Ok(Some(export.index));
        }
    }
    Ok(None)
}

fn imported(survey: &Survey<'_>) -> Result<Option<u32>, InstrumentError> {
    let Some(section) = survey.section(id::IMPORT) else { return Ok(None) };
    let mut index = 0;
    for import in survey.entries::<wasmparser::Imports>(&section.contents)?.into_imports() {
        let import = import?;
        if let TypeRef::Global(_) = import.ty {
            if import.name == NAME {
                return Ok(Some(index));
            }
            index += 1;
        }
    }
    Ok(None)
}

/// Notices where something is only put back: a constant that is not negative was added.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Raise {
    #[default]
    No,
    /// Such a constant is on the stack.
    Constant,
    /// It was added to what is now on the stack.
    Added,
}

impl Raise {
    /// Behind one more operator.
    pub(super) fn after(self, operator: &Operator<'_>) -> Raise {
        match (self, operator) {
            (_, Operator::I32Const { value: 0.. } | Operator::I64Const { value: 0.. }) => Raise::Constant,
            (Raise::Constant, Operator::I32Add | Operator::I64Add) => Raise::Added,
            _ => Raise::No,
        }
    }
}

impl Code<'_, '_> {
    /// Behind the operator that moved the stack pointer.
    pub(super) fn check_stack_pointer(&mut self, site: &Site) {
        let Some(pointer) = self.emitter.host.stack_pointer else { return };
        let host = self.emitter.host;
        let global = host.global_shift.apply(pointer.global);
        let (low, room) = (host.global(HostGlobal::StackLow), host.global(HostGlobal::StackRoom));
        let mut sink = self.sink();
        sink.global_get(global).global_get(low);
        match pointer.wide {
            true => sink.i64_sub().global_get(room).i64_gt_u(),
            false => sink.i32_sub().global_get(room).i32_gt_u(),
        };
        self.if_cold();
        self.sink().global_get(global);
        if pointer.wide && !self.wide() {
            self.sink().i32_wrap_i64();
        } else if !pointer.wide && self.wide() {
            self.sink().i64_extend_i32_u();
        }
        self.sink().i32_const(i32::from(pointer.user));
        self.call(HostFunction::StackLeft);
        for flag in (0..FLAGS).filter(|flag| site.shared.others & 1 << flag != 0) {
            let flag = self.local(Scratch::Flag(flag));
            self.sink().i64_const(1).local_set(flag);
        }
        self.reload_ticks(site);
        self.sink().end();
    }
}
