/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' initcalls. */
#include "kernel.h"
#include "sched.h"

static int load_task(void *arg)
{
	u32 n = (u32)(ulong)arg;

	for (;;) {
		yield();
		schedule_timeout_interruptible((long)(100 + n % 97));
	}
	return 0;
}

/* tasks=N: so many kernel threads that sleep and yield, spread over all CPUs. */
static void start_load_tasks(void)
{
	long n = cmdline_int("tasks", 0);

	for (long i = 0; i < n; i++) {
		u32 cpu = (u32)i % nr_cpu_ids;
		struct task_struct *p;

		if (!cpu_online(cpu) && cpu_up(cpu))
			panic("CPU%u does not come up", cpu);
		p = kthread_create_on_cpu(load_task, (void *)(ulong)i, cpu, "load/%d", (int)i);
		if (IS_ERR(p))
			panic("no memory for load/%d", (int)i);
		wake_up_new_task(p);
	}
}

void drivers_init(void)
{
	start_load_tasks();
}
