//! Probes: chosen functions tell the host when they are entered and when they return.
//!
//! A probed function stays as it is. Behind all other functions comes one of the same type that tells the host, calls it,
//! and tells the host again; every reference to the probed one (calls, tables, exports, `ref.func`) becomes one to that. So
//! it does not matter in how many ways a function returns, and it counts the same ticks. What leaves it without returning
//! (a trap, an exception, a host call that unwinds) does not come to the second. A direct tail call stays what it is, and
//! is not told: chains of them take no stack. One through a table finds what is told, and takes some.
//!
//! ```wat
//! (func $f (param $a i32) (result i64) …)     the same, and:
//!
//!                                             (func $f_probed (param $a i32) (result i64) (local $r i64)
//!                                               i32.const $f        ;; its original index
//!                                               i32.const 1         ;; how many arguments follow
//!                                               local.get $a
//!                                               i64.extend_i32_s
//!                                               i64.const 0         ;; there are always nine
//!                                               …
//!                                               call $probe_enter
//!                                               local.get $a
//!                                               call $f
//!                                               local.tee $r
//!                                               i32.const $f
//!                                               i32.const 1         ;; there is a result
//!                                               local.get $r
//!                                               call $probe_exit)
//! ```
//!
//! An instruction that has a probe has `i32.const OFFSET; call $probe_at` in front of it.
//!
//! Integers are sign-extended, floats are their bits; vectors, references and several results are told as nothing.

use std::sync::{Mutex, PoisonError};

use wasm_encoder::{Function, InstructionSink, ValType};
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};
use wkdb_tracer::CodeOffset;
use wkdb_tracer::trace::glob;

use super::RuntimeGlobals;
use super::error::InstrumentError;
use super::host::{Host, HostFunction};
use super::sections::id;
use super::survey::Survey;

/// How many arguments of a function the host is told.
pub const PROBE_ARGUMENTS: usize = 9;

/// The bit of a probed function's index that says that it is a user image's.
pub const PROBE_USER: u32 = 1 << 31;

/// Which functions have probes: patterns of names, with `*` and `?`. The names are those of the name section, and of
/// exports; what compilers append behind a dot does not matter. And which instructions: a copy of a function that was
/// put into its caller has no entry but its first instruction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Probes {
    functions: &'static [&'static str],
    /// Ascending.
    points: &'static [u32],
}

