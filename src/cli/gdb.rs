//! `--gdb`: what the server for gdb and lldb needs from this program.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use wkdb_debugger::commands::{BundledFile, Config, Monitor};
use wkdb_debugger::companion::layout::Layout;
use wkdb_debugger::companion::{COMPANION_VERSION, CompanionModule, build_kernel, code_len, word_size};
use wkdb_debugger::gdb::{BuildCompanions, Companions, KernelNames, Server, ServerParts};
use wkdb_debugger::inferior::Inferior;
use wkdb_debugger::symbols::SymbolFiles;
use wkdb_tracer::ModuleId;

use crate::code_cache::{Artifact, CodeKey, CodeStore};

/// Where to wait for debuggers: `[ADDR:]PORT`, on this computer only unless an address is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GdbAddress(SocketAddr);

impl FromStr for GdbAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no [ADDR:]PORT: give a port as 1234, or an address too as 0.0.0.0:1234");
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(GdbAddress(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return port.parse();
        }
        text.parse().map(GdbAddress).map_err(|_| wrong())
    }
}

impl fmt::Display for GdbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Listens. `sources` are those that come with this program; `symbols` are directories with modules that have the debug
/// information which the guest's lack.
pub(super) fn serve(
    address: GdbAddress,
    store: Option<CodeStore>,
    sources: &'static [BundledFile],
    symbols: Vec<PathBuf>,
) -> anyhow::Result<Server> {
    let files = symbols.iter().map(|path| SymbolFiles::open(path)).collect::<Result<_, _>>()?;
    let build = BuildCompanions { symbols: files };
    let companions = KeptCompanions { store, build, temporary: None, paths: HashMap::new() };
    let commands = Config { bundled_sources: sources, symbol_directories: symbols, ..Config::default() };
    let server = Server::bind(
        address.0,
        ServerParts {
            companions: Box::new(companions),
            monitor: Box::new(Monitor::new(commands)),
            names: Some(Box::new(KernelNames::default())),
        },
    )?;
    Ok(server)
}

/// Writes the kernel's symbols to a file: lldb reads none over the connection.
pub(super) fn write_symbols(kernel: &[u8], path: &Path) -> anyhow::Result<()> {
    let mut layout = Layout::new(word_size(kernel)?);
    let id = layout.add_module(code_len(kernel)?)?;
    let companion = build_kernel(&CompanionModule { id, wasm: kernel }, &layout)?;
    std::fs::write(path, companion.elf).with_context(|| format!("cannot write symbols to {}", path.display()))
}

/// How to attach, for a person.
pub(super) fn invitation(server: &Server) -> std::io::Result<String> {
    let address = server.address()?;
    let place = if address.ip().is_loopback() { format!(":{}", address.port()) } else { address.to_string() };
    Ok(format!("wkdb: waiting for a debugger: gdb -ex 'target remote {place}'"))
}

/// Companions as files: of kernels, kept with their code; the others for as long as this runs.
struct KeptCompanions {
    store: Option<CodeStore>,
    build: BuildCompanions,
    temporary: Option<TempDir>,
    paths: HashMap<ModuleId, PathBuf>,
}

impl KeptCompanions {
    /// The kernel's: where a user image lies depends on what was loaded before it.
    fn kernel(&mut self, inferior: &mut dyn Inferior, layout: &Layout, store: &CodeStore) -> Result<Vec<u8>, String> {
        let wasm = self.build.described(inferior, ModuleId::KERNEL).map_err(|error| error.to_string())?;
        let word = layout.word().bytes() as u8;
        let key = CodeKey::of(&[b"companion", &COMPANION_VERSION.to_le_bytes(), &[word], &wasm]);
        if let Some(path) = store.get(&key, Artifact::Companion)
            && let Ok(kept) = std::fs::read(&path)
        {
            self.paths.insert(ModuleId::KERNEL, path);
            return Ok(kept);
        }
        let built = self.build.companion(inferior, layout, ModuleId::KERNEL)?.unwrap_or_default();
        match store.put(&key, Artifact::Companion, &built) {
            Ok(path) => drop(self.paths.insert(ModuleId::KERNEL, path)),
            Err(error) => log::warn!("symbols for gdb are not kept: {error}"),
        }
        Ok(built.to_vec())
    }

    /// Writes a file that nobody needs after this run.
    fn write(&mut self, module: ModuleId, elf: &[u8]) -> std::io::Result<()> {
        let directory = match &mut self.temporary {
            Some(directory) => directory,
            none => none.insert(tempfile::Builder::new().prefix("wkdb-symbols-").tempdir()?),
        };
        let path = directory.path().join(format!("module{}", module.0));
        std::fs::write(&path, elf)?;
        self.paths.insert(module, path);
        Ok(())
    }
}

impl Companions for KeptCompanions {
    fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Result<Option<Arc<[u8]>>, String> {
        if module == ModuleId::KERNEL
            && let Some(store) = self.store.take()
        {
            let kernel = self.kernel(inferior, layout, &store);
            self.store = Some(store);
            return kernel.map(|elf| Some(elf.into()));
        }
        let built = self.build.companion(inferior, layout, module)?;
        if let Some(elf) = &built
            && let Err(error) = self.write(module, elf)
        {
            log::warn!("symbols for lldb cannot be written: {error}");
        }
        Ok(built)
    }

    fn path(&mut self, module: ModuleId) -> Option<PathBuf> {
        self.paths.get(&module).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_loopback_unless_they_say_otherwise() {
        let parse = |text: &str| text.parse::<GdbAddress>().map(|address| address.to_string());
        assert_eq!(parse("1234").as_deref(), Ok("127.0.0.1:1234"));
        assert_eq!(parse(":1234").as_deref(), Ok("127.0.0.1:1234"));
        assert_eq!(parse("localhost:7").as_deref(), Ok("127.0.0.1:7"));
        assert_eq!(parse("0.0.0.0:7").as_deref(), Ok("0.0.0.0:7"));
        assert_eq!(parse("[::1]:7").as_deref(), Ok("[::1]:7"));
        for wrong in ["", "x", "1234567", "host:", "1.2.3.4"] {
            assert!(parse(wrong).unwrap_err().contains("[ADDR:]PORT"), "{wrong}");
        }
    }
}
