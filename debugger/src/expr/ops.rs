//! C's arithmetic.

use super::ExprError;
use super::ast::Binary;
use super::eval::Evaluator;
use super::value::{Scalar, Value, truncated};
use crate::symbols::TypeId;

type Result<T> = std::result::Result<T, ExprError>;

impl Evaluator<'_> {
    /// The type that C computes whole numbers of this size in.
    fn integer_type(&self, size: u64, signed: bool) -> TypeId {
        let long = self.symbols.address_size() == 8;
        self.symbols.base_type(match (size, signed) {
            (..=4, true) => "int",
            (..=4, false) => "unsigned int",
            (5..=8, true) if long => "long",
            (5..=8, false) if long => "unsigned long",
            (5..=8, true) => "long long",
            (5..=8, false) => "unsigned long long",
            (_, true) => "__int128",
            (_, false) => "unsigned __int128",
        })
    }

    pub(super) fn int(&self, value: i128) -> Value {
        Value::integer(self.symbols.base_type("int"), value, 4)
    }

    /// A whole number in the type that C computes it in.
    pub(super) fn promoted(&self, value: i128, size: u64, signed: bool) -> Value {
        // What is narrower than `int` fits into it.
        let (size, signed) = if size < 4 { (4, true) } else { (size, signed) };
        let width = (size * 8).min(128) as u32;
        Value::integer(self.integer_type(size, signed), truncated(value, width, signed), size)
    }

    /// What `sizeof` is.
    pub(super) fn size_value(&self, size: u64) -> Value {
        Value::integer(self.symbols.base_type("unsigned long"), i128::from(size), self.symbols.address_size())
    }

    pub(super) fn float_value(&self, value: f64, size: u64) -> Value {
        match size {
            4 => Value::bytes(self.symbols.base_type("float"), (value as f32).to_le_bytes()),
            _ => Value::bytes(self.symbols.base_type("double"), value.to_le_bytes()),
        }
    }

    pub(super) fn pointer(&self, value: u64, to: TypeId) -> Value {
        Value::integer(self.symbols.pointer_to(to), i128::from(value), self.symbols.address_size())
    }

    pub(super) fn binary(&self, op: Binary, left: Scalar, right: Scalar) -> Result<Value> {
        match (left, right) {
            (Scalar::Pointer { value: a, to }, Scalar::Pointer { value: b, .. }) if op == Binary::Sub => {
                let step = i128::from(self.symbols.size_of(to).unwrap_or(1).max(1));
                let distance = (i128::from(a) - i128::from(b)) / step;
                Ok(Value::integer(self.symbols.base_type("long"), distance, self.symbols.address_size()))
            }
            (Scalar::Pointer { value, to }, Scalar::Int { value: by, .. })
                if matches!(op, Binary::Add | Binary::Sub) =>
            {
                let by = if op == Binary::Sub { by.wrapping_neg() } else { by };
                Ok(self.moved(value, to, by))
            }
            (Scalar::Int { value: by, .. }, Scalar::Pointer { value, to }) if op == Binary::Add => {
                Ok(self.moved(value, to, by))
            }
            (Scalar::Float { size, .. }, other) | (other, Scalar::Float { size, .. }) => {
                let size = match other {
                    Scalar::Float { size: other, .. } => size.max(other),
                    _ => size,
                };
                self.float_binary(op, left.float(), right.float(), size)
            }
            _ => self.integer_binary(op, left, right),
        }
    }

    /// A pointer so many elements further.
    pub(super) fn moved(&self, pointer: u64, to: TypeId, by: i128) -> Value {
        let step = i128::from(self.symbols.size_of(to).unwrap_or(1));
        let sum = i128::from(pointer).wrapping_add(by.wrapping_mul(step));
        let bits = self.symbols.address_size() as u32 * 8;
        self.pointer(truncated(sum, bits, false) as u64, to)
    }

    fn float_binary(&self, op: Binary, a: f64, b: f64, size: u64) -> Result<Value> {
        let result = match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Eq => return Ok(self.int(i128::from(a == b))),
            Binary::Ne => return Ok(self.int(i128::from(a != b))),
            Binary::Lt => return Ok(self.int(i128::from(a < b))),
            Binary::Le => return Ok(self.int(i128::from(a <= b))),
            Binary::Gt => return Ok(self.int(i128::from(a > b))),
            Binary::Ge => return Ok(self.int(i128::from(a >= b))),
            _ => return Err(ExprError::Type(format!("{} is not for floats", op.text()))),
        };
        Ok(self.float_value(result, size))
    }

    fn integer_binary(&self, op: Binary, left: Scalar, right: Scalar) -> Result<Value> {
        let shape = |scalar: Scalar| match scalar {
            Scalar::Int { size, signed, .. } if size >= 4 => (size, signed),
            Scalar::Pointer { .. } => (self.symbols.address_size(), false),
            _ => (4, true),
        };
        let ((a_size, a_signed), (b_size, b_signed)) = (shape(left), shape(right));
        let (a, b) = (left.integer(), right.integer());
        // A shift has the type of what is shifted; else the wider operand's, and of two alike, unsigned wins.
        let (size, signed) = match op {
            Binary::Shl | Binary::Shr => (a_size, a_signed),
            _ if a_size == b_size => (a_size, a_signed && b_signed),
            _ if a_size > b_size => (a_size, a_signed),
            _ => (b_size, b_signed),
        };
        let width = (size * 8).min(128) as u32;
        let (a, wide_b) = (truncated(a, width, signed), truncated(b, width, signed));
        if op.compares() {
            let truth = match op {
                Binary::Eq => a == wide_b,
                Binary::Ne => a != wide_b,
                Binary::Lt => a < wide_b,
                Binary::Le => a <= wide_b,
                Binary::Gt => a > wide_b,
                _ => a >= wide_b,
            };
            return Ok(self.int(i128::from(truth)));
        }
        let by = u32::try_from(b).ok().filter(|&by| by < width);
        let result = match op {
            Binary::Add => a.wrapping_add(wide_b),
            Binary::Sub => a.wrapping_sub(wide_b),
            Binary::Mul => a.wrapping_mul(wide_b),
            Binary::Div | Binary::Rem if wide_b == 0 => return Err(ExprError::DivisionByZero),
            Binary::Div => a.wrapping_div(wide_b),
            Binary::Rem => a.wrapping_rem(wide_b),
            Binary::And => a & wide_b,
            Binary::Or => a | wide_b,
            Binary::Xor => a ^ wide_b,
            Binary::Shl => by.map_or(0, |by| a << by),
            _ => match by {
                Some(by) => a >> by,
                None if a < 0 => -1,
                None => 0,
            },
        };
        Ok(self.promoted(result, size, signed))
    }

    /// A number as a value of a type.
    pub(super) fn converted(&self, scalar: Scalar, ty: TypeId) -> Result<Value> {
        use crate::symbols::{Encoding, TypeKind};
        let (_, resolved) = self.symbols.resolve(ty);
        let size = self.symbols.size_of(ty).filter(|&size| size <= 16);
        let cannot = || ExprError::Type(format!("a number cannot be made a {}", self.type_text(ty)));
        Ok(match &resolved.kind {
            TypeKind::Base(Encoding::Bool) => {
                Value::integer(ty, i128::from(scalar.is_true()), size.ok_or_else(cannot)?)
            }
            TypeKind::Base(Encoding::Float) => match size {
                Some(4) => Value::bytes(ty, (scalar.float() as f32).to_le_bytes()),
                Some(8) => Value::bytes(ty, scalar.float().to_le_bytes()),
                _ => return Err(cannot()),
            },
            TypeKind::Base(_) | TypeKind::Enum { .. } | TypeKind::Pointer { .. } => {
                Value::integer(ty, scalar.integer(), size.ok_or_else(cannot)?)
            }
            TypeKind::Void => Value::bytes(ty, []),
            _ => return Err(cannot()),
        })
    }
}
