//! Which functions count the stack that their calls take, and how much each takes.
//!
//! Only a cycle of calls can go on without end, so it is enough if each comes through a function that counts; those that
//! catch exceptions do in any case, and put right what was not given back where one was thrown. The others take a bounded
//! room between them, at most [`UNCOUNTED_STACK`], which whoever calls the first of them counts for them.
//!
//! What a frame takes is an estimate from the original function alone: the same in all variants, whatever the compiler
//! makes of them. The machine's stacks are large enough for what it does make of them.

use std::collections::{BTreeSet, HashMap};

use wasmparser::types::CoreTypeId;
use wasmparser::{ConstExpr, ElementItems, FunctionBody, Operator, TableInit, ValType};

use super::error::InstrumentError;
use super::feedback::Feedback;
use super::sections::id;
use super::survey::Survey;

/// What functions that do not count may take together, in bytes by the estimate. More of it would leave out more counting
/// and make each function that counts count more than it takes: a recursion that ends could be taken for one that does not.
pub const UNCOUNTED_STACK: u32 = 1 << 10;

/// What each frame takes besides its values, in bytes.
const FRAME: u32 = 64;
/// What each parameter, local and operand takes, in bytes.
const VALUE: u32 = 8;
/// Estimates end here: a sum of two still fits into 31 bits.
const MAX_FRAME: u32 = 1 << 24;

/// What the functions of a module count.
#[derive(Debug)]
pub(super) struct Recursion {
    /// By the number of the function among those with a body: what it counts, if anything.
    counted: Vec<Option<u32>>,
}

impl Recursion {
    /// Finds out which functions have to count.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(super) fn find(survey: &Survey<'_>) -> Result<Recursion, InstrumentError> {
        Ok(Recursion { counted: Graph::read(survey)?.count() })
    }

    /// The bytes that the `defined`th of the functions with a body counts; none if it does not.
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

/// What functions go on in with their frames gone, by function. Few guests have tail calls.
type Tails = HashMap<usize, Vec<usize>>;

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
        let mut tails = Tails::new();
        let mut referenced = survey.references()?;
        if let Some(section) = survey.section(id::CODE) {
            for (function, body) in (imported..).zip(survey.entries::<FunctionBody>(&section.contents)?) {
                let body = body?;
                graph.frames.push(frame(survey, function, &body)?);
                graph.starts.push(graph.successors.len());
                let own = graph.successors.len();
                let mut catches = false;
                for operator in body.get_operators_reader()? {
                    let operator = operator?;
                    let called = match operator {
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
                    match operator {
                        Operator::ReturnCall { .. }
                        | Operator::ReturnCallIndirect { .. }
                        | Operator::ReturnCallRef { .. } => {
                            tails.entry(graph.catches.len()).or_default().extend(called);
                        }
                        _ => graph.successors.extend(called),
                    }
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
        Ok(if tails.is_empty() { graph } else { graph.through_tails(&tails) })
    }

    /// Who calls a function that goes on in another one calls that one, too: of the first there is no frame any more.
    fn through_tails(&self, tails: &Tails) -> Graph {
        let mut graph = Graph { frames: self.frames.clone(), catches: self.catches.clone(), ..Graph::default() };
        for node in 0..self.starts.len() {
            let mut called: BTreeSet<usize> = self.successors(node).iter().copied().collect();
            let mut new: Vec<usize> = called.iter().copied().collect();
            while let Some(callee) = new.pop() {
                let tails = tails.get(&callee).map_or(&[][..], Vec::as_slice);
                new.extend(tails.iter().copied().filter(|&to| called.insert(to)));
            }
            graph.starts.push(graph.successors.len());
            graph.successors.extend(called);
        }
        graph
    }

    fn successors(&self, node: usize) -> &[usize] {
        let end = self.starts.get(node + 1).copied().unwrap_or(self.successors.len());
        &self.successors[self.starts[node]..end]
    }

    /// What each function counts, if it counts.
    ///
    /// Each cycle of calls has to come through a function that counts. As few as possible do, and those that are called
    /// most are leaves or nearly: so it is first the functions that catch exceptions and those that a cycle comes to
    /// through a reference; then some of those that are still on a cycle of direct calls; and then, from the leaves up, where
    /// functions that do not count would take more than [`UNCOUNTED_STACK`] between them. Who counts, counts for those
    /// that it may come to before the next that does.
    fn count(&self) -> Vec<Option<u32>> {
        let functions = self.frames.len();
        let mut counts = self.catches.clone();
        let components = self.components(&counts);
        for node in functions..self.starts.len() {
            for &callee in self.successors(node) {
                if let Some(counts) = counts.get_mut(callee) {
                    *counts |= components.of[callee] == components.of[node];
                }
            }
        }
        self.cut_direct_cycles(&mut counts);
        // What those that do not count take from here on: they are on no cycle any more, and the order is from the leaves up.
        let mut room = vec![0_u32; self.starts.len()];
        let all = |node: usize, room: &[u32]| {
            let below = self.successors(node).iter().map(|&to| room[to]).max().unwrap_or(0);
            self.frames.get(node).copied().unwrap_or(0).saturating_add(below)
        };
        for &node in &self.components(&counts).order {
            let all = all(node, &room);
            match counts.get_mut(node) {
                Some(true) => {}
                Some(counts) if all > UNCOUNTED_STACK => *counts = true,
                _ => room[node] = all,
            }
        }
        (0..functions).map(|node| counts[node].then(|| all(node, &room).min(MAX_FRAME))).collect()
    }

    /// Has functions count, in addition, until there is no cycle but through those that do. It is those with few callers.
    fn cut_direct_cycles(&self, counts: &mut [bool]) {
        let components = self.components(counts);
        let cyclic = |node: usize| components.cyclic[components.of[node]] && !counts[node];
        let nodes: Vec<usize> = (0..counts.len()).filter(|&node| cyclic(node)).collect();
        let mut number = vec![usize::MAX; self.starts.len()];
        let mut callers = vec![0; self.starts.len()];
        for (at, &node) in nodes.iter().enumerate() {
            number[node] = at;
        }
        for node in 0..self.starts.len() {
            for &to in self.successors(node) {
                callers[to] += 1;
            }
        }
        let mut graph = Feedback::new(nodes.iter().map(|&node| callers[node]).collect());
        for &node in &nodes {
            for &to in self.successors(node) {
                if number[to] != usize::MAX && components.of[to] == components.of[node] {
                    graph.link(number[node], number[to]);
                }
            }
        }
        for found in graph.find() {
            counts[nodes[found]] = true;
        }
    }

    /// The strongly connected components of the graph without what comes out of the functions `cut`: Tarjan's algorithm,
    /// which comes to the nodes in such an order that all that one can reach come before it, if there are no cycles.
    fn components(&self, cut: &[bool]) -> Components {
        const UNSEEN: usize = usize::MAX;
        let nodes = self.starts.len();
        let successors = |node: usize| match cut.get(node) {
            Some(true) => &[][..],
            _ => self.successors(node),
        };
        let (mut index, mut low, mut on_stack) = (vec![UNSEEN; nodes], vec![0; nodes], vec![false; nodes]);
        let mut found = Components { of: vec![0; nodes], cyclic: Vec::new(), order: Vec::with_capacity(nodes) };
        let mut next = 0;
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
                let successor = successors(node).get(*done).copied();
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
                        let alone = component.len() - first == 1 && !successors(node).contains(&node);
                        for &member in &component[first..] {
                            (on_stack[member], found.of[member]) = (false, found.cyclic.len());
                        }
                        found.cyclic.push(!alone);
                        found.order.extend(component.drain(first..));
                    }
                }
            }
        }
        found
    }
}

