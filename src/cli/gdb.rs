//! `--gdb` and `--lldb`: what the server for debuggers needs from this program.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use wkdb_debugger::commands::{BundledFile, Config, Monitor};
use wkdb_debugger::companion::layout::{Layout, WordSize};
use wkdb_debugger::companion::{COMPANION_VERSION, CompanionModule, WasmObject, build_kernel, code_len, word_size};
use wkdb_debugger::gdb::{BuildCompanions, Companions, KernelNames, Protocol, Server, ServerParts};
use wkdb_debugger::inferior::Inferior;
use wkdb_debugger::symbols::SymbolFiles;
use wkdb_tracer::ModuleId;

use super::UsageError;
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

/// Where debuggers are waited for.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "debugger", required = false, multiple = true)]
pub(super) struct DebuggerPorts {
    /// Wait for gdb or lldb on this port, on this computer only unless an address is given. While one is attached, a guest
    /// runs in code for debugging, two to three times slower. A recording waits at its beginning, and cannot be changed.
    #[arg(long, value_name = "[ADDR:]PORT")]
    pub gdb: Option<GdbAddress>,
    /// Wait on this port for lldb's own Wasm: lldb -o 'process connect --plugin wasm connect://localhost:PORT'. It needs no
    /// file, and shows Wasm's instructions. Kernels with 32-bit addresses only.
    #[arg(long, value_name = "[ADDR:]PORT")]
    pub lldb: Option<GdbAddress>,
}

impl DebuggerPorts {
    /// Whether a debugger may come.
    pub(super) fn any(self) -> bool {
        self.gdb.is_some() || self.lldb.is_some()
    }
}

/// Listens, if debuggers are waited for, to show them a guest with this kernel. `sources` are those that come with this program; `symbols` are directories with modules that have the debug
/// information which the guest's lack.
pub(super) fn serve(
    ports: DebuggerPorts,
    kernel: &[u8],
    store: Option<CodeStore>,
    sources: &'static [BundledFile],
    symbols: Vec<PathBuf>,
) -> anyhow::Result<Option<Server>> {
    if !ports.any() {
        return Ok(None);
    }
    if ports.lldb.is_some() && word_size(kernel)? == WordSize::Eight {
        let text = "--lldb: lldb's Wasm has no 64-bit addresses, and this kernel does: give --gdb PORT, and then \
                    lldb -o 'gdb-remote PORT'";
        return Err(UsageError(text.into()).into());
    }
    let files = symbols.iter().map(|path| SymbolFiles::open(path)).collect::<Result<_, _>>()?;
    let build = BuildCompanions { symbols: files };
    let companions = KeptCompanions { store, build, temporary: None };
    let commands = Config { bundled_sources: sources, symbol_directories: symbols, ..Config::default() };
    let mut server = Server::new(ServerParts {
        companions: Box::new(companions),
        monitor: Box::new(Monitor::new(commands)),
        names: Some(Box::new(KernelNames::default())),
    });
    for (address, protocol) in [(ports.gdb, Protocol::Gdb), (ports.lldb, Protocol::Wasm)] {
        if let Some(address) = address {
            server.listen(address.0, protocol)?;
        }
    }
    Ok(Some(server))
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
    let mut lines = Vec::new();
    for (address, protocol) in server.addresses()? {
        let local = address.ip().is_loopback();
        let how = match protocol {
            Protocol::Gdb if local => format!("gdb -ex 'target remote :{}'", address.port()),
            Protocol::Gdb => format!("gdb -ex 'target remote {address}'"),
            Protocol::Wasm => {
                let place = if local { format!("localhost:{}", address.port()) } else { address.to_string() };
                format!("lldb -o 'process connect --plugin wasm connect://{place}'")
            }
        };
        lines.push(format!("wkdb: waiting for a debugger: {how}"));
    }
    Ok(lines.join("\n"))
}

/// Companions: those of kernels are kept with their code.
struct KeptCompanions {
    store: Option<CodeStore>,
    build: BuildCompanions,
    /// Where files for lldb are for as long as this runs.
    temporary: Option<TempDir>,
}

impl KeptCompanions {
    /// The kernel's: where a user image lies depends on what was loaded before it.
    fn kernel(&mut self, inferior: &mut dyn Inferior, layout: &Layout, store: &CodeStore) -> Result<Vec<u8>, String> {
        let wasm = self.build.described(inferior, ModuleId::KERNEL).map_err(|error| error.to_string())?;
        let word = layout.word().bytes() as u8;
        let key = CodeKey::of(&[b"companion", &COMPANION_VERSION.to_le_bytes(), &[word], &wasm]);
        if let Some(kept) = store.get(&key, Artifact::Companion).and_then(|path| std::fs::read(path).ok()) {
            return Ok(kept);
        }
        let built = self.build.companion(inferior, layout, ModuleId::KERNEL)?.unwrap_or_default();
        if let Err(error) = store.put(&key, Artifact::Companion, &built) {
            log::warn!("symbols for gdb are not kept: {error}");
        }
        Ok(built.to_vec())
    }

    fn kept_object(&mut self, inferior: &mut dyn Inferior, store: &CodeStore) -> Result<Option<WasmObject>, String> {
        let wasm = self.build.described(inferior, ModuleId::KERNEL).map_err(|error| error.to_string())?;
        let key = CodeKey::of(&[b"object", &COMPANION_VERSION.to_le_bytes(), &wasm]);
        let kept = store.get(&key, Artifact::Companion).and_then(|path| std::fs::read(path).ok());
        if let Some(object) = kept.and_then(WasmObject::of) {
            return Ok(Some(object));
        }
        let built = self.build.object(inferior, ModuleId::KERNEL)?;
        if let Some(object) = &built
            && let Err(error) = store.put(&key, Artifact::Companion, &object.wasm)
        {
            log::warn!("what lldb is told is not kept: {error}");
        }
        Ok(built)
    }

    /// Writes a file that nobody needs after this run; gives its place.
    fn write(&mut self, module: ModuleId, elf: &[u8]) -> std::io::Result<PathBuf> {
        let directory = match &mut self.temporary {
            Some(directory) => directory,
            none => none.insert(tempfile::Builder::new().prefix("wkdb-symbols-").tempdir()?),
        };
        let name = if module == ModuleId::KERNEL { "vmlinux".to_owned() } else { format!("module{}", module.0) };
        let path = directory.path().join(name);
        std::fs::write(&path, elf)?;
        Ok(path)
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
        self.build.companion(inferior, layout, module)
    }

    /// As the kernel's companion, its module for lldb is kept.
    fn object(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Result<Option<WasmObject>, String> {
        match self.store.take_if(|_| module == ModuleId::KERNEL) {
            Some(store) => {
                let object = self.kept_object(inferior, &store);
                self.store = Some(store);
                object
            }
            None => self.build.object(inferior, module),
        }
    }

    fn path(&mut self, module: ModuleId, shared: &[u8]) -> Option<PathBuf> {
        let written = self.write(module, shared);
        written.inspect_err(|error| log::warn!("symbols for lldb cannot be written: {error}")).ok()
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
