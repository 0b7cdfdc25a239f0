//! Stacks, stops and modules, as lldb's Wasm is told of them.

use std::fmt::Write as _;

use gdbstub::common::Tid;
use wkdb_tracer::{CodeAddress, ModuleId};

use super::super::front::Session;
use super::super::target::Face;
use super::super::wire::hex;
use super::super::{files, lldb, stop};
use super::{code_address, object_address};
use crate::companion::table::ROW_BYTES;
use crate::inferior::{InferiorError, Stop};

/// Where a task is: of the address of a breakpoint that was asked for in other words, that.
pub(super) fn pc(tid: Tid, face: &mut Face<'_>) -> Result<u64, InferiorError> {
    let stack = face.view.stack(face.inferior, tid)?;
    let address = stack.as_ref().and_then(|stack| stack.shown().first()).map(|state| state.frame.address);
    Ok(address.map_or(0, |address| code_address(face, address)))
}

/// What `qWasmCallStack` asks for: the next instruction of each frame.
pub(super) fn call_stack(tid: Tid, face: &mut Face<'_>) -> Result<Vec<u8>, InferiorError> {
    let stack = face.view.stack(face.inferior, tid)?;
    let mut frames: Vec<CodeAddress> =
        stack.iter().flat_map(|stack| stack.shown().iter().map(|state| state.frame.address)).collect();
    for call in frames.iter_mut().skip(1) {
        *call = face.view.modules.after(*call);
    }
    let pcs: Vec<u8> = frames.into_iter().flat_map(|address| code_address(face, address).to_le_bytes()).collect();
    Ok(hex(&pcs).into_bytes())
}

/// The rows of a task's table.
pub(super) fn rows(tid: Tid, face: &mut Face<'_>) -> Result<Vec<u8>, InferiorError> {
    let Some(stack) = face.view.stack(face.inferior, tid)? else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    for (depth, state) in stack.shown().iter().enumerate() {
        let (cfa, sp) = stack.cfa_and_stack_pointer(depth).unwrap_or_default();
        for word in [cfa as u32, state.frame.address.offset.0, sp as u32] {
            rows.extend_from_slice(&word.to_le_bytes());
        }
        rows.resize(rows.len().next_multiple_of(ROW_BYTES as usize), 0);
    }
    Ok(rows)
}

/// The field of a stop reply that has a thread's pc.
pub(in super::super) fn pc_field(session: &Session, tid: Tid, face: &mut Face<'_>) -> String {
    let stack = face.view.stack(face.inferior, tid).ok().flatten();
    let address = stack.as_ref().and_then(|stack| stack.shown().first()).map(|state| state.frame.address);
    // lldb knows a breakpoint by the address that it asked for.
    let address = address.map(|address| session.native.asked.get(&address).copied().unwrap_or(address));
    // Of a task without frames it would take the address where it was before.
    let pc = address.map_or(0, |address| code_address(face, address));
    format!("00:{};", hex(&pc.to_le_bytes()))
}

/// A stop reply's body. `more_modules` than it was told of have been loaded.
pub(in super::super) fn stop_reply(session: &Session, stop: &Stop, more_modules: bool, face: &mut Face<'_>) -> String {
    let tid = stop::thread(stop, face.view, face.inferior);
    let mut reply = stop::head(stop, tid, face.points);
    reply.push_str(&pc_field(session, tid, face));
    lldb::stop_reply(reply, stop, more_modules, face)
}

/// All modules that can be given to lldb.
pub(in super::super) fn libraries(face: &mut Face<'_>) -> String {
    let mut xml = "<library-list>\n".to_owned();
    for module in (0..face.view.modules.count()).map(ModuleId) {
        if face.files.object(face.inferior, module).is_some() {
            let (name, base) = (files::name(module), object_address(module));
            // Writing to a string does not fail.
            let _ = writeln!(xml, "<library name=\"{name}\"><section address=\"{base:#x}\"/></library>");
        }
    }
    xml.push_str("</library-list>\n");
    xml
}
