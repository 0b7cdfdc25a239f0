/* SPDX-License-Identifier: Apache-2.0 */
/* Wait queues, completions and mutexes. */
#ifndef MINIK_WAIT_H
#define MINIK_WAIT_H
#include "list.h"
#include "spinlock.h"

struct task_struct;

struct wait_queue_entry {
	struct task_struct *private;
	struct list_head entry;
};

typedef struct wait_queue_head {
	raw_spinlock_t lock;
	struct list_head head;
} wait_queue_head_t;

#define __WAIT_QUEUE_HEAD_INITIALIZER(n) { __RAW_SPIN_LOCK_UNLOCKED, LIST_HEAD_INIT((n).head) }
#define DECLARE_WAIT_QUEUE_HEAD(n) wait_queue_head_t n = __WAIT_QUEUE_HEAD_INITIALIZER(n)

void init_waitqueue_head(wait_queue_head_t *wq);
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait, int state);
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait);
/* Wakes the first `nr` sleepers, all of them when nr is 0. */
void __wake_up(wait_queue_head_t *wq, int nr);
#define wake_up(wq) __wake_up(wq, 1)
#define wake_up_all(wq) __wake_up(wq, 0)

/* Sleeps until `cond`; with TASK_INTERRUPTIBLE the value is -EINTR when a signal came first. */
#define ___wait_event(wq, cond, state)                                                            \
	({                                                                                        \
		struct wait_queue_entry __w = { get_current(), { NULL, NULL } };                  \
		long __ret = 0;                                                                   \
		INIT_LIST_HEAD(&__w.entry);                                                       \
		for (;;) {                                                                        \
			prepare_to_wait(&(wq), &__w, state);                                      \
			if (cond)                                                                 \
				break;                                                            \
			if ((state) == TASK_INTERRUPTIBLE && signal_pending(get_current())) {     \
				__ret = -EINTR;                                                   \
				break;                                                            \
			}                                                                         \
			schedule();                                                               \
		}                                                                                 \
		finish_wait(&(wq), &__w);                                                         \
		__ret;                                                                            \
	})
#define wait_event(wq, cond) ((void)___wait_event(wq, cond, TASK_UNINTERRUPTIBLE))
#define wait_event_idle(wq, cond) ((void)___wait_event(wq, cond, TASK_IDLE))
#define wait_event_interruptible(wq, cond) ___wait_event(wq, cond, TASK_INTERRUPTIBLE)

struct completion {
	u32 done;
	wait_queue_head_t wait;
};

void init_completion(struct completion *x);
void complete(struct completion *x);
void wait_for_completion(struct completion *x);

struct mutex {
	raw_spinlock_t wait_lock;
	struct task_struct *owner;
	wait_queue_head_t wait;
};

#define DEFINE_MUTEX(n)                                                                           \
	struct mutex n = { __RAW_SPIN_LOCK_UNLOCKED, NULL, __WAIT_QUEUE_HEAD_INITIALIZER((n).wait) }
void mutex_lock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

#endif
