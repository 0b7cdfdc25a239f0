//! What is in scope, in words: `info locals`, `info args`, `info scope`, `ptype`, `whatis`.

use wkdb_tracer::CodeOffset;

use super::eval::Evaluator;
use super::value::Value;
use super::{ExprError, Format, c_type};
use crate::symbols::{Piece, Place, Variable, Whereabouts};

impl Evaluator<'_> {
    /// The variables of the frame with their values, innermost block first; those of the same name further out are
    /// hidden, and left out.
    pub fn locals(&mut self) -> Vec<(Variable, Result<Value, ExprError>)> {
        let Some(pc) = self.target.pc() else { return Vec::new() };
        let frame = self.target.inlined_frame();
        let mut seen: Vec<Variable> = Vec::new();
        for scope in self.symbols.scopes(pc).into_iter().filter(|scope| scope.frame == frame) {
            for variable in scope.variables {
                if !seen.iter().any(|other| other.name == variable.name) {
                    seen.push(variable);
                }
            }
        }
        seen.into_iter()
            .map(|variable| {
                let value = self.variable(&variable);
                (variable, value)
            })
            .collect()
    }

    /// `info locals` (or, with `parameters`, `info args`): a line each.
    pub fn locals_text(&mut self, parameters: bool, format: &Format) -> String {
        let mut text = String::new();
        for (variable, value) in self.locals() {
            if variable.parameter != parameters {
                continue;
            }
            let shown = match value {
                Ok(value) => self.format(&value, format),
                Err(ExprError::NoPlace { cause, .. }) => format!("<{cause}>"),
                Err(error) => format!("<error: {error}>"),
            };
            text.push_str(&format!("{} = {shown}\n", variable.name));
        }
        if text.is_empty() {
            text.push_str(if parameters { "No arguments.\n" } else { "No locals.\n" });
        }
        text
    }

    /// The arguments of the frame as a backtrace shows them: `pool=0x1f20 <pools>, n=3`.
    pub fn arguments_text(&mut self) -> String {
        let format = Format { max_elements: 32, max_depth: 0, ..Format::default() };
        let arguments: Vec<String> = self
            .locals()
            .into_iter()
            .filter(|(variable, _)| variable.parameter)
            .map(|(variable, value)| match value {
                Ok(value) => {
                    let text = self.format(&value, &format);
                    // The type of a pointer is told by its name.
                    let text = text.split_once(") 0x").map_or(text.clone(), |(_, rest)| format!("0x{rest}"));
                    format!("{}={text}", variable.name)
                }
                Err(ExprError::NoPlace { cause, .. }) => format!("{}=<{cause}>", variable.name),
                Err(error) => format!("{}=<error: {error}>", variable.name),
            })
            .collect();
        arguments.join(", ")
    }

    /// `info scope`: the variables in scope at an instruction, and where they are there.
    pub fn scope_text(&mut self, at: CodeOffset) -> String {
        let mut text = String::new();
        for scope in self.symbols.scopes(at) {
            for variable in scope.variables {
                let place = match self.symbols.place(&variable, Some(at), self.target) {
                    Ok(place) => place_text(&place),
                    Err(error) => error.to_string(),
                };
                let ty = c_type::type_text(self.symbols, variable.ty);
                let size = self.symbols.size_of(variable.ty).map(|size| format!(", length {size}")).unwrap_or_default();
                let kind = if variable.parameter { "parameter" } else { "variable" };
                text.push_str(&format!("{} is a {kind} of type {ty}: {place}{size}\n", variable.name));
            }
        }
        text
    }

    /// `whatis`: the type of an expression, by name.
    ///
    /// # Errors
    /// It is no expression and no type.
    pub fn whatis(&mut self, text: &str) -> Result<String, ExprError> {
        let ty = self.type_of(text)?;
        Ok(self.type_text(ty))
    }

    /// `ptype`: the type of an expression, written out.
    ///
    /// # Errors
    /// It is no expression and no type.
    pub fn ptype(&mut self, text: &str) -> Result<String, ExprError> {
        let ty = self.type_of(text)?;
        Ok(c_type::written_out(self.symbols, ty))
    }
}

fn place_text(place: &Place) -> String {
    let one = |piece: &Piece| match &piece.at {
        Whereabouts::Memory(address) => format!("memory at {address:#x}"),
        Whereabouts::Slot(slot) => slot.to_string(),
        Whereabouts::Bytes(_) => "a constant or computed value".into(),
        Whereabouts::ImplicitPointer(pointer) => match &pointer.name {
            Some(name) => format!("a pointer to {name}, which has no address"),
            None => "a pointer to something that has no address".into(),
        },
        Whereabouts::Nowhere => "optimized out".into(),
    };
    match &place.0[..] {
        [piece] if piece.bits.is_none() => one(piece),
        pieces => {
            let pieces: Vec<String> =
                pieces.iter().map(|piece| format!("{} ({} bits)", one(piece), piece.bits.unwrap_or(0))).collect();
            format!("in pieces: {}", pieces.join(", "))
        }
    }
}
