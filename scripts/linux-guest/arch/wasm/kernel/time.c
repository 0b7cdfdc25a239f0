// SPDX-License-Identifier: GPL-2.0
/*
 * Clock, timers, and the idle loop that waits for them.
 *
 * A timer is a time in a per-CPU word. A CPU that idles waits until then. One that does not idle cannot: IRQ_CPU waits in
 * its place, and raises the timer interrupt, which the busy CPU sees when it next enables interrupts.
 */
#include <linux/clockchips.h>
#include <linux/clocksource.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/sched/clock.h>
#include <linux/smp.h>
#include <asm/host.h>
#include <asm/irq.h>
#include <asm/wasm_time.h>

#define NEVER S64_MAX

DECLARE_PER_CPU(u32, raised_irqs);

/* When a CPU's timer is due, on the host's clock. */
DEFINE_PER_CPU(s64, local_timer_expiries) = NEVER;
/* The CPU waits for its timer itself. */
static DEFINE_PER_CPU(bool, waits_for_timer);
static DEFINE_PER_CPU(struct clock_event_device, wasm_clockevent);

/* When IRQ_CPU will look at the timers of the others at the latest. While it does not idle: any moment now. */
static s64 irq_cpu_wakeup = S64_MIN;

static u64 wasm_clocksource_read(struct clocksource *cs)
{
	return wasm_cpu_clock_get_monotonic();
}

static struct clocksource wasm_clocksource = {
	.name = "wasm",
	.rating = 400,
	.read = wasm_clocksource_read,
	.mask = CLOCKSOURCE_MASK(64),
	.flags = CLOCK_SOURCE_IS_CONTINUOUS,
};

unsigned long long notrace sched_clock(void)
{
	return wasm_cpu_clock_get_monotonic();
}

/* Asks IRQ_CPU to watch this CPU's timer, if it would wake up too late for that. */
static void tell_irq_cpu(unsigned int cpu, s64 expiry)
{
	if (cpu != IRQ_CPU && expiry < __atomic_load_n(&irq_cpu_wakeup, __ATOMIC_SEQ_CST))
		raise_interrupt(IRQ_CPU, WASM_IRQ_REPROGRAM);
}

static int wasm_set_next_event(unsigned long delta, struct clock_event_device *ce)
{
	unsigned int cpu = smp_processor_id();
	s64 expiry = wasm_cpu_clock_get_monotonic() + delta;

	__atomic_store_n(this_cpu_ptr(&local_timer_expiries), expiry, __ATOMIC_SEQ_CST);
	tell_irq_cpu(cpu, expiry);
	return 0;
}

static int wasm_timer_shutdown(struct clock_event_device *ce)
{
	__atomic_store_n(this_cpu_ptr(&local_timer_expiries), NEVER, __ATOMIC_SEQ_CST);
	return 0;
}

void wasm_timer_interrupt(void)
{
	struct clock_event_device *ce = this_cpu_ptr(&wasm_clockevent);

	/* Raised for a time that has been put off since. */
	if (wasm_cpu_clock_get_monotonic() < this_cpu_read(local_timer_expiries))
		return;
	this_cpu_write(local_timer_expiries, NEVER);
	ce->event_handler(ce);
}

void wasm_clockevent_init(void)
{
	struct clock_event_device *ce = this_cpu_ptr(&wasm_clockevent);

	ce->name = "wasm";
	ce->features = CLOCK_EVT_FEAT_ONESHOT;
	ce->rating = 400;
	ce->cpumask = cpumask_of(smp_processor_id());
	ce->set_next_event = wasm_set_next_event;
	ce->set_state_shutdown = wasm_timer_shutdown;
	clockevents_config_and_register(ce, NSEC_PER_SEC, 1, LONG_MAX);
}

void __init time_init(void)
{
	clocksource_register_hz(&wasm_clocksource, NSEC_PER_SEC);
	wasm_clockevent_init();
}

/* A loop of __delay() is a nanosecond. */
unsigned long calibrate_delay_is_known(void)
{
	return NSEC_PER_SEC / HZ;
}

/* The earliest timer of the CPUs that are too busy to wait for it. */
static s64 busy_cpus_next_timer(void)
{
	s64 next = NEVER;
	int cpu;

	for_each_online_cpu(cpu) {
		if (cpu == IRQ_CPU || READ_ONCE(*per_cpu_ptr(&waits_for_timer, cpu)) ||
		    READ_ONCE(*per_cpu_ptr(&raised_irqs, cpu)) & BIT(WASM_IRQ_TIMER))
			continue;
		next = min(next, (s64)__atomic_load_n(per_cpu_ptr(&local_timer_expiries, cpu), __ATOMIC_SEQ_CST));
	}
	return next;
}

static void raise_due_timers(s64 now)
{
	int cpu;

	for_each_online_cpu(cpu) {
		if (!READ_ONCE(*per_cpu_ptr(&waits_for_timer, cpu)) &&
		    __atomic_load_n(per_cpu_ptr(&local_timer_expiries, cpu), __ATOMIC_SEQ_CST) <= now)
			raise_interrupt(cpu, WASM_IRQ_TIMER);
	}
}

static void wait_for_irq(u32 *word, s64 until)
{
	s64 timeout = -1;

	if (until != NEVER)
		timeout = max(until - wasm_cpu_clock_get_monotonic(), 0LL);
	wasm_wait32(word, 0, timeout);
}

/* With interrupts disabled, as it is called: what was raised is taken when the caller enables them. */
void arch_cpu_idle(void)
{
	unsigned int cpu = smp_processor_id();
	u32 *word = this_cpu_ptr(&raised_irqs);
	s64 expiry = this_cpu_read(local_timer_expiries);

	if (cpu == IRQ_CPU) {
		/* From here on whoever sets a timer ends the wait below, before we know how long it is to be. */
		__atomic_store_n(&irq_cpu_wakeup, NEVER, __ATOMIC_SEQ_CST);
		expiry = min(expiry, busy_cpus_next_timer());
		__atomic_store_n(&irq_cpu_wakeup, expiry, __ATOMIC_SEQ_CST);
		wait_for_irq(word, expiry);
		__atomic_store_n(&irq_cpu_wakeup, S64_MIN, __ATOMIC_SEQ_CST);
		raise_due_timers(wasm_cpu_clock_get_monotonic());
		return;
	}
	__atomic_store_n(this_cpu_ptr(&waits_for_timer), true, __ATOMIC_SEQ_CST);
	wait_for_irq(word, expiry);
	__atomic_store_n(this_cpu_ptr(&waits_for_timer), false, __ATOMIC_SEQ_CST);
	if (expiry <= wasm_cpu_clock_get_monotonic())
		raise_interrupt(cpu, WASM_IRQ_TIMER);
	else
		tell_irq_cpu(cpu, expiry);
}
