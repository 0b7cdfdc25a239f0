/* SPDX-License-Identifier: GPL-2.0 */
/* The border between user and kernel mode. */
#ifndef _ASM_WASM_ENTRY_H
#define _ASM_WASM_ENTRY_H

#include <linux/compiler.h>

struct pt_regs;

/* entry.S: wasm_user_mode_tail(flow) with the kernel's stack pointer restored when it returns. */
void user_mode_tail(int flow);
/* Empties the kernel stack and calls wasm_user_mode_tail(WASM_FLOW_EXEC). */
void __noreturn user_mode_exec(void);
unsigned long get_stack_pointer(void);

/*
 * All that is to be done on the way to user mode. Returns true when the system call in @regs has to be done again. Does
 * not return when another image is to be started or a signal handler left.
 */
bool exit_to_user_mode_work(struct pt_regs *regs, bool in_syscall);
bool wasm_do_signal(struct pt_regs *regs, bool in_syscall);

#endif
