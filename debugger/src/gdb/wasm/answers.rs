//! The packets that are answered otherwise than to other clients.

use std::fmt::Write as _;

use gdbstub::common::Tid;
use wkdb_tracer::WasmValue;

use super::super::front::Session;
use super::super::stack::slot_bytes;
use super::super::target::Face;
use super::super::view::Fault;
use super::super::wire::{escaped, hex, number};
use super::{memory, replies};
use crate::companion::table;

/// What the plugin takes for the processor.
const TRIPLE: &str = "wasm32-unknown-unknown-wasm";

/// The registers, as lldb numbers them.
const REGISTERS: [&str; 3] = ["pc", "task", "zero"];

/// What became of a packet.
pub(in super::super) enum Handled {
    /// This is the answer.
    Reply(Vec<u8>),
    /// This is why there is none.
    Refused(Fault),
    /// It is a packet as every other.
    Usual,
    /// It is to be taken for this one.
    As(Vec<u8>),
}

impl From<Result<Vec<u8>, Fault>> for Handled {
    fn from(answer: Result<Vec<u8>, Fault>) -> Handled {
        answer.map_or_else(Handled::Refused, Handled::Reply)
    }
}

/// Answers a packet, or says how it is to be taken.
pub(in super::super) fn handle(session: &mut Session, body: &[u8], face: &mut Face<'_>) -> Handled {
    let reply = |text: &str| Handled::Reply(text.as_bytes().to_vec());
    match body {
        b"qHostInfo" | b"qProcessInfo" => {
            let pid = if body == b"qProcessInfo" { "pid:1;parent-pid:1;" } else { "" };
            let triple = hex(TRIPLE.as_bytes());
            return reply(&format!(
                "{pid}vendor:unknown;ostype:unknown;arch:wasm32;triple:{triple};endian:little;ptrsize:4;"
            ));
        }
        b"QThreadSuffixSupported" => return reply("OK"),
        _ => {}
    }
    let after = |prefix: &str| body.strip_prefix(prefix.as_bytes());
    if let Some(register) = after("qRegisterInfo") {
        return Handled::Reply(register_info(register));
    }
    // Everything that is not said here is not so.
    if body.starts_with(b"qXfer:features") || body.starts_with(b"qXfer:exec-file") {
        return Handled::Reply(Vec::new());
    }
    if let Some(thread) = after("qWasmCallStack:") {
        let Some(tid) = thread_id(thread) else { return reply("E16") };
        session.native.stack_of = Some(tid);
        return replies::call_stack(tid, face).map_err(Fault::from).into();
    }
    for (prefix, kind) in
        [("qWasmLocal:", Kind::Local), ("qWasmGlobal:", Kind::Global), ("qWasmStackValue:", Kind::Operand)]
    {
        if let Some(operands) = after(prefix) {
            let Some((frame, index)) = frame_and_index(operands) else { return reply("E16") };
            return variable(session, kind, frame, index, face);
        }
    }
    match body.first() {
        Some(b'p') => {
            let (register, thread) = with_thread(&body[1..]);
            let tid = thread.unwrap_or_else(|| session.selected(face));
            match number(register) {
                Some(register) => registers(register..register + 1, tid, face),
                None => reply("E16"),
            }
        }
        Some(b'g') => {
            let tid = with_thread(&body[1..]).1.unwrap_or_else(|| session.selected(face));
            registers(0..REGISTERS.len() as u64, tid, face)
        }
        Some(b'P' | b'G') => Handled::Refused(Fault::ReadOnly(
            "a register cannot be changed: it stands for Wasm's own state, which no instruction can set".into(),
        )),
        Some(&kind @ (b'm' | b'x')) => {
            let Some((address, len)) = memory::range(&body[1..]) else { return reply("E16") };
            // So it asks whether there is such a packet.
            if kind == b'x' && len == 0 {
                return reply("OK");
            }
            let tid = session.selected(face);
            let read = memory::read(tid, address, len, face);
            read.map(|bytes| if kind == b'x' { escaped(&bytes) } else { hex(&bytes).into_bytes() }).into()
        }
        Some(b'M' | b'X') => memory::write(body),
        Some(b'Z' | b'z') => memory::point(&mut session.native, body, face),
        _ => Handled::Usual,
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Local,
    Global,
    Operand,
}

fn thread_id(text: &[u8]) -> Option<Tid> {
    Tid::new(usize::try_from(number(text)?).ok()?)
}

/// What stands before `;thread:ID;`, and that thread.
fn with_thread(body: &[u8]) -> (&[u8], Option<Tid>) {
    let mut parts = body.split(|&byte| byte == b';');
    let first = parts.next().unwrap_or_default();
    (first, parts.find_map(|part| thread_id(part.strip_prefix(b"thread:")?)))
}

fn frame_and_index(operands: &[u8]) -> Option<(usize, u32)> {
    let text = std::str::from_utf8(operands).ok()?;
    let (frame, index) = text.split_once(';')?;
    Some((frame.parse().ok()?, index.parse().ok()?))
}

fn register_info(register: &[u8]) -> Vec<u8> {
    let Some((index, name)) = number(register).and_then(|n| Some((n, *REGISTERS.get(usize::try_from(n).ok()?)?)))
    else {
        return b"E45".to_vec();
    };
    let mut info = format!(
        "name:{name};bitsize:64;offset:{};encoding:uint;format:hex;set:Wasm;gcc:{index};dwarf:{index};",
        8 * index
    );
    if index == 0 {
        info.push_str("generic:pc;");
    }
    info.into_bytes()
}

/// The values of registers, one after the other.
fn registers(numbers: std::ops::Range<u64>, tid: Tid, face: &mut Face<'_>) -> Handled {
    let mut text = String::new();
    for register in numbers {
        let value = match register {
            0 => match replies::pc(tid, face) {
                Ok(pc) => pc,
                Err(error) => return Handled::Refused(error.into()),
            },
            n if n == u64::from(table::TASK_REGISTER) => table::address(super::super::threads::runner(tid)),
            n if n == u64::from(table::ZERO_REGISTER) => 0,
            _ => return Handled::Reply(b"E16".to_vec()),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{}", hex(&value.to_le_bytes()));
    }
    Handled::Reply(text.into_bytes())
}

/// A variable of Wasm's in a frame.
fn variable(session: &mut Session, kind: Kind, frame: usize, index: u32, face: &mut Face<'_>) -> Handled {
    if let Kind::Local = kind
        && index == table::ROW_LOCAL
    {
        let place = (frame as u64).saturating_mul(table::ROW_BYTES) as u32;
        return Handled::Reply(hex(&place.to_le_bytes()).into_bytes());
    }
    let tid = session.native.stack_of.unwrap_or_else(|| session.selected(face));
    let found = face.view.stack(face.inferior, tid).map(|stack| {
        let state = stack.as_ref().and_then(|stack| stack.shown().get(frame))?;
        let index = index as usize;
        match kind {
            Kind::Local => state.locals.get(index).copied(),
            Kind::Operand => state.operands.get(index).copied(),
            Kind::Global => {
                let module = state.frame.address.module;
                let globals = face.inferior.globals(super::super::threads::runner(tid), module).ok()?;
                globals.get(index).copied().flatten()
            }
        }
    });
    match found {
        Ok(Some(value)) => Handled::Reply(hex(&bytes(value)).into_bytes()),
        Ok(None) => Handled::Reply(b"E03".to_vec()),
        Err(error) => Handled::Refused(error.into()),
    }
}

/// A value, as long as its type is.
fn bytes(value: WasmValue) -> Vec<u8> {
    match value {
        WasmValue::I32(word) | WasmValue::F32(word) => word.to_le_bytes().to_vec(),
        WasmValue::V128(bytes) => bytes.to_vec(),
        other => slot_bytes(other).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_may_name_its_thread() {
        assert_eq!(with_thread(b"0;thread:1f;"), (&b"0"[..], Tid::new(0x1f)));
        assert_eq!(with_thread(b"0"), (&b"0"[..], None));
        assert_eq!(with_thread(b"0;thread:zz;"), (&b"0"[..], None));
    }

    #[test]
    fn there_are_as_many_registers_as_are_told() {
        let infos: Vec<String> =
            ["0", "1", "2", "3"].map(|n| String::from_utf8(register_info(n.as_bytes())).unwrap()).into();
        assert!(infos[0].starts_with("name:pc;") && infos[0].ends_with("generic:pc;"), "{}", infos[0]);
        assert!(infos[usize::from(table::TASK_REGISTER)].starts_with("name:task;"));
        assert!(infos[usize::from(table::ZERO_REGISTER)].starts_with("name:zero;"));
        assert_eq!(infos[3], "E45");
        assert_eq!(register_info(b""), b"E45");
    }
}
