//! What is at lldb's addresses.

use gdbstub::common::Tid;

use super::super::front::MAX_READ;
use super::super::target::Face;
use super::super::threads::tid as thread;
use super::super::view::Fault;
use super::super::wire::number;
use super::{Handled, Native, Place, code_at, place, replies};
use crate::companion::layout::{GLOBALS_WINDOW, MAX_MODULES};
use crate::companion::table;

/// `ADDRESS,LENGTH`; of what else stands there, nothing is wanted.
pub(super) fn range(text: &[u8]) -> Option<(u64, u64)> {
    let mut numbers = text.split(|&byte| byte == b',');
    Some((number(numbers.next()?)?, number(numbers.next()?)?))
}

/// Reads memory; fewer bytes where it ends, or where a reply does.
pub(super) fn read(tid: Tid, address: u64, len: u64, face: &mut Face<'_>) -> Result<Vec<u8>, Fault> {
    let len = len.min(MAX_READ);
    let nothing = || Fault::NoMemory(address);
    match place(address) {
        Place::Object(module, offset) => {
            let object = face.files.object(face.inferior, module).ok_or_else(nothing)?;
            let rest = object.wasm.get(offset as usize..).unwrap_or_default();
            let part = &rest[..rest.len().min(len as usize)];
            if part.is_empty() { Err(nothing()) } else { Ok(part.to_vec()) }
        }
        Place::Memory(address) if table::constant_byte(address).is_some() => {
            Ok((address..).take(len as usize).map_while(table::constant_byte).collect())
        }
        Place::Memory(address) => match table::place(address) {
            None => {
                let mut bytes = vec![0; len as usize];
                let read = face.view.read(face.inferior, tid, address, &mut bytes)?;
                bytes.truncate(read);
                Ok(bytes)
            }
            Some((runner, table::Place::Rows(offset))) => {
                let rows = replies::rows(thread(runner), face)?;
                let rest = rows.get(offset as usize..).unwrap_or_default();
                let part = &rest[..rest.len().min(len as usize)];
                if part.is_empty() { Err(nothing()) } else { Ok(part.to_vec()) }
            }
            Some((runner, table::Place::Globals(offset))) => {
                if offset >= u64::from(MAX_MODULES) * GLOBALS_WINDOW {
                    return Err(nothing());
                }
                let mut bytes = vec![0; len as usize];
                let address = face.view.modules.layout().globals_base() + offset;
                let read = face.view.read(face.inferior, thread(runner), address, &mut bytes)?;
                bytes.truncate(read);
                Ok(bytes)
            }
        },
        Place::Nothing => Err(nothing()),
    }
}

/// A packet that writes memory: what is memory of the layout is written there.
pub(super) fn write(body: &[u8]) -> Handled {
    let operands = body[1..].split(|&byte| byte == b':').next().unwrap_or_default();
    match range(operands).map(|(address, _)| (address, place(address))) {
        Some((address, Place::Memory(_))) if table::constant_byte(address).is_some() => {
            Handled::Refused(Fault::ReadOnly("this variable is a constant: it cannot be changed".into()))
        }
        Some((_, Place::Memory(address))) if table::place(address).is_none() => Handled::Usual,
        Some((_, Place::Memory(_))) => {
            Handled::Refused(Fault::ReadOnly("a Wasm global cannot be changed from here".into()))
        }
        Some((_, Place::Object(..))) => {
            Handled::Refused(Fault::ReadOnly("Wasm code cannot be changed while it runs".into()))
        }
        Some((address, Place::Nothing)) => Handled::Refused(Fault::NoMemory(address)),
        None => Handled::Reply(b"E16".to_vec()),
    }
}

/// A packet that sets or takes away a breakpoint or a watch: code is where the layout has it.
pub(super) fn point(native: &mut Native, body: &[u8], face: &mut Face<'_>) -> Handled {
    let mut operands = body.splitn(3, |&byte| byte == b',');
    let (Some(kind), Some(address), rest) = (operands.next(), operands.next(), operands.next()) else {
        return Handled::Reply(b"E16".to_vec());
    };
    let Some(address) = number(address) else { return Handled::Reply(b"E16".to_vec()) };
    let breakpoint = matches!(kind.get(1), Some(b'0' | b'1'));
    let address = match (breakpoint, place(address)) {
        (false, Place::Memory(address)) if table::place(address).is_none() => address,
        (true, Place::Object(..)) => {
            let no_code =
                || Handled::Refused(Fault::ReadOnly(format!("there is no code at {address:#x}: no breakpoint set")));
            let Some(asked) = code_at(face, address) else { return no_code() };
            let Some(offset) = face.view.modules.code(asked.module).and_then(|code| code.landing(asked.offset)) else {
                return no_code();
            };
            let lands = wkdb_tracer::CodeAddress { offset, ..asked };
            if lands == asked {
                native.asked.remove(&lands);
            } else {
                native.asked.insert(lands, asked);
            }
            match face.view.modules.layout().code_address(lands) {
                Some(address) => address,
                None => return no_code(),
            }
        }
        _ => return Handled::Refused(Fault::NoMemory(address)),
    };
    let mut translated = kind.to_vec();
    translated.extend_from_slice(format!(",{address:x},").as_bytes());
    translated.extend_from_slice(rest.unwrap_or_default());
    Handled::As(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_two_numbers() {
        assert_eq!(range(b"4000000000000793,10"), Some((0x4000_0000_0000_0793, 16)));
        assert_eq!(range(b"10"), None);
        assert_eq!(range(b",4"), None);
    }
}
