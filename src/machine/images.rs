//! The modules of a machine: the kernel, and every user image that the guest has loaded, by content.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use wasmtime::{Engine, FrameInfo, Module, WasmBacktrace};
use wkdb_debugger::kernel::Known;
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{CodeAddress, CodeOffset, Frame, ModuleId};

use super::debug::{CodeIndex, FunctionCode};
use super::engine::MAX_FRAMES;
use super::host::user::ImageRef;
use crate::code_cache::{Artifact, CodeError, CodeStore, Loaded, Role, Variant, compile};
use crate::contract::active_data;
use crate::instrument::OffsetMap;

/// A module that the machine can run.
pub(super) struct Image {
    pub(super) id: ModuleId,
    loaded: Loaded,
    /// The module as the guest has it.
    pub(super) original: Rc<Vec<u8>>,
    map: OnceCell<Option<OffsetMap>>,
    symbols: OnceCell<Option<Rc<Symbols>>>,
    /// What those who read the kernel's structures have found of their names.
    pub(super) known: Rc<Known>,
    code: OnceCell<CodeIndex>,
    has_active_data: OnceCell<bool>,
}

impl Image {
    fn new(id: ModuleId, loaded: Loaded, original: Rc<Vec<u8>>) -> Self {
        Image {
            id,
            loaded,
            original,
            map: OnceCell::new(),
            symbols: OnceCell::new(),
            known: Rc::default(),
            code: OnceCell::new(),
            has_active_data: OnceCell::new(),
        }
    }

    pub(super) fn module(&self) -> &Module {
        &self.loaded.module
    }

    /// The ranges of memory that an instantiation with this memory base writes. Most modules have none, which is found
    /// out once.
    pub(super) fn active_data(&self, memory_base: u64) -> Vec<Range<u64>> {
        let ranges = || active_data(&self.original, memory_base);
        if *self.has_active_data.get_or_init(|| !ranges().is_empty()) { ranges() } else { Vec::new() }
    }

    pub(super) fn map(&self) -> Option<&OffsetMap> {
        self.map.get_or_init(|| self.loaded.map().ok()).as_ref()
    }

    /// The original module's instructions.
    pub(super) fn code(&self) -> &CodeIndex {
        // It was valid when it was loaded: reading it does not fail.
        self.code.get_or_init(|| CodeIndex::read(&self.original).unwrap_or_default())
    }

    /// The instructions of the function that holds `offset`.
    pub(super) fn function_code(&self, offset: CodeOffset) -> Option<Rc<FunctionCode>> {
        self.code().code_at(&self.original, offset)
    }

    /// A function's instructions; none of an imported one.
    pub(super) fn instructions(&self, function: u32) -> Option<Rc<FunctionCode>> {
        self.code().function(&self.original, function)
    }

    /// The first instruction of a function that has a body.
    pub(super) fn entry(&self, function: u32) -> Option<CodeAddress> {
        Some(CodeAddress { module: self.id, offset: self.code().first(&self.original, function)? })
    }

    /// The name of a function of the original module.
    pub(super) fn function_name(&self, function: u32) -> String {
        self.symbols().map_or_else(|| format!("func[{function}]"), |symbols| symbols.function_name(function))
    }

    /// The original module's symbols.
    pub(super) fn symbols(&self) -> Option<Rc<Symbols>> {
        self.symbols.get_or_init(|| Symbols::load(&self.original[..]).ok().map(Rc::new)).clone()
    }

    /// The place in the original module that a frame of the rewritten one is at.
    fn frame(&self, frame: &FrameInfo) -> Option<Frame> {
        let map = self.map()?;
        let offset = map.original(u32::try_from(frame.module_offset()?).ok()?)?;
        Some(Frame { address: CodeAddress { module: self.id, offset }, function: map.function_at(offset)? })
    }
}

/// Why a user image cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Contract(#[from] crate::contract::ContractError),
}

