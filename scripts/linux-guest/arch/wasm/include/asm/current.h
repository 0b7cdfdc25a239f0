/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_CURRENT_H
#define _ASM_WASM_CURRENT_H

#ifndef __ASSEMBLY__
#include <linux/compiler.h>

struct task_struct;

/* A task has an instance of the kernel of its own, so a Wasm global is a register that never changes hands. */
asm(".globaltype __current_task, i32");

static __always_inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm("global.get __current_task\n\tlocal.set %0" : "=r"(task));
	return task;
}

#define current get_current()
#endif

#endif
