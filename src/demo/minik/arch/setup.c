/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as the host left it: memory size, command line, per-CPU areas. */
#include "kernel.h"
#include "percpu.h"
#include "sched.h"
#include "setup.h"

extern char __start_percpu[], __stop_percpu[];

ulong memory_start, memory_kernel_break, memory_end;
__used ulong initrd_start, initrd_end;
__used char boot_command_line[512];
__used ulong __per_cpu_offset[NR_CPUS];
u32 nr_cpu_ids = 1;

/*
 * The host has grown the memory by the initramfs. Take what is there beyond, up to just under 512 MiB, less when the
 * host has less. `memory_end` counts only the pages grown: the last ones stay unused.
 */
static void memory_grow(void)
{
	ulong before = __builtin_wasm_memory_size(0);
	ulong target = 0x1fff;

	while (target > before && __builtin_wasm_memory_grow(0, target - before) == (ulong)-1)
		target--;
	memory_start = WASM_PAGE;
	memory_kernel_break = before * WASM_PAGE;
	memory_end = (target - before) * WASM_PAGE;
	if (memory_end <= memory_kernel_break)
		panic("out of memory: %lu pages, of which %lu hold the kernel", target, before);
}

bool cmdline_option(const char *name, char *value, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = boot_command_line; *p;) {
		const char *end = strchr(p, ' ');
		size_t n = end ? (size_t)(end - p) : strlen(p);

		if (n > len && p[len] == '=' && !strncmp(p, name, len)) {
			strscpy(value, p + len + 1, min(size, n - len));
			return true;
		}
		p += n;
		while (*p == ' ')
			p++;
	}
	return false;
}

bool cmdline_flag(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = boot_command_line; *p;) {
		const char *end = strchr(p, ' ');
		size_t n = end ? (size_t)(end - p) : strlen(p);

		if (n == len && !strncmp(p, name, len))
			return true;
		p += n;
		while (*p == ' ')
			p++;
	}
	return false;
}

long cmdline_int(const char *name, long otherwise)
{
	char value[16];

	return cmdline_option(name, value, sizeof(value)) ? simple_strtol(value, NULL) : otherwise;
}

bool bug_planted(const char *name)
{
	char value[32];

	return cmdline_option("bug", value, sizeof(value)) && !strcmp(value, name);
}

static void setup_nr_cpu_ids(void)
{
	long n = cmdline_int("nr_cpus", NR_CPUS);

	nr_cpu_ids = n < 1 ? 1 : n > NR_CPUS ? NR_CPUS : (u32)n;
}

static void setup_per_cpu_areas(void)
{
	size_t size = ALIGN((size_t)(__stop_percpu - __start_percpu), 64);
	char *areas = alloc_pages(get_order(size * nr_cpu_ids));

	if (!areas)
		panic("no memory for per-CPU data");
	for (u32 cpu = 1; cpu < nr_cpu_ids; cpu++) {
		memcpy(areas + cpu * size, __start_percpu, size);
		__per_cpu_offset[cpu] = (ulong)(areas + cpu * size) - (ulong)__start_percpu;
	}
}

void setup_arch(void)
{
	memory_grow();
	setup_nr_cpu_ids();
	mm_init();
	setup_per_cpu_areas();
}
