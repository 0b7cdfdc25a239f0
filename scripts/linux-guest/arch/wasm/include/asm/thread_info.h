/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_THREAD_INFO_H
#define _ASM_WASM_THREAD_INFO_H

/*
 * Locals live in Wasm's own stack; this one holds what has an address. Interrupts and soft interrupts use the stack of the
 * task that they find.
 */
#define THREAD_SIZE_ORDER	2
#define THREAD_SIZE		(PAGE_SIZE << THREAD_SIZE_ORDER)

/*
 * The lowest part of a stack is nobody's: no memory is protected here, so every function with a frame looks where its frame
 * ends (CONFIG_WASM_STACK_CHECK). Those that call nothing are not made to look; twice the largest frame (CONFIG_FRAME_WARN)
 * has room for theirs.
 */
#define THREAD_GUARD_SIZE	2048

#ifndef __ASSEMBLY__
#include <asm/page.h>
#include <asm/processor.h>

struct thread_info {
	unsigned long flags;
	int preempt_count;
	u32 cpu;
	/* ARCH_IRQ_ENABLED or ARCH_IRQ_DISABLED. A new task starts with interrupts disabled. */
	unsigned long irq_flags;
};

#define INIT_THREAD_INFO(tsk) {			\
	.flags = 0,				\
	.preempt_count = INIT_PREEMPT_COUNT,	\
}
#endif

#define TIF_SYSCALL_TRACE	0
#define TIF_NOTIFY_RESUME	1
#define TIF_SIGPENDING		2
#define TIF_NEED_RESCHED	3
#define TIF_NOTIFY_SIGNAL	4
#define TIF_MEMDIE		5
#define TIF_RESTORE_SIGMASK	6

#define _TIF_SYSCALL_TRACE	(1 << TIF_SYSCALL_TRACE)
#define _TIF_NOTIFY_RESUME	(1 << TIF_NOTIFY_RESUME)
#define _TIF_SIGPENDING		(1 << TIF_SIGPENDING)
#define _TIF_NEED_RESCHED	(1 << TIF_NEED_RESCHED)
#define _TIF_NOTIFY_SIGNAL	(1 << TIF_NOTIFY_SIGNAL)

#define _TIF_WORK_MASK	(_TIF_NOTIFY_RESUME | _TIF_SIGPENDING | _TIF_NEED_RESCHED | _TIF_NOTIFY_SIGNAL)

#endif
