//! Which exports a rewritten module keeps, and which globals nothing needs without the others.
//!
//! A kernel that exports every symbol costs much that nobody uses: each exported function gets an entry that the host
//! can call, and each address of a datum is a global of every instance.

use std::collections::HashSet;

use wasmparser::{
    BinaryReader, ConstExpr, ElementItems, ElementKind, Export, ExternalKind, FunctionBody, Operator, TableInit,
};

use super::error::InstrumentError;
use super::host::Host;
use super::sections::{Section, id};
use super::splice::Splice;
use super::survey::Survey;
use super::{Exports, Options, RuntimeGlobals};

impl Exports {
    /// Whether an export of this name stays.
    fn names(self, name: &str) -> bool {
        match self {
            Exports::All => true,
            Exports::Only(names) => names.contains(&name),
        }
    }
}

/// What stays of a module's exports and globals.
pub(super) struct Kept {
    exports: Exports,
    /// How many globals the rewritten module has of the original's, imported ones among them: all up to the last one
    /// that something refers to. (Initial values refer to globals that come before.)
    pub(super) globals: u32,
    /// Functions that code takes references to: an export may be what allows it to.
    referenced: HashSet<u32>,
}

impl Kept {
    /// Decides what stays.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(super) fn plan(survey: &Survey<'_>, options: &Options) -> Result<Kept, InstrumentError> {
        let all = survey.types.as_ref().global_count();
        let mut kept = Kept { exports: options.exports, globals: all, referenced: HashSet::new() };
        if options.exports == Exports::All {
            return Ok(kept);
        }
        kept.globals = survey.imported_globals;
        if options.runtime_globals == RuntimeGlobals::Define
            && let Some(stack_pointer) = survey.stack_pointer()
        {
            kept.see_global(stack_pointer);
        }
        for section in &survey.sections {
            kept.see_section(survey, section)?;
        }
        Ok(kept)
    }

    /// Whether some globals are left out.
    pub(super) fn drops_globals(&self, survey: &Survey<'_>) -> bool {
        self.globals < survey.types.as_ref().global_count()
    }

    fn see_global(&mut self, index: u32) {
        self.globals = self.globals.max(index.saturating_add(1));
    }

    fn see_expr(&mut self, expression: &ConstExpr<'_>) -> Result<(), InstrumentError> {
        for operator in expression.get_operators_reader() {
            if let Operator::GlobalGet { global_index } = operator? {
                self.see_global(global_index);
            }
        }
        Ok(())
    }

    fn see_section(&mut self, survey: &Survey<'_>, section: &Section) -> Result<(), InstrumentError> {
        match section.id {
            id::TABLE => {
                for table in survey.entries::<wasmparser::Table>(&section.contents)? {
                    if let TableInit::Expr(init) = table?.init {
                        self.see_expr(&init)?;
                    }
                }
            }
            id::GLOBAL => {
                // Like an export, a global that holds a reference may be what allows code to take the same.
                for (index, global) in (survey.imported_globals..).zip(survey.entries(&section.contents)?) {
                    let global: wasmparser::Global<'_> = global?;
                    for operator in global.init_expr.get_operators_reader() {
                        if let Operator::RefFunc { .. } = operator? {
                            self.see_global(index);
                        }
                    }
                }
            }
            id::EXPORT => {
                for export in survey.entries::<Export>(&section.contents)? {
                    let export = export?;
                    if export.kind == ExternalKind::Global && self.exports.names(export.name) {
                        self.see_global(export.index);
                    }
                }
            }
            id::ELEMENT => {
                for element in survey.entries::<wasmparser::Element>(&section.contents)? {
                    let element = element?;
                    if let ElementKind::Active { offset_expr, .. } = &element.kind {
                        self.see_expr(offset_expr)?;
                    }
                    if let ElementItems::Expressions(_, expressions) = element.items {
                        for expression in expressions {
                            self.see_expr(&expression?)?;
                        }
                    }
                }
            }
            id::CODE => {
                for body in survey.entries::<FunctionBody>(&section.contents)? {
                    for operator in body?.get_operators_reader()? {
                        match operator? {
                            Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                                self.see_global(global_index);
                            }
                            Operator::RefFunc { function_index } => _ = self.referenced.insert(function_index),
                            _ => {}
                        }
                    }
                }
            }
            id::DATA => {
                for data in survey.entries::<wasmparser::Data>(&section.contents)? {
                    if let wasmparser::DataKind::Active { offset_expr, .. } = data?.kind {
                        self.see_expr(&offset_expr)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether an export stays.
    pub(super) fn keeps(&self, export: &Export<'_>) -> bool {
        let is_function = matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact);
        self.exports.names(export.name) || (is_function && self.referenced.contains(&export.index))
    }

    /// How many exports stay.
    ///
    /// # Errors
    /// The section cannot be read.
    pub(super) fn count_exports(&self, survey: &Survey<'_>, section: &Section) -> Result<u32, InstrumentError> {
        let mut count = 0;
        for export in survey.entries::<Export>(&section.contents)? {
            count += u32::from(self.keeps(&export?));
        }
        Ok(count)
    }

    /// Puts the indices of the exports that stay right, and leaves out the others.
    ///
    /// # Errors
    /// The section cannot be read.
    pub(super) fn exports(
        &self,
        survey: &Survey<'_>,
        host: &Host,
        section: &Section,
        splice: &mut Splice<'_>,
    ) -> Result<(), InstrumentError> {
        let end = section.contents.end;
        for export in survey.entries::<Export>(&section.contents)?.into_iter_with_offsets() {
            let (start, export) = export?;
            let mut reader = BinaryReader::new(&survey.module[start..end], start);
            reader.read_string()?;
            reader.read_u8()?; // the kind of export
            let at = reader.original_position();
            reader.read_var_u32()?;
            let index = at..reader.original_position();
            match export.kind {
                _ if !self.keeps(&export) => splice.skip(start..index.end),
                ExternalKind::Func | ExternalKind::FuncExact => {
                    splice.replace_u32(index, host.target(export.index));
                }
                ExternalKind::Global => splice.replace_u32(index, host.global_shift.apply(export.index)),
                ExternalKind::Table | ExternalKind::Memory | ExternalKind::Tag => {}
            }
        }
        Ok(())
    }
}
