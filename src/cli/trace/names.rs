//! What functions, places and watches of a trace are called.

use std::collections::HashMap;
use std::sync::Arc;

use wkdb_debugger::symbols::{Symbols, TypeKind};
use wkdb_tracer::trace::Names;
use wkdb_tracer::{CodeAddress, CodeOffset, Frame, ModuleId};

use crate::instrument::Probes;
use crate::machine::{IRQ_FUNCTIONS, TaskLayout};

/// Names from the guest's modules.
pub(super) struct Symbolic {
    symbols: HashMap<ModuleId, Option<Symbols>>,
    functions: HashMap<(ModuleId, u32), String>,
    watches: Vec<String>,
    interrupts: Probes,
    /// Copies of functions in others: which function, where in the kernel.
    copies: HashMap<CodeOffset, String>,
}

impl Symbolic {
    /// With what a kernel says, and what watches were called on the command line.
    pub(super) fn new(kernel: Arc<[u8]>, watches: Vec<String>) -> Self {
        let symbols = [(ModuleId::KERNEL, Symbols::load(kernel).ok())].into();
        Symbolic {
            symbols,
            functions: HashMap::new(),
            watches,
            interrupts: Probes::of(IRQ_FUNCTIONS),
            copies: HashMap::new(),
        }
    }

    /// A user image was loaded.
    pub(super) fn add(&mut self, module: ModuleId, bytes: Vec<u8>) {
        self.symbols.insert(module, Symbols::load(bytes).ok());
    }

    /// Where the compiler put copies of a function of the kernel into others.
    pub(super) fn find_copies(&mut self, function: &str) -> Vec<CodeOffset> {
        let symbols = self.symbols.get(&ModuleId::KERNEL).and_then(Option::as_ref);
        let places = symbols.and_then(|symbols| symbols.function_places(function).ok()).unwrap_or_default();
        let copies: Vec<CodeOffset> = places.iter().filter(|place| place.inlined).map(|place| place.offset).collect();
        self.copies.extend(copies.iter().map(|&copy| (copy, function.to_owned())));
        copies
    }

    /// Where the kernel keeps names and numbers of tasks, if it says.
    pub(super) fn task_layout(&self) -> Option<TaskLayout> {
        let symbols = self.symbols.get(&ModuleId::KERNEL)?.as_ref()?;
        let TypeKind::Composite(task) = &symbols.ty(symbols.type_named("struct task_struct", None)?).kind else {
            return None;
        };
        let member = |name: &str| task.members.iter().find(|member| member.name.as_deref() == Some(name));
        let (comm, pid) = (member("comm")?, member("pid")?);
        let comm_len = symbols.size_of(comm.ty)?;
        Some(TaskLayout { comm: comm.offset, comm_len, pid: pid.offset })
    }
}

impl Names for Symbolic {
    fn function(&mut self, module: ModuleId, function: u32) -> String {
        let symbols = self.symbols.get(&module).and_then(Option::as_ref);
        let name = || symbols.map_or_else(|| format!("func[{function}]"), |symbols| symbols.function_name(function));
        self.functions.entry((module, function)).or_insert_with(name).clone()
    }

    fn place(&mut self, frame: &Frame) -> String {
        let Some(symbols) = self.symbols.get(&frame.address.module).and_then(Option::as_ref) else {
            return format!("func[{}] at {}", frame.function, frame.address.offset);
        };
        let location = symbols.locate(frame.address.offset);
        match location.frames.first() {
            Some(frame) => match &frame.source {
                Some(source) => format!("{} {source}", frame.function),
                None => frame.function.clone(),
            },
            None => symbols.function_name(frame.function),
        }
    }

    fn point(&mut self, address: CodeAddress) -> (String, String) {
        let name = self.copies.get(&address.offset).cloned().unwrap_or_else(|| address.offset.to_string());
        let symbols = self.symbols.get(&address.module).and_then(Option::as_ref);
        let within = symbols.and_then(|symbols| Some(symbols.locate(address.offset).frames.last()?.function.clone()));
        (name, within.unwrap_or_default())
    }

    fn watch(&mut self, watch: u32) -> String {
        self.watches.get(watch as usize).cloned().unwrap_or_else(|| format!("watch {watch}"))
    }

    fn is_interrupt(&self, name: &str) -> bool {
        self.interrupts.matches(name)
    }
}
