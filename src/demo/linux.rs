//! The bundled Linux: a real kernel for the host contract's 7.0 era, and a small user space.
//!
//! `scripts/linux-guest` has its sources and builds it; what is embedded here is what `scripts/linux-guest/build.sh`
//! made, compressed with zstd.

use std::io::{self, Read};
use std::path::PathBuf;

use ruzstd::decoding::StreamingDecoder;

/// The kernel with its debug info, compressed.
const KERNEL: &[u8] = include_bytes!("linux/vmlinux.wasm.zst");
/// Its user programs, compressed.
const INITRAMFS: &[u8] = include_bytes!("linux/initramfs.cpio.zst");

/// The bundled Linux as files, for as long as this lives.
pub struct LinuxFiles {
    directory: tempfile::TempDir,
}

impl LinuxFiles {
    /// Writes the kernel and its initramfs.
    ///
    /// # Errors
    ///
    /// Where there is no room for temporary files (about 21 MB).
    pub fn write() -> io::Result<Self> {
        let files = LinuxFiles { directory: tempfile::Builder::new().prefix("wkdb-linux-").tempdir()? };
        std::fs::write(files.kernel(), decompress(KERNEL)?)?;
        std::fs::write(files.initramfs(), decompress(INITRAMFS)?)?;
        Ok(files)
    }

    /// The kernel's file.
    pub fn kernel(&self) -> PathBuf {
        self.directory.path().join("vmlinux.wasm")
    }

    /// The initramfs' file.
    pub fn initramfs(&self) -> PathBuf {
        self.directory.path().join("initramfs.cpio")
    }
}

fn decompress(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    StreamingDecoder::new(data).map_err(io::Error::other)?.read_to_end(&mut text)?;
    Ok(text)
}
