//! Which places of the function table a function pointer of some type may hold: calls through any other one trap.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef, ValType};

use crate::symbols::{Encoding, Symbols, TypeId, TypeKind};

/// A set of places in the function table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Callable(Vec<u64>);

impl Callable {
    /// Whether a pointer with this value can be called. Where nothing is known of the type, every one can.
    pub(super) fn has(&self, place: u64) -> bool {
        let word = usize::try_from(place / 64).ok().and_then(|word| self.0.get(word));
        self.0.is_empty() || word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn insert(&mut self, place: u64) {
        let Ok(word) = usize::try_from(place / 64) else { return };
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (place % 64);
    }
}

/// The places that hold functions of the type that a pointer, by its C type, points to.
pub(super) fn callable(symbols: &Symbols, pointer: TypeId) -> Callable {
    let mut places = Callable::default();
    let TypeKind::Pointer { to, .. } = symbols.resolve(pointer).1.kind else { return places };
    let Some(expected) = lowered(symbols, to) else { return places };
    let types = function_types(symbols.module_bytes());
    for (place, function) in symbols.table_entries() {
        if types.get(&function) == Some(&expected) {
            places.insert(place);
        }
    }
    places
}

/// The Wasm type of a C function; `None` where that takes more than pointers and numbers.
fn lowered(symbols: &Symbols, function: TypeId) -> Option<FuncType> {
    let TypeKind::Function { returns, parameters, variadic: false } = &symbols.resolve(function).1.kind else {
        return None;
    };
    let value = |ty: TypeId| -> Option<ValType> {
        let (id, ty) = symbols.resolve(ty);
        let size = symbols.size_of(id)?;
        match (&ty.kind, size) {
            (TypeKind::Base(Encoding::Float), 4) => Some(ValType::F32),
            (TypeKind::Base(Encoding::Float), 8) => Some(ValType::F64),
            (TypeKind::Base(_) | TypeKind::Pointer { .. } | TypeKind::Enum { .. }, 1..=4) => Some(ValType::I32),
            (TypeKind::Base(_) | TypeKind::Pointer { .. } | TypeKind::Enum { .. }, 8) => Some(ValType::I64),
            _ => None,
        }
    };
    let parameters = parameters.iter().map(|&ty| value(ty)).collect::<Option<Vec<_>>>()?;
    let returns = match symbols.resolve(*returns).1.kind {
        TypeKind::Void => Vec::new(),
        _ => vec![value(*returns)?],
    };
    Some(FuncType::new(parameters, returns))
}

/// The types of a module's functions, by index.
fn function_types(module: &[u8]) -> HashMap<u32, FuncType> {
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload {
            Ok(Payload::TypeSection(section)) => {
                for group in section.into_iter().flatten() {
                    for ty in group.into_types() {
                        types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        });
                    }
                }
            }
            Ok(Payload::ImportSection(section)) => {
                for import in section.into_imports().flatten() {
                    if let TypeRef::Func(ty) = import.ty {
                        functions.push(ty);
                    }
                }
            }
            Ok(Payload::FunctionSection(section)) => functions.extend(section.into_iter().flatten()),
            Ok(Payload::CodeSectionStart { .. }) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let known = (0..).zip(functions).filter_map(|(index, ty)| Some((index, types.get(ty as usize)?.clone()?)));
    known.collect()
}
