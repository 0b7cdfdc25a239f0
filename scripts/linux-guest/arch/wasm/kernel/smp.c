// SPDX-License-Identifier: GPL-2.0
/* CPUs: bringing them up, idling, and interrupts between them. */
#include <linux/cpu.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/sched.h>
#include <linux/sched/hotplug.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include <asm/host.h>
#include <asm/irq.h>
#include <asm/wasm_time.h>

enum ipi { IPI_RESCHEDULE, IPI_CALL_FUNC, IPI_IRQ_WORK, IPI_STOP };

/* What WASM_IRQ_IPI stands for: bits of enum ipi. */
static DEFINE_PER_CPU(u32, raised_ipis);

static void send_ipi(int cpu, enum ipi ipi)
{
	__atomic_fetch_or(per_cpu_ptr(&raised_ipis, cpu), BIT(ipi), __ATOMIC_SEQ_CST);
	raise_interrupt(cpu, WASM_IRQ_IPI);
}

static void __noreturn stop_this_cpu(void)
{
	static u32 never;

	set_cpu_online(smp_processor_id(), false);
	local_irq_disable();
	for (;;)
		wasm_wait32(&never, 0, -1);
}

void wasm_handle_ipis(void)
{
	u32 ipis = __atomic_exchange_n(this_cpu_ptr(&raised_ipis), 0, __ATOMIC_SEQ_CST);

	if (ipis & BIT(IPI_RESCHEDULE))
		scheduler_ipi();
	if (ipis & BIT(IPI_CALL_FUNC))
		generic_smp_call_function_interrupt();
	if (ipis & BIT(IPI_IRQ_WORK))
		irq_work_run();
	if (ipis & BIT(IPI_STOP))
		stop_this_cpu();
}

void arch_smp_send_reschedule(int cpu)
{
	send_ipi(cpu, IPI_RESCHEDULE);
}

void arch_send_call_function_single_ipi(int cpu)
{
	send_ipi(cpu, IPI_CALL_FUNC);
}

void arch_send_call_function_ipi_mask(const struct cpumask *mask)
{
	int cpu;

	for_each_cpu(cpu, mask)
		send_ipi(cpu, IPI_CALL_FUNC);
}

#ifdef CONFIG_IRQ_WORK
void arch_irq_work_raise(void)
{
	send_ipi(smp_processor_id(), IPI_IRQ_WORK);
}
#endif

void smp_send_stop(void)
{
	int cpu;

	for_each_online_cpu(cpu) {
		if (cpu != smp_processor_id())
			send_ipi(cpu, IPI_STOP);
	}
}

void __init smp_prepare_boot_cpu(void)
{
}

void __init smp_prepare_cpus(unsigned int max_cpus)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (cpu < max_cpus)
			set_cpu_present(cpu, true);
	}
}

void __init smp_cpus_done(unsigned int max_cpus)
{
}

int __cpu_up(unsigned int cpu, struct task_struct *idle)
{
	idle->thread.started = true;
	wasm_start_cpu(cpu, idle);
	/* The new CPU needs nothing of this one to get there. */
	while (!cpu_online(cpu))
		cpu_relax();
	return 0;
}

void wasm_secondary_start_kernel(void);
void wasm_secondary_start_kernel(void)
{
	unsigned int cpu = smp_processor_id();

	mmgrab(&init_mm);
	current->active_mm = &init_mm;
	wasm_clockevent_init();
	notify_cpu_starting(cpu);
	set_cpu_online(cpu, true);
	local_irq_enable();
	cpu_startup_entry(CPUHP_AP_ONLINE_IDLE);
}
