/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer wheel: eight levels of 64 buckets, each level eight times coarser than the one below. A timer is put into
 * the bucket of its expiry, rounded up to the level's granularity, and never moved: no cascading.
 */
#include "kernel.h"
#include "sched.h"

#define LVL_MASK (LVL_SIZE - 1)
#define LVL_SHIFT(n) ((n) * LVL_CLK_SHIFT)
#define LVL_GRAN(n) (1u << LVL_SHIFT(n))
/* The smallest distance that belongs to level n > 0. */
#define LVL_START(n) ((LVL_SIZE - 1) << (((n) - 1) * LVL_CLK_SHIFT))
#define WHEEL_TIMEOUT_MAX (LVL_START(LVL_DEPTH) - LVL_GRAN(LVL_DEPTH - 1))

__used DEFINE_PER_CPU(struct timer_base, timer_bases[NR_BASES]);

/* CPU 0's clk, for a debugger to name. */
_Static_assert(offsetof(struct timer_base, clk) == 16, "timer_base_clk names another field");
__asm__(".globl timer_base_clk\n.type timer_base_clk,@object\n.set timer_base_clk, timer_bases+16\n"
	".size timer_base_clk, 4\n");

static struct timer_base *timer_base_of(u32 cpu) { return per_cpu_ptr(&timer_bases[0], cpu); }

static void init_timer_base(u32 cpu)
{
	struct timer_base *base = timer_base_of(cpu);

	raw_spin_lock_init(&base->lock);
	base->cpu = cpu;
	base->clk = jiffies;
	base->next_expiry = base->clk + MAX_SCHEDULE_TIMEOUT / 2;
	for (u32 i = 0; i < WHEEL_SIZE; i++)
		INIT_LIST_HEAD(&base->vectors[i]);
}

void timers_init(void)
{
	for (u32 cpu = 0; cpu < nr_cpu_ids; cpu++)
		init_timer_base(cpu);
}

static void forward_timer_base(struct timer_base *base)
{
	u32 now = jiffies;

	/* Nothing lies between clk and the next expiry: jump. */
	if (time_after(now, base->clk))
		base->clk = base->timers_pending && time_after(now, base->next_expiry) ? base->next_expiry : now;
}

/* A CPU that comes up has slept through its wheel's past. */
void timers_prepare_cpu(u32 cpu)
{
	struct timer_base *base = timer_base_of(cpu);

	raw_spin_lock(&base->lock);
	forward_timer_base(base);
	raw_spin_unlock(&base->lock);
}

static u32 calc_wheel_index(u32 expires, u32 clk, u32 *bucket_expiry)
{
	u32 delta = expires - clk, lvl = 0;

	if ((s32)delta < 0) {
		*bucket_expiry = clk;
		return clk & LVL_MASK;
	}
	if (delta > WHEEL_TIMEOUT_MAX)
		expires = clk + WHEEL_TIMEOUT_MAX;
	while (lvl < LVL_DEPTH - 1 && expires - clk >= LVL_START(lvl + 1))
		lvl++;
	expires = (expires + LVL_GRAN(lvl) - 1) >> LVL_SHIFT(lvl);
	*bucket_expiry = expires << LVL_SHIFT(lvl);
	return lvl * LVL_SIZE + (expires & LVL_MASK);
}

static void enqueue_timer(struct timer_base *base, struct timer_list *t)
{
	u32 bucket_expiry;
	u32 idx = calc_wheel_index(t->expires, base->clk, &bucket_expiry);

	list_add_tail(&t->entry, &base->vectors[idx]);
	base->pending_map[idx / LVL_SIZE] |= 1ULL << (idx % LVL_SIZE);
	if (!base->timers_pending || time_before(bucket_expiry, base->next_expiry)) {
		base->next_expiry = bucket_expiry;
		base->timers_pending = true;
		base->next_expiry_recalc = false;
		tick_broadcast_reprogram(base->cpu);
	}
}

