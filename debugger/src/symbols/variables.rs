//! Variables by name and by scope.

use wkdb_tracer::CodeOffset;

use super::dwarf::{self, Die};
use super::place::{FrameReader, Place, PlaceError};
use super::{Symbols, TypeId};

/// A variable of the source program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
    /// Whether it is a parameter.
    pub parameter: bool,
    /// The line that declares it.
    pub line: Option<u32>,
    pub(super) die: Die,
    /// The function around it, whose frame it may be in.
    pub(super) function: Option<Die>,
}

/// A block of the source with its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The function it is in: its position among [`Location::frames`](super::Location::frames).
    pub frame: usize,
    /// The function, if the block is a whole one.
    pub function: Option<String>,
    /// Its variables, parameters first, as they are declared.
    pub variables: Vec<Variable>,
}

/// The variables in a function's frame in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrameObjects {
    /// Where each is, with its name: bytes from the frame's base on, which is the stack pointer behind its prologue.
    pub told: Vec<(std::ops::Range<i64>, String)>,
    /// The size in bytes of the largest structure or array of which it is not told where it is, or whether it is anywhere.
    pub untold: Option<u64>,
}

impl Symbols {
    /// The scopes around an instruction, innermost first; empty if nothing is known. Instructions of callers should be
    /// those of the calls, as for [`Symbols::locate`].
    pub fn scopes(&self, offset: CodeOffset) -> Vec<Scope> {
        let function = self.names.function_at(offset);
        function.map_or_else(Vec::new, |function| dwarf::scopes(self, offset, &function))
    }

    /// Where in its frame a function keeps variables in memory, with those of what is inlined into it. `local` says which
    /// address a Wasm local has, counted from the frame's base. None if the debug information has no such function, or
    /// `local` does not know one that is needed.
    pub fn frame_objects(&self, function: u32, local: &dyn Fn(u32) -> Option<i64>) -> Option<FrameObjects> {
        dwarf::frame_objects(self, &self.names.function(function)?, local)
    }

    /// The variable with a name that the source means at an instruction: the innermost. `frame` counts inlined frames
    /// as [`Location::frames`](super::Location::frames): what is in the frames inside it is not seen.
    pub fn local_named(&self, name: &str, offset: CodeOffset, frame: usize) -> Option<Variable> {
        let mut scopes = self.scopes(offset).into_iter().filter(|scope| scope.frame == frame);
        scopes.find_map(|scope| scope.variables.into_iter().find(|variable| variable.name == name))
    }

    /// The globals and statics with a name, those that other files can see first. A name of the form `file::name` is
    /// looked up in that file alone, by the last components of its path, or in that function.
    pub fn variables_named(&self, name: &str) -> Vec<Variable> {
        let Some(info) = self.info() else { return Vec::new() };
        let (place, plain) = match name.rsplit_once("::") {
            Some((place, plain)) => (Some(place.trim_matches('\'')), plain),
            None => (None, name),
        };
        let (fixed, elsewhere) = self.variables_called(plain);
        let mut found: Vec<(bool, Die)> = fixed.iter().map(|variable| (!variable.external, variable.die)).collect();
        found.sort_unstable();
        found.extend(elsewhere.into_iter().map(|die| (true, die)));
        found
            .into_iter()
            .map(|(_, die)| die)
            .filter(|&die| {
                place.is_none_or(|place| {
                    let function = || info.functions_around(die).iter().any(|name| name == place);
                    let unit = self.unit_file(die.unit());
                    unit.is_some_and(|file| file == place || file.ends_with(&format!("/{place}"))) || function()
                })
            })
            .filter_map(|die| dwarf::variable(self, info, die, false))
            .collect()
    }

    /// The source file of a variable's unit.
    pub fn file_of(&self, variable: &Variable) -> Option<String> {
        self.unit_file(variable.die.unit())
    }

    fn unit_file(&self, unit: u32) -> Option<String> {
        self.info()?.unit_name(unit)
    }

    /// Where a variable is, seen from an instruction of a frame. Globals need no instruction.
    ///
    /// # Errors
    /// It is nowhere there, or that cannot be worked out.
    pub fn place(
        &self,
        variable: &Variable,
        at: Option<CodeOffset>,
        frame: &mut dyn FrameReader,
    ) -> Result<Place, PlaceError> {
        let info = self.info().ok_or(PlaceError::OptimizedOut)?;
        dwarf::place(info, variable.die, variable.function, at, frame)
    }

    /// Where the variable is that an implicit pointer points to, and its type.
    ///
    /// # Errors
    /// As [`Symbols::place`].
    pub fn implicit_target(
        &self,
        pointer: &super::ImplicitPointer,
        at: Option<CodeOffset>,
        frame: &mut dyn FrameReader,
    ) -> Result<(Place, TypeId), PlaceError> {
        let (info, die) = self.info().zip(pointer.die).ok_or(PlaceError::OptimizedOut)?;
        let function = at.and_then(|at| dwarf::function_at(info, at, &self.names.function_at(at)?));
        let place = dwarf::place(info, die, function, at, frame)?;
        let ty = info.type_of(die).map_or_else(|| self.unsettled_type(), |ty| self.types.of_die(ty));
        Ok((place, ty))
    }

    /// The type of a function.
    pub fn function_type(&self, name: &str) -> Option<TypeId> {
        self.index()
            .functions(name)
            .first()
            .map(|&die| self.types.of_die(self.info().map_or(die, |info| info.origin(die))))
    }

    /// The value of an enumerator, and its enumeration. Of several with one name, that of the unit of `near`, then the
    /// first.
    pub fn enumerator_named(&self, name: &str, near: Option<CodeOffset>) -> Option<(i128, TypeId)> {
        let dies = self.enumerators_called(name);
        let units = near.and_then(|near| Some(self.info()?.units_at(near))).unwrap_or_default();
        let die = dies.iter().find(|die| units.contains(&die.unit())).or(dies.first())?;
        let id = self.types.of_die(*die);
        match &self.ty(id).kind {
            super::TypeKind::Enum { enumerators, .. } => {
                let value = enumerators.iter().find(|(known, _)| known == name)?.1;
                Some((value, id))
            }
            _ => None,
        }
    }

    /// Names of variables, functions and enumerators like one that is unknown.
    pub fn names_like(&self, name: &str) -> Vec<String> {
        let index = self.index();
        let names = index.variable_names().chain(index.function_names()).chain(self.data().names());
        super::nearest(name, names)
    }

    /// Names of types like one that is unknown, without `struct` and the like.
    pub fn types_like(&self, name: &str) -> Vec<String> {
        let plain = name.rsplit(' ').next().unwrap_or(name);
        let spaces = [
            (dwarf::TypeSpace::Struct, "struct "),
            (dwarf::TypeSpace::Union, "union "),
            (dwarf::TypeSpace::Enum, "enum "),
            (dwarf::TypeSpace::Plain, ""),
        ];
        let mut found: Vec<String> = Vec::new();
        for (space, keyword) in spaces {
            let names = super::nearest(plain, self.index().type_names(space));
            found.extend(names.into_iter().map(|name| format!("{keyword}{name}")));
        }
        found.truncate(4);
        found
    }
}
