//! What the guest's kernel calls its tasks, for a client's threads.

use wkdb_tracer::ModuleId;

use super::threads::TaskNames;
use crate::inferior::{Inferior, TaskInfo};
use crate::kernel::{NamePlaces, TaskName};
use crate::symbols::Symbols;

/// Reads names and process ids from the tasks themselves, where the kernel's debug information says.
#[derive(Debug, Default)]
pub struct KernelNames {
    /// Where they are; none where the kernel does not say. Not looked for yet if there is nothing.
    places: Option<Option<NamePlaces>>,
}

fn find(inferior: &mut dyn Inferior) -> Option<NamePlaces> {
    NamePlaces::find(&Symbols::load(inferior.module(ModuleId::KERNEL).ok()?).ok()?)
}

impl TaskNames for KernelNames {
    fn name(&mut self, inferior: &mut dyn Inferior, task: &TaskInfo) -> Option<TaskName> {
        let places = match &self.places {
            Some(places) => places.clone(),
            None => self.places.insert(find(inferior)).clone(),
        };
        places?.read(inferior, task.context.task.0)
    }
}