static void detach_timer(struct timer_base *base, struct timer_list *t)
{
	struct list_head *head = t->entry.prev;
	bool last = t->entry.next == head;

	list_del(&t->entry);
	if (last && head >= base->vectors && head < base->vectors + WHEEL_SIZE) {
		u32 idx = (u32)(head - base->vectors);

		base->pending_map[idx / LVL_SIZE] &= ~(1ULL << (idx % LVL_SIZE));
		base->next_expiry_recalc = true;
	}
}

/* Distance from bucket `clk` of a level to its next pending one, around the circle; -1: the level is empty. */
static int next_pending_bucket(u64 map, u32 clk)
{
	u64 rotated = clk ? map >> clk | map << (LVL_SIZE - clk) : map;

	return map ? __builtin_ctzll(rotated) : -1;
}

static void timer_recalc_next_expiry(struct timer_base *base)
{
	u32 clk = base->clk, next = clk + MAX_SCHEDULE_TIMEOUT / 2;
	bool pending = false;

	for (u32 lvl = 0; lvl < LVL_DEPTH; lvl++) {
		int pos = next_pending_bucket(base->pending_map[lvl], clk & LVL_MASK);

		if (pos >= 0) {
			u32 at = (clk + (u32)pos) << LVL_SHIFT(lvl);

			if (!pending || time_before(at, next))
				next = at;
			pending = true;
		}
		/* The level above is looked at from its next whole bucket on. */
		clk = (clk >> LVL_CLK_SHIFT) + (clk & ((1u << LVL_CLK_SHIFT) - 1) ? 1 : 0);
	}
	base->next_expiry = next;
	base->timers_pending = pending;
	base->next_expiry_recalc = false;
}

bool next_timer_interrupt(u32 cpu, u32 *expiry)
{
	struct timer_base *base = timer_base_of(cpu);
	bool pending;

	raw_spin_lock(&base->lock);
	if (base->next_expiry_recalc)
		timer_recalc_next_expiry(base);
	*expiry = base->next_expiry;
	pending = base->timers_pending;
	raw_spin_unlock(&base->lock);
	return pending;
}

void timer_setup(struct timer_list *t, void (*fn)(struct timer_list *), u32 flags)
{
	t->entry.next = NULL;
	t->entry.prev = NULL;
	t->function = fn;
	t->flags = flags;
}

/*
 * Timers that belong to no CPU: the kernel's own threads use CPU 0's wheel, everything else that of the interrupt CPU,
 * which is always idle and so always on time.
 */
static u32 get_timer_target(void)
{
	u32 cpu = smp_processor_id();

	if (cpu == 0 && current->flags & PF_KTHREAD)
		return 0;
	return cpu_online(IRQ_CPU) ? IRQ_CPU : cpu;
}

static struct timer_base *lock_timer_base(struct timer_list *t)
{
	for (;;) {
		u32 flags = READ_ONCE(t->flags);
		struct timer_base *base = timer_base_of(flags & TIMER_CPUMASK);

		raw_spin_lock(&base->lock);
		if (t->flags == flags)
			return base;
		raw_spin_unlock(&base->lock);
	}
}

static void __mod_timer(struct timer_list *t, u32 expires, u32 cpu)
{
	struct timer_base *base = lock_timer_base(t);

	if (timer_pending(t))
		detach_timer(base, t);
	if ((t->flags & TIMER_CPUMASK) != cpu) {
		struct timer_base *to = timer_base_of(cpu);

		raw_spin_unlock(&base->lock);
		raw_spin_lock(&to->lock);
		t->flags = (t->flags & ~(u32)TIMER_CPUMASK) | cpu;
		base = to;
	}
	t->expires = expires;
	forward_timer_base(base);
	enqueue_timer(base, t);
	raw_spin_unlock(&base->lock);
}

noinline void mod_timer(struct timer_list *t, u32 expires)
{
	__mod_timer(t, expires, t->flags & TIMER_PINNED ? t->flags & TIMER_CPUMASK : get_timer_target());
}

void add_timer_on(struct timer_list *t, u32 cpu)
{
	__mod_timer(t, t->expires, cpu);
}

