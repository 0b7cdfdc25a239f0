/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks and ticks. CPU 0 keeps a periodic tick while it idles; CPU 1 sleeps until the earliest timer of the other
 * CPUs and broadcasts the timer interrupt to those that have something due.
 */
#include "kernel.h"
#include "sched.h"

bool timer_irq_raised(u32 cpu);

__used __aligned(8) u64 jiffies_64 = INITIAL_JIFFIES;
static DEFINE_RAW_SPINLOCK(jiffies_lock);
static s64 boot_time;
static s64 next_tick;
static bool tick_stopped;

void time_init(void)
{
	boot_time = wasm_cpu_clock_get_monotonic();
	next_tick = boot_time + TICK_NSEC;
	tick_stopped = cmdline_flag("nohz") || bug_planted("deadlock-sleep");
}

u64 local_clock(void) { return (u64)(wasm_cpu_clock_get_monotonic() - boot_time); }

void tick_do_update_jiffies64(void)
{
	u64 now;

	raw_spin_lock(&jiffies_lock);
	now = INITIAL_JIFFIES + local_clock() / TICK_NSEC;
	if (now > jiffies_64)
		WRITE_ONCE(jiffies_64, now);
	raw_spin_unlock(&jiffies_lock);
}

/* The clock's time of a jiffy that lies within 2^31 of now. */
static s64 jiffy_to_ns(u32 when)
{
	s64 now = (s64)(jiffies_64 - INITIAL_JIFFIES);

	return boot_time + (now + (s32)(when - jiffies)) * TICK_NSEC;
}

/* The absolute time of a CPU's next timer interrupt; -1: none. */
s64 tick_next_event(u32 cpu)
{
	s64 event = -1;
	u32 expiry, c;

	if (cpu == 0 && !tick_stopped)
		return next_tick;
	if (cpu == 0)
		return next_timer_interrupt(0, &expiry) ? jiffy_to_ns(expiry) : -1;
	if (cpu != IRQ_CPU)
		return -1;
	for_each_online_cpu(c) {
		if (c != 0 && !(c != IRQ_CPU && timer_irq_raised(c)) && next_timer_interrupt(c, &expiry)) {
			s64 at = jiffy_to_ns(expiry);

			event = event == -1 ? at : min(event, at);
		}
	}
	return event;
}

/* A timer of `cpu` moved forward: whoever waits for it has to look again. */
void tick_broadcast_reprogram(u32 cpu)
{
	u32 target = cpu == 0 ? 0 : IRQ_CPU;

	if (target != smp_processor_id() && cpu_online(target))
		smp_send_ipi(target, IPI_TIMER);
}

/* IRQ_CPU's share: pass the tick on to the CPUs whose timers are due. */
static noinline void tick_broadcast(void)
{
	u32 cpu, expiry;

	for_each_online_cpu(cpu) {
		if (cpu > IRQ_CPU && next_timer_interrupt(cpu, &expiry) && time_after_eq(jiffies, expiry))
			raise_interrupt((int)cpu, 1);
	}
}

static noinline void tick_periodic(void)
{
	s64 now = wasm_cpu_clock_get_monotonic();

	if (now >= next_tick)
		next_tick += ((now - next_tick) / TICK_NSEC + 1) * TICK_NSEC;
}

void tick_handle_irq(void)
{
	u32 cpu = smp_processor_id();

	tick_do_update_jiffies64();
	if (cpu == 0)
		tick_periodic();
	run_timer_softirq();
	if (cpu == IRQ_CPU)
		tick_broadcast();
}

/* Waits on a word of the stack that nobody notifies. */
noinline void udelay(u32 usec)
{
	u32 word = 0;

	atomic_wait32(&word, 0, (s64)usec * 1000);
}
