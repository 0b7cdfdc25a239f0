//! What a session needs besides: values that outlive their frame, and expressions that are checked before their time.

use super::ExprError;
use super::eval::Evaluator;
use super::parse::parse;
use super::value::{Content, Value};
use crate::symbols::{Piece, Place, TypeId, TypeKind, Whereabouts};

impl Value {
    /// A value that is nowhere in the guest: its bytes, the lowest first.
    pub fn of_bytes(ty: TypeId, bytes: Vec<u8>) -> Value {
        Value::bytes(ty, bytes)
    }
}

impl Evaluator<'_> {
    /// A value that stays what it is: numbers and what is in a frame as bytes; structures and arrays in memory by their
    /// address, so that their members have addresses too.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn settled(&mut self, value: &Value) -> Result<Value, ExprError> {
        let kind = &self.symbols.resolve(value.ty).1.kind;
        let keeps = match &value.content {
            Content::Bytes(_) | Content::Function(_) => true,
            Content::Memory(_) => matches!(
                kind,
                TypeKind::Composite(_) | TypeKind::Array { .. } | TypeKind::Void | TypeKind::Function { .. }
            ),
            Content::Place(Place(pieces)) => {
                matches!(pieces[..], [Piece { at: Whereabouts::ImplicitPointer(_), .. }])
            }
        };
        if keeps {
            return Ok(value.clone());
        }
        Ok(Value { content: Content::Bytes(self.load(value)?), ..value.clone() })
    }
}

/// Whether a text can be read as an expression, whatever its variables will mean. `is_type` tells the names of types.
///
/// # Errors
/// [`ExprError::Syntax`] and the like.
pub fn check(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<(), ExprError> {
    parse(text, is_type).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_checked_without_symbols() {
        for good in ["x == 1", "(u32)x > 3", "(x) + 1", "(int)(x - (u32)y) > 3", "p->a[3].b && !q", "$1 + $x"] {
            assert_eq!(check(good, &|name| name == "u32"), Ok(()), "{good}");
        }
        for bad in ["", "x ==", "(x", "a b", "1 +* 2 )"] {
            assert!(check(bad, &|_| false).is_err(), "{bad}");
        }
    }
}
