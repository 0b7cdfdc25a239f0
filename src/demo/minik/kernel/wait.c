/* SPDX-License-Identifier: Apache-2.0 */
/* Wait queues, completions and mutexes. */
#include "kernel.h"
#include "sched.h"

void init_waitqueue_head(wait_queue_head_t *wq)
{
	raw_spin_lock_init(&wq->lock);
	INIT_LIST_HEAD(&wq->head);
}

void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait, int state)
{
	raw_spin_lock(&wq->lock);
	if (list_empty(&wait->entry))
		list_add_tail(&wait->entry, &wq->head);
	/* Before the caller looks at its condition: a wake-up from here on is seen by schedule(). */
	set_current_state(state);
	raw_spin_unlock(&wq->lock);
}

void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	set_current_state(TASK_RUNNING);
	raw_spin_lock(&wq->lock);
	if (!list_empty(&wait->entry))
		list_del_init(&wait->entry);
	raw_spin_unlock(&wq->lock);
}

noinline void __wake_up(wait_queue_head_t *wq, int nr)
{
	struct wait_queue_entry *w, *n;

	raw_spin_lock(&wq->lock);
	list_for_each_entry_safe(w, n, &wq->head, entry) {
		struct task_struct *p = w->private;

		list_del_init(&w->entry);
		if (wake_up_process(p) && --nr == 0)
			break;
	}
	raw_spin_unlock(&wq->lock);
}

void init_completion(struct completion *x)
{
	x->done = 0;
	init_waitqueue_head(&x->wait);
}

/* Holds the queue's lock throughout: the waiter may free `x` as soon as it sees `done` with the lock free. */
void complete(struct completion *x)
{
	struct wait_queue_entry *w;

	raw_spin_lock(&x->wait.lock);
	x->done++;
	if (!list_empty(&x->wait.head)) {
		w = list_first_entry(&x->wait.head, struct wait_queue_entry, entry);
		list_del_init(&w->entry);
		wake_up_process(w->private);
	}
	raw_spin_unlock(&x->wait.lock);
}

noinline void wait_for_completion(struct completion *x)
{
	struct wait_queue_entry w = { current, { NULL, NULL } };

	INIT_LIST_HEAD(&w.entry);
	raw_spin_lock(&x->wait.lock);
	while (!x->done) {
		if (list_empty(&w.entry))
			list_add_tail(&w.entry, &x->wait.head);
		set_current_state(TASK_UNINTERRUPTIBLE);
		raw_spin_unlock(&x->wait.lock);
		schedule();
		raw_spin_lock(&x->wait.lock);
	}
	x->done--;
	if (!list_empty(&w.entry))
		list_del_init(&w.entry);
	raw_spin_unlock(&x->wait.lock);
}

noinline void mutex_lock(struct mutex *lock)
{
	struct wait_queue_entry w = { current, { NULL, NULL } };

	INIT_LIST_HEAD(&w.entry);
	for (;;) {
		prepare_to_wait(&lock->wait, &w, TASK_UNINTERRUPTIBLE);
		raw_spin_lock(&lock->wait_lock);
		if (!lock->owner) {
			lock->owner = current;
			raw_spin_unlock(&lock->wait_lock);
			break;
		}
		raw_spin_unlock(&lock->wait_lock);
		schedule();
	}
	finish_wait(&lock->wait, &w);
}

noinline void mutex_unlock(struct mutex *lock)
{
	raw_spin_lock(&lock->wait_lock);
	lock->owner = NULL;
	raw_spin_unlock(&lock->wait_lock);
	wake_up(&lock->wait);
}
