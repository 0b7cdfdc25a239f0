/* SPDX-License-Identifier: Apache-2.0 */
/* System calls: one entry for each number of arguments, and the table of the calls themselves. */
#include "entry.h"
#include "kernel.h"
#include "sched.h"
#include "syscall.h"
#include "syscalls.h"

/*
 * Calls that this kernel does not have. In the 6.4 era their symbols are left undefined, and the host answers; in the
 * 7.0 era they are the kernel's own.
 */
#if ERA >= 70
#define NI_SYSCALL(name, params) static long name params { return -ENOSYS; }
#else
#define NI_SYSCALL(name, params) HOST(name) long name params;
#endif
#define __unused __attribute__((unused))
NI_SYSCALL(sys_mlock, (ulong start __unused, ulong len __unused))
NI_SYSCALL(sys_swapon, (ulong name __unused, long flags __unused))
NI_SYSCALL(sys_bpf, (long cmd __unused, ulong attr __unused, long size __unused))
NI_SYSCALL(sys_sync_file_range, (long fd __unused, s64 offset __unused, s64 nbytes __unused, u32 flags __unused))

static long sys_sync_file_range_split(long fd, u32 off_lo, u32 off_hi, u32 n_lo, u32 n_hi, u32 flags)
{
	return sys_sync_file_range(fd, (s64)((u64)off_hi << 32 | off_lo), (s64)((u64)n_hi << 32 | n_lo), flags);
}

typedef void *syscall_fn_t;
#define ENTRY(name) [__NR_##name] = (syscall_fn_t)sys_##name
static const syscall_fn_t sys_call_table[NR_syscalls] = {
	ENTRY(dup), ENTRY(dup3), ENTRY(ioctl), ENTRY(openat), ENTRY(close), ENTRY(pipe2), ENTRY(getdents64),
	ENTRY(lseek), ENTRY(read), ENTRY(write), ENTRY(pread64), ENTRY(exit), ENTRY(exit_group),
	ENTRY(set_tid_address), ENTRY(futex), ENTRY(nanosleep), ENTRY(clock_gettime), ENTRY(sched_yield),
	ENTRY(kill), ENTRY(rt_sigaction), ENTRY(rt_sigprocmask), ENTRY(rt_sigreturn), ENTRY(reboot),
	ENTRY(prctl), ENTRY(setpgid), ENTRY(getpgid), ENTRY(uname), ENTRY(getpid), ENTRY(getppid), ENTRY(gettid), ENTRY(brk),
	ENTRY(munmap), ENTRY(clone), ENTRY(execve), ENTRY(mmap), ENTRY(mlock), ENTRY(swapon), ENTRY(pause),
	ENTRY(wait4), ENTRY(getrandom), ENTRY(bpf), ENTRY(minik_hold),
	[__NR_sync_file_range] = (syscall_fn_t)sys_sync_file_range_split,
};

static syscall_fn_t syscall_entry(u32 nr)
{
	return nr < NR_syscalls ? sys_call_table[nr] : NULL;
}

/* A call of the wrong arity finds a function of another type: call_indirect traps, as it does in Linux/Wasm. */
#define SYSCALL_ENTRY(n, params, types, args)                                                     \
	__used __attribute__((export_name("wasm_syscall_" #n))) long wasm_syscall_##n params      \
	{                                                                                         \
		syscall_fn_t fn = syscall_entry(nr);                                              \
		enter_from_user_mode(sp, tp);                                                     \
		return exit_to_user_mode(fn ? ((long(*) types)fn)args : -ENOSYS);                 \
	}

SYSCALL_ENTRY(0, (ulong sp, ulong tp, u32 nr), (void), ())
SYSCALL_ENTRY(1, (ulong sp, ulong tp, u32 nr, long a), (long), (a))
SYSCALL_ENTRY(2, (ulong sp, ulong tp, u32 nr, long a, long b), (long, long), (a, b))
SYSCALL_ENTRY(3, (ulong sp, ulong tp, u32 nr, long a, long b, long c), (long, long, long), (a, b, c))
SYSCALL_ENTRY(4, (ulong sp, ulong tp, u32 nr, long a, long b, long c, long d), (long, long, long, long), (a, b, c, d))
SYSCALL_ENTRY(5, (ulong sp, ulong tp, u32 nr, long a, long b, long c, long d, long e),
	      (long, long, long, long, long), (a, b, c, d, e))
SYSCALL_ENTRY(6, (ulong sp, ulong tp, u32 nr, long a, long b, long c, long d, long e, long f),
	      (long, long, long, long, long, long), (a, b, c, d, e, f))
