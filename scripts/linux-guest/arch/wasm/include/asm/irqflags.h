/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nothing can interrupt a Wasm function: an interrupt is a bit that is set in a word of the CPU. The kernel looks at that
 * word where an interrupt could have come in on another machine: when it enables interrupts, where it waits for another CPU
 * or offers to be rescheduled (cpu_relax(), cond_resched()), in the idle loop, and on the way to user mode. "Disabled" is a
 * flag of the task, for a switch never happens with interrupts enabled.
 */
#ifndef _ASM_WASM_IRQFLAGS_H
#define _ASM_WASM_IRQFLAGS_H

#ifndef __ASSEMBLY__
#include <linux/compiler.h>

#define ARCH_IRQ_DISABLED	0
#define ARCH_IRQ_ENABLED	1

/* In irq.c: thread_info cannot be named here. */
unsigned long arch_local_save_flags(void);
unsigned long arch_local_irq_save(void);
void arch_local_irq_disable(void);
void arch_local_irq_enable(void);
void arch_local_irq_restore(unsigned long flags);

#define arch_local_save_flags		arch_local_save_flags
#define arch_local_irq_save		arch_local_irq_save
#define arch_local_irq_disable		arch_local_irq_disable
#define arch_local_irq_enable		arch_local_irq_enable
#define arch_local_irq_restore		arch_local_irq_restore

#include <asm-generic/irqflags.h>
#endif

#endif
