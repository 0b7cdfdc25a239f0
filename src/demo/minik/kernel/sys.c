/* SPDX-License-Identifier: Apache-2.0 */
/* Small system calls about time, identity and the machine. */
#include "kernel.h"
#include "sched.h"
#include "syscall.h"
#include "syscalls.h"

long sys_set_tid_address(u32 *tid)
{
	current->clear_child_tid = tid;
	return current->pid;
}

long sys_nanosleep(const struct timespec *req, struct timespec *rem)
{
	u64 ns = (u64)req->tv_sec * 1000000000ULL + (u64)req->tv_nsec;
	u64 ticks = (ns + TICK_NSEC - 1) / TICK_NSEC + 1;
	long left;

	if (!ns)
		return sys_sched_yield();
	if (ticks > MAX_SCHEDULE_TIMEOUT / 2)
		ticks = MAX_SCHEDULE_TIMEOUT / 2;
	left = schedule_timeout_interruptible((long)ticks);
	if (!left)
		return 0;
	if (rem) {
		rem->tv_sec = left / HZ;
		rem->tv_nsec = left % HZ * (long)TICK_NSEC;
	}
	return -EINTR;
}

long sys_clock_gettime(long clock, struct timespec *ts)
{
	u64 now = local_clock();

	(void)clock;
	ts->tv_sec = (s64)(now / 1000000000ULL);
	ts->tv_nsec = (long)(now % 1000000000ULL);
	return 0;
}

long sys_sched_yield(void)
{
	yield();
	return 0;
}

long sys_reboot(u32 cmd)
{
	if (cmd == RB_HALT)
		kernel_halt();
	return -EINVAL;
}

long sys_setpgid(long pid, long pgid)
{
	struct task_struct *p = pid ? find_get_task((pid_t)pid) : current;

	if (!p)
		return -ESRCH;
	p->pgrp = pgid ? (pid_t)pgid : p->pid;
	if (pid)
		put_task_struct(p);
	return 0;
}

long sys_getpgid(long pid)
{
	struct task_struct *p = pid ? find_get_task((pid_t)pid) : current;
	long ret;

	if (!p)
		return -ESRCH;
	ret = p->pgrp;
	if (pid)
		put_task_struct(p);
	return ret;
}

long sys_uname(char *buf, size_t size)
{
	return snprintf(buf, size, "Linux minik %u.%u.0-minik #1 SMP wasm32", ERA / 10, ERA % 10);
}

long sys_prctl(long option, ulong a, ulong b, ulong c, ulong d)
{
	(void)b;
	(void)c;
	(void)d;
	if (option != PR_SET_NAME)
		return -EINVAL;
	__set_task_comm(current, (const char *)a);
	return 0;
}

long sys_getpid(void) { return current->tgid; }
long sys_getppid(void) { return current->real_parent->tgid; }
long sys_gettid(void) { return current->pid; }
long sys_getrandom(char *buf, size_t n, u32 flags)
{
	(void)flags;
	return get_random_bytes(buf, n);
}
