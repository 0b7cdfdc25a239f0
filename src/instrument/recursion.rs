//! Which functions count the stack that their calls take, and how much each takes.
//!
//! Only a cycle of calls can go on without end, so only functions that are on one count; and those that catch exceptions,
//! which put right what was not given back where one was thrown. The others take a bounded room
//! between them: the longest way through the call graph, which must fit into [`UNCOUNTED_STACK`].
//!
//! What a frame takes is an estimate from the original function alone: the same in all variants, whatever the compiler
//! makes of them. The machine's stacks are large enough for what it does make of them.

use std::collections::HashMap;

use wasmparser::types::CoreTypeId;
use wasmparser::{ConstExpr, ElementItems, FunctionBody, Operator, TableInit, ValType};

use super::error::InstrumentError;
use super::sections::id;
use super::survey::Survey;

/// What functions that are on no cycle of calls may take together, in bytes by the estimate. Where a module's could take
/// more, all its functions count.
pub const UNCOUNTED_STACK: u32 = 128 << 10;

/// What each frame takes besides its values, in bytes.
const FRAME: u32 = 64;
/// What each parameter, local and operand takes, in bytes.
const VALUE: u32 = 8;
/// Estimates end here: a sum of two still fits into 31 bits.
const MAX_FRAME: u32 = 1 << 24;

/// What the functions of a module count.
#[derive(Debug)]
pub(super) struct Recursion {
    /// By the number of the function among those with a body: what it counts for itself, if anything.
    counted: Vec<Option<u32>>,
}

impl Recursion {
    /// Finds out which functions can come to call themselves.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(super) fn find(survey: &Survey<'_>) -> Result<Recursion, InstrumentError> {
        let graph = Graph::read(survey)?;
        let (cyclic, longest) = graph.cycles();
        let all = longest > UNCOUNTED_STACK;
        let functions = graph.frames.iter().zip(cyclic.iter().zip(&graph.catches));
        let counts = |(&frame, (&cyclic, &catches))| (all || cyclic || catches).then_some(frame);
        Ok(Recursion { counted: functions.map(counts).collect() })
    }

    /// The bytes that the `defined`th of the functions with a body counts for itself; none if it does not.
    pub(super) fn frame(&self, defined: usize) -> Option<u32> {
        self.counted.get(defined).copied().flatten()
    }
}

/// Who can call whom: a node for each function with a body, and behind those one for each type that functions are
/// called by, whose successors are the functions of that type that references were taken of.
#[derive(Debug, Default)]
struct Graph {
    /// The estimated size of each function's frame.
    frames: Vec<u32>,
    /// Whether it catches exceptions.
    catches: Vec<bool>,
    /// By node, its successors: a range of `successors`.
    starts: Vec<usize>,
    successors: Vec<usize>,
}