/// Keeps a set for the life of the process, each once.
fn keep<T: PartialEq>(known: &Mutex<Vec<&'static [T]>>, set: Vec<T>) -> &'static [T] {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = known.iter().find(|known| ***known == *set) {
        return same;
    }
    let set: &'static [T] = set.leak();
    known.push(set);
    set
}

impl Probes {
    /// No function.
    pub const NONE: Probes = Probes { functions: &[], points: &[] };

    /// The functions whose names are as one of the patterns says. Sets are kept for the life of the process, each once.
    pub fn of(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Probes {
        static NAMES: Mutex<Vec<&'static [u8]>> = Mutex::new(Vec::new());
        static SETS: Mutex<Vec<&'static [&'static str]>> = Mutex::new(Vec::new());
        let mut set: Vec<&'static str> = patterns
            .into_iter()
            .filter_map(|pattern| str::from_utf8(keep(&NAMES, pattern.as_ref().as_bytes().to_vec())).ok())
            .collect();
        set.sort_unstable();
        set.dedup();
        Probes { functions: keep(&SETS, set), points: &[] }
    }

    /// The same, and these instructions: offsets in the code of the original module.
    pub fn with_points(self, points: impl IntoIterator<Item = CodeOffset>) -> Probes {
        static SETS: Mutex<Vec<&'static [u32]>> = Mutex::new(Vec::new());
        let mut set: Vec<u32> = points.into_iter().map(|point| point.0).collect();
        set.sort_unstable();
        set.dedup();
        Probes { points: keep(&SETS, set), ..self }
    }

    /// The same, and the functions with names like this.
    pub fn with_function(self, pattern: &str) -> Probes {
        Probes { points: self.points, ..Probes::of(self.functions.iter().copied().chain([pattern])) }
    }

    /// The functions alone: what these are in other modules than the one whose instructions are named.
    pub fn of_functions(self) -> Probes {
        Probes { points: &[], ..self }
    }

    /// Whether no function has one.
    pub fn is_empty(self) -> bool {
        self.functions.is_empty()
    }

    /// Whether instructions have some.
    pub(super) fn has_points(self) -> bool {
        !self.points.is_empty()
    }

    /// Whether the instruction at this offset has one.
    pub(super) fn has_point(self, offset: usize) -> bool {
        u32::try_from(offset).is_ok_and(|offset| self.points.binary_search(&offset).is_ok())
    }

    /// Whether a function of that name has a probe.
    pub fn matches(self, name: &str) -> bool {
        let plain = name.split_once('.').map_or(name, |(plain, _)| plain);
        self.functions.iter().any(|pattern| glob(pattern, name) || glob(pattern, plain))
    }
}

/// The functions of a module that have probes: their indices, ascending, each with a name that says so. Functions without
/// a body have none.
///
/// # Errors
///
/// The module is damaged.
pub fn probed(module: &[u8], probes: Probes) -> Result<Vec<(u32, String)>, InstrumentError> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let (mut imported, mut defined) = (0, 0);
    let add = |index: u32, name: &str, found: &mut Vec<(u32, String)>| {
        if probes.matches(name) {
            found.push((index, name.to_owned()));
        }
    };
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::FunctionSection(functions) => defined = functions.count(),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        add(export.index, export.name, &mut found);
                    }
                }
            }
            Payload::CustomSection(section) => {
                let KnownCustom::Name(names) = section.as_known() else { continue };
                // Names are not validated: what cannot be read names nothing.
                for names in names.into_iter().map_while(Result::ok) {
                    if let Name::Function(names) = names {
                        for name in names.into_iter().map_while(Result::ok) {
                            add(name.index, name.name, &mut found);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    found.retain(|(index, _)| (imported..imported.saturating_add(defined)).contains(index));
    found.sort();
    found.dedup_by_key(|(index, _)| *index);
    Ok(found)
}

/// The type of each function in `functions`, as an index of the module's types.
pub(super) fn types(survey: &Survey<'_>, functions: &[u32]) -> Result<Vec<u32>, InstrumentError> {
    let Some(section) = survey.section(id::FUNCTION).filter(|_| !functions.is_empty()) else { return Ok(Vec::new()) };
    let all = survey.entries::<u32>(&section.contents)?.into_iter().collect::<Result<Vec<u32>, _>>()?;
    let slot = |function: &u32| all.get((function - survey.imported_functions) as usize).copied();
    Ok(functions.iter().filter_map(slot).collect())
}

/// The function that is called in the place of `function`, which is an original index.
pub(super) fn wrapper(survey: &Survey<'_>, host: &Host, globals: RuntimeGlobals, function: u32) -> Function {
    let types = survey.types.as_ref();
    let ty = types[types.core_function_at(function)].unwrap_func();
    let parameters = ty.params();
    let result = match ty.results() {
        [one] => numeric(*one),
        _ => None,
    };
    let mut body = Function::new(result.map(|result| (1, result)));
    let mut sink = body.instructions();
    let number = if globals == RuntimeGlobals::Import { function | PROBE_USER } else { function };
    let told = parameters.len().min(PROBE_ARGUMENTS);
    sink.i32_const(number.cast_signed()).i32_const(told as i32);
    for (local, ty) in (0..).zip(&parameters[..told]) {
        word(&mut sink, local, numeric(*ty));
    }
    for _ in told..PROBE_ARGUMENTS {
        sink.i64_const(0);
    }
    sink.call(host.function(HostFunction::ProbeEnter));
    for local in 0..parameters.len() as u32 {
        sink.local_get(local);
    }
    sink.call(host.function_shift.apply(function));
    let local = parameters.len() as u32;
    if result.is_some() {
        sink.local_tee(local);
    }
    sink.i32_const(number.cast_signed()).i32_const(i32::from(result.is_some()));
    word(&mut sink, local, result);
    sink.call(host.function(HostFunction::ProbeExit)).end();
    body
}

/// A type whose values are told.
fn numeric(ty: wasmparser::ValType) -> Option<ValType> {
    match ty {
        wasmparser::ValType::I32 => Some(ValType::I32),
        wasmparser::ValType::I64 => Some(ValType::I64),
        wasmparser::ValType::F32 => Some(ValType::F32),
        wasmparser::ValType::F64 => Some(ValType::F64),
        wasmparser::ValType::V128 | wasmparser::ValType::Ref(_) => None,
    }
}

/// `[] → [a local as an i64]`; 0 of one that is not told.
fn word(sink: &mut InstructionSink<'_>, local: u32, ty: Option<ValType>) {
    match ty {
        Some(ValType::I32) => sink.local_get(local).i64_extend_i32_s(),
        Some(ValType::I64) => sink.local_get(local),
        Some(ValType::F32) => sink.local_get(local).i32_reinterpret_f32().i64_extend_i32_u(),
        Some(ValType::F64) => sink.local_get(local).i64_reinterpret_f64(),
        _ => sink.i64_const(0),
    };
}
