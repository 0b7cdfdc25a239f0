/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers' initcalls. */
#include "planted.h"
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

static const struct {
	const char *bug;
	void (*init)(void);
} planted_drivers[] = {
	{ "stray-write", evdev_init },	 { "timer-stall", rtc_init },	  { "wq-corrupt", usbhub_init },
	{ "fdtable", binder_init },	 { "rcu", dst_init },		  { "stack-overflow", acpi_init },
	{ "user-write", fbdev_init },	 { "lost-wakeup", ring_init },	  { "deadlock", netdev_init },
	{ "deadlock-sleep", getty_init },
};

/* The n-th CPU from the end, brought up: where a driver's threads disturb nobody. */
u32 driver_cpu(u32 n)
{
	u32 cpu = nr_cpu_ids > IRQ_CPU + 1 + n ? nr_cpu_ids - 1 - n : 0;

	if (!cpu_online(cpu) && cpu_up(cpu))
		panic("CPU%u does not come up", cpu);
	return cpu;
}

void drivers_init(void)
{
	char name[32];

	if (cmdline_option("bug", name, sizeof(name))) {
		u32 i = 0;

		while (i < ARRAY_SIZE(planted_drivers) && strcmp(planted_drivers[i].bug, name))
			i++;
		if (i < ARRAY_SIZE(planted_drivers))
			planted_drivers[i].init();
		else
			pr_info("bug=%s: there is no such bug\n", name);
	}
	start_load_tasks();
}
