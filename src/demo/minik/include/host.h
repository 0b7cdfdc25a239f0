/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What minik imports from its host: the Linux/Wasm host contract. ERA chooses the release whose signatures are used:
 * 64 for the 6.4 era, 70 for the 7.0 era.
 */
#ifndef MINIK_HOST_H
#define MINIK_HOST_H
#include "types.h"

#define HOST(name) __attribute__((import_module("env"), import_name(#name)))

struct task_struct;

#if ERA >= 70
HOST(wasm_start_cpu) void wasm_start_cpu(int cpu, struct task_struct *idle);
HOST(wasm_random_get_bytes) int wasm_random_get_bytes(void *buf, u32 count);
#else
HOST(wasm_start_cpu) void wasm_start_cpu(int cpu, struct task_struct *idle, void *start_stack);
#endif
HOST(wasm_stop_cpu) void wasm_stop_cpu(int cpu);
HOST(wasm_create_and_run_task)
struct task_struct *wasm_create_and_run_task(struct task_struct *prev, struct task_struct *next, const char *name,
					     ulong bin_start, ulong bin_end, ulong data_start, ulong table_start);
HOST(wasm_serialize_tasks)
struct task_struct *wasm_serialize_tasks(struct task_struct *prev, struct task_struct *next);
HOST(wasm_release_task) void wasm_release_task(struct task_struct *dead);
HOST(wasm_panic) void wasm_panic(const char *msg);
HOST(wasm_dump_stacktrace) void wasm_dump_stacktrace(char *buf, u32 size);
HOST(wasm_load_executable)
void wasm_load_executable(ulong bin_start, ulong bin_end, ulong data_start, ulong table_start);
HOST(wasm_cpu_clock_get_monotonic) s64 wasm_cpu_clock_get_monotonic(void);
HOST(wasm_driver_hvc_put) int wasm_driver_hvc_put(const char *buf, u32 count);
HOST(wasm_driver_hvc_get) int wasm_driver_hvc_get(char *buf, u32 count);

/* arch/entry.S: the per-instance registers, which C cannot name. */
struct task_struct *get_current(void);
ulong get_stack_pointer(void);
ulong get_user_stack_pointer(void);
ulong get_user_tls_base(void);
void set_user_stack_pointer(ulong sp);
void set_user_tls_base(ulong tp);
/* wasm_user_mode_tail(flow) with the kernel's stack pointer restored when it returns. */
void user_mode_tail(int flow);
/* Empties the kernel stack and calls wasm_user_mode_tail(-1): never returns. */
void __noreturn user_mode_exec(void);

/* memory.atomic.wait32 results. */
#define WAIT_OK 0
#define WAIT_NOT_EQUAL 1
#define WAIT_TIMED_OUT 2
#define atomic_wait32(p, expected, timeout_ns)                                                    \
	__builtin_wasm_memory_atomic_wait32((int *)(p), (int)(expected), (timeout_ns))
#define atomic_notify(p, count) __builtin_wasm_memory_atomic_notify((int *)(p), (count))

/* User-mode flows of wasm_user_mode_tail. */
#define FLOW_EXEC (-1)
#define FLOW_SIGNAL 1
#define FLOW_SIGRETURN 2

#endif
