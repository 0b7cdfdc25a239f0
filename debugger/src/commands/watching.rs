//! What a watch is set on, and what it saw.

use wkdb_tracer::{Cpu, ModuleId, WatchHit};

use super::Debugger;
use super::command::WatchOptions;
use super::error::{CommandError, Result};
use super::events::bytes;
use super::points::Details;
use crate::inferior::{Inferior, PlaceFilter, WatchCondition, WatchId, WatchKind, WatchSpec};
use crate::symbols::TypeId;

/// A watch.
#[derive(Debug, Clone)]
pub(super) struct WatchDetails {
    /// As it was typed.
    pub(super) expression: String,
    pub(super) spec: WatchSpec,
    /// Which accesses, as it was typed.
    pub(super) options: WatchOptions,
    /// As the inferior knows it, if it is inserted.
    pub(super) id: Option<WatchId>,
    /// What lies there.
    pub(super) ty: Option<(ModuleId, TypeId)>,
    /// Something to know about it.
    pub(super) note: Option<String>,
}

impl WatchDetails {
    /// The options, in words.
    pub(super) fn remarks(&self) -> Vec<String> {
        let options = &self.options;
        let mut remarks = Vec::new();
        if options.log {
            remarks.push("only logs".to_owned());
        }
        if options.changed {
            remarks.push("only if the bytes change".to_owned());
        }
        if let Some(value) = &options.equals {
            remarks.push(format!("only if it is {value} afterwards"));
        }
        if let Some(task) = &options.task {
            remarks.push(format!("only by task {task}"));
        }
        if let Some(cpu) = options.cpu {
            remarks.push(format!("only on cpu{cpu}"));
        }
        if !options.inside.is_empty() {
            remarks.push(format!("only by code in {}", options.inside.join(", ")));
        }
        if !options.outside.is_empty() {
            remarks.push(format!("only by code outside of {}", options.outside.join(", ")));
        }
        remarks
    }
}

impl Debugger {
    /// What a watch of an expression is set on.
    pub(super) fn watch_details(
        &mut self,
        inferior: &mut dyn Inferior,
        expression: String,
        kind: WatchKind,
        options: WatchOptions,
    ) -> Result<WatchDetails> {
        let place = self.watched_place(inferior, &expression)?;
        let equals = match &options.equals {
            Some(text) => Some(self.bytes_of(inferior, text, place.len)?),
            None => None,
        };
        let runners = match &options.task {
            Some(task) => Some(vec![self.find_task(inferior, task)?.context.runner]),
            None => None,
        };
        let mut code = |places: &[String]| -> Result<_> {
            let mut all = crate::inferior::Places::default();
            for place in places {
                all.0.extend(self.code_of(inferior, place)?.0);
            }
            Ok(all)
        };
        let places = match (&options.inside[..], &options.outside[..]) {
            ([], []) => None,
            ([], outside) => Some(PlaceFilter::NotIn(code(outside)?)),
            (inside, _) => Some(PlaceFilter::In(code(inside)?)),
        };
        let cpus = options.cpu.map(|cpu| vec![Cpu(cpu)]);
        let condition = WatchCondition { changed: options.changed, equals, runners, cpus, places };
        let spec = WatchSpec { address: place.address, len: place.len, kind, condition, stop: !options.log };
        Ok(WatchDetails { expression, spec, options, id: None, ty: place.ty, note: place.note })
    }

    /// The number that an expression is, as so many bytes.
    fn bytes_of(&mut self, inferior: &mut dyn Inferior, text: &str, len: u64) -> Result<Vec<u8>> {
        let value = self.evaluate(inferior, text)?;
        let value = self.integer(inferior, &value)?;
        let bytes = value.to_le_bytes();
        let kept = usize::try_from(len).ok().and_then(|len| bytes.get(..len));
        let kept = kept.ok_or_else(|| {
            CommandError::refused(format!("--equals compares numbers of up to 16 bytes; this is {len} bytes long"))
        })?;
        // What is cut off has to be nothing but the sign.
        let bits = 8 * kept.len() as u32;
        let fits = bits >= 128 || (value >> (bits - 1)) == -1 || (value >> bits) == 0;
        if !fits {
            return Err(CommandError::refused(format!(
                "{text} does not fit into {len} bytes: it could never be equal"
            )));
        }
        Ok(kept.to_vec())
    }

    /// Whether a watch only logs.
    pub(super) fn logging_watch(&mut self, number: u32) -> bool {
        let point = self.points.get_mut(number);
        matches!(point.map(|point| &point.details), Ok(Details::Watch(watch)) if watch.options.log)
    }

    /// The old and the new value of what is watched, by its type if that is known.
    pub(super) fn watched_values(
        &mut self,
        inferior: &mut dyn Inferior,
        number: Option<u32>,
        hit: &WatchHit,
    ) -> (String, String) {
        let plain = (bytes(&hit.old), bytes(&hit.new));
        let Some(Ok(point)) = number.map(|number| self.points.get_mut(number)) else { return plain };
        let Details::Watch(watch) = &point.details else { return plain };
        let (spec, ty) = (watch.spec.clone(), watch.ty);
        let Some((module, ty)) = ty else { return plain };
        // The whole as it is now, with the part that was written as it was before and after.
        let Ok(now) = inferior.read_memory(spec.address, spec.len) else { return plain };
        let Ok(start) = usize::try_from(hit.address.wrapping_sub(spec.address)) else { return plain };
        let mut text = |part: &[u8]| {
            let mut whole = now.clone();
            whole.get_mut(start..start + part.len())?.copy_from_slice(part);
            self.format_bytes(inferior, module, ty, whole)
        };
        match (text(&hit.old), text(&hit.new)) {
            (Some(old), Some(new)) => (old, new),
            _ => plain,
        }
    }
}
