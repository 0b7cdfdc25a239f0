//! The functions that the host calls in a guest module, and how it checks that it can.

use super::error::Refusal;
use super::outline::Outline;
use super::types::{FuncType, is_int};

/// A function that the host calls: every parameter and result is an integer.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) params: usize,
    pub(super) results: std::ops::RangeInclusive<usize>,
    /// What the host does with it, for the message when it is missing.
    pub(super) purpose: &'static str,
}

pub(super) const fn call(
    name: &'static str,
    params: usize,
    results: std::ops::RangeInclusive<usize>,
    purpose: &'static str,
) -> Call {
    Call { name, params, results, purpose }
}

impl Call {
    fn expected(&self) -> String {
        let params = vec!["i32"; self.params].join(", ");
        match (*self.results.start(), *self.results.end()) {
            (0, 0) => format!("function ({params}) -> ()"),
            (1, 1) => format!("function ({params}) -> i32"),
            _ => format!("function ({params}) -> any integers"),
        }
    }

    fn fits(&self, ty: &FuncType) -> bool {
        ty.params.len() == self.params
            && self.results.contains(&ty.results.len())
            && ty.params.iter().chain(&*ty.results).all(|&ty| is_int(ty))
    }

    /// Refuses the module if it lacks this export.
    pub(super) fn require(&self, outline: &Outline, refusals: &mut Vec<Refusal>) {
        if !outline.functions.contains_key(self.name) {
            refusals.push(Refusal::MissingExport {
                name: self.name.into(),
                expected: self.expected(),
                needed_for: self.purpose,
            });
        }
        self.check_if_there(outline, refusals);
    }

    /// Refuses the module if it has this export with a type that the host cannot call.
    pub(super) fn check_if_there(&self, outline: &Outline, refusals: &mut Vec<Refusal>) {
        if let Some(ty) = outline.functions.get(self.name)
            && !self.fits(ty)
        {
            refusals.push(Refusal::ExportType {
                name: self.name.into(),
                expected: self.expected(),
                found: format!("function {ty}"),
            });
        }
    }
}

/// Refuses the module if it does not export the address of a datum.
pub(super) fn require_datum(outline: &Outline, name: &str, purpose: &'static str, refusals: &mut Vec<Refusal>) {
    if !outline.data_symbols.contains_key(name) {
        refusals.push(Refusal::MissingExport {
            name: name.into(),
            expected: "an immutable global that holds its address".into(),
            needed_for: purpose,
        });
    }
}