pub(super) struct Images {
    engine: Engine,
    variant: Variant,
    store: Option<CodeStore>,
    all: Vec<Rc<Image>>,
    /// By where the code is in this process: how a frame finds its module.
    by_code: HashMap<usize, Rc<Image>>,
    by_content: HashMap<blake3::Hash, Rc<Image>>,
    /// What was last loaded by exec, by the place that it was loaded from and to.
    by_place: HashMap<ImageRef, Rc<Image>>,
}

impl Images {
    /// The images of a machine whose kernel is `loaded`, from `original`.
    pub(super) fn new(
        engine: Engine,
        variant: Variant,
        store: Option<CodeStore>,
        loaded: Loaded,
        original: Rc<Vec<u8>>,
    ) -> Self {
        let mut images = Images {
            engine,
            variant,
            store,
            all: Vec::new(),
            by_code: HashMap::new(),
            by_content: HashMap::new(),
            by_place: HashMap::new(),
        };
        images.add(loaded, original);
        images
    }

    fn add(&mut self, loaded: Loaded, original: Rc<Vec<u8>>) -> Rc<Image> {
        let image = Rc::new(Image::new(ModuleId(self.all.len() as u32), loaded, original));
        self.by_code.insert(image.module().image_range().start as usize, image.clone());
        self.all.push(image.clone());
        image
    }

    pub(super) fn get(&self, id: ModuleId) -> Option<&Rc<Image>> {
        self.all.get(id.0 as usize)
    }

    /// What is kept beside the kernel's compiled code.
    pub(super) fn kept(&self, artifact: Artifact) -> Option<Vec<u8>> {
        let key = &self.get(ModuleId::KERNEL)?.loaded.key;
        std::fs::read(self.store.as_ref()?.get(key, artifact)?).ok()
    }

    /// Keeps something there. A store that cannot be written to is done without.
    pub(super) fn keep(&self, artifact: Artifact, bytes: &[u8]) {
        if let (Some(store), Some(kernel)) = (&self.store, self.get(ModuleId::KERNEL)) {
            let _ = store.put(&kernel.loaded.key, artifact, bytes);
        }
    }

    /// The user image with these bytes, which exec loads from and to `place`; compiled if it is new.
    pub(super) fn load(&mut self, place: ImageRef, bytes: Vec<u8>) -> Result<Rc<Image>, ImageError> {
        self.by_place.remove(&place);
        let image = self.with_content(bytes)?;
        self.by_place.insert(place, image.clone());
        Ok(image)
    }

    /// What was last loaded from and to `place`: what a clone runs, whose parent loaded it. The guest may have unmapped
    /// the bytes since, or used the memory for others.
    pub(super) fn at(&self, place: ImageRef) -> Option<Rc<Image>> {
        self.by_place.get(&place).cloned()
    }

    fn with_content(&mut self, bytes: Vec<u8>) -> Result<Rc<Image>, ImageError> {
        let content = blake3::hash(&bytes);
        let image = match self.by_content.get(&content) {
            Some(image) => image.clone(),
            None => {
                crate::contract::UserModule::parse(&bytes)?;
                let store = self.store.as_ref();
                let code = compile::find_or_compile(&self.engine, &bytes, Role::User, self.variant, store)?;
                let loaded = code.load(&self.engine)?;
                let image = self.add(loaded, bytes.into());
                self.by_content.insert(content, image.clone());
                image
            }
        };
        Ok(image)
    }

    /// The image whose code a module of Wasmtime's is.
    pub(super) fn of(&self, module: &Module) -> Option<&Rc<Image>> {
        self.by_code.get(&(module.image_range().start as usize))
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.all.len() as u32
    }

    /// A call stack in terms of the original modules, innermost first.
    pub(super) fn frames(&self, backtrace: &WasmBacktrace) -> Vec<Frame> {
        let frame = |frame: &FrameInfo| self.of(frame.module())?.frame(frame);
        backtrace.frames().iter().filter_map(frame).take(MAX_FRAMES).collect()
    }
}
