//! Expressions in the selected frame, and the values that were printed.

use std::collections::BTreeMap;

use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId, RunnerId, WasmValue};

use super::Debugger;
use super::command::Examine;
use super::error::{CommandError, Result};
use super::output::Output;
use super::past::Lies;
use super::selection::{FrameView, States};
use crate::expr::{self, Evaluator, ExprError, Format, FrameTarget, Letter, Register, Target, Value};
use crate::inferior::Inferior;
use crate::symbols::{FrameReader, Slot, TypeId, TypeKind, Unavailable};

/// A value, and the module whose types it has.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) module: ModuleId,
    pub(super) value: Value,
}

/// Values that were printed ($1, $2 …), and those with names of their own ($pool).
#[derive(Debug, Default)]
pub(super) struct History {
    printed: Vec<Kept>,
    named: BTreeMap<String, Kept>,
}

impl History {
    /// The last value that was printed.
    pub(super) fn last(&self) -> Option<Kept> {
        self.printed.last().cloned()
    }

    /// Keeps a value; gives its name.
    pub(super) fn keep(&mut self, value: Kept) -> String {
        self.printed.push(value);
        format!("${}", self.printed.len())
    }

    /// The value with a name, without its `$`: a number, a name, or nothing, for the last one.
    fn find(&self, name: &str) -> Option<&Kept> {
        match name {
            "" => self.printed.last(),
            name if name.starts_with(|c: char| c.is_ascii_digit()) => {
                self.printed.get(name.parse::<usize>().ok()?.checked_sub(1)?)
            }
            name => self.named.get(name),
        }
    }

    /// The names of those that have one.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.named.keys()
    }
}

/// A frame, with the values of the session.
struct SessionTarget<'t> {
    frame: FrameTarget<'t>,
    module: ModuleId,
    history: &'t History,
}

impl FrameReader for SessionTarget<'_> {
    fn slot(&mut self, slot: Slot) -> std::result::Result<WasmValue, Unavailable> {
        self.frame.slot(slot)
    }

    fn memory(&mut self, address: u64, len: u64) -> std::result::Result<Vec<u8>, Unavailable> {
        self.frame.memory(address, len)
    }

    fn is_consumed(&mut self, slot: Slot) -> bool {
        self.frame.is_consumed(slot)
    }
}

impl Target for SessionTarget<'_> {
    fn pc(&self) -> Option<CodeOffset> {
        self.frame.pc()
    }

    fn inlined_frame(&self) -> usize {
        self.frame.inlined_frame()
    }

    fn register(&mut self, register: Register) -> std::result::Result<u64, Unavailable> {
        self.frame.register(register)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> std::result::Result<(), Unavailable> {
        self.frame.write_memory(address, bytes)
    }

    fn set_slot(&mut self, slot: Slot, value: WasmValue) -> std::result::Result<(), Unavailable> {
        self.frame.set_slot(slot, value)
    }

    fn named_value(&mut self, name: &str) -> std::result::Result<Option<Value>, Unavailable> {
        match self.history.find(name) {
            Some(kept) if kept.module == self.module => Ok(Some(kept.value.clone())),
            Some(kept) => Err(Unavailable(format!(
                "${name} is a value of module {}, and the selected frame is in module {}",
                kept.module.0, self.module.0
            ))),
            None => Ok(None),
        }
    }
}

/// Where a watch is set, before its options are looked at.
pub(super) struct Watched {
    pub(super) address: u64,
    pub(super) len: u64,
    pub(super) ty: Option<(ModuleId, TypeId)>,
    pub(super) note: Option<String>,
}

/// The format with a letter.
fn format_of(letter: Option<char>) -> Format {
    Format { letter: letter.and_then(Letter::from_letter), ..Format::default() }
}

impl From<ExprError> for CommandError {
    fn from(error: ExprError) -> Self {
        CommandError::Refused(error.to_string())
    }
}

type Evaluated<T> = std::result::Result<T, ExprError>;

impl Debugger {
    /// Works something out in a frame, or without one.
    pub(super) fn in_frame<T>(
        &mut self,
        inferior: &mut dyn Inferior,
        frame: Option<(RunnerId, &FrameView)>,
        module: ModuleId,
        f: impl FnOnce(&mut Evaluator) -> Evaluated<T>,
    ) -> Result<T> {
        let symbols = self.modules.symbols(inferior, module).ok_or_else(|| {
            let problems = self.modules.problems(module).join("; ");
            CommandError::refused(format!("module {} has no symbols that can be read: {problems}", module.0))
        })?;
        let frame = match frame {
            Some((runner, view)) => FrameTarget::new(inferior, module, runner, view.depth, view.inline)?,
            None => FrameTarget::without_frame(inferior, module),
        };
        let mut target = SessionTarget { frame, module, history: &self.values };
        Ok(f(&mut Evaluator::new(&symbols, &mut target))?)
    }

