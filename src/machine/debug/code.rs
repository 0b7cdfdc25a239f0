//! The instructions of the original modules, as far as stopping and stepping have to know them.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use wasmparser::{
    BinaryReader, CompositeInnerType, ElementItems, ExternalKind, FuncToValidate, FuncValidator,
    FuncValidatorAllocations, FunctionBody, Operator, Parser, Payload, TypeRef, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};
use wkdb_tracer::CodeOffset;

use crate::instrument::START_EXPORT;

/// Functions whose instructions are kept at most: a debugger looks at few at a time.
const MAX_KEPT: usize = 256;

/// What an instruction does to the order of instructions, beyond going on in its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Kind {
    /// Nothing.
    Plain,
    /// It calls this function, by its index in the original module; `tail`: instead of returning.
    Call {
        /// Which.
        function: u32,
        /// The frame is gone then.
        tail: bool,
    },
    /// It calls what this table holds at the index on top of the operand stack.
    CallIndirect {
        /// Which table.
        table: u32,
        /// The frame is gone then.
        tail: bool,
    },
    /// It calls what the reference on top of the operand stack refers to.
    CallRef {
        /// The frame is gone then.
        tail: bool,
    },
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Instruction {
    pub(in crate::machine) offset: u32,
    pub(in crate::machine) kind: Kind,
    /// Whether control can come here at all; where not, no code was made of it.
    pub(in crate::machine) live: bool,
    /// Whether it is part of a loop.
    pub(in crate::machine) in_loop: bool,
    /// How many values the operand stack has before it.
    pub(in crate::machine) height: u32,
    /// How many of these it takes, if it is one that others run during: a call, or what the host does for the guest.
    pub(in crate::machine) takes: u32,
}

/// A function's instructions.
#[derive(Debug)]
pub(in crate::machine) struct FunctionCode {
    /// Its index in the original module.
    pub(in crate::machine) function: u32,
    /// In order.
    pub(in crate::machine) instructions: Vec<Instruction>,
    /// Parameters and declared locals.
    pub(in crate::machine) locals: u32,
    /// Whether it catches exceptions.
    pub(in crate::machine) catches: bool,
}

impl FunctionCode {
    /// The place in `instructions` of the first at or behind `offset` that control can come to.
    fn live_from(&self, offset: u32) -> Option<&Instruction> {
        let first = self.instructions.partition_point(|i| i.offset < offset);
        self.instructions[first..].iter().find(|i| i.live)
    }

    /// The first instruction at or behind `offset` that control can come to.
    pub(in crate::machine) fn slip(&self, offset: CodeOffset) -> Option<CodeOffset> {
        self.live_from(offset.0).map(|i| CodeOffset(i.offset))
    }

    /// The instruction at `offset`.
    pub(in crate::machine) fn at(&self, offset: CodeOffset) -> Option<&Instruction> {
        let place = self.instructions.binary_search_by_key(&offset.0, |i| i.offset).ok()?;
        self.instructions.get(place)
    }

    /// The instruction that the byte at `offset` is part of.
    pub(in crate::machine) fn around(&self, offset: CodeOffset) -> Option<&Instruction> {
        let behind = self.instructions.partition_point(|i| i.offset <= offset.0);
        self.instructions.get(behind.checked_sub(1)?)
    }

    /// The instruction that is next in the code behind the one at `offset`.
    pub(in crate::machine) fn behind(&self, offset: CodeOffset) -> Option<CodeOffset> {
        let next = self.instructions.partition_point(|i| i.offset <= offset.0);
        self.instructions.get(next).map(|i| CodeOffset(i.offset))
    }

    /// Those that control can come to.
    pub(in crate::machine) fn live(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.iter().filter(|i| i.live)
    }
}

/// A module's functions, read on demand.
#[derive(Debug, Default)]
pub(in crate::machine) struct CodeIndex {
    /// Where the contents of the code section start in the file.
    base: usize,
    /// The bodies in the file.
    bodies: Vec<Range<usize>>,
    /// Parameters of each function type.
    parameters: Vec<u32>,
    /// The types of all functions, imported ones first.
    types: Vec<u32>,
    /// What is imported as functions: names of module and function.
    imports: Vec<(String, String)>,
    exports: BTreeMap<String, u32>,
    /// Functions that a reference may be taken to: in tables, or by code.
    referenced: Vec<u32>,
    /// All globals, imported ones among them.
    globals: u32,
    /// What a body is validated against.
    resources: Option<ValidatorResources>,
    kept: RefCell<HashMap<u32, Rc<FunctionCode>>>,
}

