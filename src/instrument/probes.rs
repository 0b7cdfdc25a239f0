//! Probes: chosen functions tell the host when they are entered and when they return.
//!
//! A probed function stays as it is. Behind all other functions comes one of the same type that tells the host, calls it,
//! and tells the host again; every reference to the probed one (calls, tables, exports, `ref.func`) becomes one to that. So
//! it does not matter in how many ways a function returns, and it counts the same ticks. What leaves it without returning
//! (a trap, an exception, a host call that unwinds) does not come to the second.
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
//! Integers are sign-extended, floats are their bits; vectors, references and several results are told as nothing.

use std::sync::{Mutex, PoisonError};

use wasm_encoder::{Function, InstructionSink, ValType};
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};
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
/// exports; what compilers append behind a dot does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Probes(&'static [&'static str]);

impl Probes {
    /// No function.
    pub const NONE: Probes = Probes(&[]);

    /// The functions whose names are as one of the patterns says. Sets are kept for the life of the process, each once.
    pub fn of(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Probes {
        static KNOWN: Mutex<Vec<&'static [&'static str]>> = Mutex::new(Vec::new());
        let mut set: Vec<String> = patterns.into_iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        set.sort_unstable();
        set.dedup();
        if set.is_empty() {
            return Probes::NONE;
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().find(|known| known.iter().eq(set.iter())) {
            return Probes(same);
        }
        let set: Vec<&'static str> = set.into_iter().map(|pattern| &*pattern.leak()).collect();
        let set: &'static [&'static str] = set.leak();
        known.push(set);
        Probes(set)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether a function of that name has a probe.
    pub fn matches(self, name: &str) -> bool {
        let plain = name.split_once('.').map_or(name, |(plain, _)| plain);
        self.0.iter().any(|pattern| glob(pattern, name) || glob(pattern, plain))
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
