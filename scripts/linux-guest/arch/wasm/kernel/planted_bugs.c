// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs on demand: wkdbbug=NAME on the command line starts a driver with a mistake in it. Each is of a kind that kernels
 * have had, damages a real structure of the kernel, and shows its symptom far from its cause.
 *
 *   stray-write     a driver writes through a pointer to what it has freed: by then a worker, whose pool becomes -1
 *   wq-corrupt      an interrupt handler answers to the wrong address: the pool of the worker that once ran its work
 *   timer-stall     a driver rounds up the clock of the timer wheel in place of its own alarm
 *   fdtable         a transaction is copied over the shell's table of open files
 *   rcu             an object is scrubbed while its rcu_head still waits for the grace period
 *   stack-overflow  a walk over a tree is recursive, and the tree gets deeper
 *   user-write      a program draws beyond the end of a frame buffer, over the driver's timer ("wild fb")
 *   lost-wakeup     a thread looks, then sleeps: what comes in between does not wake it
 *   deadlock        two threads take two mutexes in different orders
 */
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "../../../kernel/workqueue_internal.h"

unsigned long *planted_timer_base_clk(int cpu);

/* stray-write: the input device. */

struct evdev_event {
	u32 code;
	u32 value;
};

static struct {
	struct evdev_event *ring;
	unsigned int next, events;
	struct workqueue_struct *wq;
	struct timer_list poll;
} evdev;

#define EVDEV_RING_SIZE (sizeof(struct worker) / sizeof(struct evdev_event))

/* BUG: the ring was given back when the device was reset. */
static noinline void evdev_store_event(u32 code, u32 value)
{
	struct evdev_event *e = &evdev.ring[evdev.next];

	e->code = code;
	e->value = value;
}

static void evdev_poll(struct timer_list *t)
{
	/* A key goes up: -1. */
	if (++evdev.events == 20) {
		evdev.next = offsetof(struct worker, pool) / sizeof(struct evdev_event);
		evdev_store_event(~0u, ~0u);
	}
	mod_timer(t, jiffies + HZ / 10);
}

static void evdev_init(void)
{
	evdev.ring = kzalloc(EVDEV_RING_SIZE * sizeof(struct evdev_event), GFP_KERNEL);
	kfree(evdev.ring);
	/* The next object of this size is the rescuer of the workqueue. */
	evdev.wq = alloc_workqueue("evdev", WQ_MEM_RECLAIM, 0);
	timer_setup(&evdev.poll, evdev_poll, 0);
	mod_timer(&evdev.poll, jiffies + HZ / 10);
}

/* wq-corrupt: the hub. */

static struct {
	struct work_struct scan;
	struct timer_list irq;
	void *status;
} hub;

static void hub_scan(struct work_struct *work)
{
	hub.status = &current_wq_worker()->pool;
}

/* BUG: the status block is the stack frame, or what was next to it, of a work that is long done. */
static noinline void hub_store_status(void *block, u32 status)
{
	*(u32 *)block = status;
}

static void hub_irq(struct timer_list *t)
{
	hub_store_status(hub.status, ~0u);
}

static void hub_init(void)
{
	INIT_WORK(&hub.scan, hub_scan);
	schedule_work(&hub.scan);
	timer_setup(&hub.irq, hub_irq, 0);
	mod_timer(&hub.irq, jiffies + 3 * HZ);
}

/* timer-stall: the real-time clock. */

#define RTC_INTERVAL (3 * HZ)

static struct {
	unsigned long alarm;
	struct timer_list timer;
} rtc;

/* Rounds a time up to a whole step. */
static noinline void rtc_align(unsigned long *when, unsigned long step)
{
	*when += step - *when % step;
}

/*
 * BUG: takes the wheel's clock and its next expiry for the alarm's registers, and aligns them by nanoseconds where it means
 * jiffies: the wheel lies months ahead then, and nothing is due before.
 */
static noinline void rtc_set_next_alarm(void)
{
	int cpu;

	for_each_online_cpu(cpu) {
		unsigned long *alarm = planted_timer_base_clk(cpu);

		rtc_align(&alarm[0], NSEC_PER_SEC);
		alarm[1] = alarm[0];
	}
	rtc.alarm = jiffies + RTC_INTERVAL;
	mod_timer(&rtc.timer, rtc.alarm);
}