impl CodeIndex {
    /// Reads what there is. The module is valid: it is one that runs.
    pub(in crate::machine) fn read(module: &[u8]) -> Result<CodeIndex, wasmparser::Error> {
        let mut index = CodeIndex::default();
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let ValidPayload::Func(function, _) = validator.payload(&payload)? {
                index.resources.get_or_insert(function.resources);
            }
            index.payload(payload)?;
        }
        index.referenced.sort_unstable();
        index.referenced.dedup();
        Ok(index)
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.types() {
                        self.parameters.push(match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => ty.params().len() as u32,
                            _ => 0,
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            self.types.push(ty);
                            self.imports.push((import.module.to_owned(), import.name.to_owned()));
                        }
                        TypeRef::Global(_) => self.globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.types.push(ty?);
                }
            }
            Payload::GlobalSection(globals) => self.globals += globals.count(),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        self.exports.insert(export.name.to_owned(), export.index);
                        self.referenced.push(export.index);
                    }
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    let element = element?;
                    match element.items {
                        ElementItems::Functions(functions) => {
                            for function in functions {
                                self.referenced.push(function?);
                            }
                        }
                        ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                for operator in expression?.get_operators_reader() {
                                    if let Operator::RefFunc { function_index } = operator? {
                                        self.referenced.push(function_index);
                                    }
                                }
                            }
                        }
                    }
                }
            }
            // The host calls it by this name: an instance begins there.
            Payload::StartSection { func, .. } => drop(self.exports.insert(START_EXPORT.to_owned(), func)),
            Payload::CodeSectionStart { range, .. } => self.base = range.start,
            Payload::CodeSectionEntry(body) => self.bodies.push(body.range()),
            _ => {}
        }
        Ok(())
    }

    /// How many functions are imported.
    fn imported(&self) -> u32 {
        self.imports.len() as u32
    }

    /// How many functions there are, imported ones among them.
    pub(in crate::machine) fn count(&self) -> u32 {
        self.types.len() as u32
    }

    /// All globals, imported ones among them.
    pub(in crate::machine) fn globals(&self) -> u32 {
        self.globals
    }

    /// The function that is exported with this name.
    pub(in crate::machine) fn exported(&self, name: &str) -> Option<u32> {
        self.exports.get(name).copied()
    }

    /// What an imported function is called: by module and name.
    pub(in crate::machine) fn import(&self, function: u32) -> Option<(&str, &str)> {
        self.imports.get(function as usize).map(|(module, name)| (module.as_str(), name.as_str()))
    }

    /// Functions that a reference may be taken to.
    pub(in crate::machine) fn referenced(&self) -> &[u32] {
        &self.referenced
    }

    /// The function whose body, declarations of locals included, `offset` is in.
    pub(in crate::machine) fn function_at(&self, offset: CodeOffset) -> Option<u32> {
        let at = self.base + offset.0 as usize;
        let position = self.bodies.partition_point(|body| body.start <= at).checked_sub(1)?;
        self.bodies[position].contains(&at).then(|| self.imported() + position as u32)
    }

    /// A function's instructions; none for an imported one.
    pub(in crate::machine) fn function(&self, module: &[u8], function: u32) -> Option<Rc<FunctionCode>> {
        if let Some(code) = self.kept.borrow().get(&function) {
            return Some(code.clone());
        }
        let body = self.bodies.get(function.checked_sub(self.imported())? as usize)?.clone();
        let ty = *self.types.get(function as usize)? as usize;
        let parameters = self.parameters.get(ty).copied().unwrap_or(0);
        let validator = FuncToValidate {
            resources: self.resources.clone()?,
            index: function,
            ty: ty as u32,
            features: WasmFeatures::all(),
        };
        let validator = validator.into_validator(FuncValidatorAllocations::default());
        let code = Rc::new(self.read_function(module, body, validator, parameters).ok()?);
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(function, code.clone());
        Some(code)
    }

    fn read_function(
        &self,
        module: &[u8],
        body: Range<usize>,
        mut validator: FuncValidator<ValidatorResources>,
        parameters: u32,
    ) -> Result<FunctionCode, wasmparser::Error> {
        let bytes = module.get(body.clone()).unwrap_or_default();
        let body = FunctionBody::new(BinaryReader::new(bytes, body.start));
        let mut locals = parameters;
        let mut groups = body.get_locals_reader()?;
        for _ in 0..groups.get_count() {
            let at = groups.original_position();
            let (count, ty) = groups.read()?;
            validator.define_locals(at, count, ty)?;
            locals = locals.saturating_add(count);
        }
        let mut code = FunctionCode { function: validator.index(), instructions: Vec::new(), locals, catches: false };
        let mut flow = Flow { live: true, blocks: vec![Block::new(true, false)] };
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, start) = operators.read_with_offset()?;
            let height = validator.operand_stack_height();
            validator.op(start, &operator)?;
            code.catches |= matches!(operator, Operator::TryTable { .. } | Operator::Try { .. });
            code.instructions.push(Instruction {
                offset: (start - self.base) as u32,
                kind: kind(&operator),
                live: flow.pass(&operator),
                in_loop: flow.is_in_loop(),
                height,
                takes: self.takes(&operator),
            });
        }
        Ok(code)
    }

    /// How many operands an operator takes, if it is one that others run during.
    fn takes(&self, operator: &Operator<'_>) -> u32 {
        let of_type = |ty: u32| self.parameters.get(ty as usize).copied().unwrap_or(0);
        match *operator {
            Operator::Call { function_index } => self.types.get(function_index as usize).map_or(0, |&ty| of_type(ty)),
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => of_type(type_index) + 1,
            Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. } => 3,
            Operator::MemoryAtomicNotify { .. } => 2,
            Operator::MemoryGrow { .. } => 1,
            _ => 0,
        }
    }

    /// A function's first instruction; none of an imported one.
    pub(in crate::machine) fn first(&self, module: &[u8], function: u32) -> Option<CodeOffset> {
        let body = self.bodies.get(function.checked_sub(self.imported())? as usize)?;
        let reader = BinaryReader::new(module.get(body.clone())?, body.start);
        let first = FunctionBody::new(reader).get_operators_reader().ok()?.original_position();
        Some(CodeOffset((first - self.base) as u32))
    }

    /// The instructions of the function that holds `offset`.
    pub(in crate::machine) fn code_at(&self, module: &[u8], offset: CodeOffset) -> Option<Rc<FunctionCode>> {
        self.function(module, self.function_at(offset)?)
    }
}

