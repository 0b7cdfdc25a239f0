/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the machine. */
#include "kernel.h"
#include "sched.h"

u32 oops_in_progress;
static u32 panic_cpu = NR_CPUS;

noinline void dump_stack(void)
{
	static char trace[1000];
	static DEFINE_RAW_SPINLOCK(trace_lock);

	if (!raw_spin_trylock(&trace_lock))
		return;
	wasm_dump_stacktrace(trace, sizeof(trace));
	pr_info("CPU: %u PID: %d Comm: %s\n", current->cpu, current->pid, current->comm);
	pr_info("Call Trace:\n");
	for (char *line = trace; *line;) {
		char *end = strchr(line, '\n');

		if (end)
			*end = 0;
		pr_info("%s\n", line);
		line = end ? end + 1 : line + strlen(line);
	}
	raw_spin_unlock(&trace_lock);
}

noinline void panic(const char *fmt, ...)
{
	static char buf[256];
	u32 expected = NR_CPUS, cpu = smp_processor_id();
	va_list ap;

	if (!__atomic_compare_exchange_n(&panic_cpu, &expected, cpu, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		/* A panic within a panic says that even this code cannot be run any more. */
		if (expected == cpu)
			wasm_stop_cpu(0);
		for (;;)
			cpu_relax();
	}
	oops_in_progress++;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	pr_info("Kernel panic - not syncing: %s\n", buf);
	dump_stack();
	wasm_panic(buf);
	for (;;)
		cpu_relax();
}

void bug_at(const char *file, int line, const char *what)
{
	pr_info("kernel BUG at %s:%d! (%s)\n", file, line, what);
	panic("BUG");
}