bool timer_delete(struct timer_list *t)
{
	struct timer_base *base = lock_timer_base(t);
	bool pending = timer_pending(t);

	if (pending)
		detach_timer(base, t);
	raw_spin_unlock(&base->lock);
	return pending;
}

/* As timer_delete(), and waits until the timer's function no longer runs on another CPU. */
void timer_delete_sync(struct timer_list *t)
{
	for (;;) {
		struct timer_base *base = lock_timer_base(t);
		bool running = base->running_timer == t && base->cpu != smp_processor_id();

		if (!running && timer_pending(t))
			detach_timer(base, t);
		raw_spin_unlock(&base->lock);
		if (!running)
			return;
		cpu_relax();
	}
}

static noinline void call_timer_fn(struct timer_list *t)
{
	t->function(t);
}

static void expire_timers(struct timer_base *base, struct list_head *head)
{
	while (!list_empty(head)) {
		struct timer_list *t = list_first_entry(head, struct timer_list, entry);

		base->running_timer = t;
		list_del(&t->entry);
		raw_spin_unlock(&base->lock);
		call_timer_fn(t);
		raw_spin_lock(&base->lock);
		base->running_timer = NULL;
	}
}

/* Takes every bucket that is due at clk out of the wheel. */
static void collect_expired_timers(struct timer_base *base, struct list_head *expired)
{
	u32 clk = base->clk;

	for (u32 lvl = 0; lvl < LVL_DEPTH; lvl++) {
		u32 pos = clk & LVL_MASK;

		if (base->pending_map[lvl] >> pos & 1) {
			base->pending_map[lvl] &= ~(1ULL << pos);
			list_splice_tail_init(&base->vectors[lvl * LVL_SIZE + pos], expired);
		}
		if (clk & ((1u << LVL_CLK_SHIFT) - 1))
			break;
		clk >>= LVL_CLK_SHIFT;
	}
}

static noinline void __run_timers(struct timer_base *base)
{
	LIST_HEAD(expired);

	raw_spin_lock(&base->lock);
	if (base->next_expiry_recalc)
		timer_recalc_next_expiry(base);
	while (time_after_eq(jiffies, base->clk) && time_after_eq(jiffies, base->next_expiry)) {
		if (time_before(base->clk, base->next_expiry))
			base->clk = base->next_expiry;
		collect_expired_timers(base, &expired);
		base->clk++;
		timer_recalc_next_expiry(base);
		expire_timers(base, &expired);
	}
	raw_spin_unlock(&base->lock);
}

noinline void run_timer_softirq(void)
{
	__run_timers(this_cpu_ptr(&timer_bases[0]));
}

struct process_timer {
	struct timer_list timer;
	struct task_struct *task;
};

static void process_timeout(struct timer_list *t)
{
	wake_up_process(container_of(t, struct process_timer, timer)->task);
}

/*
 * Sleeps for so many jiffies in the state that the caller has set, so that a wake-up after that is not lost. The result
 * is what is left of them when something else woke the task.
 */
noinline long schedule_timeout(long timeout)
{
	struct process_timer pt;
	u32 expires;

	if (timeout == MAX_SCHEDULE_TIMEOUT) {
		schedule();
		return timeout;
	}
	tick_do_update_jiffies64();
	expires = jiffies + (u32)timeout;
	pt.task = current;
	timer_setup(&pt.timer, process_timeout, 0);
	mod_timer(&pt.timer, expires);
	schedule();
	timer_delete_sync(&pt.timer);
	timeout = (long)(s32)(expires - jiffies);
	return timeout < 0 ? 0 : timeout;
}

long schedule_timeout_interruptible(long timeout)
{
	set_current_state(TASK_INTERRUPTIBLE);
	return schedule_timeout(timeout);
}

long schedule_timeout_uninterruptible(long timeout)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	return schedule_timeout(timeout);
}

long schedule_timeout_idle(long timeout)
{
	set_current_state(TASK_IDLE);
	return schedule_timeout(timeout);
}

void msleep(u32 ms)
{
	long left = (long)msecs_to_jiffies(ms) + 1;

	while (left)
		left = schedule_timeout_uninterruptible(left);
}
