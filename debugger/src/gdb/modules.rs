//! The guest's modules and their places in the client's address space.

use wkdb_tracer::{CodeAddress, ModuleId};

use super::code::Code;
use crate::companion::layout::{Layout, WordSize};
use crate::inferior::{Inferior, InferiorError};

/// The modules that are known; there may be more.
#[derive(Debug)]
pub(super) struct Modules {
    layout: Layout,
    codes: Vec<Code>,
}

impl Modules {
    /// None yet.
    pub(super) fn new() -> Modules {
        Modules { layout: Layout::new(WordSize::Four), codes: Vec::new() }
    }

    /// Learns of modules that the guest has loaded since.
    pub(super) fn update(&mut self, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        for id in self.codes.len() as u32..inferior.module_count()? {
            let code = Code::read(inferior.module(ModuleId(id))?);
            if id == ModuleId::KERNEL.0 {
                self.layout = Layout::new(code.word());
            }
            if let Err(full) = self.layout.add_module(code.len()) {
                // Its frames are shown as the host's.
                log::warn!("{full}");
            }
            self.codes.push(code);
        }
        Ok(())
    }

    /// Where everything is.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The code of a module.
    pub(super) fn code(&self, module: ModuleId) -> Option<&Code> {
        self.codes.get(module.0 as usize)
    }

    /// How many are known: their ids are the numbers below.
    pub(super) fn count(&self) -> u32 {
        self.codes.len() as u32
    }

    /// The instruction behind one.
    pub(super) fn after(&self, address: CodeAddress) -> CodeAddress {
        let offset = self.code(address.module).map_or(address.offset, |code| code.after(address.offset));
        CodeAddress { offset, ..address }
    }

    /// The instruction at an address of the client's, if there is code.
    pub(super) fn instruction(&self, address: u64) -> Option<CodeAddress> {
        let address = self.layout.code_at(address)?;
        self.code(address.module)?.has(address.offset).then_some(address)
    }
}
