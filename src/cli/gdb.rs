//! `--gdb`: what the server for gdb and lldb needs from this program.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use wkdb_debugger::commands::{BundledFile, Config, Monitor};
use wkdb_debugger::companion::layout::Layout;
use wkdb_debugger::companion::{COMPANION_VERSION, word_size};
use wkdb_debugger::gdb::{BuildCompanions, Companions, Server, ServerError, ServerParts};
use wkdb_debugger::inferior::Inferior;
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

/// Listens. `sources` are those that come with this program.
pub(super) fn serve(
    address: GdbAddress,
    store: Option<CodeStore>,
    sources: &'static [BundledFile],
) -> Result<Server, ServerError> {
    let companions = KeptCompanions { store, build: BuildCompanions };
    let commands = Config { bundled_sources: sources, ..Config::default() };
    Server::bind(
        address.0,
        ServerParts { companions: Box::new(companions), monitor: Box::new(Monitor::new(commands)), names: None },
    )
}

/// How to attach, for a person.
pub(super) fn invitation(server: &Server) -> std::io::Result<String> {
    let address = server.address()?;
    let place = if address.ip().is_loopback() { format!(":{}", address.port()) } else { address.to_string() };
    Ok(format!("wkdb: for gdb: gdb -ex 'target remote {place}'; for lldb: lldb -o 'gdb-remote {}'", address.port()))
}

/// Companions of kernels, kept with their code.
struct KeptCompanions {
    store: Option<CodeStore>,
    build: BuildCompanions,
}

impl Companions for KeptCompanions {
    fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Result<Option<Arc<[u8]>>, String> {
        // Where a user image lies depends on what was loaded before it.
        let Some(store) = self.store.as_ref().filter(|_| module == ModuleId::KERNEL) else {
            return self.build.companion(inferior, layout, module);
        };
        let wasm = inferior.module(module).map_err(|error| error.to_string())?;
        let word = word_size(&wasm).map_err(|error| error.to_string())?;
        let key = CodeKey::of(&[b"companion", &COMPANION_VERSION.to_le_bytes(), &[word.bytes() as u8], &wasm]);
        if let Some(kept) = store.get(&key, Artifact::Companion).and_then(|path| std::fs::read(path).ok()) {
            return Ok(Some(kept.into()));
        }
        let built = self.build.companion(inferior, layout, module)?;
        if let Some(elf) = &built
            && let Err(error) = store.put(&key, Artifact::Companion, elf)
        {
            log::warn!("symbols for gdb are not kept: {error}");
        }
        Ok(built)
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
