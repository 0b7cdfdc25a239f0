//! The bundled guest: minik, a small SMP kernel that follows the host contract, and the bugs it can plant.
//!
//! Its sources are in `src/demo/minik`; `scripts/build-demo.sh` makes the files that are embedded here. [`linux`] is a
//! real kernel.

pub mod linux;
pub mod sources;

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

/// Every planted bug, with a seed for which it shows in both eras. `src/demo/README.md` tells each one's story.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "stray-write",
        about: "a keyboard driver takes a kworker's private data for its own: the worker's pool pointer becomes -1",
        seed: 1,
        watch: &["first_worker_pool:4"],
        script: "expect \"minik# \"\nwait 10s\n",
        seconds: 30,
    },
    Scene {
        name: "timer-stall",
        about: "a clock driver moves CPU 0's timer wheel years ahead: no timer fires any more, and the console freezes",
        seed: 1,
        watch: &["timer_base_clk:4"],
        script: "expect \"minik# \"\nwait 8s\nsend \"uptime\\r\"\nexpect \"CPUs online\"\n",
        seconds: 30,
    },
    Scene {
        name: "wq-corrupt",
        about: "a hub is freed while its work item is queued: a kworker walks into what took its place (some seeds)",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 20s\n",
        seconds: 30,
    },
    Scene {
        name: "fdtable",
        about: "a driver writes into the descriptor table of a process that has gone; the next fork of another one traps",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 1s\nsend \"ps\\r\"\nwait 5s\n",
        seconds: 30,
    },
    Scene {
        name: "rcu",
        about: "two CPUs both drop the last reference: a callback's function pointer is overwritten (some seeds)",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 10s\n",
        seconds: 30,
    },
    Scene {
        name: "stack-overflow",
        about: "a recursion leaves its 8 KiB kernel stack and overwrites the task below",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 10s\n",
        seconds: 30,
    },
    Scene {
        name: "user-write",
        about: "a program draws one line too many: without an MMU, that is a kernel pointer",
        seed: 1,
        watch: &["fb_info_fbops:4"],
        script: "expect \"minik# \"\nwait 10s\n",
        seconds: 30,
    },
    Scene {
        name: "lost-wakeup",
        about: "a reader looks and then sleeps; a message in between is never noticed (some seeds)",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 10s\nsend \"ps\\r\"\nexpect \"minik# \"\nwait 160s\n",
        seconds: 300,
    },
    Scene {
        name: "deadlock",
        about: "two spin locks taken in both orders by two CPUs: the machine only spins (most seeds)",
        seed: 1,
        watch: &[],
        script: "expect \"minik# \"\nwait 20s\n",
        seconds: 60,
    },
    Scene {
        name: "deadlock-sleep",
        about: "two mutexes taken in both orders: after five quiet minutes every task waits for ever",
        seed: 1,
        watch: &[],
        script: "",
        seconds: 600,
    },
];

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
