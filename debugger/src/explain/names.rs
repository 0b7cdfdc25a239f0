//! What functions and files are by their names: the helpers that everybody calls, allocators, locks, the scheduler. Names
//! of Linux' own interfaces, which other kernels share as far as they have them.

/// Functions of the C library that write what they are told to.
const MEMORY: &[&str] = &[
    "memset",
    "memset16",
    "memset32",
    "memset64",
    "memcpy",
    "memmove",
    "bzero",
    "bcopy",
    "memzero_explicit",
    "strcpy",
    "strncpy",
    "strscpy",
    "strlcpy",
    "strcat",
    "strncat",
    "snprintf",
    "vsnprintf",
    "sprintf",
    "vsprintf",
    "scnprintf",
    "vscnprintf",
    "__memset",
    "__memcpy",
    "__memmove",
    "__wasm_init_memory",
];

/// Functions that give memory back. A `*` stands for any ending.
const FREE: &[&str] = &[
    "kfree",
    "kfree_sensitive",
    "kfree_nolock",
    "kzfree",
    "__kfree",
    "kvfree",
    "vfree",
    "kmem_cache_free*",
    "__kmem_cache_free*",
    "slab_free",
    "do_slab_free",
    "__slab_free",
    "free_page*",
    "__free_page*",
    "free_unref_page*",
    "mempool_free",
];

/// Functions that hand memory out.
const ALLOCATE: &[&str] = &[
    "kmalloc*",
    "__kmalloc*",
    "kzalloc*",
    "kcalloc*",
    "kvmalloc*",
    "kvzalloc*",
    "krealloc*",
    "kmem_cache_alloc*",
    "kmem_cache_zalloc*",
    "slab_alloc*",
    "alloc_page*",
    "__alloc_page*",
    "get_free_page*",
    "__get_free_page*",
    "get_zeroed_page*",
    "vmalloc*",
    "vzalloc*",
    "mempool_alloc*",
];

/// Parts of allocators that go through objects that they do not hand out.
const SHUFFLE: &[&str] = &[
    "deactivate_slab",
    "allocate_slab",
    "new_slab",
    "shuffle_freelist",
    "setup_object",
    "__unfreeze_partials",
    "flush_slab",
    "build_slab_freelist",
    "alloc_from_new_slab",
    "refill_objects",
    "__refill_objects_node",
    "refill_sheaf",
];

/// Parts of allocators that give back what others have freed before, and what had only been kept ready: the sheaves of 6.18
/// and later.
const FLUSH: &[&str] = &["sheaf_flush*", "sheaf_try_flush*", "__sheaf_flush*", "rcu_free_sheaf*", "barn_shrink"];

/// Functions that take a lock, or wait for one.
const LOCK: &[&str] = &[
    "_raw_spin_lock*",
    "raw_spin_lock*",
    "__raw_spin_lock*",
    "spin_lock*",
    "do_raw_spin_lock*",
    "arch_spin_lock*",
    "queued_spin_lock*",
    "native_queued_spin_lock*",
    "_raw_read_lock*",
    "_raw_write_lock*",
    "mutex_lock*",
    "__mutex_lock*",
    "__mutex_trylock*",
    "mutex_trylock*",
    "_raw_spin_trylock*",
    "raw_spin_trylock*",
    "ww_mutex_lock*",
    "down",
    "down_*",
    "__down*",
    "rwsem_down_*",
    "rt_mutex_lock*",
    "__rt_mutex_*",
    "rt_spin_lock*",
];

/// Functions that only put a task to sleep.
const SCHEDULE: &[&str] = &[
    "schedule*",
    "__schedule*",
    "context_switch",
    "switch_to",
    "__switch_to",
    "wasm_serialize_tasks",
    "io_schedule*",
    "preempt_schedule*",
    "set_current_state",
    "__set_current_state",
    "prepare_to_wait*",
];

/// Functions that sleep for a time.
const TIMED: &[&str] =
    &["schedule_timeout*", "schedule_hrtimeout*", "msleep*", "usleep_range*", "do_nanosleep", "hrtimer_nanosleep"];

/// How functions that queue a callback for later are called.
const DEFER: &[&str] = &["call_rcu*", "__call_rcu*", "kvfree_call_rcu", "call_srcu", "call_rcu_tasks*"];

