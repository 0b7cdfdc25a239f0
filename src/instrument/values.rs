//! What is known of the integers that a function computes: which of them differ by a constant.
//!
//! A value is an unknown number plus a constant. Knowledge holds along straight code; where ways meet it is dropped. Sums are modulo 2³²: of a 64-bit address the lower half is enough, since the first
//! 4 GiB are all there is.

use std::collections::HashMap;

use wasmparser::Operator;

use super::store::store_of;

/// An unknown number, by its name, plus a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    /// The number's name: equal names are equal numbers. 0 is the number zero.
    pub(super) base: u32,
    pub(super) offset: i32,
}

/// The operand stack and the locals at a place in a function.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The upper part of the operand stack, as far as it is known.
    stack: Vec<Value>,
    locals: HashMap<u32, Value>,
    /// How many names were given.
    named: u32,
}

impl Values {
    fn fresh(&mut self) -> Value {
        self.named += 1;
        Value { base: self.named, offset: 0 }
    }

    fn pop(&mut self) -> Value {
        match self.stack.pop() {
            Some(value) => value,
            None => self.fresh(),
        }
    }

    fn push_fresh(&mut self) {
        let value = self.fresh();
        self.stack.push(value);
    }

    /// Nothing is known any more.
    fn forget(&mut self) {
        self.stack.clear();
        self.locals.clear();
    }

    /// The operand with this many above it.
    pub(super) fn operand(&mut self, depth: usize) -> Value {
        while self.stack.len() <= depth {
            let value = self.fresh();
            self.stack.insert(0, value);
        }
        self.stack[self.stack.len() - 1 - depth]
    }

    /// Follows an operator, whose first byte is `opcode`.
    pub(super) fn follow(&mut self, operator: &Operator<'_>, opcode: u8) {
        match *operator {
            Operator::Loop { .. }
            | Operator::Else
            | Operator::End
            | Operator::TryTable { .. }
            | Operator::Try { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. } => self.forget(),
            Operator::I32Const { value } => self.stack.push(Value { base: 0, offset: value }),
            Operator::I64Const { value } => self.stack.push(Value { base: 0, offset: value as i32 }),
            Operator::LocalGet { local_index } => {
                let value = match self.locals.get(&local_index) {
                    Some(value) => *value,
                    None => self.fresh(),
                };
                self.locals.insert(local_index, value);
                self.stack.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.locals.insert(local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.operand(0);
                self.locals.insert(local_index, value);
            }
            Operator::I32Add | Operator::I64Add => {
                let (b, a) = (self.pop(), self.pop());
                let sum = match (a.base, b.base) {
                    (base, 0) | (0, base) => Value { base, offset: a.offset.wrapping_add(b.offset) },
                    _ => self.fresh(),
                };
                self.stack.push(sum);
            }
            Operator::I32Sub | Operator::I64Sub => {
                let (b, a) = (self.pop(), self.pop());
                let difference = match b.base {
                    0 => Value { base: a.base, offset: a.offset.wrapping_sub(b.offset) },
                    _ => self.fresh(),
                };
                self.stack.push(difference);
            }
            _ => match effect(opcode) {
                Some((pops, pushes)) => {
                    for _ in 0..pops {
                        self.pop();
                    }
                    if pushes {
                        self.push_fresh();
                    }
                }
                // The locals are as they were: whatever it is, it sets none.
                None => self.stack.clear(),
            },
        }
    }
}

/// Whether straight code goes on behind an operator: nothing else comes together there, and no host function was called.
pub(super) fn goes_on(operator: &Operator<'_>, opcode: u8) -> bool {
    const SIMD: u8 = 0xfd;
    let local = matches!(
        operator,
        Operator::I32Const { .. }
            | Operator::I64Const { .. }
            | Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
    );
    local || effect(opcode).is_some() || opcode == SIMD || store_of(operator).is_some()
}

/// How many operands an operator of one byte takes, and whether it leaves one; `None` for those not listed.
fn effect(opcode: u8) -> Option<(u32, bool)> {
    Some(match opcode {
        0x01 | 0x02 => (0, false),                                                        // nop, block
        0x04 | 0x0d | 0x1a | 0x24 => (1, false),                                          // if, br_if, drop, global.set
        0x1b => (3, true),                                                                // select
        0x23 | 0x3f | 0x43 | 0x44 => (0, true), // global.get, memory.size, f*.const
        0x28..=0x35 => (1, true),               // loads
        0x36..=0x3e => (2, false),              // stores
        0x45 | 0x50 | 0x67..=0x69 | 0x79..=0x7b | 0x8b..=0x91 | 0x99..=0x9f => (1, true), // unary
        0xa7..=0xc4 => (1, true),               // conversions, sign extension
        0x46..=0x4f | 0x51..=0x66 | 0x6a..=0x78 | 0x7c..=0x8a | 0x92..=0x98 | 0xa0..=0xa6 => (2, true), // binary
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_with_constants_keep_the_base() {
        let mut values = Values::default();
        let get = |n| Operator::LocalGet { local_index: n };
        values.follow(&get(0), 0x20);
        values.follow(&Operator::I32Const { value: -8 }, 0x41);
        values.follow(&Operator::I32Add, 0x6a);
        values.follow(&Operator::LocalTee { local_index: 1 }, 0x22);
        let first = values.operand(0);
        values.follow(&get(0), 0x20);
        values.follow(&Operator::I32Const { value: 4 }, 0x41);
        values.follow(&Operator::I32Sub, 0x6b);
        assert_eq!(values.operand(0), Value { offset: -4, ..first });
        values.follow(&Operator::LocalSet { local_index: 0 }, 0x21);
        values.follow(&get(1), 0x20);
        assert_eq!((values.operand(0), first.offset), (first, -8), "what local 1 holds does not change with local 0");
        values.follow(&get(0), 0x20);
        values.follow(&get(1), 0x20);
        values.follow(&Operator::I32Add, 0x6a);
        assert_ne!(values.operand(0).base, first.base, "the sum of two unknowns is another");
        values.follow(
            &Operator::I32Load { memarg: wasmparser::MemArg { align: 2, max_align: 2, offset: 0, memory: 0 } },
            0x28,
        );
        let loaded = values.operand(0);
        assert_ne!(loaded.base, first.base);
        assert_eq!(values.operand(1), first, "what lies below stays");
        values.forget();
        values.follow(&get(1), 0x20);
        assert_ne!(values.operand(0).base, first.base, "where ways meet nothing is known");
    }
}
