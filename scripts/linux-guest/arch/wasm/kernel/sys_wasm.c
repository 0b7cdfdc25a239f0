// SPDX-License-Identifier: GPL-2.0
/* System calls: one entry for each number of arguments, and the table of the calls. */
#include <linux/sched.h>
#include <linux/syscalls.h>
#include <asm/entry.h>
#include <asm/host.h>
#include <asm/syscall.h>

static long __wasm_sys_ni_syscall(__SC_WASM_PARAMS)
{
	return -ENOSYS;
}

SYSCALL_DEFINE6(mmap2, unsigned long, addr, unsigned long, len, unsigned long, prot, unsigned long, flags,
		unsigned long, fd, unsigned long, pgoff)
{
	return ksys_mmap_pgoff(addr, len, prot, flags, fd, pgoff);
}

/* Arguments of 64 bits come in two longs, the low half first. */
#define U64(lo, hi) ((u64)(u32)(hi) << 32 | (u32)(lo))

static long wasm_truncate64(__SC_WASM_PARAMS)
{
	return ksys_truncate((const char __user *)a0, U64(a1, a2));
}

static long wasm_ftruncate64(__SC_WASM_PARAMS)
{
	return ksys_ftruncate(a0, U64(a1, a2));
}

static long wasm_pread64(__SC_WASM_PARAMS)
{
	return ksys_pread64(a0, (char __user *)a1, a2, U64(a3, a4));
}

static long wasm_pwrite64(__SC_WASM_PARAMS)
{
	return ksys_pwrite64(a0, (const char __user *)a1, a2, U64(a3, a4));
}

static long wasm_fallocate(__SC_WASM_PARAMS)
{
	return ksys_fallocate(a0, a1, U64(a2, a3), U64(a4, a5));
}

static long wasm_readahead(__SC_WASM_PARAMS)
{
	return ksys_readahead(a0, U64(a1, a2), a3);
}

static long wasm_sync_file_range(__SC_WASM_PARAMS)
{
	return ksys_sync_file_range(a0, U64(a1, a2), U64(a3, a4), a5);
}

static long wasm_fadvise64_64(__SC_WASM_PARAMS)
{
	return ksys_fadvise64_64(a0, U64(a1, a2), U64(a3, a4), a5);
}

#define __SYSCALL_WITH_COMPAT(nr, native, compat) __SYSCALL(nr, native)

#define __SYSCALL(nr, call) asmlinkage long __wasm_##call(__SC_WASM_PARAMS);
#include <asm/syscall_table.h>

#undef __SYSCALL
#define __SYSCALL(nr, call) [nr] = __wasm_##call,

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
const sys_call_ptr_t sys_call_table[__NR_syscalls] = {
	[0 ... __NR_syscalls - 1] = __wasm_sys_ni_syscall,
#include <asm/syscall_table.h>
	[__NR_truncate64] = wasm_truncate64,
	[__NR_ftruncate64] = wasm_ftruncate64,
	[__NR_pread64] = wasm_pread64,
	[__NR_pwrite64] = wasm_pwrite64,
	[__NR_fallocate] = wasm_fallocate,
	[__NR_readahead] = wasm_readahead,
	[__NR_sync_file_range] = wasm_sync_file_range,
	[__NR_fadvise64_64] = wasm_fadvise64_64,
};
#pragma clang diagnostic pop

static long do_syscall(unsigned long sp, unsigned long tp, long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	struct thread_struct *t = &current->thread;
	struct pt_regs regs = {
		.sp = sp, .tp = tp, .nr = nr, .args = { a0, a1, a2, a3, a4, a5 },
	}, *outer = t->regs;
	bool again;

	leave_user();
	t->regs = &regs;
	t->user_sp = sp;
	t->user_tp = tp;
	do {
		regs.ret = (unsigned long)regs.nr < __NR_syscalls ?
			sys_call_table[regs.nr](a0, a1, a2, a3, a4, a5) : -ENOSYS;
		again = exit_to_user_mode_work(&regs, true);
	} while (again);
	t->regs = outer;
	enter_user();
	return regs.ret;
}

#define SYSCALL_ENTRY(n, params, args)								\
	__attribute__((export_name("wasm_syscall_" #n))) long wasm_syscall_##n params;		\
	long wasm_syscall_##n params								\
	{											\
		return do_syscall args;								\
	}

SYSCALL_ENTRY(0, (ulong sp, ulong tp, long nr), (sp, tp, nr, 0, 0, 0, 0, 0, 0))
SYSCALL_ENTRY(1, (ulong sp, ulong tp, long nr, long a), (sp, tp, nr, a, 0, 0, 0, 0, 0))
SYSCALL_ENTRY(2, (ulong sp, ulong tp, long nr, long a, long b), (sp, tp, nr, a, b, 0, 0, 0, 0))
SYSCALL_ENTRY(3, (ulong sp, ulong tp, long nr, long a, long b, long c), (sp, tp, nr, a, b, c, 0, 0, 0))
SYSCALL_ENTRY(4, (ulong sp, ulong tp, long nr, long a, long b, long c, long d), (sp, tp, nr, a, b, c, d, 0, 0))
SYSCALL_ENTRY(5, (ulong sp, ulong tp, long nr, long a, long b, long c, long d, long e), (sp, tp, nr, a, b, c, d, e, 0))
SYSCALL_ENTRY(6, (ulong sp, ulong tp, long nr, long a, long b, long c, long d, long e, long f),
	      (sp, tp, nr, a, b, c, d, e, f))
