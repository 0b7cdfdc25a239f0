//! Variables and symbols of data.

use wkdb_tracer::{CodeOffset, ModuleId, RunnerId};

use super::Debugger;
use super::error::{CommandError, Result};
use super::output::{Output, Style, Table};
use super::resolving::matches_pattern;
use super::values::Kept;
use crate::inferior::Inferior;

/// Variables that a list without values shows.
const MOST: usize = 2000;

impl Debugger {
    /// Global variables by a pattern; with their values if it names one.
    pub(super) fn globals_like(&mut self, inferior: &mut dyn Inferior, pattern: &str) -> Result<Output> {
        let mut found: Vec<(ModuleId, String)> = Vec::new();
        for (module, symbols) in self.modules.all(inferior) {
            let names = symbols.variable_names("").into_iter().filter(|name| matches_pattern(pattern, name));
            found.extend(names.map(|name| (module, name)));
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(CommandError::missing("global variable like", pattern));
        }
        let mut table = Table::default();
        for (module, name) in found.iter().take(MOST) {
            let Some(symbols) = self.modules.symbols(inferior, *module) else { continue };
            let symbol = symbols.data_symbol(name);
            let address = symbol.map(|symbol| format!("{:#x}", symbol.address)).unwrap_or_default();
            let size = symbol.and_then(|symbol| symbol.size).map(|size| format!("{size} bytes")).unwrap_or_default();
            table.row([(address, Some(Style::Address)), (name.clone(), None), (size, None)]);
        }
        let mut out = table.into_output();
        if found.len() > MOST {
            out.line(format!("… and {} more", found.len() - MOST));
        }
        Ok(out)
    }

    /// `info symbol`.
    pub(super) fn symbol_info(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Output> {
        if let Some(code) = text.strip_prefix('*') {
            let spec = super::LocationSpec::parse(&format!("*{code}"))?;
            let places = self.resolve(inferior, &spec)?;
            let text = places.into_iter().map(|place| place.text).collect::<Vec<_>>().join(", ");
            return Ok(Output::from(text + "\n"));
        }
        let address = self.address_of(inferior, text)?;
        let mut out = Output::new();
        if let Some(name) = self.data_name(inferior, address) {
            out.line(format!("{name} (data)"));
        }
        let symbols = self.modules.symbols(inferior, ModuleId::KERNEL);
        let function = u32::try_from(address).ok().and_then(|index| symbols.as_ref()?.table_function(u64::from(index)));
        if let (Some(index), Some(symbols)) = (function, &symbols) {
            out.line(format!("{} (as a pointer to a function)", symbols.function_name(index)));
        }
        let code = u32::try_from(address).ok().map(CodeOffset);
        let location = code.and_then(|offset| symbols.as_ref().map(|symbols| symbols.locate(offset)));
        if let Some(function) = location.and_then(|location| location.function) {
            out.line(format!("{}+{:#x} (as an offset in code)", function.name, address - u64::from(function.start.0)));
        }
        if out.is_empty() {
            return Err(CommandError::missing("symbol at", format!("{address:#x}")));
        }
        Ok(out)
    }

    /// The kernel's datum at an address: `worker_pools+8`.
    pub(super) fn data_name(&mut self, inferior: &mut dyn Inferior, address: u64) -> Option<String> {
        let symbols = self.modules.symbols(inferior, ModuleId::KERNEL)?;
        let (symbol, offset) = symbols.symbol_at(address)?;
        Some(if offset == 0 { symbol.name.clone() } else { format!("{}+{offset}", symbol.name) })
    }

    /// `info registers`.
    pub(super) fn registers(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let (runner, view) = self.selected_frame(inferior)?;
        let states = inferior.frame_states(runner)?;
        let mut table = Table::default();
        let mut row = |name: String, value: String| table.row([(name, None), (value, None)]);
        row("$pc".to_owned(), super::points::address_text(view.address));
        if let Ok(pointer) = inferior.stack_pointer(runner) {
            row("$sp".to_owned(), format!("{pointer:#x}"));
        }
        if let Some(state) = states.get(view.depth as usize) {
            for (index, value) in state.locals.iter().enumerate() {
                row(format!("$local{index}"), value.to_string());
            }
            for (index, value) in state.operands.iter().enumerate() {
                row(format!("$op{index}"), value.to_string());
            }
        }
        let symbols = self.modules.symbols(inferior, view.address.module);
        for (index, value) in (0..).zip(inferior.globals(runner, view.address.module)?) {
            let name = symbols.as_ref().and_then(|symbols| symbols.global_name(index));
            let name = name.map(|name| format!(" {name}")).unwrap_or_default();
            let value = value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
            row(format!("$global{index}{name}"), value);
        }
        Ok(table.into_output())
    }

    /// What `finish` says of the value that came back.
    pub(super) fn returned(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        returning: wkdb_tracer::CodeAddress,
    ) -> Output {
        match self.returned_value(inferior, runner, returning) {
            Some((Kept { module, value }, text)) => {
                let name = self.values.keep(Kept { module, value });
                Output::from(format!("Value returned is {name} = {text}\n"))
            }
            None => Output::new(),
        }
    }
}
