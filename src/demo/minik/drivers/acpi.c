/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI: walks a name space that is deeper than anybody thought. */
#include "kernel.h"
#include "planted.h"
#include "sched.h"

#define ACPI_MAX_DEPTH 40
#define ACPI_PATH_LEN 192

/*
 * BUG: a path of 192 bytes in each frame of a recursion without a bound: forty levels are 8 KiB and more, all there is.
 * What lies below this stack is the task_struct of the thread made before.
 */
static noinline u32 acpi_ns_walk(u32 depth, const char *parent)
{
	char path[ACPI_PATH_LEN];
	u32 hash = depth;

	memset(path, '.', sizeof(path));
	snprintf(path, sizeof(path), "%s%s", depth % 8 ? parent : "\\_SB", ".PCI0");
	if (depth < ACPI_MAX_DEPTH)
		hash += acpi_ns_walk(depth + 1, path);
	for (u32 i = 0; i < sizeof(path); i++)
		hash = hash * 31 + (u8)path[i];
	return hash;
}

static int kacpid(void *unused)
{
	(void)unused;
	schedule_timeout_idle(2 * HZ);
	pr_info("acpi: name space %08x\n", acpi_ns_walk(0, "\\"));
	return 0;
}

/* A neighbour whose stack is the block below. */
static int kacpi_notify(void *unused)
{
	u32 beats = 0;

	(void)unused;
	for (;;) {
		schedule_timeout_interruptible(HZ);
		beats++;
		if (beats % 60 == 0)
			pr_info("acpi: %u notifications\n", beats);
	}
	return 0;
}

void acpi_init(void)
{
	kthread_run_on(kacpi_notify, NULL, 0, "kacpi_notify");
	kthread_run_on(kacpid, NULL, 0, "kacpid");
}
