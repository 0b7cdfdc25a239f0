/* SPDX-License-Identifier: Apache-2.0 */
/* jiffies and the timer wheel. */
#ifndef MINIK_TIMER_H
#define MINIK_TIMER_H
#include "list.h"
#include "percpu.h"
#include "spinlock.h"

#define HZ 100
#define TICK_NSEC (1000000000LL / HZ)
/* Five minutes before the 32-bit counter wraps, so that bugs in comparing times show early. */
#define INITIAL_JIFFIES ((u32)(-300 * HZ))
#define MAX_SCHEDULE_TIMEOUT 0x7fffffffL

extern u64 jiffies_64;
#define jiffies (*(const volatile u32 *)&jiffies_64)
#define time_after(a, b) ((s32)((u32)(b) - (u32)(a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) (!time_before(a, b))
static inline u32 msecs_to_jiffies(u32 ms) { return (ms + 1000 / HZ - 1) / (1000 / HZ); }

struct timer_list {
	struct list_head entry;
	u32 expires;
	void (*function)(struct timer_list *);
	u32 flags;
};

#define TIMER_CPUMASK 0x3f
#define TIMER_PINNED 0x100

#define LVL_CLK_SHIFT 3
#define LVL_BITS 6
#define LVL_SIZE (1u << LVL_BITS)
#define LVL_DEPTH 8
#define WHEEL_SIZE (LVL_SIZE * LVL_DEPTH)
#define NR_BASES 1

/* One CPU's timer wheel: `clk` chases jiffies, `next_expiry` is the next bucket that has timers. */
struct timer_base {
	raw_spinlock_t lock;
	struct timer_list *running_timer;
	u32 clk;
	u32 next_expiry;
	u32 cpu;
	bool next_expiry_recalc;
	bool is_idle;
	bool timers_pending;
	u64 pending_map[LVL_DEPTH];
	struct list_head vectors[WHEEL_SIZE];
};

DECLARE_PER_CPU(struct timer_base[NR_BASES], timer_bases);

void timers_init(void);
void timers_prepare_cpu(u32 cpu);
void timer_setup(struct timer_list *t, void (*fn)(struct timer_list *), u32 flags);
void mod_timer(struct timer_list *t, u32 expires);
void add_timer_on(struct timer_list *t, u32 cpu);
bool timer_delete(struct timer_list *t);
void timer_delete_sync(struct timer_list *t);
static inline bool timer_pending(const struct timer_list *t) { return t->entry.next != NULL; }
void run_timer_softirq(void);
/* When the CPU's wheel next has something to do; false when it never has. */
bool next_timer_interrupt(u32 cpu, u32 *expiry);
long schedule_timeout(long timeout);
long schedule_timeout_interruptible(long timeout);
long schedule_timeout_uninterruptible(long timeout);
long schedule_timeout_idle(long timeout);
void msleep(u32 ms);

/* arch/time.c */
void time_init(void);
void tick_do_update_jiffies64(void);
u64 local_clock(void);
void udelay(u32 usec);
s64 tick_next_event(u32 cpu);
void tick_handle_irq(void);
void tick_broadcast_reprogram(u32 cpu);

#endif
