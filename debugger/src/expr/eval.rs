//! Trees into values.

use super::ast::{Derived, Expr, Step, TypeBase, TypeName, Unary};
use super::parse::{Parsed, parse, parse_either};
use super::value::{Content, Scalar, Value, truncated};
use super::{ExprError, Register, Target};
use crate::symbols::{
    BitRange, Member, Piece, Place, Slot, Symbols, TypeId, TypeKind, Unavailable, Variable, Whereabouts, nearest,
};
use wkdb_tracer::WasmValue;

/// The most bytes of one value that are read.
pub(super) const MAX_VALUE: u64 = 16 << 20;
/// How deep anonymous members are searched.
const MAX_ANONYMOUS: usize = 16;
/// How many structures are searched for a member.
const MAX_MEMBER_STEPS: usize = 10_000;

type Result<T> = std::result::Result<T, ExprError>;

/// Evaluates expressions with the symbols of one module, against a frame of it or none.
pub struct Evaluator<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) target: &'a mut dyn Target,
    /// Only the type is wanted, as in `sizeof`: nothing is assigned, and what cannot be read is taken for 0.
    pub(super) type_only: bool,
}

impl<'a> Evaluator<'a> {
    /// An evaluator of expressions in a frame; its code must be that of the symbols.
    pub fn new(symbols: &'a Symbols, target: &'a mut dyn Target) -> Self {
        Evaluator { symbols, target, type_only: false }
    }

    /// The value of an expression. Assignments in it are carried out.
    ///
    /// # Errors
    /// It is none, or has no value.
    pub fn evaluate(&mut self, text: &str) -> Result<Value> {
        let expr = parse(text, &|name| self.is_type(name))?;
        self.eval(&expr)
    }

    /// The type of an expression, or the one that a text names. Nothing is assigned, and nothing has to be readable.
    ///
    /// # Errors
    /// It is neither.
    pub fn type_of(&mut self, text: &str) -> Result<TypeId> {
        match parse_either(text, &|name| self.is_type(name))? {
            Parsed::Type(ty) => self.type_id(&ty),
            Parsed::Expr(expr) => self.expr_type(&expr),
        }
    }

    fn expr_type(&mut self, expr: &Expr) -> Result<TypeId> {
        let before = std::mem::replace(&mut self.type_only, true);
        let value = self.eval(expr);
        self.type_only = before;
        Ok(value?.ty)
    }

    /// Whether an expression is true: a condition.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`]; or it is no number.
    pub fn is_true(&mut self, text: &str) -> Result<bool> {
        let value = self.evaluate(text)?;
        Ok(self.scalar(&value)?.is_true())
    }

    /// A value as a whole number: pointers as addresses, functions as their places in the table.
    ///
    /// # Errors
    /// It is no number.
    pub fn integer(&mut self, value: &Value) -> Result<i128> {
        Ok(self.scalar(value)?.integer())
    }

    /// The address and the length of a value in guest memory: what a watch is set on.
    ///
    /// # Errors
    /// It is not in memory, or its size is not known.
    pub fn lvalue(&mut self, value: &Value) -> Result<(u64, u64)> {
        match (&value.content, value.bits) {
            (Content::Memory(address), Some(bits)) => {
                Ok((*address, (u64::from(bits.first) + u64::from(bits.len)).div_ceil(8)))
            }
            (Content::Memory(address), None) => Ok((*address, self.size(value.ty)?)),
            _ => Err(self.no_address(value)),
        }
    }

    /// The address, length and type of what a value is: as [`Evaluator::lvalue`]; of a pointer or a number that was
    /// computed, what it points at.
    ///
    /// # Errors
    /// It is kept outside of memory, or is no address, or its size is not known.
    pub fn memory_meant(&mut self, value: &Value) -> Result<(u64, u64, TypeId)> {
        if !matches!(value.content, Content::Bytes(_)) {
            let (address, len) = self.lvalue(value)?;
            return Ok((address, len, value.ty));
        }
        match self.scalar(value)? {
            Scalar::Pointer { value, to } => Ok((value, self.size(to)?, to)),
            Scalar::Int { value: address, .. } => {
                let address = u64::try_from(address).map_err(|_| self.no_address(value))?;
                Ok((address, self.size(value.ty)?, value.ty))
            }
            Scalar::Float { .. } => Err(self.no_address(value)),
        }
    }

