//! The symbols of a module, and the parts of the address space that they are in.
//!
//! Function pointers of the guest are indices of its table. A symbol of one byte at each index that is taken lets a
//! debugger print a pointer as `0x1 <handle>`; it is of an object, for a function's would be taken for its code.

use std::collections::HashSet;

use super::InstancePlace;
use super::dwarf::{DataBase, Target, Variable};
use super::elf::{Space, Symbol, SymbolKind};
use super::layout::{HOST_BYTES, Layout};
use super::wasm::Placed;

/// A datum with an address of the guest.
struct Datum {
    name: String,
    address: u64,
    size: Option<u64>,
    global: bool,
}

/// The spaces of the file in ascending order, and its symbols.
pub(super) fn collect(
    target: &Target<'_>,
    layout: &Layout,
    variables: Vec<Variable>,
    instance: Option<InstancePlace>,
    kernel: bool,
) -> (Vec<Space>, Vec<Symbol>) {
    let wasm = target.wasm;
    let mut symbols = functions(target);
    let mut spaces = Vec::new();

    let data = data(target, layout, variables);
    let segments = wasm.segments.iter().filter_map(|&(place, size)| Some((address(target, place)?, size)));
    let extents = data.iter().map(|datum| (datum.address, datum.size.unwrap_or(1))).chain(segments);
    let extents = extents.map(|(start, size)| (start, start.saturating_add(size.max(1)).min(layout.memory_end())));
    let (start, mut end) = extents.fold((u64::MAX, 0), |(low, high), (start, end)| (low.min(start), high.max(end)));
    let start = start.max(1);

    let table_base = instance.map_or(0, |instance| instance.table_base);
    let table: Vec<(u64, u32)> = wasm
        .table
        .iter()
        .filter(|(index, _)| !index.relative || instance.is_some())
        .map(|&(index, function)| (if index.relative { table_base } else { 0 } + index.value, function))
        .filter(|&(index, _)| index > 0 && index < layout.memory_end())
        .collect();
    let indices = table.iter().map(|&(index, _)| index);
    if let (Some(first), Some(last)) = (indices.clone().min(), indices.max()) {
        let mut table_end = last + 1;
        if start < end && first < end && start < table_end {
            // Spaces must not overlap: where the indices reach into the data's addresses, one holds the symbols of both.
            end = end.max(table_end);
            table_end = start;
        }
        if first < table_end {
            spaces.push(Space { name: ".functab", address: first, size: table_end - first, code: false });
        }
    }
    symbols.extend(table.iter().map(|&(address, function)| Symbol {
        name: wasm.function_name(function),
        address,
        size: 1,
        kind: SymbolKind::Object,
        global: false,
    }));

    if start < end {
        spaces.push(Space { name: ".data", address: start, size: end - start, code: false });
    }
    symbols.extend(sized(data, end));

    if wasm.code_len > 0 {
        let size = u64::from(wasm.code_len);
        spaces.push(Space { name: ".text", address: target.code_base, size, code: true });
    }
    if kernel {
        spaces.push(Space { name: ".host", address: layout.host(), size: HOST_BYTES, code: true });
        symbols.push(Symbol {
            name: "[host]".into(),
            address: layout.host(),
            size: HOST_BYTES,
            kind: SymbolKind::Function,
            global: true,
        });
    }
    spaces.sort_by_key(|space| space.address);
    (spaces, symbols)
}

fn functions(target: &Target<'_>) -> Vec<Symbol> {
    let wasm = target.wasm;
    let symbol = |function: &super::wasm::Function, name: String, global| Symbol {
        name,
        address: target.code_base + u64::from(function.first),
        size: u64::from(function.end - function.first),
        kind: SymbolKind::Function,
        global,
    };
    let mut symbols: Vec<Symbol> = wasm
        .functions
        .iter()
        .map(|function| symbol(function, wasm.function_name(function.index), wasm.is_exported(function.index)))
        .collect();
    for (index, name) in wasm.aliases() {
        if let Ok(at) = wasm.functions.binary_search_by_key(&index, |function| function.index) {
            symbols.push(symbol(&wasm.functions[at], name.to_owned(), true));
        }
    }
    symbols
}

/// The guest address of a place, if it is known.
fn address(target: &Target<'_>, place: Placed) -> Option<u64> {
    match (place.relative, target.data) {
        (false, _) => Some(place.value),
        (true, DataBase::Fixed(base)) => base.checked_add(place.value),
        (true, DataBase::Instance) => None,
    }
}

/// All data, by DWARF, exports and the name section: in this order, the first that has a name and address counts.
fn data(target: &Target<'_>, layout: &Layout, variables: Vec<Variable>) -> Vec<Datum> {
    let variables = variables.into_iter().map(|variable| Datum {
        name: variable.name,
        address: variable.address,
        size: variable.size.filter(|&size| size > 0),
        global: variable.external,
    });
    let named = target.wasm.data.iter().filter_map(|data| {
        let address = address(target, data.address)?;
        Some(Datum { name: data.name.clone(), address, size: data.size, global: data.exported })
    });
    let mut seen = HashSet::new();
    variables
        .chain(named)
        .filter(|datum| datum.address > 0 && datum.address < layout.memory_end())
        .filter(|datum| seen.insert((datum.name.clone(), datum.address)))
        .collect()
}

/// Data without a size reach to the next ones: a debugger takes a symbol without a size for one without an end.
fn sized(mut data: Vec<Datum>, end: u64) -> impl Iterator<Item = Symbol> {
    data.sort_by_key(|datum| datum.address);
    let addresses: Vec<u64> = data.iter().map(|datum| datum.address).collect();
    data.into_iter().map(move |datum| {
        let next = addresses.get(addresses.partition_point(|&address| address <= datum.address));
        let size = datum.size.unwrap_or_else(|| next.map_or(end, |&next| next).saturating_sub(datum.address));
        Symbol { name: datum.name, address: datum.address, size, kind: SymbolKind::Object, global: datum.global }
    })
}
