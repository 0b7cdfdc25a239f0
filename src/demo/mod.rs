//! The bundled guest: minik, a small SMP kernel that follows the host contract, and the bugs it can plant.
//!
//! Its sources are in `src/demo/minik`; `scripts/build-demo.sh` makes the files that are embedded here.

use std::io;
use std::path::PathBuf;

/// minik by the contract of the 7.0 era.
pub const KERNEL_7_0: &[u8] = include_bytes!("minik-7.0.wasm");
/// minik by the contract of the 6.4 era.
pub const KERNEL_6_4: &[u8] = include_bytes!("minik-6.4.wasm");
/// Its user programs.
pub const INITRAMFS: &[u8] = include_bytes!("initramfs.cpio");

/// Something to see.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// What it is called on the command line; also the value of minik's `bug=`.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// A seed for which it does.
    pub seed: u64,
    /// What `wkdb demo` watches unless told otherwise: the datum that the bug hits.
    pub watch: &'static [&'static str],
    /// What is typed; without it, a person is at the console.
    pub script: &'static str,
    /// Guest time after which it has shown, in seconds.
    pub seconds: u64,
}

/// Every planted bug.
pub const SCENES: &[Scene] = &[];

/// The scene with this name.
pub fn scene(name: &str) -> Option<&'static Scene> {
    SCENES.iter().find(|scene| scene.name == name)
}

/// The embedded guest as files, for as long as this lives.
pub struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    /// Writes the files of a kernel and its initramfs.
    ///
    /// # Errors
    ///
    /// Where there is no room for temporary files.
    pub fn write(kernel: &[u8]) -> io::Result<Self> {
        let files = Files { directory: tempfile::Builder::new().prefix("wkdb-demo-").tempdir()? };
        std::fs::write(files.kernel(), kernel)?;
        std::fs::write(files.initramfs(), INITRAMFS)?;
        Ok(files)
    }

    /// The kernel's file.
    pub fn kernel(&self) -> PathBuf {
        self.directory.path().join("minik.wasm")
    }

    /// The initramfs' file.
    pub fn initramfs(&self) -> PathBuf {
        self.directory.path().join("initramfs.cpio")
    }
}
