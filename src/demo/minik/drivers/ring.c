/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of messages between a device's interrupt thread and a reader. */
#include "kernel.h"
#include "planted.h"
#include "sched.h"

#define RING_SIZE 4
#define RING_MESSAGES 150

__used struct msg_ring {
	u32 head, tail; /* messages ever written and read */
	struct task_struct *reader;
	u32 sum;
	u32 slots[RING_SIZE];
} msg_ring;

static noinline void ring_arm_interrupt(void)
{
	/* The device takes a moment. */
	udelay(1 + get_random_u32() % 2);
}

/*
 * BUG: looks, and then goes to sleep. A message that comes in between wakes a reader that does not sleep yet, and the
 * device says nothing more until that message has been read. The state has to be set before looking.
 */
static noinline void ring_wait(struct msg_ring *ring)
{
	if (READ_ONCE(ring->head) == ring->tail) {
		ring_arm_interrupt();
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

static int ring_reader(void *unused)
{
	struct msg_ring *ring = &msg_ring;

	(void)unused;
	while (ring->tail < RING_MESSAGES) {
		ring_wait(ring);
		while (ring->tail != READ_ONCE(ring->head)) {
			ring->sum += ring->slots[ring->tail % RING_SIZE];
			__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_SEQ_CST);
		}
	}
	pr_info("ring: %u messages, sum %u\n", ring->tail, ring->sum);
	return 0;
}

static int ring_device(void *unused)
{
	struct msg_ring *ring = &msg_ring;

	(void)unused;
	for (u32 i = 0; i < RING_MESSAGES; i++) {
		udelay(1 + get_random_u32() % 400);
		/* One message at a time: the next is due when this one has been taken. */
		while (__atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) != ring->head)
			schedule_timeout_idle(1);
		ring->slots[ring->head % RING_SIZE] = i;
		__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_SEQ_CST);
		wake_up_process(ring->reader);
	}
	return 0;
}

void ring_init(void)
{
	msg_ring.reader = kthread_run_on(ring_reader, NULL, driver_cpu(0), "ring_reader");
	kthread_run_on(ring_device, NULL, driver_cpu(1), "irq/9-ring");
}
