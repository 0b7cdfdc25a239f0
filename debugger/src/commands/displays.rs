//! Expressions that are printed at every stop.

use super::Debugger;
use super::output::{Output, Style};
use crate::inferior::Inferior;

/// An expression that is printed at every stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) number: u32,
    pub(super) format: Option<char>,
    pub(super) expression: String,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Displays {
    last: u32,
    shown: Vec<Shown>,
}

impl Displays {
    pub(super) fn next_number(&self) -> u32 {
        self.last + 1
    }

    pub(super) fn add(&mut self, shown: Shown) {
        self.last = shown.number;
        self.shown.push(shown);
    }

    /// Removes some, or all where none is named; fails with the first number that is not there, and removes nothing.
    pub(super) fn remove(&mut self, numbers: &[u32]) -> Result<(), u32> {
        if let Some(missing) = numbers.iter().find(|number| self.shown.iter().all(|shown| shown.number != **number)) {
            return Err(*missing);
        }
        self.shown.retain(|shown| !numbers.is_empty() && !numbers.contains(&shown.number));
        Ok(())
    }
}

impl Debugger {
    /// A display, as its expression is now.
    pub(super) fn display(&mut self, inferior: &mut dyn Inferior, shown: &Shown) -> Output {
        let format = shown.format.map(|format| format!("/{format}")).unwrap_or_default();
        let mut out = Output::from(format!(
            "{}: {format}{}{} = ",
            shown.number,
            if format.is_empty() { "" } else { " " },
            shown.expression
        ));
        match self.evaluate(inferior, &shown.expression).and_then(|value| self.format(inferior, &value, shown.format)) {
            Ok(text) => out.push(text),
            Err(error) => out.mark(Style::Problem, format!("<{error}>")),
        };
        out.push("\n");
        out
    }

    /// All displays.
    pub(super) fn all_displays(&mut self, inferior: &mut dyn Inferior) -> Output {
        let mut out = Output::new();
        for shown in self.displays.shown.clone() {
            out.append(&self.display(inferior, &shown));
        }
        out
    }
}
