// SPDX-License-Identifier: GPL-2.0
/* Interrupts: see asm/irqflags.h. */
#include <linux/hardirq.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <asm/host.h>
#include <asm/irq.h>
#include <asm/irq_regs.h>

/* What is raised and not yet taken: bits WASM_IRQ_*. The idle loop waits on this word. */
DEFINE_PER_CPU(u32, raised_irqs);

/* Raises an interrupt of a CPU. The host may call this too. */
__attribute__((export_name("raise_interrupt"))) void raise_interrupt(int cpu, int irq)
{
	u32 *word;

	if ((unsigned int)cpu >= nr_cpu_ids || (unsigned int)irq >= 32)
		return;
	word = per_cpu_ptr(&raised_irqs, cpu);
	__atomic_fetch_or(word, BIT(irq), __ATOMIC_SEQ_CST);
	wasm_notify(word, 1);
}

/* Takes what is raised, on whatever stack this is; interrupts are disabled here, and while a handler runs. */
static noinline void take_irqs(u32 *word)
{
	struct pt_regs *old_regs = set_irq_regs(current_pt_regs());
	u32 irqs = __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST);

	irq_enter();
	if (irqs & BIT(WASM_IRQ_IPI))
		wasm_handle_ipis();
	if (irqs & BIT(WASM_IRQ_TIMER))
		wasm_timer_interrupt();
	/* WASM_IRQ_REPROGRAM only has to end the idle loop's wait. */
	irq_exit();
	set_irq_regs(old_regs);
}

unsigned long arch_local_save_flags(void)
{
	return current_thread_info()->irq_flags;
}

unsigned long arch_local_irq_save(void)
{
	unsigned long flags = current_thread_info()->irq_flags;

	current_thread_info()->irq_flags = ARCH_IRQ_DISABLED;
	barrier();
	return flags;
}

void arch_local_irq_disable(void)
{
	current_thread_info()->irq_flags = ARCH_IRQ_DISABLED;
	barrier();
}

void arch_local_irq_enable(void)
{
	struct thread_info *ti = current_thread_info();
	u32 *word;

	barrier();
	word = per_cpu_ptr(&raised_irqs, ti->cpu);
	while (unlikely(READ_ONCE(*word))) {
		ti->irq_flags = ARCH_IRQ_DISABLED;
		take_irqs(word);
	}
	ti->irq_flags = ARCH_IRQ_ENABLED;
}

void wasm_poll_irqs(void)
{
	if (current_thread_info()->irq_flags == ARCH_IRQ_ENABLED)
		arch_local_irq_enable();
}

void cpu_relax(void)
{
	wasm_poll_irqs();
	barrier();
}

void arch_local_irq_restore(unsigned long flags)
{
	if (flags == ARCH_IRQ_ENABLED)
		arch_local_irq_enable();
	else
		arch_local_irq_disable();
}

void __init init_IRQ(void)
{
}

int arch_show_interrupts(struct seq_file *p, int prec)
{
	return 0;
}
