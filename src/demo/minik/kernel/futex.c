/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes: sleeping on a word of user memory. */
#include "futex.h"
#include "sched.h"
#include "syscalls.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_CMD_MASK 0x7f

struct futex_q {
	struct list_head list;
	u32 *key;
	struct task_struct *task;
};

static DEFINE_RAW_SPINLOCK(futex_lock);
static LIST_HEAD(futex_queue);

static bool futex_unqueue(struct futex_q *q)
{
	bool queued;

	raw_spin_lock(&futex_lock);
	queued = !list_empty(&q->list);
	if (queued)
		list_del_init(&q->list);
	raw_spin_unlock(&futex_lock);
	return queued;
}

static noinline long futex_wait(u32 *uaddr, u32 val, const struct timespec *timeout)
{
	struct futex_q q = { .key = uaddr, .task = current };
	long left = MAX_SCHEDULE_TIMEOUT;

	if (timeout)
		left = (long)timeout->tv_sec * HZ + (timeout->tv_nsec + (long)TICK_NSEC - 1) / (long)TICK_NSEC;
	raw_spin_lock(&futex_lock);
	if (__atomic_load_n(uaddr, __ATOMIC_SEQ_CST) != val) {
		raw_spin_unlock(&futex_lock);
		return -EAGAIN;
	}
	list_add_tail(&q.list, &futex_queue);
	set_current_state(TASK_INTERRUPTIBLE);
	raw_spin_unlock(&futex_lock);
	left = schedule_timeout(left);
	if (!futex_unqueue(&q))
		return 0;
	return left ? -EINTR : -ETIMEDOUT;
}

noinline long futex_wake(u32 *uaddr, int nr)
{
	struct futex_q *q, *n;
	long woken = 0;

	raw_spin_lock(&futex_lock);
	list_for_each_entry_safe(q, n, &futex_queue, list) {
		if (woken >= nr)
			break;
		if (q->key == uaddr) {
			list_del_init(&q->list);
			wake_up_process(q->task);
			woken++;
		}
	}
	raw_spin_unlock(&futex_lock);
	return woken;
}

long sys_futex(u32 *uaddr, u32 op, u32 val, const struct timespec *timeout)
{
	if ((ulong)uaddr & 3)
		return -EINVAL;
	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return futex_wait(uaddr, val, timeout);
	case FUTEX_WAKE:
		return futex_wake(uaddr, (int)val);
	default:
		return -ENOSYS;
	}
}
