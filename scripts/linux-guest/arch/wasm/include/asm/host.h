/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module imports: the machine. A host runs each task in an instance of vmlinux of its own ("runner"), all
 * sharing one memory, and transfers control between the runners of a CPU as the kernel says.
 */
#ifndef _ASM_WASM_HOST_H
#define _ASM_WASM_HOST_H

#include <linux/types.h>

struct task_struct;

#define WASM_HOST(name) __attribute__((import_module("env"), import_name(#name)))

/* CPUs. */
WASM_HOST(wasm_start_cpu) void wasm_start_cpu(int cpu, struct task_struct *idle);
WASM_HOST(wasm_stop_cpu) void wasm_stop_cpu(int cpu);

/* Tasks. Both return the task that switched back to the caller. */
WASM_HOST(wasm_create_and_run_task)
struct task_struct *wasm_create_and_run_task(struct task_struct *prev, struct task_struct *next, const char *name,
					     unsigned long bin_start, unsigned long bin_end,
					     unsigned long data_start, unsigned long table_start);
WASM_HOST(wasm_serialize_tasks)
struct task_struct *wasm_serialize_tasks(struct task_struct *prev, struct task_struct *next);
WASM_HOST(wasm_release_task) void wasm_release_task(struct task_struct *dead);

/* User mode. */
WASM_HOST(wasm_load_executable)
void wasm_load_executable(unsigned long bin_start, unsigned long bin_end, unsigned long data_start,
			  unsigned long table_start);
WASM_HOST(wasm_user_mode_tail) void wasm_user_mode_tail(int flow);

/* Flows of wasm_user_mode_tail(). */
#define WASM_FLOW_EXEC		(-1)
#define WASM_FLOW_SIGNAL	1
#define WASM_FLOW_SIGRETURN	2

/* Devices. */
WASM_HOST(wasm_cpu_clock_get_monotonic) s64 wasm_cpu_clock_get_monotonic(void);
WASM_HOST(wasm_driver_hvc_put) int wasm_driver_hvc_put(const u8 *buf, int count);
WASM_HOST(wasm_driver_hvc_get) int wasm_driver_hvc_get(u8 *buf, int count);
WASM_HOST(wasm_random_get_bytes) int wasm_random_get_bytes(void *buf, int count);

/* Diagnosis. */
WASM_HOST(wasm_panic) void wasm_panic(const char *msg);
WASM_HOST(wasm_dump_stacktrace) void wasm_dump_stacktrace(char *buf, unsigned long size);

/* Results of memory.atomic.wait32. */
#define WASM_WAIT_OK		0
#define WASM_WAIT_NOT_EQUAL	1
#define WASM_WAIT_TIMED_OUT	2

/* Waits while *word == expected, for at most timeout_ns; a negative timeout is no timeout. */
static inline int wasm_wait32(u32 *word, u32 expected, s64 timeout_ns)
{
	return __builtin_wasm_memory_atomic_wait32((int *)word, (int)expected, timeout_ns);
}

static inline void wasm_notify(u32 *word, u32 count)
{
	__builtin_wasm_memory_atomic_notify((int *)word, count);
}

#endif
