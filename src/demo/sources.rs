//! minik's sources, so that a debugger shows them wherever it runs.

/// The files of a list, with their contents.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("minik/", $name)))),*]
    };
}

/// The C sources and headers, by their paths below `src/demo/minik`.
pub const MINIK: &[(&str, &str)] = files! {
    "arch/process.c"
    "arch/setup.c"
    "arch/smp.c"
    "arch/syscall.c"
    "arch/time.c"
    "arch/traps.c"
    "drivers/acpi.c"
    "drivers/binder.c"
    "drivers/dst.c"
    "drivers/evdev.c"
    "drivers/fbdev.c"
    "drivers/getty.c"
    "drivers/hvc.c"
    "drivers/init.c"
    "drivers/netdev.c"
    "drivers/random.c"
    "drivers/ring.c"
    "drivers/rtc.c"
    "drivers/sysrq.c"
    "drivers/tty.c"
    "drivers/usbhub.c"
    "fs/exec.c"
    "fs/file.c"
    "fs/pipe.c"
    "fs/proc.c"
    "fs/ramfs.c"
    "fs/read_write.c"
    "include/entry.h"
    "include/fs.h"
    "include/futex.h"
    "include/getty.h"
    "include/host.h"
    "include/kernel.h"
    "include/list.h"
    "include/mm.h"
    "include/percpu.h"
    "include/planted.h"
    "include/rcu.h"
    "include/sched.h"
    "include/setup.h"
    "include/sigframe.h"
    "include/spinlock.h"
    "include/syscall.h"
    "include/syscalls.h"
    "include/sysrq.h"
    "include/timer.h"
    "include/types.h"
    "include/vmstat.h"
    "include/wait.h"
    "include/workqueue.h"
    "init/initramfs.c"
    "init/main.c"
    "kernel/exit.c"
    "kernel/fork.c"
    "kernel/futex.c"
    "kernel/hung_task.c"
    "kernel/kthread.c"
    "kernel/panic.c"
    "kernel/printk.c"
    "kernel/rcu.c"
    "kernel/sched.c"
    "kernel/signal.c"
    "kernel/spinlock.c"
    "kernel/sys.c"
    "kernel/timer.c"
    "kernel/wait.c"
    "kernel/workqueue.c"
    "lib/string.c"
    "lib/vsprintf.c"
    "mm/mmap.c"
    "mm/page_alloc.c"
    "mm/slab.c"
    "mm/vmstat.c"
    "user/bindd.c"
    "user/contract.c"
    "user/contract.h"
    "user/contract_signals.c"
    "user/fbtest.c"
    "user/hello.c"
    "user/init.c"
    "user/libc.c"
    "user/libc.h"
    "user/sh.c"
    "user/sh.h"
    "user/sh_builtins.c"
    "user/stress.c"
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn collect(directory: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                collect(&entry.path(), &format!("{name}/"), found);
            } else if name.ends_with(".c") || name.ends_with(".h") {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_source_file_is_listed() {
        let mut found = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/minik"), "", &mut found);
        let listed: BTreeSet<String> = MINIK.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, found);
    }
}
