//! What a trap's own words leave out: which function was called through which pointer, and which address was used.
//!
//! A call through the table traps before it is made; the rewritten code has noted its index by then (the global `callee`).
//! The address of an access beyond the memory's end is known from the fault.
//!
//! What it cannot see: the address of an atomic access that is not aligned; calls through tables of more than 4 GiB.

use wasmparser::{BinaryReader, OperatorsReader, Parser, Payload, TypeRef};
use wasmtime::AsContextMut;
use wkdb_tracer::{Detector, Finding, Frame, ModuleId};

use super::RunnerData;

/// Traps of a call through the table.
const CALLS: [&str; 3] = ["indirect call type mismatch", "undefined element", "uninitialized element"];

/// How the engine tells of the address of a fault.
const FAULT: &str = "memory fault at wasm address 0x";

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

/// What there is to be said of a trap, whose engine's words are `error`.
pub(super) fn findings(
    store: &mut impl AsContextMut<Data = RunnerData>,
    reason: &str,
    error: &wasmtime::Error,
    stack: &[Frame],
) -> Vec<Finding> {
    let shared = store.as_context().data().shared.clone();
    let detects = |detector| shared.core.borrow().detects(detector);
    let mut found = Vec::new();
    if detects(Detector::Callbacks) && CALLS.iter().any(|call| reason.contains(call)) {
        found.extend(bad_call(store, stack));
    }
    let said = format!("{error:#}");
    if detects(Detector::Trap)
        && let Some((_, rest)) = said.split_once(FAULT)
    {
        let digits = rest.find(|c: char| !c.is_ascii_hexdigit()).map_or(rest, |end| &rest[..end]);
        found.extend(u64::from_str_radix(digits, 16).ok().map(|address| bad_access(address, shared.memory.size())));
    }
    let context = shared.core.borrow().context(store.as_context().data().me);
    found.into_iter().map(|finding| finding.about(context.clone()).at(stack.to_vec())).collect()
}

/// An access beyond the end of memory.
fn bad_access(address: u64, size: u64) -> Finding {
    let beyond = address.saturating_sub(size);
    let headline = format!("the address {address:#x} is used, {beyond} bytes beyond the end of memory");
    let finding = Finding::new(Detector::Trap, headline).on(address, 1);
    let bytes = (address as u32).to_le_bytes();
    if bytes[1..] == bytes[..3] {
        return finding.detail(format!("all its bytes are {:#04x}: as of memory that was filled with that", bytes[0]));
    }
    if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return finding.detail(format!("its bytes are text: {:?}", String::from_utf8_lossy(&bytes)));
    }
    let signed = (address as u32).cast_signed();
    match signed {
        -4095..0 => {
            finding.detail(format!("as a signed number it is {signed}: an error, or a null pointer less an offset"))
        }
        _ => finding,
    }
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
