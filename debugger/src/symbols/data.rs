//! The data of a module by name and by address, from every source that knows some.

use std::collections::HashMap;

use super::dwarf::Variable;
use super::module::ModuleNames;

/// Symbols that the linker makes for places, not for data. The address of nothing should be told by them.
const PLACES: [&str; 12] = [
    "__data_end",
    "__dso_handle",
    "__global_base",
    "__heap_base",
    "__heap_end",
    "__memory_base",
    "__rodata_end",
    "__rodata_start",
    "__stack_high",
    "__stack_low",
    "__table_base",
    "__wasm_first_page_end",
];

/// Who knows of a datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSource {
    /// Debug information.
    Dwarf,
    /// An exported global that holds its address.
    Export,
    /// A named data segment.
    Segment,
}

/// A datum with a fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSymbol {
    /// Its name; a data segment's has the section before it, as in `.data.jiffies_64`.
    pub name: String,
    /// Its guest address; in a position-independent module, its offset from the memory base.
    pub address: u64,
    /// Its size in bytes, where that is known.
    pub size: Option<u64>,
    /// Whether other files can see it.
    pub external: bool,
    /// Who knows of it.
    pub source: DataSource,
}

/// All data of a module.
pub(super) struct DataTable {
    /// In the order in which a name is answered: external ones first, then by source, then by address.
    symbols: Vec<DataSymbol>,
    by_name: HashMap<String, Vec<usize>>,
    /// One symbol for every address that one begins at, in the order of the addresses.
    by_address: Vec<usize>,
    /// Where static data end, for the last symbol of unknown size.
    end: u64,
}

impl DataTable {
    pub(super) fn new(variables: &[Variable], names: &ModuleNames) -> DataTable {
        let mut symbols: Vec<DataSymbol> = variables
            .iter()
            .map(|variable| DataSymbol {
                name: variable.name.clone(),
                address: variable.address,
                size: variable.size,
                external: variable.external,
                source: DataSource::Dwarf,
            })
            .collect();
        symbols.extend(names.exported_data().iter().map(|(name, address)| DataSymbol {
            name: name.clone(),
            address: *address,
            size: None,
            external: true,
            source: DataSource::Export,
        }));
        symbols.extend(names.segments().iter().map(|(name, address, size)| DataSymbol {
            name: name.clone(),
            address: *address,
            size: Some(*size),
            external: false,
            source: DataSource::Segment,
        }));
        symbols.sort_by(|a, b| {
            let key = |symbol: &DataSymbol| (!symbol.external, symbol.source, symbol.address);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, symbol) in symbols.iter().enumerate() {
            by_name.entry(symbol.name.clone()).or_default().push(index);
        }
        let place = |name: &str| names.exported_data().iter().find(|(other, _)| other == name).map(|(_, at)| *at);
        let known_end = |symbol: &DataSymbol| symbol.address.saturating_add(symbol.size.unwrap_or(0));
        let end = place("__heap_base")
            .or_else(|| place("__data_end"))
            .unwrap_or_else(|| symbols.iter().map(known_end).max().unwrap_or(0));
        let mut by_address: Vec<usize> =
            (0..symbols.len()).filter(|&index| !PLACES.contains(&symbols[index].name.as_str())).collect();
        // The best of several at one address: one with a size, which says how far it reaches; else the first by rank.
        by_address.sort_by_key(|&index| {
            let symbol = &symbols[index];
            (symbol.address, symbol.source == DataSource::Segment, symbol.size.is_none(), index)
        });
        by_address.dedup_by_key(|index| symbols[*index].address);
        DataTable { symbols, by_name, by_address, end }
    }

    pub(super) fn by_name(&self, name: &str) -> impl Iterator<Item = &DataSymbol> {
        self.by_name.get(name).into_iter().flatten().map(|&index| &self.symbols[index])
    }

    /// All names, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(super) fn at(&self, address: u64) -> Option<(&DataSymbol, u64)> {
        let after = self.by_address.partition_point(|&index| self.symbols[index].address <= address);
        let next = self.by_address.get(after).map_or(self.end, |&index| self.symbols[index].address);
        // A segment reaches over the data inside it, so an address behind the last datum before it may still be its.
        self.by_address[..after]
            .iter()
            .rev()
            .map(|&index| &self.symbols[index])
            .enumerate()
            .take(MAX_NESTING)
            .find(|(distance, symbol)| {
                let offset = address - symbol.address;
                match symbol.size {
                    Some(size) => offset < size,
                    None => *distance == 0 && address < next,
                }
            })
            .map(|(_, symbol)| (symbol, address - symbol.address))
    }
}

/// How many data before an address are looked at for one that reaches it.
const MAX_NESTING: usize = 4096;