/// How a panic is made out of what a caller found.
const PANIC: &[&str] = &[
    "panic",
    "vpanic",
    "nmi_panic",
    "tell_host",
    "notifier_call_chain",
    "atomic_notifier_call_chain",
    "raise_exception",
    "die",
    "__die",
    "oops_end",
    "wasm_panic",
    "do_exit",
    "make_task_dead",
    "bust_spinlocks",
    "__warn",
    "warn_slowpath*",
    "check_panic_on_warn",
];

/// The call of the host that says that a task is dead.
const RELEASE: &[&str] = &["wasm_release_task"];

fn is_one_of(function: &str, patterns: &[&str]) -> bool {
    // Clang's copies of a function have something behind a dot.
    let function = function.split('.').next().unwrap_or(function);
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => function.starts_with(start),
        None => function == *pattern,
    })
}

/// Whether a function gives memory back.
pub(super) fn frees(function: &str) -> bool {
    is_one_of(function, FREE)
}

/// Whether a part of an allocator gives back what had been freed before.
pub(super) fn flushes(function: &str) -> bool {
    is_one_of(function, FLUSH)
}

/// Whether a function hands memory out.
pub(super) fn allocates(function: &str) -> bool {
    is_one_of(function, ALLOCATE)
}

/// Whether a part of an allocator goes through objects without handing them out.
pub(super) fn shuffles(function: &str) -> bool {
    is_one_of(function, SHUFFLE)
}

/// Whether a function takes a lock.
pub(super) fn locks(function: &str) -> bool {
    is_one_of(function, LOCK)
}

/// Whether a function sleeps for a time.
pub(super) fn sleeps_for_a_time(function: &str) -> bool {
    is_one_of(function, TIMED)
}

/// Whether a file is part of the kernel's locks.
pub(super) fn is_of_locks(file: Option<&str>) -> bool {
    file.is_some_and(|file| file.split('/').rev().skip(1).any(|part| part == "locking"))
}

/// Whether a function only puts a task to sleep.
pub(super) fn schedules(function: &str) -> bool {
    is_one_of(function, SCHEDULE)
}

/// Whether a function tells the host that a task is dead.
pub(super) fn releases(function: &str) -> bool {
    is_one_of(function, RELEASE)
}

/// Whether a function queues a callback.
pub(super) fn defers(function: &str) -> bool {
    is_one_of(function, DEFER)
}

/// Whether a function is part of how a kernel gives up.
pub(super) fn panics(function: &str) -> bool {
    is_one_of(function, PANIC)
}

/// Whether a function does what its caller says, so that the caller is to be named: by its name, or as part of a library,
/// or of a header.
pub(super) fn is_helper(function: &str, file: Option<&str>) -> bool {
    let Some(file) = file else { return is_one_of(function, MEMORY) };
    let mut parts: Vec<&str> = file.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let library =
        name.ends_with(".c") && matches!(name.trim_end_matches(".c"), "libc" | "string" | "memset" | "memcpy");
    is_one_of(function, MEMORY)
        || library
        || name.ends_with(".h")
        || parts.iter().any(|part| matches!(*part, "include" | "lib"))
}

/// Whether a file is part of the kernel's memory management.
pub(super) fn is_allocator(function: &str, file: Option<&str>) -> bool {
    frees(function)
        || allocates(function)
        || file.is_some_and(|file| file.split('/').rev().skip(1).any(|part| part == "mm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_does_what_it_is_told_is_a_helper() {
        for (function, file) in [
            ("memset", None),
            ("memset", Some("lib/string.c")),
            ("list_add", Some("include/linux/list.h")),
            ("arch_atomic_or", Some("linux-source-6.12/arch/wasm/include/asm/atomic.h")),
            ("put", Some("lib/vsprintf.c")),
            ("printf", Some("user/libc.c")),
        ] {
            assert!(is_helper(function, file), "{function}");
        }
        for (function, file) in
            [("probe", Some("drivers/usb/core/hub.c")), ("main", Some("user/sh.c")), ("library", None)]
        {
            assert!(!is_helper(function, file), "{function}");
        }
    }

    #[test]
    fn allocators_are_known_by_name_and_place() {
        assert!(frees("kmem_cache_free_bulk") && frees("kfree") && !frees("kfree_rcu_work"));
        assert!(allocates("__kmalloc_noprof") && allocates("kzalloc") && !allocates("alloc_worker"));
        assert!(
            is_allocator("discard_slab", Some("linux-source-6.12/mm/slub.c"))
                && !is_allocator("mmap", Some("user/mm.c"))
        );
    }
}
