//! `x`: memory, or instructions.

use wkdb_tracer::CodeAddress;

use super::Debugger;
use super::command::Examine;
use super::error::{CommandError, Result};
use super::location::LocationSpec;
use super::output::Output;
use crate::expr::Letter;
use crate::inferior::Inferior;

/// What was examined last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Examined {
    pub(super) letter: Letter,
    pub(super) size: u64,
    /// Behind what was shown last.
    next: Option<u64>,
}

impl Default for Examined {
    fn default() -> Self {
        Examined { letter: Letter::Hex, size: 4, next: None }
    }
}

impl Debugger {
    /// Prints memory.
    pub(super) fn examine(&mut self, inferior: &mut dyn Inferior, what: Examine) -> Result<Output> {
        if what.format == Some('i') {
            return self.examine_code(inferior, what.address.as_deref().unwrap_or("$pc"), what.count);
        }
        let address = match &what.address {
            Some(text) => self.address_of(inferior, text)?,
            None => self.examined.next.ok_or_else(|| CommandError::refused("from where? `x/4xw ADDRESS`"))?,
        };
        let unit = self.unit(inferior, &what);
        let (text, next) = self.examine_data(inferior, address, unit)?;
        self.examined = Examined { letter: unit.letter, size: unit.size, next: Some(next) };
        Ok(text.into())
    }

    /// Instructions from a place in code on.
    fn examine_code(&mut self, inferior: &mut dyn Inferior, text: &str, count: u64) -> Result<Output> {
        let here = self.selected_frame(inferior).ok().map(|(_, view)| view.address);
        let address = match text.trim_start_matches('*') {
            "$pc" => here.ok_or_else(|| CommandError::refused("no frame is selected"))?,
            place => match LocationSpec::parse(&format!("*{place}")) {
                Ok(LocationSpec::Address(module, offset)) => CodeAddress { module, offset },
                _ => {
                    let spec = LocationSpec::parse(text)?;
                    let spec = self.absolute(inferior, spec)?;
                    let places = self.resolve(inferior, &spec)?;
                    places.first().ok_or_else(|| CommandError::missing("code at", text))?.address
                }
            },
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.function_text(inferior, address, here, Some(count))
    }
}
