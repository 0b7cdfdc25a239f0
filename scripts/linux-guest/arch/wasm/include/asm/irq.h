/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_IRQ_H
#define _ASM_WASM_IRQ_H

#define NR_IRQS 8
#define irq_canonicalize(irq) (irq)

/* Interrupts of a CPU: bits in its word raised_irqs. */
#define WASM_IRQ_IPI		0
#define WASM_IRQ_TIMER		1
/* To IRQ_CPU only: another CPU's timer expires earlier than it thinks. */
#define WASM_IRQ_REPROGRAM	2

/* The CPU that watches over the timers of those that are too busy to do it themselves. */
#define IRQ_CPU			1

#ifndef __ASSEMBLY__
void raise_interrupt(int cpu, int irq);
void wasm_handle_ipis(void);
void wasm_timer_interrupt(void);
#endif


#endif
