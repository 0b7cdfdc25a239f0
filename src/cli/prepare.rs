//! Gets a kernel's code compiled before the machine process starts, with something to look at meanwhile.

use anyhow::Context;

use super::progress;
use crate::code_cache::store::DEFAULT_LIMIT;
use crate::code_cache::{CodeStore, Role, Variant, compile};
use crate::machine::Cache;
use crate::machine::engine::{self, EngineOptions};

/// Where the machine process finds the kernel's code.
pub(super) struct CodeDir {
    store: CodeStore,
    /// Where the user's cache cannot be used: a directory for this run.
    _temporary: Option<tempfile::TempDir>,
}

impl CodeDir {
    /// Compiles `kernel`, which has so many functions, for `variant` unless that was done before.
    ///
    /// # Errors
    ///
    /// Where the kernel cannot be compiled, or there is no place at all for the code.
    pub(super) fn with_code(
        kernel: &[u8],
        functions: u32,
        variant: Variant,
        options: EngineOptions,
    ) -> anyhow::Result<Self> {
        let dir = Self::open()?;
        let Some(mut code) = dir.compiled(kernel, functions, variant, options)? else { return Ok(dir) };
        let dir = Self::temporary()?;
        code.keep_in(&dir.store).context("there is no room for compiled code")?;
        Ok(dir)
    }

    /// Compiles `kernel` for another variant too. Where its code cannot be kept, the machine will compile it.
    ///
    /// # Errors
    ///
    /// Where the kernel cannot be compiled.
    pub(super) fn add(
        &self,
        kernel: &[u8],
        functions: u32,
        variant: Variant,
        options: EngineOptions,
    ) -> anyhow::Result<()> {
        self.compiled(kernel, functions, variant, options).map(|_| ())
    }

    /// Compiles `kernel` unless that was done before. Gives the code if it could not be kept.
    fn compiled(
        &self,
        kernel: &[u8],
        functions: u32,
        variant: Variant,
        options: EngineOptions,
    ) -> anyhow::Result<Option<compile::Code>> {
        let engine = engine::compiling(options).map_err(|e| anyhow::anyhow!("Wasmtime cannot be set up: {e:#}"))?;
        if compile::find(&engine, kernel, Role::Kernel, variant, Some(&self.store)).is_some() {
            return Ok(None);
        }
        let bar = progress::start(functions);
        let compiled = compile::find_or_compile(&engine, kernel, Role::Kernel, variant, Some(&self.store));
        progress::stop(bar);
        let code = compiled?;
        Ok((!code.is_kept()).then_some(code))
    }

    fn open() -> anyhow::Result<Self> {
        match CodeStore::open() {
            Ok(store) => Ok(CodeDir { store, _temporary: None }),
            Err(error) => {
                eprintln!("wkdb: compiled code is not kept: {error}");
                Self::temporary()
            }
        }
    }

    fn temporary() -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir().context("no directory for compiled code")?;
        let store = CodeStore::open_at(temporary.path(), DEFAULT_LIMIT)?;
        Ok(CodeDir { store, _temporary: Some(temporary) })
    }

    /// The directory, for what else is worth keeping.
    pub(super) fn store(&self) -> &CodeStore {
        &self.store
    }

    /// The directory, for [`crate::machine::MachineConfig::cache`].
    pub(super) fn cache(&self) -> Cache {
        Cache { directory: self.store.directory().to_owned(), limit: self.store.limit() }
    }
}
