//! The bundled Linux: a real kernel for the host contract's 7.0 era, and a small user space.
//!
//! `scripts/linux-guest` has its sources and builds it; what is embedded here is what `scripts/linux-guest/build.sh`
//! made, compressed with zstd.

use std::io;
use std::path::{Path, PathBuf};

use crate::code_cache::{Artifact, CodeKey, CodeStore};

/// The kernel with its debug info, compressed.
const KERNEL: &[u8] = include_bytes!("linux/vmlinux.wasm.zst");
/// Its user programs, compressed.
const INITRAMFS: &[u8] = include_bytes!("linux/initramfs.cpio.zst");
/// The kernel's own commands for gdb, a tar file, compressed.
const GDB_SCRIPTS: &[u8] = include_bytes!("linux/gdb-scripts.tar.zst");

/// The bundled Linux as files, for as long as this lives.
pub struct LinuxFiles {
    directory: tempfile::TempDir,
    kernel: PathBuf,
}

impl LinuxFiles {
    /// Writes the kernel and its initramfs. The kernel is unpacked once and kept in `store`, if there is one.
    ///
    /// # Errors
    ///
    /// Where there is no room for temporary files (about 21 MB without a store).
    pub fn write(store: Option<&CodeStore>) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("wkdb-linux-").tempdir()?;
        let kernel = kernel(store, directory.path().join("vmlinux.wasm"))?;
        let files = LinuxFiles { directory, kernel };
        std::fs::write(files.initramfs(), zstd::decode_all(INITRAMFS)?)?;
        Ok(files)
    }

    /// The kernel's file.
    pub fn kernel(&self) -> PathBuf {
        self.kernel.clone()
    }

    /// The initramfs' file.
    pub fn initramfs(&self) -> PathBuf {
        self.directory.path().join("initramfs.cpio")
    }
}

/// Writes the kernel's own commands for gdb into `directory`, which is made if need be: `lx-ps`, `lx-dmesg` and others.
/// Gives back the file that gdb's `source` wants. They are scripts/gdb of the bundled kernel's sources (GPL-2.0), with
/// the constants of its configuration.
///
/// # Errors
///
/// Where the files cannot be written (about 200 kB).
pub fn write_gdb_scripts(directory: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    tar::Archive::new(zstd::Decoder::with_buffer(GDB_SCRIPTS)?).unpack(directory)?;
    Ok(directory.join("vmlinux-gdb.py"))
}

/// The unpacked kernel: the store's, or one written to `own`.
fn kernel(store: Option<&CodeStore>, own: PathBuf) -> io::Result<PathBuf> {
    let key = CodeKey::of(&[KERNEL]);
    if let Some(kept) = store.and_then(|store| store.get(&key, Artifact::Module)) {
        return Ok(kept);
    }
    let kernel = zstd::decode_all(KERNEL)?;
    if let Some(Ok(kept)) = store.map(|store| store.put(&key, Artifact::Module, &kernel)) {
        return Ok(kept);
    }
    std::fs::write(&own, &kernel)?;
    Ok(own)
}