/// The strongly connected components of a graph.
struct Components {
    /// By node, its component.
    of: Vec<usize>,
    /// By component, whether there is a way from one of its nodes back to it.
    cyclic: Vec<bool>,
    /// The nodes.
    order: Vec<usize>,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FUNCTIONS: usize = 10;

    fn call() -> impl Strategy<Value = (usize, usize, bool)> {
        (0..FUNCTIONS, 0..FUNCTIONS, prop::bool::weighted(0.3))
    }

    proptest! {
        /// However long a way through the calls is: what it takes is counted, but for a bounded rest.
        #[test]
        fn no_way_takes_much_that_is_not_counted(
            calls in prop::collection::vec(call(), 0..30),
            frames in prop::collection::vec(64..400_u32, FUNCTIONS),
            ways in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 200), 8),
        ) {
            let mut graph = Graph { frames: frames.clone(), catches: vec![false; FUNCTIONS], ..Graph::default() };
            let mut tails = Tails::new();
            for function in 0..FUNCTIONS {
                graph.starts.push(graph.successors.len());
                let called = |tail| calls.iter().filter(move |call| (call.0, call.2) == (function, tail)).map(|call| call.1);
                graph.successors.extend(called(false));
                tails.entry(function).or_default().extend(called(true));
            }
            let counted = graph.through_tails(&tails).count();
            for way in ways {
                // What is on the stack: its frame, and what it has counted.
                let mut stack = vec![0_usize];
                for choice in way {
                    let top = stack[stack.len() - 1];
                    let next: Vec<_> = calls.iter().filter(|call| call.0 == top).collect();
                    let Some(&&(_, callee, tail)) = (!next.is_empty()).then(|| choice.get(&next)) else { break };
                    if tail {
                        stack.pop();
                    }
                    stack.push(callee);
                    let taken: u32 = stack.iter().map(|&function| frames[function]).sum();
                    let known: u32 = stack.iter().filter_map(|&function| counted[function]).sum();
                    prop_assert!(taken <= known + UNCOUNTED_STACK, "{stack:?}: {taken}, and {counted:?}");
                }
            }
        }
    }
}
