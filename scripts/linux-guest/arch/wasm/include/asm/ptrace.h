/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_PTRACE_H
#define _ASM_WASM_PTRACE_H

#include <uapi/asm/ptrace.h>

#ifndef __ASSEMBLY__
#include <linux/types.h>

/* A system call in progress. Signal handlers run inside the call that they interrupt, so these nest. */
struct pt_regs {
	unsigned long sp;
	unsigned long tp;
	long nr;
	unsigned long args[6];
	long ret;
};

/* Interrupts are only taken inside the kernel. */
#define user_mode(regs)			0
#define instruction_pointer(regs)	0UL
#define user_stack_pointer(regs)	((regs)->sp)
#define profile_pc(regs)		instruction_pointer(regs)
#define current_pt_regs()		(current->thread.regs)

static inline long regs_return_value(struct pt_regs *regs)
{
	return regs->ret;
}
#endif

#endif