    fn is_type(&self, name: &str) -> bool {
        let is_variable = || {
            let local = self.target.pc().and_then(|pc| self.symbols.local_named(name, pc, self.target.inlined_frame()));
            local.is_some() || !self.symbols.variables_named(name).is_empty()
        };
        self.symbols.type_named(name, None).is_some() && !is_variable()
    }

    pub(super) fn size(&self, ty: TypeId) -> Result<u64> {
        let size = self.symbols.size_of(ty);
        size.ok_or_else(|| ExprError::Type(format!("the size of {} is not known", self.type_text(ty))))
    }

    fn type_id(&mut self, name: &TypeName) -> Result<TypeId> {
        let mut ty = match &name.base {
            TypeBase::Of(expr) => self.expr_type(expr)?,
            TypeBase::Named(name) => self
                .symbols
                .type_named(name, None)
                .ok_or_else(|| ExprError::UnknownType { name: name.clone(), nearest: self.symbols.types_like(name) })?,
        };
        for derived in &name.derived {
            ty = match derived {
                Derived::Pointer => self.symbols.pointer_to(ty),
                Derived::Array(count) => self.symbols.array_of(ty, *count),
                Derived::Function(parameters) => {
                    let parameters = parameters.iter().map(|name| self.type_id(name)).collect::<Result<Vec<_>>>()?;
                    self.symbols.function_of(ty, parameters)
                }
            };
        }
        Ok(ty)
    }