    /// Works something out in the selected frame, with the names of its module; what is unknown there, with the kernel's.
    pub(super) fn in_selected<T>(
        &mut self,
        inferior: &mut dyn Inferior,
        f: impl Fn(&mut Evaluator) -> Evaluated<T>,
    ) -> Result<(ModuleId, T)> {
        let selected = self.selected_frame(inferior).ok();
        let module = selected.as_ref().map_or(ModuleId::KERNEL, |(_, view)| view.address.module);
        let frame = selected.as_ref().map(|(runner, view)| (*runner, view));
        let mut unknown = false;
        let here = self.in_frame(inferior, frame, module, |evaluator| {
            let result = f(evaluator);
            unknown = matches!(result, Err(ExprError::UnknownName { .. } | ExprError::UnknownType { .. }));
            result
        });
        if unknown
            && module != ModuleId::KERNEL
            && let Ok(value) = self.in_frame(inferior, None, ModuleId::KERNEL, f)
        {
            return Ok((ModuleId::KERNEL, value));
        }
        Ok((module, here?))
    }

    /// The value of an expression in the selected frame.
    pub(super) fn evaluate(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Kept> {
        let (module, value) = self.in_selected(inferior, |evaluator| {
            let value = evaluator.evaluate(text)?;
            evaluator.settled(&value)
        })?;
        Ok(Kept { module, value })
    }

    /// Whether an expression can be read at all: what its names mean is found where it is evaluated.
    pub(super) fn check_expression(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<()> {
        let modules = self.modules.all(inferior);
        Ok(expr::check(text, &|name| modules.iter().any(|(_, symbols)| symbols.type_named(name, None).is_some()))?)
    }

    /// A value as text.
    pub(super) fn format(&mut self, inferior: &mut dyn Inferior, kept: &Kept, letter: Option<char>) -> Result<String> {
        let format = format_of(letter);
        self.in_frame(inferior, None, kept.module, |evaluator| Ok(evaluator.format(&kept.value, &format)))
    }

    /// A value as a whole number.
    pub(super) fn integer(&mut self, inferior: &mut dyn Inferior, kept: &Kept) -> Result<i128> {
        self.in_frame(inferior, None, kept.module, |evaluator| evaluator.integer(&kept.value))
    }

    /// Whether a value counts as true.
    pub(super) fn is_true(&mut self, inferior: &mut dyn Inferior, kept: &Kept) -> Result<bool> {
        Ok(self.integer(inferior, kept)? != 0)
    }

    /// The address that an expression means: that of an array or structure, else the number that it is.
    pub(super) fn address_of(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<u64> {
        let (_, address) = self.in_selected(inferior, |evaluator| {
            let value = evaluator.evaluate(text)?;
            match evaluator.integer(&value) {
                Ok(number) => Ok(number as u64),
                Err(error) => value.address().ok_or(error),
            }
        })?;
        Ok(address)
    }

    /// `set var x = 1`, `set $name = x`.
    pub(super) fn assign(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<()> {
        if let Some((name, value)) = named_assignment(text) {
            if ["pc", "sp", "cpu", "task"].contains(&name) {
                return Err(CommandError::refused(format!("${name} cannot be set: it is the machine's")));
            }
            let wasm = ["local", "op", "global"].iter().any(|kind| {
                let rest = name.strip_prefix(kind).filter(|rest| !rest.is_empty());
                rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
            });
            if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
                return Err(CommandError::refused("values that were printed cannot be changed: choose a name, as $x"));
            }
            if !wasm {
                let kept = self.evaluate(inferior, value)?;
                self.values.named.insert(name.to_owned(), kept);
                return Ok(());
            }
        }
        self.in_selected(inferior, |evaluator| evaluator.evaluate(text)).map(|_| ())
    }

    /// The type of an expression, or a type by its name: its name, or written out.
    pub(super) fn type_text(&mut self, inferior: &mut dyn Inferior, of: &str, written_out: bool) -> Result<String> {
        let (_, text) = self
            .in_selected(inferior, |evaluator| if written_out { evaluator.ptype(of) } else { evaluator.whatis(of) })?;
        Ok(text)
    }

    /// The arguments of a frame: `worker=0x1f20, work=0x3020`; nothing where the frame's locals cannot be read.
    pub(super) fn arguments(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        view: &FrameView,
        states: &mut States,
    ) -> String {
        if states.is_err() {
            return String::new();
        }
        let frame = Some((runner, view));
        let text = self.in_frame(inferior, frame, view.address.module, |evaluator| Ok(evaluator.arguments_text()));
        text.unwrap_or_default()
    }

    /// The local variables of a frame, or its arguments, a line each.
    pub(super) fn locals(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        view: &FrameView,
        arguments: bool,
    ) -> Result<Output> {
        // Why there are no values is told once, not for each.
        inferior.frame_states(runner)?;
        let format = Format::default();
        let text = self.in_frame(inferior, Some((runner, view)), view.address.module, |evaluator| {
            Ok(evaluator.locals_text(arguments, &format))
        })?;
        Ok(text.into())
    }

    /// Where the variables of the selected frame are.
    pub(super) fn scope(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let (runner, view) = self.selected_frame(inferior)?;
        let text = self.in_frame(inferior, Some((runner, &view)), view.address.module, |evaluator| {
            Ok(evaluator.scope_text(view.address.offset))
        })?;
        Ok(if text.is_empty() { Output::from("No variables are known here.\n") } else { text.into() })
    }

    /// Memory, as text; and the address behind it.
    pub(super) fn examine_data(
        &mut self,
        inferior: &mut dyn Inferior,
        address: u64,
        what: expr::Examine,
    ) -> Result<(String, u64)> {
        let (_, shown) = self.in_selected(inferior, |evaluator| evaluator.examine(address, what))?;
        Ok(shown)
    }

    /// The size and format of a unit of memory, as far as the command or the one before says.
    pub(super) fn unit(&mut self, inferior: &mut dyn Inferior, what: &Examine) -> expr::Examine {
        let letter = what.format.and_then(Letter::from_letter).unwrap_or(self.examined.letter);
        let address_size = self.modules.symbols(inferior, ModuleId::KERNEL).map_or(4, |symbols| symbols.address_size());
        let size = match (what.size, what.format, letter) {
            (Some(size), ..) => size,
            (None, _, Letter::Text) | (None, Some(_), Letter::Char) => 1,
            (None, Some(_), Letter::Address) => address_size,
            (None, Some(_), Letter::Float) if self.examined.size < 4 => 8,
            _ => self.examined.size,
        };
        expr::Examine { count: what.count, letter, size }
    }

    /// What a watch of an expression is set on.
    pub(super) fn watched_place(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Watched> {
        let (module, (address, len, ty)) = self.in_selected(inferior, |evaluator| {
            let value = evaluator.evaluate(text)?;
            let (address, len) = evaluator.lvalue(&value)?;
            Ok((address, len, value.ty))
        })?;
        if len == 0 {
            return Err(CommandError::refused(format!("{text} has no bytes to watch: its type is empty or unknown")));
        }
        let on_stack = self.is_on_stack(inferior, address);
        let note =
            on_stack.then(|| "it is on the stack: the memory stays watched when its function has returned".into());
        Ok(Watched { address, len, ty: Some((module, ty)), note })
    }

    /// The memory that an expression means whose writes are looked for: where it lies, or where a pointer points that
    /// lies nowhere itself (`&x`, `p + 1`).
    pub(super) fn written_place(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Lies> {
        let (module, (address, len, ty)) = self.in_selected(inferior, |evaluator| {
            let value = evaluator.evaluate(text)?;
            evaluator.memory_meant(&value)
        })?;
        if len == 0 {
            return Err(CommandError::refused(format!("{text} has no bytes: its type is empty or unknown")));
        }
        Ok((address, len, Some((module, ty))))
    }

    /// Whether an address is in what the selected frame's function or its callers have on the stack.
    fn is_on_stack(&mut self, inferior: &mut dyn Inferior, address: u64) -> bool {
        /// As large as stacks of kernels are.
        const STACK: u64 = 16 << 10;
        let Ok(task) = self.selected_task(inferior) else { return false };
        let Ok(pointer) = inferior.stack_pointer(task.context.runner) else { return false };
        let named = self.data_name(inferior, address).is_some();
        !named && (pointer..pointer.saturating_add(STACK)).contains(&address)
    }

    /// Bytes as a value of a type.
    pub(super) fn format_bytes(
        &mut self,
        inferior: &mut dyn Inferior,
        module: ModuleId,
        ty: TypeId,
        bytes: Vec<u8>,
    ) -> Option<String> {
        let value = Value::of_bytes(ty, bytes);
        self.format(inferior, &Kept { module, value }, None).ok()
    }

    /// The value that a function has just returned, if its type is known and it is a number.
    pub(super) fn returned_value(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        returning: CodeAddress,
    ) -> Option<(Kept, String)> {
        let symbols = self.modules.symbols(inferior, returning.module)?;
        let function = symbols.locate(returning.offset).function?;
        let source_name = symbols.locate(function.start).frames.pop()?.function;
        let ty = symbols.function_type(&source_name)?;
        let TypeKind::Function { returns, .. } = symbols.resolve(ty).1.kind.clone() else { return None };
        let size = symbols.size_of(returns)?;
        let is_number = !matches!(
            symbols.resolve(returns).1.kind,
            TypeKind::Composite(_) | TypeKind::Array { .. } | TypeKind::Void
        );
        if !is_number || size > 8 {
            return None;
        }
        let states = inferior.frame_states(runner).ok()?;
        let word = states.first()?.operands.last()?.word()?;
        let bytes = word.to_le_bytes()[..size as usize].to_vec();
        let kept = Kept { module: returning.module, value: Value::of_bytes(returns, bytes) };
        let text = self.format(inferior, &kept, None).ok()?;
        Some((kept, text))
    }

    /// The members of what an expression is, or points to; of anonymous members, theirs.
    pub(super) fn member_names(&mut self, inferior: &mut dyn Inferior, text: &str) -> Vec<String> {
        let Ok((module, ty)) = self.in_selected(inferior, |evaluator| Ok(evaluator.evaluate(text)?.ty)) else {
            return Vec::new();
        };
        let Some(symbols) = self.modules.symbols(inferior, module) else { return Vec::new() };
        let mut ty = symbols.resolve(ty).1;
        if let TypeKind::Pointer { to, .. } = ty.kind {
            ty = symbols.resolve(to).1;
        }
        let mut names = Vec::new();
        let mut left = vec![ty];
        while let Some(ty) = left.pop() {
            let TypeKind::Composite(composite) = &ty.kind else { continue };
            for member in &composite.members {
                match &member.name {
                    Some(name) => names.push(name.clone()),
                    // A structure cannot hold itself, so this comes to an end; names are many, not endless.
                    None if names.len() < 10_000 => left.push(symbols.resolve(member.ty).1),
                    None => {}
                }
            }
        }
        names
    }

    /// Names of variables, functions and the session's values that begin so.
    pub(super) fn names_like(&mut self, inferior: &mut dyn Inferior, prefix: &str, most: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if let Some(prefix) = prefix.strip_prefix('$') {
            let own = ["pc", "sp", "cpu", "task"].map(str::to_owned).into_iter();
            let known = own.chain(self.values.names().cloned()).filter(|name| name.starts_with(prefix));
            return known.map(|name| format!("${name}")).collect();
        }
        if let Ok((_, view)) = self.selected_frame(inferior)
            && let Some(symbols) = self.modules.symbols(inferior, view.address.module)
        {
            let scopes = symbols.scopes(view.address.offset).into_iter();
            let variables = scopes.filter(|scope| scope.frame == view.inline).flat_map(|scope| scope.variables);
            names.extend(variables.map(|variable| variable.name).filter(|name| name.starts_with(prefix)));
        }
        for (_, symbols) in self.modules.all(inferior) {
            names.extend(symbols.variable_names(prefix).into_iter().take(most));
            let functions = symbols.functions_like(&format!("{prefix}*"));
            names.extend(functions.into_iter().map(|function| function.name).take(most));
        }
        names
    }
}

/// `$name = value`, but not `$name == value`.
fn named_assignment(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim().strip_prefix('$')?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let value = rest[end..].trim_start().strip_prefix('=')?;
    (!value.starts_with('=')).then(|| (&rest[..end], value.trim()))
}

/// So that an error of the port is told as such.
impl From<Unavailable> for CommandError {
    fn from(error: Unavailable) -> Self {
        CommandError::Refused(error.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set() {
        assert_eq!(named_assignment("$x = 1 + 2"), Some(("x", "1 + 2")));
        assert_eq!(named_assignment("$x=$y"), Some(("x", "$y")));
        assert_eq!(named_assignment("$x == 1"), None);
        assert_eq!(named_assignment("x = 1"), None);
        assert_eq!(named_assignment("$x->y = 1"), None);
    }
}
