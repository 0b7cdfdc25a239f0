//! Names that were asked for, with what has them: kept from one run to another, they spare reading all of a module's debug
//! information, which takes longer than to boot a small kernel.
//!
//! Who asks gets what [`NameIndex`](super::dwarf::NameIndex) says. That is read when the first name is asked for that is
//! not among the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Symbols;
use super::dwarf::{Die, TypeSpace, Variable};

/// Raised with every change of what names stand for, or of how that is kept.
pub const NAME_ANSWERS_VERSION: u32 = 1;

/// More are not kept.
const MOST: usize = 4096;

/// What a module's debug information has under some names, also if that is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameAnswers {
    types: BTreeMap<(TypeSpace, String), Vec<Die>>,
    variables: BTreeMap<String, (Vec<Variable>, Vec<Die>)>,
    enumerators: BTreeMap<String, Vec<Die>>,
}

impl NameAnswers {
    fn has_room(&self) -> bool {
        self.types.len() + self.variables.len() + self.enumerators.len() < MOST
    }
}

impl Symbols {
    /// Takes over what another run was told of the same module.
    pub fn know(&self, answers: NameAnswers) {
        *self.answers.borrow_mut() = answers;
        self.has_new_answers.set(false);
    }

    /// What was asked for, with what was known before; none if nothing is new since this was last called.
    pub fn new_answers(&self) -> Option<NameAnswers> {
        self.has_new_answers.replace(false).then(|| self.answers())
    }

    /// All that is known of what was asked for.
    pub fn answers(&self) -> NameAnswers {
        self.answers.borrow().clone()
    }

    /// The complete types with a name.
    pub(super) fn types_called(&self, space: TypeSpace, name: &str) -> Vec<Die> {
        let key = (space, name.to_owned());
        if let Some(known) = self.answers.borrow().types.get(&key) {
            return known.clone();
        }
        let found = self.index().types(space, name).to_vec();
        self.keep(|answers| _ = answers.types.insert(key, found.clone()));
        found
    }

    /// The variables with a name that have a fixed address, and those that have a value without one.
    pub(super) fn variables_called(&self, name: &str) -> (Vec<Variable>, Vec<Die>) {
        if let Some(known) = self.answers.borrow().variables.get(name) {
            return known.clone();
        }
        let index = self.index();
        let found: (Vec<_>, _) = (index.variables_named(name).cloned().collect(), index.elsewhere(name).to_vec());
        self.keep(|answers| _ = answers.variables.insert(name.to_owned(), found.clone()));
        found
    }

    /// The enumeration types that have an enumerator with a name.
    pub(super) fn enumerators_called(&self, name: &str) -> Vec<Die> {
        if let Some(known) = self.answers.borrow().enumerators.get(name) {
            return known.clone();
        }
        let found = self.index().enumerators(name).to_vec();
        self.keep(|answers| _ = answers.enumerators.insert(name.to_owned(), found.clone()));
        found
    }

    fn keep(&self, add: impl FnOnce(&mut NameAnswers)) {
        let mut answers = self.answers.borrow_mut();
        if answers.has_room() {
            add(&mut answers);
            self.has_new_answers.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_the_answers_reads_no_names() {
        let module = include_bytes!("../../../src/demo/minik-7.0.wasm");
        let ask = |symbols: &Symbols| {
            let size = |name| symbols.size_of(symbols.type_named(name, None)?);
            let variables = ["jiffies_64", "first_worker", "no_such_variable"].map(|name| {
                symbols.variables_named(name).iter().map(|variable| variable.name.clone()).collect::<Vec<_>>()
            });
            (size("struct task_struct"), size("struct no_such_type"), variables)
        };
        let first = Symbols::load(&module[..]).unwrap();
        let told = ask(&first);
        assert!(told.0.is_some_and(|size| size > 100) && told.1.is_none() && told.2[0].len() == 1, "{told:?}");
        let answers = first.new_answers().unwrap();
        assert_eq!(first.new_answers(), None);

        let second = Symbols::load(&module[..]).unwrap();
        second.know(answers);
        assert_eq!(ask(&second), told);
        assert!(second.index.get().is_none(), "the names were read");
        assert_eq!(second.new_answers(), None);
        // What nobody asked before is found all the same.
        assert!(second.type_named("struct rq", None).is_some());
        assert!(second.new_answers().is_some());
    }
}