    fn eval(&mut self, expr: &Expr) -> Result<Value> {
        Ok(match expr {
            &Expr::Integer { value, decimal, unsigned, longs } => {
                self.literal(value, decimal && !unsigned, unsigned, longs)
            }
            &Expr::Float(value, single) => self.float_value(value, if single { 4 } else { 8 }),
            Expr::Char(value) => Value::bytes(self.symbols.base_type("char"), [*value]),
            Expr::Text(text) => {
                let count = text.len() as u64 + 1;
                let ty = self.symbols.array_of(self.symbols.base_type("char"), Some(count));
                Value::bytes(ty, text.iter().copied().chain([0]))
            }
            Expr::Name(name) => self.name(name)?,
            Expr::Dollar(name) => self.dollar(name)?,
            Expr::Member { of, name, .. } => {
                let of = self.eval(of)?;
                self.member(&of, name)?
            }
            Expr::Index { of, index } => {
                let of = self.eval(of)?;
                let index = self.eval(index)?;
                let index = self.scalar(&index)?.integer();
                self.element(&of, index)?
            }
            Expr::Slice { of, from, to } => {
                let of = self.eval(of)?;
                let (from, to) = (self.eval(from)?, self.eval(to)?);
                let (from, to) = (self.scalar(&from)?.integer(), self.scalar(&to)?.integer());
                let first = self.element(&of, from)?;
                self.repeated(&of, first, from, to.saturating_sub(from))?
            }
            Expr::Repeat { of, count } => {
                let first = self.eval(of)?;
                let count = self.eval(count)?;
                let count = self.scalar(&count)?.integer();
                if first.address().is_none() {
                    return Err(self.no_address(&first));
                }
                let of = first.clone();
                self.repeated(&of, first, 0, count)?
            }
            Expr::Cast { ty, of } => {
                let ty = self.type_id(ty)?;
                let value = self.eval(of)?;
                self.cast(value, ty)?
            }
            Expr::SizeofType(ty) => {
                let ty = self.type_id(ty)?;
                let size = self.size(ty)?;
                self.size_value(size)
            }
            Expr::Sizeof(of) => {
                let ty = self.expr_type(of)?;
                let size = self.size(ty)?;
                self.size_value(size)
            }
            Expr::Unary { op, of } => {
                let value = self.eval(of)?;
                self.unary(*op, value)?
            }
            Expr::Binary { op, left, right } => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let (left, right) = (self.scalar(&left)?, self.scalar(&right)?);
                self.binary(*op, left, right)?
            }
            Expr::And(left, right) => {
                let truth = self.truth(left)? && self.truth(right)?;
                self.int(i128::from(truth))
            }
            Expr::Or(left, right) => {
                let truth = self.truth(left)? || self.truth(right)?;
                self.int(i128::from(truth))
            }
            Expr::Choice { condition, then, otherwise } => match self.truth(condition)? {
                true => self.eval(then)?,
                false => self.eval(otherwise)?,
            },
            Expr::Sequence(first, second) => {
                self.eval(first)?;
                self.eval(second)?
            }
            Expr::Assign { op, to, value } => {
                let place = self.eval(to)?;
                let mut value = self.eval(value)?;
                if let Some(op) = op {
                    let (left, right) = (self.scalar(&place)?, self.scalar(&value)?);
                    value = self.binary(*op, left, right)?;
                }
                if !self.type_only {
                    self.assign(&place, &value)?;
                }
                place
            }
            Expr::PerCpu { of, cpu, pointer } => {
                let of = self.eval(of)?;
                let cpu = match cpu {
                    Some(cpu) => {
                        let cpu = self.eval(cpu)?;
                        self.scalar(&cpu)?.integer()
                    }
                    None => i128::from(self.target.register(Register::Cpu)?),
                };
                self.per_cpu(&of, cpu, *pointer)?
            }
            Expr::ContainerOf { pointer, ty, path } => {
                let ty = self.type_id(ty)?;
                let offset = self.offset_of(ty, path)?;
                let pointer = self.eval(pointer)?;
                let address = self.scalar(&pointer)?.integer();
                let bits = self.symbols.address_size() as u32 * 8;
                let address = truncated(address - i128::from(offset), bits, false);
                self.pointer(address as u64, ty)
            }
            Expr::OffsetOf { ty, path } => {
                let ty = self.type_id(ty)?;
                let offset = self.offset_of(ty, path)?;
                self.size_value(offset)
            }
        })
    }

    fn truth(&mut self, expr: &Expr) -> Result<bool> {
        let value = self.eval(expr)?;
        Ok(self.scalar(&value)?.is_true())
    }

    /// The type of a number is the first of C's that holds it; a decimal one becomes unsigned only if it says so.
    fn literal(&self, value: u64, signed: bool, unsigned: bool, longs: u8) -> Value {
        let long = if longs == 1 { self.symbols.address_size() } else { 8 };
        let least = if longs == 0 { 4 } else { long };
        let fits = |size: u64, signed: bool| value <= u64::MAX >> (64 - size * 8 + u64::from(signed));
        let size = if least == 4 && (fits(4, true) || (!signed && fits(4, false))) { 4 } else { 8 };
        self.promoted(i128::from(value), size, !unsigned && fits(size, true))
    }

    fn name(&mut self, name: &str) -> Result<Value> {
        let frame = self.target.inlined_frame();
        if let Some(pc) = self.target.pc()
            && let Some(variable) = self.symbols.local_named(name, pc, frame)
        {
            return self.variable(&variable);
        }
        if let Some(variable) = self.symbols.variables_named(name).first() {
            return self.variable(variable);
        }
        if let Some((value, ty)) = self.symbols.enumerator_named(name, self.target.pc()) {
            let size = self.symbols.size_of(ty).unwrap_or(4);
            return Ok(Value::integer(ty, value, size));
        }
        if let Some(function) = self.symbols.functions_named(name).first() {
            let ty = self.symbols.function_type(name).unwrap_or_else(|| self.symbols.unknown_function_type());
            return Ok(Value { ty, content: Content::Function(function.index), bits: None });
        }
        if let Some(symbol) = self.symbols.data_symbol(name) {
            let address = symbol.address.wrapping_add(self.memory_base()?);
            return Ok(Value::memory(self.symbols.no_type(), address));
        }
        Err(ExprError::UnknownName { name: name.into(), nearest: self.names_like(name) })
    }

    fn names_like(&self, name: &str) -> Vec<String> {
        let scopes = self.target.pc().map(|pc| self.symbols.scopes(pc)).unwrap_or_default();
        let frame = self.target.inlined_frame();
        let scopes = scopes.iter().filter(|scope| scope.frame == frame);
        let locals = scopes.flat_map(|scope| &scope.variables).map(|variable| variable.name.as_str());
        let mut names = nearest(name, locals);
        names.extend(self.symbols.names_like(name));
        names.truncate(4);
        names
    }

    /// What the data addresses of the module count from.
    pub(super) fn memory_base(&mut self) -> Result<u64> {
        self.base(self.symbols.bases().0)
    }

    /// What the module's places in the function table count from.
    pub(super) fn table_base(&mut self) -> Result<u64> {
        self.base(self.symbols.bases().1)
    }

    fn base(&mut self, global: Option<u32>) -> Result<u64> {
        Ok(match global.map(|global| self.target.slot(Slot::Global(global))).transpose()? {
            Some(WasmValue::I32(base)) => u64::from(base),
            Some(WasmValue::I64(base)) => base,
            _ => 0,
        })
    }

    /// The value of a variable, seen from the frame.
    ///
    /// # Errors
    /// It is nowhere.
    pub fn variable(&mut self, variable: &Variable) -> Result<Value> {
        let place = self.symbols.place(variable, self.target.pc(), self.target);
        if self.type_only && place.is_err() {
            return Ok(Value::memory(variable.ty, 0));
        }
        let mut place = place.map_err(|cause| ExprError::NoPlace { name: variable.name.clone(), cause })?;
        for piece in &mut place.0 {
            if matches!(piece.at, Whereabouts::Slot(slot) if self.target.is_consumed(slot)) {
                piece.at = Whereabouts::Nowhere;
            }
        }
        if let [Piece { at: Whereabouts::Nowhere, .. }] = place.0[..] {
            let cause = crate::symbols::PlaceError::OptimizedOut;
            return Err(ExprError::NoPlace { name: variable.name.clone(), cause });
        }
        Ok(Value::place(variable.ty, place))
    }

    fn dollar(&mut self, name: &str) -> Result<Value> {
        let register = match name {
            "pc" => Some(Register::Pc),
            "sp" => Some(Register::Sp),
            "cpu" => Some(Register::Cpu),
            "task" => Some(Register::Task),
            _ => None,
        };
        if let Some(register) = register {
            let value = self.target.register(register)?;
            return Ok(match register {
                Register::Cpu => self.int(i128::from(value)),
                Register::Pc => self.promoted(i128::from(value), self.symbols.address_size(), false),
                Register::Task => {
                    let task = self.symbols.type_named("struct task_struct", None);
                    self.pointer(value, task.unwrap_or_else(|| self.symbols.void()))
                }
                Register::Sp => self.pointer(value, self.symbols.void()),
            });
        }
        if let Some(value) = self.target.named_value(name)? {
            return Ok(value);
        }
        let index = |kind: &str| name.strip_prefix(kind)?.parse().ok();
        let slot = index("local").map(Slot::Local).or_else(|| index("op").map(Slot::Operand));
        let slot = slot.or_else(|| index("global").map(Slot::Global));
        // A global also goes by its name, as $__stack_pointer.
        let slot = slot.or_else(|| self.symbols.global_named(name).map(Slot::Global));
        let slot = slot.ok_or_else(|| ExprError::UnknownName {
            name: format!("${name}"),
            nearest: ["$pc", "$sp", "$cpu", "$task", "$local0", "$op0", "$global0"].map(str::to_owned).to_vec(),
        })?;
        let ty = match self.target.slot(slot)? {
            WasmValue::I32(_) => self.symbols.base_type("int"),
            WasmValue::I64(_) => self.symbols.base_type("long long"),
            WasmValue::F32(_) => self.symbols.base_type("float"),
            WasmValue::F64(_) => self.symbols.base_type("double"),
            WasmValue::V128(_) => self.symbols.array_of(self.symbols.base_type("unsigned char"), Some(16)),
            WasmValue::Ref { .. } => return Err(ExprError::Type(format!("{slot} is a reference, which has no bytes"))),
        };
        let piece = Piece { at: Whereabouts::Slot(slot), first_bit: 0, bits: None };
        Ok(Value::place(ty, Place(vec![piece])))
    }

    fn unary(&mut self, op: Unary, value: Value) -> Result<Value> {
        match op {
            Unary::Deref => self.pointed(&value),
            Unary::Address => self.address_of(&value),
            Unary::Not => {
                let truth = self.scalar(&value)?.is_true();
                Ok(self.int(i128::from(!truth)))
            }
            _ => match (op, self.scalar(&value)?) {
                (Unary::Plus, Scalar::Int { value, size, signed }) => Ok(self.promoted(value, size, signed)),
                (Unary::Plus, Scalar::Float { value, size }) => Ok(self.float_value(value, size)),
                (Unary::Minus, Scalar::Int { value, size, signed }) => {
                    Ok(self.promoted(value.wrapping_neg(), size, signed))
                }
                (Unary::Minus, Scalar::Float { value, size }) => Ok(self.float_value(-value, size)),
                (Unary::Complement, Scalar::Int { value, size, signed }) => Ok(self.promoted(!value, size, signed)),
                _ => Err(ExprError::Type(format!("this operator is not for a {}", self.type_text(value.ty)))),
            },
        }
    }

    /// What a pointer points to.
    pub(super) fn pointed(&mut self, value: &Value) -> Result<Value> {
        if matches!(value.content, Content::Function(_)) {
            return Ok(value.clone());
        }
        if let Content::Place(Place(pieces)) = &value.content
            && let [Piece { at: Whereabouts::ImplicitPointer(pointer), .. }] = &pieces[..]
        {
            let pc = self.target.pc();
            let found = self.symbols.implicit_target(pointer, pc, self.target);
            let name = pointer.name.clone().unwrap_or_else(|| "what it points to".into());
            let (place, ty) = found.map_err(|cause| ExprError::NoPlace { name, cause })?;
            return match pointer.offset {
                0 => Ok(Value::place(ty, place)),
                _ => Err(ExprError::Type("it points into the middle of something that has no address".into())),
            };
        }
        let (address, to) = match self.scalar(value)? {
            Scalar::Pointer { value, to } => (value, to),
            // As gdb has it, a plain number is the address of an `int`.
            Scalar::Int { value, .. } => (value as u64, self.symbols.base_type("int")),
            Scalar::Float { .. } => return Err(ExprError::Type("a float is no address".into())),
        };
        match self.symbols.resolve(to).1.kind {
            TypeKind::Void => Err(ExprError::Type("a void pointer points to nothing that has a type: cast it".into())),
            TypeKind::Function { .. } => {
                if self.type_only {
                    return Ok(Value::memory(to, address));
                }
                let place = address.wrapping_sub(self.table_base()?);
                let function = self.symbols.table_function(place).ok_or_else(|| {
                    Unavailable(format!("no element segment puts a function at {address:#x} of the table"))
                })?;
                Ok(Value { ty: to, content: Content::Function(function), bits: None })
            }
            _ => Ok(Value::memory(to, address)),
        }
    }

    fn address_of(&mut self, value: &Value) -> Result<Value> {
        match value.content {
            Content::Memory(address) if value.bits.is_none() => Ok(self.pointer(address, value.ty)),
            Content::Function(index) => {
                let place = self.function_pointer(index)?;
                Ok(self.pointer(place, value.ty))
            }
            _ => Err(self.no_address(value)),
        }
    }

    /// The value of a pointer to a function.
    pub(super) fn function_pointer(&mut self, index: u32) -> Result<u64> {
        let place = self.symbols.table_place(index).ok_or_else(|| {
            let name = self.symbols.function_name(index);
            ExprError::Type(format!("{name} is not in the function table, so no pointer can point to it"))
        })?;
        Ok(place.wrapping_add(self.table_base()?))
    }

    pub(super) fn no_address(&self, value: &Value) -> ExprError {
        ExprError::Type(match &value.content {
            _ if value.bits.is_some() => "a bit-field has no address".into(),
            Content::Place(Place(pieces)) => match &pieces[..] {
                [Piece { at: Whereabouts::Slot(slot), .. }] => format!("it is in {slot}, not in memory"),
                _ => "it is not in memory".into(),
            },
            _ => "it is a value, not a place in memory".into(),
        })
    }

    /// Finds a member, also in anonymous ones: where it begins, and itself.
    fn find_member(&self, ty: TypeId, name: &str, depth: usize, steps: &mut usize) -> Option<(u64, Member)> {
        // A damaged type may hold itself, several times.
        *steps = steps.checked_sub(1)?;
        let (_, resolved) = self.symbols.resolve(ty);
        let TypeKind::Composite(composite) = &resolved.kind else { return None };
        let variants = composite.variants.iter().flat_map(|variants| &variants.variants);
        let members = || composite.members.iter().chain(variants.clone().flat_map(|(_, members)| members));
        if let Some(member) = members().find(|member| member.name.as_deref() == Some(name)) {
            return Some((member.offset, member.clone()));
        }
        let depth = depth.checked_sub(1)?;
        members().filter(|member| member.name.is_none()).find_map(|member| {
            let (offset, found) = self.find_member(member.ty, name, depth, steps)?;
            Some((member.offset.checked_add(offset)?, found))
        })
    }

    fn member_or_error(&self, ty: TypeId, name: &str) -> Result<(u64, Member)> {
        self.find_member(ty, name, MAX_ANONYMOUS, &mut MAX_MEMBER_STEPS.clone()).ok_or_else(|| {
            let (_, resolved) = self.symbols.resolve(ty);
            match &resolved.kind {
                TypeKind::Composite(composite) if composite.incomplete => {
                    ExprError::Type(format!("the definition of {} is in no unit", self.type_text(ty)))
                }
                TypeKind::Composite(composite) => ExprError::NoMember {
                    ty: self.type_text(ty),
                    member: name.into(),
                    nearest: nearest(name, composite.members.iter().filter_map(|member| member.name.as_deref())),
                },
                _ => ExprError::Type(format!("a {} has no members", self.type_text(ty))),
            }
        })
    }

    fn member(&mut self, of: &Value, name: &str) -> Result<Value> {
        let of = match self.symbols.resolve(of.ty).1.kind {
            TypeKind::Pointer { .. } | TypeKind::Array { .. } => self.pointed(of)?,
            _ => of.clone(),
        };
        let (offset, member) = self.member_or_error(of.ty, name)?;
        self.part(&of, offset, member.ty, member.bits)
    }

    /// A part of a value, so many bytes into it.
    pub(super) fn part(&mut self, of: &Value, offset: u64, ty: TypeId, bits: Option<BitRange>) -> Result<Value> {
        let content = match &of.content {
            Content::Memory(address) => Content::Memory(self.wrapped(address.wrapping_add(offset))),
            Content::Function(_) => return Err(ExprError::Type("a function has no parts".into())),
            _ => {
                let len = match bits {
                    Some(bits) => (u64::from(bits.first) + u64::from(bits.len)).div_ceil(8),
                    None => self.size(ty)?,
                };
                let whole = self.load(of)?;
                let range = usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(len)).ok());
                let part = range.and_then(|(from, to)| whole.get(from..to));
                Content::Bytes(
                    part.ok_or_else(|| ExprError::Type("the part lies outside of the value".into()))?.to_vec(),
                )
            }
        };
        Ok(Value { ty, content, bits })
    }

    fn wrapped(&self, address: u64) -> u64 {
        if self.symbols.address_size() == 4 { address & u64::from(u32::MAX) } else { address }
    }

    /// An element of an array, or of what a pointer points to.
    pub(super) fn element(&mut self, of: &Value, index: i128) -> Result<Value> {
        let outside = || ExprError::Type(format!("there is no element {index}"));
        match self.symbols.resolve(of.ty).1.kind {
            TypeKind::Array { element, .. } => {
                let step = self.size(element)?;
                if let Content::Memory(address) = of.content {
                    let at = i128::from(address).wrapping_add(index.wrapping_mul(i128::from(step)));
                    return Ok(Value::memory(element, self.wrapped(at as u64)));
                }
                let offset = u64::try_from(index).ok().and_then(|index| index.checked_mul(step)).ok_or_else(outside)?;
                self.part(of, offset, element, None)
            }
            TypeKind::Pointer { .. } => {
                let Scalar::Pointer { value, to } = self.scalar(of)? else { return Err(outside()) };
                self.size(to)?;
                let moved = self.moved(value, to, index);
                self.pointed(&moved)
            }
            _ => Err(ExprError::Type(format!("a {} has no elements", self.type_text(of.ty)))),
        }
    }

    /// So many elements from one on.
    fn repeated(&mut self, of: &Value, first: Value, from: i128, count: i128) -> Result<Value> {
        let size = self.size(first.ty)?;
        let count = u64::try_from(count).ok().filter(|&count| count > 0);
        let count = count.ok_or_else(|| ExprError::Type("an array has at least one element".into()))?;
        if count.checked_mul(size).is_none_or(|len| len > MAX_VALUE) {
            return Err(ExprError::TooLarge("the array"));
        }
        let ty = self.symbols.array_of(first.ty, Some(count));
        match first.content {
            Content::Memory(address) => Ok(Value::memory(ty, address)),
            _ => {
                let offset = u64::try_from(from).ok().and_then(|from| from.checked_mul(size)).unwrap_or(u64::MAX);
                self.part(of, offset, ty, None)
            }
        }
    }

    fn offset_of(&mut self, ty: TypeId, path: &[Step]) -> Result<u64> {
        let (mut ty, mut offset) = (ty, 0_u64);
        for step in path {
            let (more, next) = match step {
                Step::Member(name) => {
                    let (offset, member) = self.member_or_error(ty, name)?;
                    (Some(offset), member.ty)
                }
                Step::Index(index) => match self.symbols.resolve(ty).1.kind {
                    TypeKind::Array { element, .. } => (self.size(element)?.checked_mul(*index), element),
                    _ => return Err(ExprError::Type(format!("a {} has no elements", self.type_text(ty)))),
                },
            };
            offset = more.and_then(|more| offset.checked_add(more)).ok_or(ExprError::TooLarge("the offset"))?;
            ty = next;
        }
        Ok(offset)
    }

    fn cast(&mut self, value: Value, ty: TypeId) -> Result<Value> {
        let (_, to) = self.symbols.resolve(ty);
        let untyped = self.symbols.is_no_type(value.ty);
        match to.kind {
            // What has no type of its own, or is read as another structure, stays where it is.
            TypeKind::Composite(_) | TypeKind::Array { .. } => match value.content {
                Content::Memory(address) if value.bits.is_none() => Ok(Value::memory(ty, address)),
                _ => Err(ExprError::Type(format!("only what is in memory can be read as a {}", self.type_text(ty)))),
            },
            _ if untyped && value.address().is_some() => Ok(Value { ty, ..value }),
            _ => {
                let scalar = self.scalar(&value)?;
                self.converted(scalar, ty)
            }
        }
    }

    /// A variable of a CPU: its address and the CPU's offset.
    fn per_cpu(&mut self, of: &Value, cpu: i128, pointer: bool) -> Result<Value> {
        let offsets = self.name("__per_cpu_offset").map_err(|error| match error {
            ExprError::UnknownName { .. } => {
                ExprError::Type("the kernel has no __per_cpu_offset: it is built for one CPU, or has no symbols".into())
            }
            other => other,
        })?;
        let count = match self.symbols.resolve(offsets.ty).1.kind {
            TypeKind::Array { count, .. } => count,
            _ => None,
        };
        if cpu < 0 || count.is_some_and(|count| cpu >= i128::from(count)) {
            return Err(ExprError::Type(format!("there is no CPU {cpu}")));
        }
        let offsets = match self.symbols.is_no_type(offsets.ty) {
            true => Value { ty: self.symbols.array_of(self.symbols.base_type("unsigned long"), None), ..offsets },
            false => offsets,
        };
        let offset = self.element(&offsets, cpu)?;
        let offset = self.scalar(&offset)?.integer() as u64;
        if pointer {
            let Scalar::Pointer { value, to } = self.scalar(of)? else {
                return Err(ExprError::Type("per_cpu_ptr takes a pointer".into()));
            };
            return Ok(self.pointer(self.wrapped(value.wrapping_add(offset)), to));
        }
        match of.content {
            Content::Memory(address) => {
                Ok(Value { content: Content::Memory(self.wrapped(address.wrapping_add(offset))), ..of.clone() })
            }
            _ => Err(self.no_address(of)),
        }
    }
}
