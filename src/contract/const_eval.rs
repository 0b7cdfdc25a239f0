//! The value of a constant expression, where it does not depend on the instance.

use wasmparser::{ConstExpr, Operator};

/// Computes an integer constant expression, the arithmetic of the extended-const proposal included.
///
/// `global` gives the value of an immutable global where it is known. Returns `None` for everything that is not an
/// integer known before instantiation (an imported global, a function reference, a float). An i32 comes back
/// zero-extended, as an address.
pub(super) fn evaluate(expression: &ConstExpr<'_>, global: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let mut stack: Vec<u64> = Vec::new();
    let mut reader = expression.get_operators_reader();
    while !reader.eof() {
        match reader.read().ok()? {
            // The sign bits of an i32 must not become address bits.
            Operator::I32Const { value } => stack.push(u64::from(value.cast_unsigned())),
            Operator::I64Const { value } => stack.push(value.cast_unsigned()),
            Operator::GlobalGet { global_index } => stack.push(global(global_index)?),
            Operator::I32Add => binary(&mut stack, |a, b| u64::from((a as u32).wrapping_add(b as u32)))?,
            Operator::I32Sub => binary(&mut stack, |a, b| u64::from((a as u32).wrapping_sub(b as u32)))?,
            Operator::I32Mul => binary(&mut stack, |a, b| u64::from((a as u32).wrapping_mul(b as u32)))?,
            Operator::I64Add => binary(&mut stack, u64::wrapping_add)?,
            Operator::I64Sub => binary(&mut stack, u64::wrapping_sub)?,
            Operator::I64Mul => binary(&mut stack, u64::wrapping_mul)?,
            Operator::End => {}
            _ => return None,
        }
    }
    match stack[..] {
        [value] => Some(value),
        _ => None,
    }
}

fn binary(stack: &mut Vec<u64>, operation: impl Fn(u64, u64) -> u64) -> Option<()> {
    let right = stack.pop()?;
    let left = stack.pop()?;
    stack.push(operation(left, right));
    Some(())
}
