//! How a function of the kernel's keeps its frame on the stack in memory: read from its code, once.
//!
//! Clang's functions take their frame off the stack pointer at their beginning, and put it back where they return. Their
//! code is followed with what is known of its values: the stack pointer as it was at the start plus a constant, constants,
//! and locals that are set once. A function that moves the pointer in another way, as for an array of variable length, or
//! to align it, has a frame of which nobody knows how large it is.

use std::collections::BTreeMap;

use wasmparser::{BinaryReader, FunctionBody, Operator};

/// A function's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Layout {
    /// It takes so many bytes, 0 of one that has none, and moves the stack pointer.
    Moved(u64),
    /// It keeps so many bytes below the stack pointer, which it leaves where it is: it calls nobody.
    Below(u64),
    /// That is not known.
    Unknown,
}

/// Places of locals in a frame.
pub(in crate::machine) type Locals = BTreeMap<u32, i64>;

/// What is known of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// The stack pointer at the function's start plus this.
    Stack(i64),
    Constant(i64),
    Other,
}

/// The largest frame.
const LARGEST: i64 = 1 << 20;

impl Layout {
    /// The frame of a function whose body is in these bytes of a module, whose stack pointer is this global; and of its
    /// locals those that always have one place in that frame: bytes from its lowest one on.
    pub(in crate::machine) fn of(body: &[u8], stack_pointer: u32) -> (Layout, Locals) {
        read(body, stack_pointer).unwrap_or((Layout::Unknown, Locals::new()))
    }
}

fn read(bytes: &[u8], stack_pointer: u32) -> Option<(Layout, Locals)> {
    let body = FunctionBody::new(BinaryReader::new(bytes, 0));
    let operators: Vec<Operator<'_>> = body.get_operators_reader().ok()?.into_iter().collect::<Result<_, _>>().ok()?;
    let mut sets = BTreeMap::<u32, u32>::new();
    for operator in &operators {
        if let Operator::LocalSet { local_index } | Operator::LocalTee { local_index } = operator {
            *sets.entry(*local_index).or_default() += 1;
        }
    }
    let mut locals = BTreeMap::<u32, Value>::new();
    let mut stack: Vec<Value> = Vec::new();
    let (mut lowest, mut moved, mut pointer) = (0_i64, 0_i64, Value::Stack(0));
    for operator in &operators {
        match operator {
            Operator::GlobalGet { global_index } if *global_index == stack_pointer => stack.push(pointer),
            Operator::GlobalSet { global_index } if *global_index == stack_pointer => {
                let Value::Stack(to) = stack.pop().unwrap_or(Value::Other) else { return None };
                // It is put back, or taken once.
                if to != 0 && moved != 0 && to != moved {
                    return None;
                }
                moved = moved.min(to);
                // Code behind a return runs with the frame there, and does not ask.
                pointer = if to == 0 { Value::Other } else { Value::Stack(to) };
            }
            Operator::I32Const { value } => stack.push(Value::Constant((*value).into())),
            Operator::I64Const { value } => stack.push(Value::Constant(*value)),
            Operator::LocalGet { local_index } => {
                stack.push(locals.get(local_index).copied().unwrap_or(Value::Other));
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                let value = stack.pop().unwrap_or(Value::Other);
                if sets.get(local_index) == Some(&1) {
                    locals.insert(*local_index, value);
                    if let Value::Stack(at) = value {
                        lowest = lowest.min(at);
                    }
                }
                if let Operator::LocalTee { .. } = operator {
                    stack.push(value);
                }
            }
            Operator::I32Sub | Operator::I64Sub | Operator::I32Add | Operator::I64Add => {
                let (b, a) = (stack.pop().unwrap_or(Value::Other), stack.pop().unwrap_or(Value::Other));
                let minus = matches!(operator, Operator::I32Sub | Operator::I64Sub);
                stack.push(match (a, b) {
                    (Value::Stack(a), Value::Constant(b)) if minus => Value::Stack(a - b),
                    (Value::Stack(a), Value::Constant(b)) | (Value::Constant(b), Value::Stack(a)) if !minus => {
                        Value::Stack(a + b)
                    }
                    (Value::Constant(a), Value::Constant(b)) if minus => Value::Constant(a - b),
                    (Value::Constant(a), Value::Constant(b)) => Value::Constant(a + b),
                    _ => Value::Other,
                });
            }
            Operator::Block { .. } | Operator::Nop => {}
            // What other operators take and give is not known: nothing on the operand stack is.
            _ => stack.clear(),
        }
    }
    if !(-LARGEST..=0).contains(&moved) || lowest < -LARGEST {
        return None;
    }
    let layout = match moved {
        0 if lowest < 0 => Layout::Below(lowest.unsigned_abs()),
        moved => Layout::Moved(moved.unsigned_abs()),
    };
    let base = moved.min(lowest);
    let places = locals.into_iter().filter_map(|(local, value)| match value {
        Value::Stack(at) => Some((local, at - base)),
        _ => None,
    });
    Some((layout, places.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame of a function with this code.
    fn layout(code: &str) -> Layout {
        let module = wat::parse_str(format!(
            "(module (global $sp (mut i32) (i32.const 0)) (func $call) (func (param i32) (local i32 i32) {code}))"
        ))
        .unwrap();
        let mut last = Layout::Unknown;
        for payload in wasmparser::Parser::new(0).parse_all(&module) {
            if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
                last = Layout::of(&module[body.range()], 0).0;
            }
        }
        last
    }

    #[test]
    fn a_frame_is_what_is_taken_off_the_stack_pointer_and_put_back() {
        let take = "global.get $sp i32.const 48 i32.sub local.tee 1 global.set $sp";
        let back = "local.get 1 i32.const 48 i32.add global.set $sp";
        assert_eq!(layout(&format!("{take} call $call {back}")), Layout::Moved(48));
        assert_eq!(layout(&format!("block {take} call $call {back} br 0 end")), Layout::Moved(48));
        assert_eq!(layout("call $call"), Layout::Moved(0));
        // As it is without optimising.
        let plain =
            "global.get $sp local.set 1 i32.const 16 local.set 2 local.get 1 local.get 2 i32.sub global.set $sp";
        assert_eq!(layout(&format!("{plain} call $call local.get 1 global.set $sp")), Layout::Moved(16));
        assert_eq!(layout("global.get $sp i32.const 32 i32.sub local.set 1"), Layout::Below(32));
    }

    #[test]
    fn one_that_is_moved_otherwise_is_not_known() {
        let take = "global.get $sp i32.const 48 i32.sub local.tee 1 global.set $sp";
        assert_eq!(layout(&format!("{take} local.get 1 local.get 0 i32.sub global.set $sp")), Layout::Unknown);
        assert_eq!(layout("global.get $sp i32.const 64 i32.sub i32.const -64 i32.and global.set $sp"), Layout::Unknown);
    }
}
