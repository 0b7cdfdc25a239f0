/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_PROCESSOR_H
#define _ASM_WASM_PROCESSOR_H

#ifndef __ASSEMBLY__
#include <linux/types.h>
#include <linux/compiler.h>
#include <asm/page.h>
#include <asm/pgtable.h>
#include <asm/ptrace.h>

struct task_struct;

struct thread_struct {
	/* The state of the system call that the task is in, or was in last. */
	struct pt_regs *regs;
	struct pt_regs user_regs;
	/* What the host sets the program's globals to, see get_user_stack_pointer(). */
	unsigned long user_sp;
	unsigned long user_tp;
	/* What a kernel thread runs. */
	int (*fn)(void *arg);
	void *fn_arg;
	/* The innermost signal's frame, a user address. */
	unsigned long sigframe;
	/* The task has a runner. */
	bool started;
	bool in_user;
	/* An image is loaded and waits for the end of the system call. */
	bool exec_pending;
	bool sigreturn;
};

#define INIT_THREAD {						\
	.regs = &init_task.thread.user_regs,			\
	.started = true,					\
}

#define TASK_UNMAPPED_BASE	0
#define STACK_TOP		TASK_SIZE
#define STACK_TOP_MAX		STACK_TOP

#define task_pt_regs(task)	((task)->thread.regs)
#define KSTK_EIP(task)		0UL
#define KSTK_ESP(task)		((task)->thread.user_sp)

/* Takes the interrupts that wait, see asm/irqflags.h. */
void cpu_relax(void);

static inline unsigned long __get_wchan(struct task_struct *p)
{
	return 0;
}

void start_thread(struct pt_regs *regs, unsigned long pc, unsigned long sp);
#endif

#endif