static void rtc_alarm(struct timer_list *t)
{
	rtc_set_next_alarm();
}

static void rtc_init(void)
{
	timer_setup(&rtc.timer, rtc_alarm, 0);
	mod_timer(&rtc.timer, jiffies + RTC_INTERVAL);
}

/* fdtable: the message passing driver. */

static struct delayed_work binder_work;

/* BUG: the buffer's address is the table of the receiver's files, not what is mapped through them. */
static noinline void binder_copy_transaction(void *buffer, size_t size)
{
	memset(buffer, 'b', size);
}

static void binder_deliver(struct work_struct *work)
{
	struct task_struct *p;

	rcu_read_lock();
	for_each_process(p) {
		struct files_struct *files = p->files;

		if (files && p->mm && !strcmp(p->comm, "sh"))
			binder_copy_transaction(rcu_dereference(files->fdt)->fd, 8 * sizeof(struct file *));
	}
	rcu_read_unlock();
}

static void binder_init(void)
{
	INIT_DELAYED_WORK(&binder_work, binder_deliver);
	schedule_delayed_work(&binder_work, 3 * HZ);
}

/* rcu: the cache of routes. */

struct dst_entry_planted {
	struct rcu_head rcu;
	u32 metrics[4];
};

static struct delayed_work dst_work;

static void dst_destroy(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct dst_entry_planted, rcu));
}

/* BUG: readers may be done with it, but RCU is not. */
static noinline void dst_scrub(struct dst_entry_planted *dst)
{
	memset(dst, 0x6b, sizeof(*dst));
}

static void dst_gc(struct work_struct *work)
{
	struct dst_entry_planted *dst = kzalloc(sizeof(*dst), GFP_KERNEL);

	if (!dst)
		return;
	call_rcu(&dst->rcu, dst_destroy);
	dst_scrub(dst);
}

static void dst_init_planted(void)
{
	INIT_DELAYED_WORK(&dst_work, dst_gc);
	schedule_delayed_work(&dst_work, 3 * HZ);
}

/* stack-overflow: the walk over the name space. */

/* BUG: takes as much stack as the tree is deep. */
static noinline unsigned int acpi_walk(unsigned int depth, unsigned int sum)
{
	char name[256];

	memset(name, 'a' + depth % 26, sizeof(name));
	if (depth)
		sum = acpi_walk(depth - 1, sum + name[depth % sizeof(name)]);
	/* Used after the call, so that the frame cannot go before it. */
	return sum + name[sum % sizeof(name)];
}

static int acpi_thread(void *unused)
{
	unsigned int depth;

	for (depth = 8; depth < 4096; depth += 8) {
		schedule_timeout_uninterruptible(HZ / 4);
		acpi_walk(depth, 0);
	}
	return 0;
}

/* user-write: the frame buffer. */

static struct {
	u8 screen[256];
	struct timer_list blink;
} fbdev;

static int fbdev_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%lu %zu\n", (unsigned long)fbdev.screen, sizeof(fbdev.screen));
	return 0;
}

static void fbdev_blink(struct timer_list *t)
{
	fbdev.screen[0] ^= 1;
	mod_timer(t, jiffies + HZ / 2);
}

static void fbdev_init(void)
{
	proc_create_single("fb", 0444, NULL, fbdev_show);
	timer_setup(&fbdev.blink, fbdev_blink, 0);
	mod_timer(&fbdev.blink, jiffies + HZ / 2);
}

/* lost-wakeup: a ring between two threads. */

static struct {
	unsigned int head, tail, checksum;
	struct task_struct *consumer;
} ring;

/* The sum over an item, or over the padding between two: a turn is a tick of the machine's clock. */
static noinline void ring_sum(unsigned int words)
{
	unsigned int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < words; i++)
		WRITE_ONCE(ring.checksum, ring.checksum * 31 + i);
}

static int ring_consumer(void *unused)
{
	for (;;) {
		/* BUG: an item that comes after this look and before the sleep wakes nobody. */
		if (READ_ONCE(ring.head) == ring.tail) {
			ring_sum(256);
			set_current_state(TASK_UNINTERRUPTIBLE);
			schedule();
			continue;
		}
		ring_sum(get_random_u32_below(60000));
		WRITE_ONCE(ring.tail, ring.tail + 1);
	}
	return 0;
}

