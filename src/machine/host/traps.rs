//! What the words of a trap leave out: which function was called through which pointer, and which memory was accessed.
//!
//! A call through the table traps before it is made, and so does an access; the rewritten code has noted the call's index
//! (the global `callee`), and the access' address (`fault`), by then.
//!
//! What it cannot see: calls through tables of more than 4 GiB; the addresses of `memory.copy` and its like, and of waits.
//! Where a bad pointer came from the finding does not say: `wkdb explain` follows it back.

use wasmparser::{BinaryReader, OperatorsReader, Parser, Payload, TypeRef};
use wasmtime::AsContextMut;
use wkdb_tracer::{Detector, Finding, Frame, ModuleId};

use super::RunnerData;
use crate::instrument::access_of;

/// Traps of a call through the table.
const CALLS: [&str; 3] = ["indirect call type mismatch", "undefined element", "uninitialized element"];

/// Traps of an access to memory.
const ACCESSES: [&str; 2] = ["out of bounds memory access", "unaligned atomic"];

/// The types of a module's functions, and where its code is.
#[derive(Default)]
struct Types {
    /// By their index, in words.
    types: Vec<String>,
    /// The type of each function.
    functions: Vec<u32>,
    code: usize,
}

impl Types {
    fn read(module: &[u8]) -> Option<Types> {
        let mut read = Types::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::TypeSection(groups) => {
                    for ty in groups.into_iter().filter_map(Result::ok).flat_map(|group| group.into_types()) {
                        let words = |types: &[wasmparser::ValType]| {
                            types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                        };
                        read.types.push(match &ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => {
                                format!("({}) -> ({})", words(ty.params()), words(ty.results()))
                            }
                            _ => String::new(),
                        });
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports().filter_map(Result::ok) {
                        if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty {
                            read.functions.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    read.functions.extend(functions.into_iter().filter_map(Result::ok))
                }
                Payload::CodeSectionStart { range, .. } => {
                    read.code = range.start;
                    return Some(read);
                }
                _ => {}
            }
        }
        Some(read)
    }

    fn of(&self, function: u32) -> Option<&str> {
        let ty = *self.functions.get(function as usize)?;
        self.types.get(ty as usize).map(String::as_str)
    }

    /// The type by which a function is called at an offset of the code, if one is called through a table there.
    fn called_at(&self, module: &[u8], offset: u32) -> Option<&str> {
        let at = self.code.checked_add(offset as usize)?;
        let mut operators = OperatorsReader::new(BinaryReader::new(module.get(at..)?, at));
        match operators.read().ok()? {
            wasmparser::Operator::CallIndirect { type_index, .. } => {
                self.types.get(type_index as usize).map(String::as_str)
            }
            _ => None,
        }
    }
}

/// What there is to be said of a trap.
pub(super) fn findings(
    store: &mut impl AsContextMut<Data = RunnerData>,
    reason: &str,
    stack: &[Frame],
) -> Vec<Finding> {
    let shared = store.as_context().data().shared.clone();
    let detects = |detector| shared.core.borrow().detects(detector);
    let mut found = Vec::new();
    if detects(Detector::Callbacks) && CALLS.iter().any(|call| reason.contains(call)) {
        found.extend(bad_call(store, stack));
    }
    if detects(Detector::Trap) && ACCESSES.iter().any(|access| reason.contains(access)) {
        found.extend(bad_access(store, stack));
    }
    let context = shared.core.borrow().context(store.as_context().data().me);
    found.into_iter().map(|finding| finding.about(context.clone()).at(stack.to_vec())).collect()
}

/// An access to what is no memory, or is not aligned.
fn bad_access(store: &mut impl AsContextMut<Data = RunnerData>, stack: &[Frame]) -> Option<Finding> {
    let place = stack.first()?.address;
    let fault = store.as_context().data().globals?.fault?;
    let pointer = super::word(Some(&fault.get(&mut *store)));
    let context = store.as_context();
    let data = context.data();
    let images = data.shared.images.borrow();
    let image = images.get(place.module)?;
    let types = Types::read(&image.original)?;
    let at = types.code.checked_add(place.offset.0 as usize)?;
    let mut operators = OperatorsReader::new(BinaryReader::new(image.original.get(at..)?, at));
    let access = access_of(&operators.read().ok()?)?;
    let (size, wide) = (data.shared.memory.size(), data.shared.boot_data.pointer_bytes == 8);
    let address = pointer.saturating_add(access.offset);
    let end = address.saturating_add(access.bytes);
    let unit = if access.bytes == 1 { "byte" } else { "bytes" };
    let did = match (access.reads, access.writes) {
        (true, true) => "reads and writes",
        (false, true) => "writes",
        _ => "reads",
    };
    let why = match end > size {
        true => format!("beyond the memory, which ends at {size:#x}"),
        false => format!("which is no multiple of {}", access.bytes),
    };
    let headline = format!("{did} {} {unit} at {address:#x}, {why}", access.bytes);
    let bytes = &pointer.to_le_bytes()[..if wide { 8 } else { 4 }];
    let looks = if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        format!(", the text {:?}", String::from_utf8_lossy(bytes))
    } else if bytes.iter().all(|byte| *byte == 0xff) {
        ", −1".to_owned()
    } else {
        String::new()
    };
    let from = match access.offset {
        0 => format!("the pointer is {pointer:#x}{looks}"),
        offset => format!("the pointer is {pointer:#x}{looks}, and the access {offset} bytes behind it"),
    };
    let kernel = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
    let named = || {
        let (symbol, at) = kernel.as_ref()?.symbol_at(address)?;
        Some(if at == 0 { symbol.name.clone() } else { format!("{}+{at:#x}", symbol.name) })
    };
    let task = || data.shared.core.borrow().task_at(&data.shared.facts, wide, address);
    let there = (end <= size).then(|| task().or_else(named)).flatten();
    let finding = Finding::new(Detector::Trap, headline).on(address, access.bytes).detail(from);
    Some(there.into_iter().fold(finding, |finding, there| finding.detail(format!("there lies {there}"))))
}

/// A call through a pointer that is none.
fn bad_call(store: &mut impl AsContextMut<Data = RunnerData>, stack: &[Frame]) -> Option<Finding> {
    let place = stack.first()?.address;
    let callee = store.as_context().data().globals?.callee?;
    let index = callee.get(&mut *store).i32()? as u32;
    let data = store.as_context().data();
    let base = match &data.user {
        Some(user) if user.module == place.module => user.table_start,
        _ if place.module == ModuleId::KERNEL => 0,
        _ => return None,
    };
    let images = data.shared.images.borrow();
    let image = images.get(place.module)?;
    let types = Types::read(&image.original)?;
    let expected = types.called_at(&image.original, place.offset.0)?;
    let symbols = image.symbols()?;
    let function = u64::from(index).checked_sub(base).and_then(|place| symbols.table_function(place));
    let detail = format!("the call passes and wants {expected}");
    Some(match function {
        Some(function) => {
            let name = symbols.function_name(function);
            let is = types.of(function).unwrap_or("another type");
            let headline = format!("calls {name} through a pointer ({index:#x}) to a function of another type");
            Finding::new(Detector::Callbacks, headline).detail(detail).detail(format!("{name} is of type {is}"))
        }
        None => {
            let headline = format!("calls through {index:#x}, which is no pointer to a function");
            Finding::new(Detector::Callbacks, headline).detail(detail)
        }
    })
}
