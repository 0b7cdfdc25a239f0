// SPDX-License-Identifier: GPL-2.0
/* The machine as the host left it. */
#include <linux/console.h>
#include <linux/cpu.h>
#include <linux/init.h>
#include <linux/initrd.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/start_kernel.h>
#include <asm/host.h>
#include <asm/sections.h>
#include <asm/setup.h>

#define WASM_PAGE_SIZE	65536UL
/* Just under 512 MiB. */
#define WASM_MAX_PAGES	0x1fffUL

unsigned long memory_start, memory_kernel_break, memory_end;

extern char __heap_base[];

/* The builtin initramfs, which is empty: the host brings one. */
char __initramfs_start[1];
unsigned long __initramfs_size;

/*
 * The host has grown the memory by the initramfs. Take what is there beyond, and less when the host has less. Only the
 * pages grown are counted: the last ones stay unused.
 */
static void grow_memory(void)
{
	unsigned long before = __builtin_wasm_memory_size(0), target = WASM_MAX_PAGES;

	while (target > before && __builtin_wasm_memory_grow(0, target - before) == (unsigned long)-1)
		target--;
	memory_start = WASM_PAGE_SIZE;
	memory_kernel_break = before * WASM_PAGE_SIZE;
	memory_end = (target - before) * WASM_PAGE_SIZE;
}

void wasm_start_kernel(void);
void wasm_start_kernel(void)
{
	grow_memory();
	start_kernel();
}

static void early_console_write(struct console *con, const char *s, unsigned int n)
{
	while (n) {
		int done = wasm_driver_hvc_put((const u8 *)s, n);

		if (done <= 0)
			return;
		s += done;
		n -= done;
	}
}

static struct console early_console_wasm = {
	.name = "wasmboot",
	.write = early_console_write,
	.flags = CON_PRINTBUFFER | CON_BOOT,
	.index = -1,
};

static int __init setup_early_console(char *arg)
{
	register_console(&early_console_wasm);
	return 0;
}
early_param("earlyprintk", setup_early_console);

static void __init setup_memory(void)
{
	memblock_add(memory_start, memory_end - memory_start);
	memblock_reserve(memory_start, (unsigned long)__heap_base - memory_start);
	if (initrd_end > initrd_start)
		memblock_reserve(initrd_start, PAGE_ALIGN(initrd_end) - initrd_start);
	min_low_pfn = PFN_UP(memory_start);
	max_low_pfn = PFN_DOWN(memory_end);
	max_pfn = max_low_pfn;
	high_memory = __va(memory_end);
}

void __init setup_arch(char **cmdline_p)
{
	unsigned long zone_end[MAX_NR_ZONES] = { 0 };
	unsigned int cpu;
	u8 seed[32];

	if (wasm_random_get_bytes(seed, sizeof(seed)) == sizeof(seed))
		add_bootloader_randomness(seed, sizeof(seed));
	setup_initial_init_mm(NULL, NULL, NULL, NULL);
	*cmdline_p = boot_command_line;
	parse_early_param();
	/* nr_cpus=N has made this less than NR_CPUS. */
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		set_cpu_possible(cpu, true);
	setup_memory();
	zone_end[ZONE_NORMAL] = max_low_pfn;
	free_area_init(zone_end);
}

static void *c_start(struct seq_file *m, loff_t *pos)
{
	*pos = cpumask_next(*pos - 1, cpu_online_mask);
	return *pos < nr_cpu_ids ? (void *)(unsigned long)(*pos + 1) : NULL;
}

static void *c_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return c_start(m, pos);
}

static void c_stop(struct seq_file *m, void *v)
{
}

static int show_cpuinfo(struct seq_file *m, void *v)
{
	seq_printf(m, "processor\t: %lu\nmodel name\t: wasm32\n\n", (unsigned long)v - 1);
	return 0;
}

const struct seq_operations cpuinfo_op = {
	.start = c_start,
	.next = c_next,
	.stop = c_stop,
	.show = show_cpuinfo,
};
