//! The files that a client reads from the server: the companion of each module, made when first asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use wkdb_tracer::ModuleId;

use crate::companion::layout::Layout;
use crate::companion::{Companion, CompanionModule, WasmObject, as_shared, build_kernel, build_object, build_user};
use crate::inferior::{Inferior, InferiorError};
use crate::symbols::{SymbolFiles, Symbols};

/// Makes the files in which a client finds a module's symbols.
pub trait Companions {
    /// The companion of a module: of the kernel, an executable; of a user image, a shared object whose first byte of
    /// code is at `layout`'s base. `Ok(None)` where the module has nothing to tell.
    ///
    /// # Errors
    /// In words, for a person: the client goes on without symbols.
    fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Result<Option<Arc<[u8]>>, String>;

    /// The module that lldb's own Wasm is given for one of the guest's. `Ok(None)` where there is none.
    ///
    /// # Errors
    /// In words, for a person: the client goes on without that module.
    fn object(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Result<Option<WasmObject>, String> {
        let wasm = inferior.module(module).map_err(|error| error.to_string())?;
        built_object(module, &wasm).map(Some)
    }

    /// The place of a file on this computer that has this shared object, the companion of a module: lldb reads no files over
    /// the connection. None where there can be no such file.
    fn path(&mut self, module: ModuleId, shared: &[u8]) -> Option<PathBuf> {
        let _ = (module, shared);
        None
    }
}

/// Makes companions from the modules, as they are asked for: a second for a kernel of 30 MB.
#[derive(Debug, Default)]
pub struct BuildCompanions {
    /// Where modules without debug information may have some.
    pub symbols: Vec<SymbolFiles>,
}

impl BuildCompanions {
    /// The bytes of a module with debug information, if there is any: its own, or those of a file with the same code.
    ///
    /// # Errors
    /// As the inferior's.
    pub fn described(&self, inferior: &mut dyn Inferior, module: ModuleId) -> Result<Arc<[u8]>, InferiorError> {
        let wasm = inferior.module(module)?;
        if self.symbols.is_empty() || Symbols::load(Arc::clone(&wasm)).is_ok_and(|symbols| symbols.has_dwarf()) {
            return Ok(wasm);
        }
        let found = self.symbols.iter().find_map(|files| files.module_for(&wasm));
        Ok(found.map_or(wasm, |(_, described)| described))
    }
}

impl Companions for BuildCompanions {
    fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Result<Option<Arc<[u8]>>, String> {
        let wasm = self.described(inferior, module).map_err(|error| error.to_string())?;
        let built = if module == ModuleId::KERNEL {
            build_kernel(&CompanionModule { id: module, wasm: &wasm }, layout)
        } else {
            build_user(&CompanionModule { id: module, wasm: &wasm }, layout, None)
        };
        let Companion { elf, problems } = built.map_err(|error| error.to_string())?;
        for problem in problems {
            log::warn!("debug information for gdb: {problem}");
        }
        Ok(Some(elf.into()))
    }

    fn object(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Result<Option<WasmObject>, String> {
        let wasm = self.described(inferior, module).map_err(|error| error.to_string())?;
        built_object(module, &wasm).map(Some)
    }
}

fn built_object(module: ModuleId, wasm: &[u8]) -> Result<WasmObject, String> {
    let (object, problems) = build_object(&CompanionModule { id: module, wasm }).map_err(|error| error.to_string())?;
    for problem in problems {
        log::warn!("debug information for lldb: {problem}");
    }
    Ok(object)
}

/// The name of the kernel's companion.
pub(super) const KERNEL: &str = "/wkdb/vmlinux";

/// The name of a module's companion.
pub(super) fn name(module: ModuleId) -> String {
    if module == ModuleId::KERNEL { KERNEL.to_owned() } else { format!("/wkdb/module{}", module.0) }
}

fn module(name: &str) -> Option<ModuleId> {
    if name == KERNEL {
        return Some(ModuleId::KERNEL);
    }
    let id = name.strip_prefix("/wkdb/module")?.parse().ok()?;
    (id > 0).then_some(ModuleId(id))
}

/// How many files a client may have open: it needs a few.
const MAX_OPEN: usize = 64;

/// See the module.
pub(super) struct Files {
    companions: Box<dyn Companions>,
    /// What was made, or why not.
    made: BTreeMap<ModuleId, Option<Arc<[u8]>>>,
    /// Where it lies on this computer, if that was asked for and it does.
    paths: BTreeMap<ModuleId, Option<PathBuf>>,
    /// The same of modules for lldb's own Wasm.
    objects: BTreeMap<ModuleId, Option<Arc<WasmObject>>>,
    /// Why companions could not be made, for a person.
    problems: Vec<String>,
    open: BTreeMap<u32, Arc<[u8]>>,
}

impl Files {
    pub(super) fn new(companions: Box<dyn Companions>) -> Files {
        Files {
            companions,
            made: BTreeMap::new(),
            paths: BTreeMap::new(),
            objects: BTreeMap::new(),
            problems: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// The companion of a module.
    pub(super) fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Option<Arc<[u8]>> {
        if let Some(made) = self.made.get(&module) {
            return made.clone();
        }
        let made = self.companions.companion(inferior, layout, module).unwrap_or_else(|problem| {
            log::warn!("no symbols for gdb: {problem}");
            self.problems.push(problem);
            None
        });
        self.made.insert(module, made.clone());
        made
    }

    /// The module that lldb's own Wasm is given.
    pub(super) fn object(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Option<Arc<WasmObject>> {
        if let Some(made) = self.objects.get(&module) {
            return made.clone();
        }
        let made = self.companions.object(inferior, module).unwrap_or_else(|problem| {
            log::warn!("lldb is not given module {}: {problem}", module.0);
            None
        });
        let made = made.map(Arc::new);
        self.objects.insert(module, made.clone());
        made
    }

    /// Where the companion of a module lies on this computer, as a shared object; none if it does not.
    pub(super) fn path(&mut self, module: ModuleId, companion: &[u8]) -> Option<PathBuf> {
        let companions = &mut self.companions;
        self.paths.entry(module).or_insert_with(|| companions.path(module, &as_shared(companion))).clone()
    }

    /// Opens a companion by its name.
    pub(super) fn open(&mut self, inferior: &mut dyn Inferior, layout: &Layout, name: &[u8]) -> Option<u32> {
        let name = std::str::from_utf8(name).ok()?;
        let file = self.companion(inferior, layout, module(name)?)?;
        if self.open.len() == MAX_OPEN {
            return None;
        }
        let fd = (3..).find(|fd| !self.open.contains_key(fd))?;
        self.open.insert(fd, file);
        Some(fd)
    }

    /// An open file.
    pub(super) fn get(&self, fd: u32) -> Option<&Arc<[u8]>> {
        self.open.get(&fd)
    }

    /// False where it is not open.
    pub(super) fn close(&mut self, fd: u32) -> bool {
        self.open.remove(&fd).is_some()
    }

    /// Closes what a client left open.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Why there are no symbols, if that has not been told yet.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}