impl Graph {
    fn read(survey: &Survey<'_>) -> Result<Graph, InstrumentError> {
        let types = survey.types.as_ref();
        let imported = survey.imported_functions;
        let defined = (types.function_count() - imported) as usize;
        // A call by a type may reach functions of its subtypes.
        let subtypes = (0..types.core_type_count_in_module())
            .any(|index| types.supertype_of(types.core_type_at_in_module(index)).is_some());
        let mut by_type = TypeNodes { subtypes, first: defined, nodes: HashMap::new() };
        let mut graph = Graph::default();
        let mut referenced = survey.references()?;
        if let Some(section) = survey.section(id::CODE) {
            for (function, body) in (imported..).zip(survey.entries::<FunctionBody>(&section.contents)?) {
                let body = body?;
                graph.frames.push(frame(survey, function, &body)?);
                graph.starts.push(graph.successors.len());
                let own = graph.successors.len();
                let mut catches = false;
                for operator in body.get_operators_reader()? {
                    let called = match operator? {
                        Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                            function_index.checked_sub(imported).map(|defined| defined as usize)
                        }
                        Operator::CallIndirect { type_index, .. }
                        | Operator::ReturnCallIndirect { type_index, .. }
                        | Operator::CallRef { type_index }
                        | Operator::ReturnCallRef { type_index } => {
                            Some(by_type.node(types.core_type_at_in_module(type_index)))
                        }
                        Operator::RefFunc { function_index } => {
                            referenced.push(function_index);
                            None
                        }
                        Operator::TryTable { .. } | Operator::Try { .. } => {
                            catches = true;
                            None
                        }
                        _ => None,
                    };
                    graph.successors.extend(called);
                }
                graph.catches.push(catches);
                let mut called = graph.successors.split_off(own);
                called.sort_unstable();
                called.dedup();
                graph.successors.append(&mut called);
            }
        }
        referenced.sort_unstable();
        referenced.dedup();
        let mut of_type: Vec<Vec<usize>> = vec![Vec::new(); by_type.nodes.len()];
        for function in referenced {
            let Some(callee) = function.checked_sub(imported) else { continue };
            if let Some(node) = by_type.find(types.core_function_at(function)) {
                of_type[node - defined].push(callee as usize);
            }
        }
        for callees in of_type {
            graph.starts.push(graph.successors.len());
            graph.successors.extend(callees);
        }
        Ok(graph)
    }

    fn successors(&self, node: usize) -> &[usize] {
        let end = self.starts.get(node + 1).copied().unwrap_or(self.successors.len());
        &self.successors[self.starts[node]..end]
    }

    /// Which functions are on a cycle, and what the others take at most together. Tarjan's algorithm, which comes to
    /// the components in such an order that all that one can reach come before it.
    fn cycles(&self) -> (Vec<bool>, u32) {
        const UNSEEN: usize = usize::MAX;
        let nodes = self.starts.len();
        let (mut index, mut low, mut on_stack) = (vec![UNSEEN; nodes], vec![0; nodes], vec![false; nodes]);
        let mut cyclic = vec![false; self.frames.len()];
        // What functions that are on no cycle take from here on, once the node's component is complete.
        let mut room = vec![0_u32; nodes];
        let (mut next, mut longest) = (0, 0);
        let (mut component, mut path) = (Vec::new(), Vec::new());
        for root in 0..nodes {
            if index[root] != UNSEEN {
                continue;
            }
            path.push((root, 0));
            while let Some((node, done)) = path.last_mut() {
                let node = *node;
                if *done == 0 {
                    (index[node], low[node], on_stack[node]) = (next, next, true);
                    next += 1;
                    component.push(node);
                }
                let successor = self.successors(node).get(*done).copied();
                *done += 1;
                match successor {
                    Some(to) if index[to] == UNSEEN => path.push((to, 0)),
                    Some(to) if on_stack[to] => low[node] = low[node].min(index[to]),
                    Some(_) => {}
                    None => {
                        path.pop();
                        if let Some((caller, _)) = path.last() {
                            low[*caller] = low[*caller].min(low[node]);
                        }
                        if low[node] != index[node] {
                            continue;
                        }
                        let first = component.iter().rposition(|&member| member == node).unwrap_or(0);
                        let members = component.split_off(first);
                        let alone = members.len() == 1 && !self.successors(node).contains(&node);
                        let below =
                            members.iter().flat_map(|&member| self.successors(member)).map(|&to| room[to]).max();
                        let own = if alone { self.frames.get(node).copied().unwrap_or(0) } else { 0 };
                        let all = below.unwrap_or(0).saturating_add(own);
                        longest = longest.max(all);
                        for member in members {
                            (on_stack[member], room[member]) = (false, all);
                            if let Some(cyclic) = cyclic.get_mut(member) {
                                *cyclic = !alone;
                            }
                        }
                    }
                }
            }
        }
        (cyclic, longest)
    }
}

/// The nodes for types.
struct TypeNodes {
    /// There are subtypes: then one node stands for all types.
    subtypes: bool,
    first: usize,
    nodes: HashMap<Option<CoreTypeId>, usize>,
}

impl TypeNodes {
    fn node(&mut self, ty: CoreTypeId) -> usize {
        let new = self.first + self.nodes.len();
        *self.nodes.entry((!self.subtypes).then_some(ty)).or_insert(new)
    }

    fn find(&self, ty: CoreTypeId) -> Option<usize> {
        self.nodes.get(&(!self.subtypes).then_some(ty)).copied()
    }
}

/// The estimated size of a function's frame.
fn frame(survey: &Survey<'_>, function: u32, body: &FunctionBody<'_>) -> Result<u32, InstrumentError> {
    let mut values = survey.parameters(function) as u32;
    for group in body.get_locals_reader()? {
        let (count, ty) = group?;
        let each = if ty == ValType::V128 { 2 } else { 1 };
        values = values.saturating_add(count.saturating_mul(each));
    }
    values = values.saturating_add(survey.operands(function));
    Ok(values.saturating_mul(VALUE).saturating_add(FRAME).min(MAX_FRAME))
}

impl Survey<'_> {
    /// The functions that references are taken of outside of code.
    ///
    /// # Errors
    /// The module cannot be read.
    fn references(&self) -> Result<Vec<u32>, InstrumentError> {
        fn see(expression: &ConstExpr<'_>, found: &mut Vec<u32>) -> Result<(), InstrumentError> {
            for operator in expression.get_operators_reader() {
                if let Operator::RefFunc { function_index } = operator? {
                    found.push(function_index);
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        if let Some(section) = self.section(id::TABLE) {
            for table in self.entries::<wasmparser::Table>(&section.contents)? {
                if let TableInit::Expr(init) = table?.init {
                    see(&init, &mut found)?;
                }
            }
        }
        if let Some(section) = self.section(id::GLOBAL) {
            for global in self.entries::<wasmparser::Global>(&section.contents)? {
                see(&global?.init_expr, &mut found)?;
            }
        }
        if let Some(section) = self.section(id::ELEMENT) {
            for element in self.entries::<wasmparser::Element>(&section.contents)? {
                match element?.items {
                    ElementItems::Functions(functions) => {
                        for function in functions {
                            found.push(function?);
                        }
                    }
                    ElementItems::Expressions(_, expressions) => {
                        for expression in expressions {
                            see(&expression?, &mut found)?;
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}
