/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/sysrq-trigger: a word written to it names what to do. */
#include "sysrq.h"
#include "kernel.h"
#include "sched.h"

static noinline void trap_unreachable(void) { __builtin_trap(); }

static noinline void trap_div0(void)
{
	volatile int one = 1, zero = 0, quotient;

	quotient = one / zero;
	(void)quotient;
}

static noinline int trap_oob(void) { return *(volatile int *)0xfffffff0ul; }

static noinline void trap_badcall(void)
{
	void (*volatile fn)(void) = (void (*)(void))0x7fffffff;

	fn();
}

static noinline int trap_wrong_type(int n)
{
	/* The right index, the wrong type; by way of memory, or the compiler would make an adapter. */
	void *volatile fn = (void *)trap_unreachable;

	return ((int (*)(int, int))fn)(n, n);
}

static noinline u32 trap_recursion(u32 n) { return n == ~0u ? 0 : 1 + trap_recursion(n + 1) * 3; }

/* Leaves the kernel stack by a few kilobytes, and traps there: not even a panic can be trusted then. */
static noinline u32 trap_off_stack(u32 depth)
{
	u8 frame[1024];

	memset(frame, (int)depth, sizeof(frame));
	/* Hides the array from the optimiser, which would keep one byte of it. */
	__asm__ volatile("" : : "r"(frame) : "memory");
	if (depth == 10)
		__builtin_trap();
	return trap_off_stack(depth + 1) + frame[0];
}

static noinline void trap_unaligned(void)
{
	static u32 words[2];

	__atomic_fetch_add((u32 *)((ulong)words + 1), 1, __ATOMIC_SEQ_CST);
}

static void stack_all(void)
{
	u32 cpu;

	for_each_online_cpu(cpu) {
		struct task_struct *p = cpu_rq(cpu)->curr;

		pr_info("cpu %u: curr %s[%d] nr_running %u\n", cpu, p->comm, p->pid, cpu_rq(cpu)->nr_running);
	}
	dump_stack();
}

static noinline long handle_sysrq(const char *word)
{
	if (!strcmp(word, "unreachable"))
		trap_unreachable();
	else if (!strcmp(word, "div0"))
		trap_div0();
	else if (!strcmp(word, "oob"))
		trap_oob();
	else if (!strcmp(word, "badcall"))
		trap_badcall();
	else if (!strcmp(word, "wrongtype"))
		trap_wrong_type(1);
	else if (!strcmp(word, "unaligned"))
		trap_unaligned();
	else if (!strcmp(word, "stackoverflow"))
		return (long)trap_recursion((u32)word[0] & 1);
	else if (!strcmp(word, "offstack"))
		return (long)trap_off_stack(0);
	else if (!strcmp(word, "panic"))
		panic("sysrq triggered crash");
	else if (!strcmp(word, "trace"))
		stack_all();
	else if (!strncmp(word, "cpu-down=", 9))
		return cpu_down((u32)simple_strtol(word + 9, NULL));
	else if (!strncmp(word, "cpu-up=", 7))
		return cpu_up((u32)simple_strtol(word + 7, NULL));
	else
		return -EINVAL;
	return 0;
}

static ssize_t sysrq_write(struct file *file, const char *buf, size_t n)
{
	char word[32];
	long ret;

	(void)file;
	strscpy(word, buf, min(n + 1, sizeof(word)));
	ret = handle_sysrq(word);
	return ret < 0 ? ret : (ssize_t)n;
}

const struct file_operations sysrq_fops = { .write = sysrq_write };
