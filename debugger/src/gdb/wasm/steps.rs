//! Steps: where lldb means to step over a call, and cannot.
//!
//! To step over calls, debuggers step into them and see that a frame was added: it has an address below that of the frame
//! where the step began. In lldb's Wasm all frames have the same address, 0, and `thread step-over` would end in the
//! function called. But what it means can be told: it lets all others run while it steps over a line with a call (who is
//! called may wait for them), and none of them when it steps into functions or by instructions.

use super::super::target::Face;
use super::super::threads::tid;
use crate::inferior::{Resume, Step, StepKind};

/// Has a step of an instruction with which all others run end behind the call, if that is one.
pub(in super::super) fn run_through_call(resume: &mut Resume, face: &mut Face<'_>) {
    let Some(Step { runner, kind: kind @ StepKind::Instruction }) = &mut resume.step else { return };
    let Ok(Some(stack)) = face.view.stack(face.inferior, tid(*runner)) else { return };
    let Some(address) = stack.shown().first().map(|state| state.frame.address) else { return };
    let modules = &face.view.modules;
    if modules.code(address.module).is_some_and(|code| code.is_call(address.offset)) {
        *kind = StepKind::Over(address.offset..modules.after(address).offset);
    }
}
