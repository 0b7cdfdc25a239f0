/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing CPUs up and down, interrupts between them, and idling.
 *
 * Interrupts are bits in a per-CPU word that only the idle loop looks at: interrupt 0 stands for the IPIs, whose bits
 * are in a word of their own, interrupt 1 is the timer.
 */
#include "kernel.h"
#include "rcu.h"
#include "sched.h"
#include "setup.h"
#include "workqueue.h"

#define IRQ_IPI 0
#define IRQ_TIMER 1

__used DEFINE_PER_CPU(u32, raised_irqs);
__used DEFINE_PER_CPU(u32, raised_ipis);
/* Absolute time in ns at which the idle loop raises the timer interrupt; -1: never. */
__used DEFINE_PER_CPU(s64, local_timer_expiries) = -1;
DEFINE_PER_CPU(u32, irq_count[2]);

volatile u64 __cpu_online_mask = 1;
u32 system_halted;
static DEFINE_MUTEX(cpu_hotplug_lock);
static u32 cpu_dying = NR_CPUS;

u32 smp_processor_id(void) { return current->cpu; }

/* Also the host's way to interrupt a CPU. */
__used __attribute__((export_name("raise_interrupt"))) void raise_interrupt(int cpu, int irq)
{
	u32 *word = per_cpu_ptr(&raised_irqs, cpu);

	if ((u32)cpu >= nr_cpu_ids || (u32)irq > IRQ_TIMER)
		return;
	__atomic_or_fetch(word, 1u << irq, __ATOMIC_SEQ_CST);
	atomic_notify(word, 1);
}

void smp_send_ipi(u32 cpu, u32 ipi)
{
	__atomic_or_fetch(per_cpu_ptr(&raised_ipis, cpu), 1u << ipi, __ATOMIC_SEQ_CST);
	raise_interrupt((int)cpu, IRQ_IPI);
}

/* Whether the timer interrupt of a CPU is raised and not yet taken. */
bool timer_irq_raised(u32 cpu) { return READ_ONCE(per_cpu(raised_irqs, cpu)) & 1u << IRQ_TIMER; }

/* Never to run again: no timeout, and a word that nobody notifies. */
static void __noreturn cpu_halt(void)
{
	static u32 never;

	for (;;)
		atomic_wait32(&never, 0, -1LL);
}

static void do_ipis(void)
{
	u32 ipis = __atomic_exchange_n(&this_cpu(raised_ipis), 0, __ATOMIC_SEQ_CST);

	if (ipis & 1u << IPI_RESCHEDULE)
		this_rq()->need_resched = true;
	/* IPI_TIMER only has to end the wait: the next one begins with a new timeout. */
	if (ipis & 1u << IPI_HALT)
		cpu_halt();
}

static noinline void do_irqs(u32 irqs)
{
	if (irqs & 1u << IRQ_IPI) {
		this_cpu(irq_count[IRQ_IPI])++;
		do_ipis();
	}
	if (irqs & 1u << IRQ_TIMER) {
		this_cpu(irq_count[IRQ_TIMER])++;
		tick_handle_irq();
	}
}

void arch_cpu_idle(void)
{
	u32 cpu = smp_processor_id();
	u32 *word = per_cpu_ptr(&raised_irqs, cpu);
	s64 expiry, timeout = -1;

	if (system_halted)
		cpu_halt();
	if (READ_ONCE(cpu_dying) == cpu) {
		/* Off line: say so, then wait for the host to take the CPU away. */
		__atomic_and_fetch(&__cpu_online_mask, ~(1ULL << cpu), __ATOMIC_SEQ_CST);
		cpu_halt();
	}
	expiry = per_cpu(local_timer_expiries, cpu) = tick_next_event(cpu);
	if (expiry != -1) {
		timeout = expiry - wasm_cpu_clock_get_monotonic();
		timeout = max(timeout, 0LL);
	}
	if (atomic_wait32(word, 0, timeout) == WAIT_TIMED_OUT)
		__atomic_or_fetch(word, 1u << IRQ_TIMER, __ATOMIC_SEQ_CST);
	do_irqs(__atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST));
}

void secondary_start_kernel(void)
{
	u32 cpu = current->cpu;

	per_cpu(local_timer_expiries, cpu) = -1;
	__atomic_or_fetch(&__cpu_online_mask, 1ULL << cpu, __ATOMIC_SEQ_CST);
	cpu_idle_loop();
}

/* Starts a CPU and waits for it, spinning: what a boot does, and what needs a host that pre-empts. */
static int __cpu_up(u32 cpu)
{
	struct task_struct *idle = cpu_rq(cpu)->idle;

	if (!idle) {
		idle = alloc_task();
		if (!idle)
			return -ENOMEM;
		init_idle(idle, cpu);
	}
	idle->thread.started = true;
	timers_prepare_cpu(cpu);
	rcu_prepare_cpu(cpu);
#if ERA >= 70
	wasm_start_cpu((int)cpu, idle);
#else
	wasm_start_cpu((int)cpu, idle, idle);
#endif
	while (!cpu_online(cpu))
		cpu_relax();
	pr_info("smp: CPU%u online\n", cpu);
	return 0;
}

int cpu_up(u32 cpu)
{
	int ret = 0;

	if (cpu >= nr_cpu_ids)
		return -EINVAL;
	mutex_lock(&cpu_hotplug_lock);
	if (!cpu_online(cpu)) {
		ret = __cpu_up(cpu);
		if (!ret) {
			rcutree_online_cpu(cpu);
			ret = workqueue_online_cpu(cpu);
		}
	}
	mutex_unlock(&cpu_hotplug_lock);
	return ret;
}

int cpu_down(u32 cpu)
{
	int ret = -EINVAL;

	if (cpu <= IRQ_CPU || cpu >= nr_cpu_ids)
		return ret;
	mutex_lock(&cpu_hotplug_lock);
	if (cpu_online(cpu) && cpu != smp_processor_id()) {
		ret = -EBUSY;
		if (!cpu_rq(cpu)->nr_user) {
			workqueue_offline_cpu(cpu);
			WRITE_ONCE(cpu_dying, cpu);
			smp_send_ipi(cpu, IPI_RESCHEDULE);
			while (cpu_online(cpu))
				cpu_relax();
			wasm_stop_cpu((int)cpu);
			WRITE_ONCE(cpu_dying, NR_CPUS);
			pr_info("smp: CPU%u offline\n", cpu);
			ret = 0;
		}
	}
	mutex_unlock(&cpu_hotplug_lock);
	return ret;
}

/* Every CPU stops at its next turn in the idle loop; this one goes there at once. */
void kernel_halt(void)
{
	u32 cpu;

	pr_info("reboot: System halted.\n");
	__atomic_store_n(&system_halted, 1, __ATOMIC_SEQ_CST);
	for_each_online_cpu(cpu) {
		if (cpu != smp_processor_id())
			smp_send_ipi(cpu, IPI_HALT);
	}
	cpu_halt();
}
