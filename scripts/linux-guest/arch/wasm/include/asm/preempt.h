/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_PREEMPT_H
#define _ASM_WASM_PREEMPT_H

#define should_resched generic_should_resched
#include <asm-generic/preempt.h>
#undef should_resched

/* In irq.c: takes the interrupts that wait, if they are enabled. */
void wasm_poll_irqs(void);

/* A loop that only calls cond_resched() would neither be ticked nor, on the CPU that keeps the time, see jiffies move. */
static __always_inline bool should_resched(int preempt_offset)
{
	wasm_poll_irqs();
	return generic_should_resched(preempt_offset);
}

#endif
