//! Rewritten modules do what the original ones do, and count what a naive count counts.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType, Instruction, SectionId, ValType,
};
use wkdb::instrument::{Options, TickCounter, rewrite};

use crate::generated::{entropy, runnable_module};
use crate::machine::{CallResult, Host, Outcome, STACK, View, engine, run};

/// The naive count: an exported 64-bit global, incremented by plain code at each function's entry and each loop's
/// header, put in by wasm-encoder's own rewriting.
struct Oracle {
    global: u32,
}

impl Oracle {
    fn count(&self, function: &mut wasm_encoder::Function) {
        function.instruction(&Instruction::GlobalGet(self.global)).instruction(&Instruction::I64Const(1));
        function.instruction(&Instruction::I64Add).instruction(&Instruction::GlobalSet(self.global));
    }

    fn declare(globals: &mut GlobalSection) {
        let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i64_const(0));
    }

    fn export(&self, exports: &mut ExportSection) {
        exports.export("oracle", ExportKind::Global, self.global);
    }
}

impl Reencode for Oracle {
    type Error = std::convert::Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), reencode::Error> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.count(&mut function);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = self.parse_instruction(&mut operators)?;
            function.instruction(&operator);
            if let Instruction::Loop(_) = operator {
                self.count(&mut function);
            }
        }
        code.function(&function);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        reencode::utils::parse_global_section(self, globals, section)?;
        Self::declare(globals);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        reencode::utils::parse_export_section(self, exports, section)?;
        self.export(exports);
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut wasm_encoder::Module,
        after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), reencode::Error> {
        let order = |id: Option<SectionId>, default: usize| {
            let order = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];
            id.map_or(default, |id| order.iter().position(|&o| o == u8::from(id)).unwrap_or(default))
        };
        // wasm-smith's modules have a global section (the termination's fuel), but may export nothing.
        if order(after, 0) < order(Some(SectionId::Export), 0) && order(Some(SectionId::Export), 0) < order(before, 99)
        {
            let mut exports = ExportSection::new();
            self.export(&mut exports);
            module.section(&exports);
        }
        Ok(())
    }
}

fn with_oracle(module: &[u8]) -> Vec<u8> {
    let types = wasmparser::Validator::new().validate_all(module).expect("the module is valid");
    let mut oracle = Oracle { global: types.as_ref().global_count() };
    let mut counted = wasm_encoder::Module::new();
    oracle
        .parse_core_module(&mut counted, wasmparser::Parser::new(0), module)
        .unwrap_or_else(|error| panic!("{error}"));
    counted.finish()
}

/// Where the contents of the code section start.
fn code_start(module: &[u8]) -> u32 {
    let mut payloads = wasmparser::Parser::new(0).parse_all(module);
    payloads
        .find_map(|payload| match payload {
            Ok(wasmparser::Payload::CodeSectionStart { range, .. }) => Some(range.start as u32),
            _ => None,
        })
        .unwrap_or(0)
}

/// What is compared between modules with different code in between: results, globals and memory.
fn visible(outcome: &Outcome) -> (&[CallResult], &[String], Option<&[u8]>) {
    (&outcome.results, &outcome.globals, outcome.memory.as_deref())
}

/// Where the operators are that load, from the start of the code section's contents.
fn loads_of(module: &[u8]) -> BTreeSet<u32> {
    let start = code_start(module) as usize;
    let mut loads = BTreeSet::new();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload else { continue };
        let mut operators = body.get_operators_reader().expect("the module is valid");
        while !operators.eof() {
            let (operator, at) = operators.read_with_offset().expect("the module is valid");
            if format!("{operator:?}").split(' ').next().is_some_and(|name| name.contains("Load")) {
                loads.insert((at - start) as u32);
            }
        }
    }
    loads
}

/// Places of traps as the original module tells them. The compiler may merge a load into the instruction that uses what is
/// loaded, and tells of a trap there; it cannot where the load is checked: then it is told at one of `loads`.
fn place_loads(
    checked: &[Vec<Option<u32>>],
    plain: &[Vec<Option<u32>>],
    loads: &BTreeSet<u32>,
) -> Vec<Vec<Option<u32>>> {
    /// The longest a load and what it is merged into are.
    const NEAR: u32 = 16;
    let mut placed = checked.to_vec();
    for (ours, theirs) in placed.iter_mut().zip(plain) {
        if let (Some(Some(ours)), Some(Some(theirs))) = (ours.first_mut(), theirs.first())
            && loads.contains(ours)
            && !loads.contains(theirs)
            && (*ours..=*ours + NEAR).contains(theirs)
        {
            *ours = *theirs;
        }
    }
    placed
}

/// All variants of a module do the same as the module itself.
fn check_variants(module: &[u8]) -> Option<u32> {
    let engine = engine();
    let start = code_start(module);
    let in_file = |offset: u32| offset.checked_sub(start);
    let (plain, _) = run(&engine, module, &View { counts_down: false, original: &in_file }, Host::default())?;
    let counted = with_oracle(module);
    let (oracle, _) = run(&engine, &counted, &View { counts_down: false, original: &|_| None }, Host::default())?;
    assert_eq!(visible(&plain), visible(&oracle));

    let mut slices = 0;
    let plain_ticks = Options { ticks: true, call_stack: Some(STACK), ..Options::identity() };
    for (tick_counter, stores, loads) in [
        (TickCounter::Local, false, false),
        (TickCounter::Global, false, false),
        (TickCounter::Local, true, false),
        (TickCounter::Global, true, false),
        (TickCounter::Local, true, true),
        (TickCounter::Global, false, true),
    ] {
        let options = Options { tick_counter, stores, loads, ..plain_ticks };
        let rewritten = rewrite(module, &options).unwrap_or_else(|error| panic!("{error}"));
        let original = |offset: u32| Some(rewritten.map.original(offset)?.0);
        let view = View { counts_down: true, original: &original };
        let watch_all = Host::watching(0, u64::MAX);
        let (outcome, host) = run(&engine, &rewritten.wasm, &view, watch_all)?;
        assert_eq!(visible(&plain), visible(&outcome), "{options:?}");
        assert_eq!(oracle.ticks, outcome.ticks, "{options:?}");
        let frames =
            if loads { place_loads(&outcome.frames, &plain.frames, &loads_of(module)) } else { outcome.frames };
        assert_eq!(plain.frames, frames, "{options:?}");
        if (stores || loads) && !outcome.ticks.is_empty() {
            assert!(outcome.memory.as_ref().is_none_or(|memory| *memory == host.shadow), "a write was not reported");
        }
        slices += host.slices;
    }
    Some(slices)
}

proptest! {
    #![proptest_config(crate::generated::config(64))]

    #[test]
    fn all_variants_do_and_count_the_same(entropy in entropy()) {
        if let Some(module) = runnable_module(&entropy) {
            check_variants(&module);
        }
    }
}