static int ring_producer(void *unused)
{
	unsigned int spins;

	for (;;) {
		WRITE_ONCE(ring.head, ring.head + 1);
		wake_up_process(ring.consumer);
		for (spins = 0; READ_ONCE(ring.tail) != ring.head; spins++) {
			if (spins < 500000)
				cpu_relax();
			else
				schedule_timeout_uninterruptible(HZ);
		}
		if (ring.head % 16 == 0)
			schedule_timeout_uninterruptible(HZ / 2);
	}
	return 0;
}

static void ring_init(void)
{
	ring.consumer = kthread_run_on_cpu(ring_consumer, NULL, 0, "ring_consumer/%u");
	kthread_run_on_cpu(ring_producer, NULL, cpumask_last(cpu_online_mask), "ring_producer/%u");
}

/* deadlock: the network device and its address list. Both have to do with every change of the link. */

#define LINK_CHANGES HZ

static DEFINE_MUTEX(netdev_lock);
static DEFINE_MUTEX(address_lock);
static DECLARE_WAIT_QUEUE_HEAD(link_wait);
static unsigned int link_changes;
static struct timer_list link_timer;

/* Some of what a driver does, with or without a lock in hand. A turn is a tick of the machine's clock. */
static noinline void netdev_busy(unsigned int ceiling)
{
	unsigned int i, n = get_random_u32_below(ceiling);

#pragma clang loop unroll(disable)
	for (i = 0; i < n; i++)
		barrier();
}

static void link_change(struct timer_list *t)
{
	WRITE_ONCE(link_changes, link_changes + 1);
	wake_up_all(&link_wait);
	mod_timer(t, jiffies + LINK_CHANGES);
}

/* Before its first lock each is busy for about a time slice, with the first lock in hand for a hundredth of that. */
static void on_link_change(struct mutex *first, struct mutex *second, unsigned int *seen)
{
	wait_event(link_wait, READ_ONCE(link_changes) != *seen);
	*seen = READ_ONCE(link_changes);
	netdev_busy(80000);
	mutex_lock(first);
	netdev_busy(1000);
	mutex_lock(second);
	mutex_unlock(second);
	mutex_unlock(first);
}

/* BUG: the two disagree about which lock is the outer one. */
static int netdev_up(void *unused)
{
	unsigned int seen = 0;

	for (;;)
		on_link_change(&netdev_lock, &address_lock, &seen);
	return 0;
}

static int netdev_set_address(void *unused)
{
	unsigned int seen = 0;

	for (;;)
		on_link_change(&address_lock, &netdev_lock, &seen);
	return 0;
}

static void acpi_init_planted(void)
{
	kthread_run(acpi_thread, NULL, "acpi_ns");
}

static void netdev_init(void)
{
	timer_setup(&link_timer, link_change, 0);
	mod_timer(&link_timer, jiffies + LINK_CHANGES);
	kthread_run_on_cpu(netdev_up, NULL, 0, "netdev_up/%u");
	kthread_run_on_cpu(netdev_set_address, NULL, cpumask_last(cpu_online_mask), "netdev_addr/%u");
}

static const struct {
	const char *name;
	void (*init)(void);
} planted[] = {
	{ "stray-write", evdev_init },
	{ "wq-corrupt", hub_init },
	{ "timer-stall", rtc_init },
	{ "fdtable", binder_init },
	{ "rcu", dst_init_planted },
	{ "stack-overflow", acpi_init_planted },
	{ "user-write", fbdev_init },
	{ "lost-wakeup", ring_init },
	{ "deadlock", netdev_init },
};

static char *wanted;

static int __init set_wanted(char *name)
{
	wanted = name;
	return 1;
}
__setup("wkdbbug=", set_wanted);

static int __init plant(void)
{
	int i;

	if (!wanted)
		return 0;
	for (i = 0; i < ARRAY_SIZE(planted); i++) {
		if (!strcmp(planted[i].name, wanted)) {
			planted[i].init();
			return 0;
		}
	}
	pr_warn("wkdbbug=%s: there is no such bug\n", wanted);
	return 0;
}
late_initcall(plant);
