/* SPDX-License-Identifier: GPL-2.0 */
/* The border between user and kernel mode. */
#ifndef _ASM_WASM_ENTRY_H
#define _ASM_WASM_ENTRY_H

#include <linux/context_tracking.h>
#include <linux/sched.h>

struct pt_regs;

/* entry.S: wasm_user_mode_tail(flow) with the kernel's stack pointer restored when it returns. */
void user_mode_tail(int flow);
/* Empties the kernel stack and calls wasm_user_mode_tail(WASM_FLOW_EXEC). */
void __noreturn user_mode_exec(void);
unsigned long get_stack_pointer(void);

/*
 * The last thing before user mode and the first thing after it. In between RCU does not wait for this CPU: a program that
 * makes no system call is not to be interrupted, however long that takes.
 */
static inline void enter_user(void)
{
	user_enter();
	current->thread.in_user = true;
}

static inline void leave_user(void)
{
	current->thread.in_user = false;
	user_exit();
}

/*
 * All that is to be done on the way to user mode. Returns true when the system call in @regs has to be done again. Does
 * not return when another image is to be started or a signal handler left.
 */
bool exit_to_user_mode_work(struct pt_regs *regs, bool in_syscall);
bool wasm_do_signal(struct pt_regs *regs, bool in_syscall);

#endif
