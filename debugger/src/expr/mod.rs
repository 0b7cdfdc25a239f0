//! C expressions over the guest: what `print`, conditions and `watch` take.
//!
//! ```text
//! text ─▶ lex ─▶ parse ─▶ Expr ─▶ eval ─▶ Value ─▶ format: text
//!                                  │         └▶ lvalue: address and length, for watches
//!                      Symbols ────┴──── Target: memory, slots of the frame
//! ```
//!
//! Beyond C: slices `a[0..4]` and gdb's `a@n`; `$local0`, `$op0`, `$global0` for Wasm's own state and `$pc`, `$sp`,
//! `$cpu`, `$task`; `per_cpu(x, cpu)`, `container_of(pointer, type, member)` and `offsetof(type, member)`;
//! `'file.c'::name` and `function::name` for statics.

mod access;
mod ast;
mod c_type;
mod eval;
mod examine;
mod fields;
mod format;
mod inferior;
mod info;
mod lex;
mod ops;
mod parse;
mod session;
mod value;

use thiserror::Error;
use wkdb_tracer::{CodeOffset, WasmValue};

use crate::symbols::{FrameReader, PlaceError, Slot, Unavailable, suggest};

pub use eval::Evaluator;
pub use examine::Examine;
pub use fields::Field;
pub use format::{Format, Letter};
pub use inferior::FrameTarget;
pub use session::check;
pub use value::Value;

/// A word of the machine's state that has a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// `$pc`: the instruction, as an offset in its module's code section.
    Pc,
    /// `$sp`: `__stack_pointer`.
    Sp,
    /// `$cpu`: the number of the task's CPU.
    Cpu,
    /// `$task`: the address of its `struct task_struct`.
    Task,
}

/// What expressions are evaluated against: a frame of a task, or no frame at all.
pub trait Target: FrameReader {
    /// The instruction whose variables are in scope: of a caller, its call. `None` without a frame.
    fn pc(&self) -> Option<CodeOffset>;

    /// Which of the functions at [`Target::pc`] is looked at, counted from the innermost inlined one.
    fn inlined_frame(&self) -> usize {
        0
    }

    /// The value of a register.
    ///
    /// # Errors
    /// There is no frame or task.
    fn register(&mut self, register: Register) -> Result<u64, Unavailable>;

    /// The value that a name behind `$` stands for in the debugger's session: `$1`, `$pool`.
    ///
    /// # Errors
    /// There is one, but not for this frame; the text says why.
    fn named_value(&mut self, _name: &str) -> Result<Option<Value>, Unavailable> {
        Ok(None)
    }

    /// Changes guest memory.
    ///
    /// # Errors
    /// It cannot be done; the text says why.
    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable>;

    /// Changes a slot of the frame.
    ///
    /// # Errors
    /// It cannot be done; the text says why.
    fn set_slot(&mut self, slot: Slot, value: WasmValue) -> Result<(), Unavailable>;
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExprError {
    /// It is no expression.
    #[error("{message} at column {}", .position + 1)]
    Syntax {
        /// The byte at which it went wrong.
        position: usize,
        /// What is wrong.
        message: String,
    },
    /// Nothing has this name.
    #[error("no variable, function or enumerator is called {name}{}", suggest(.nearest))]
    UnknownName {
        /// The name.
        name: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// No type has this name.
    #[error("no type is called {name}{}", suggest(.nearest))]
    UnknownType {
        /// The name.
        name: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// The structure has no such member.
    #[error("{ty} has no member called {member}{}", suggest(.nearest))]
    NoMember {
        /// The structure.
        ty: String,
        /// The name.
        member: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// A variable is nowhere.
    #[error("{name}: {cause}")]
    NoPlace {
        /// The variable.
        name: String,
        /// Why.
        cause: PlaceError,
    },
    /// Something of the guest could not be read or changed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A part of the value has been optimized out.
    #[error("a part of the value is optimized out")]
    PartlyOptimizedOut,
    /// The operation makes no sense for its operands' types.
    #[error("{0}")]
    Type(String),
    /// It divides by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The expression or the value is too large.
    #[error("{0} is too large to be worked out")]
    TooLarge(&'static str),
}