/// A block that is open.
struct Block {
    /// Whether control comes to where it begins.
    entered: bool,
    is_loop: bool,
    /// An `if` whose `else` has not come yet: its end is reached if it is.
    can_skip: bool,
    /// Whether a branch, or the end of an arm, comes to its end.
    end_reached: bool,
}

fn kind(operator: &Operator<'_>) -> Kind {
    match *operator {
        Operator::Call { function_index: function } => Kind::Call { function, tail: false },
        Operator::ReturnCall { function_index: function } => Kind::Call { function, tail: true },
        Operator::CallIndirect { table_index: table, .. } => Kind::CallIndirect { table, tail: false },
        Operator::ReturnCallIndirect { table_index: table, .. } => Kind::CallIndirect { table, tail: true },
        Operator::CallRef { .. } => Kind::CallRef { tail: false },
        Operator::ReturnCallRef { .. } => Kind::CallRef { tail: true },
        _ => Kind::Plain,
    }
}

impl Block {
    fn new(entered: bool, is_loop: bool) -> Block {
        Block { entered, is_loop, can_skip: false, end_reached: false }
    }
}

/// Which instructions control can come to, as the engine sees it: it makes no code of the others.
struct Flow {
    live: bool,
    blocks: Vec<Block>,
}

impl Flow {
    /// Goes over an instruction; whether code is made of it.
    fn pass(&mut self, operator: &Operator<'_>) -> bool {
        let live = self.live;
        match operator {
            Operator::Block { .. } => self.blocks.push(Block::new(live, false)),
            Operator::Loop { .. } => self.blocks.push(Block::new(live, true)),
            Operator::If { .. } => self.blocks.push(Block { can_skip: true, ..Block::new(live, false) }),
            Operator::Try { .. } => self.blocks.push(Block::new(live, false)),
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    self.branch(match catch {
                        wasmparser::Catch::One { label, .. }
                        | wasmparser::Catch::OneRef { label, .. }
                        | wasmparser::Catch::All { label }
                        | wasmparser::Catch::AllRef { label } => *label,
                    });
                }
                self.blocks.push(Block::new(live, false));
            }
            Operator::Else | Operator::Catch { .. } | Operator::CatchAll => {
                if let Some(block) = self.blocks.last_mut() {
                    block.end_reached |= live;
                    block.can_skip = false;
                    self.live = block.entered;
                }
            }
            Operator::End | Operator::Delegate { .. } => {
                if let Some(block) = self.blocks.pop() {
                    let reached = block.end_reached || (block.can_skip && block.entered);
                    self.live = live || reached;
                }
            }
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth);
                self.live = false;
            }
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => self.branch(*relative_depth),
            Operator::BrTable { targets } => {
                for target in targets.targets().flatten() {
                    self.branch(target);
                }
                self.branch(targets.default());
                self.live = false;
            }
            Operator::Return
            | Operator::Unreachable
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. } => self.live = false,
            _ => {}
        }
        live
    }

    /// Whether a branch backwards can lead over the instruction that was passed last. The end of a loop is not part of it.
    fn is_in_loop(&self) -> bool {
        self.blocks.iter().any(|block| block.is_loop)
    }

    fn branch(&mut self, depth: u32) {
        let target = (self.blocks.len() as u32).checked_sub(depth + 1);
        let block = target.and_then(|target| self.blocks.get_mut(target as usize));
        if let Some(block) = block.filter(|block| self.live && !block.is_loop) {
            block.end_reached = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(body: &str) -> Rc<FunctionCode> {
        let text = format!(
            "(module (import \"e\" \"f\" (func $f)) (func $g (param i32 i64) (local f32) {body}) \
             (func $h (param i32) (result i32) local.get 0))"
        );
        let module = wat::parse_str(text).unwrap();
        let index = CodeIndex::read(&module).unwrap();
        index.function(&module, 1).unwrap()
    }

    fn live(body: &str) -> String {
        function(body).instructions.iter().map(|i| if i.live { '1' } else { '0' }).collect()
    }

    #[test]
    fn code_that_control_cannot_come_to() {
        assert_eq!(live("nop"), "11", "the end is one");
        assert_eq!(live("unreachable nop"), "100");
        assert_eq!(live("block br 0 nop end nop"), "110011", "the dead end of a block that is left by a branch");
        assert_eq!(live("block nop end"), "1111");
        assert_eq!(live("loop br 0 end nop"), "11000", "nothing comes out of that loop");
        assert_eq!(live("local.get 0 if return else nop end nop"), "11101111");
        assert_eq!(live("local.get 0 if return end nop"), "111011");
        assert_eq!(live("local.get 0 if return else return end nop"), "11101000");
        assert_eq!(live("block local.get 0 br_table 0 0 nop end nop"), "1110011");
        assert_eq!(live("return block br 0 end nop"), "100000", "what is dead leads nowhere");
    }

    #[test]
    fn what_is_in_a_loop() {
        let code = function("nop loop local.get 0 if nop end local.get 0 br_if 0 end nop");
        let looped: String = code.instructions.iter().map(|i| if i.in_loop { '1' } else { '0' }).collect();
        assert_eq!(looped, "01111111000");
    }

    #[test]
    fn places_in_a_function() {
        let code = function("call $f local.get 0 drop");
        assert_eq!(code.locals, 3);
        let offsets: Vec<_> = code.instructions.iter().map(|i| i.offset).collect();
        let [call, get, drop, end] = offsets[..] else { panic!("{offsets:?}") };
        assert_eq!(code.at(CodeOffset(call)).unwrap().kind, Kind::Call { function: 0, tail: false });
        assert_eq!(code.at(CodeOffset(call + 1)), None, "the middle of one is none");
        assert_eq!(code.slip(CodeOffset(call + 1)), Some(CodeOffset(get)));
        assert_eq!(code.slip(CodeOffset(0)), Some(CodeOffset(call)));
        assert_eq!(code.behind(CodeOffset(get)), Some(CodeOffset(drop)));
        assert_eq!((code.behind(CodeOffset(end)), code.slip(CodeOffset(end + 1))), (None, None));
    }

    #[test]
    fn what_is_on_the_operand_stack() {
        let code = function("i32.const 1 i32.const 2 call $h drop i64.const 3 drop drop");
        let heights: Vec<_> = code.instructions.iter().map(|i| (i.height, i.takes)).collect();
        assert_eq!(heights, [(0, 0), (1, 0), (2, 1), (2, 0), (1, 0), (2, 0), (1, 0), (0, 0)]);
    }
}
