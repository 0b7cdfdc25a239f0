/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RCU. The grace-period thread waits until every CPU has been in schedule(), idles or is in user mode; then a thread
 * per CPU (rcuos/N, all of them on CPU 0) runs the callbacks.
 */
#include "rcu.h"
#include "kernel.h"

#define RCU_STALL_TIMEOUT (21 * HZ)

__used DEFINE_PER_CPU(struct rcu_data, rcu_data);
__used struct rcu_state rcu_state;

static void cblist_init(struct rcu_cblist *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->len = 0;
}

static void cblist_splice(struct rcu_cblist *from, struct rcu_cblist *to)
{
	if (!from->head)
		return;
	*to->tail = from->head;
	to->tail = from->tail;
	to->len += from->len;
	cblist_init(from);
}

void rcu_prepare_cpu(u32 cpu)
{
	struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);

	if (rdp->nocb_task)
		return;
	raw_spin_lock_init(&rdp->lock);
	rdp->cpu = cpu;
	cblist_init(&rdp->next);
	cblist_init(&rdp->wait);
	cblist_init(&rdp->done);
	init_waitqueue_head(&rdp->nocb_wq);
}

void rcu_init(void)
{
	init_waitqueue_head(&rcu_state.gp_wq);
	rcu_prepare_cpu(0);
}

/* Runs `func(head)` once every reader that could know of the object is done with it. */
noinline void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_data *rdp = this_cpu_ptr(&rcu_data);
	bool first;

	head->next = NULL;
	head->func = func;
	raw_spin_lock(&rdp->lock);
	*rdp->next.tail = head;
	rdp->next.tail = &head->next;
	rdp->next.len++;
	raw_spin_unlock(&rdp->lock);
	first = !__atomic_exchange_n(&rcu_state.gp_needed, true, __ATOMIC_SEQ_CST);
	if (first)
		wake_up(&rcu_state.gp_wq);
}

struct rcu_synchronize {
	struct rcu_head head;
	struct completion completion;
};

static void wakeme_after_rcu(struct rcu_head *head)
{
	complete(&container_of(head, struct rcu_synchronize, head)->completion);
}

void synchronize_rcu(void)
{
	struct rcu_synchronize rs;

	init_completion(&rs.completion);
	call_rcu(&rs.head, wakeme_after_rcu);
	wait_for_completion(&rs.completion);
}

static bool cpu_in_eqs(u32 cpu)
{
	struct rq *rq = cpu_rq(cpu);
	struct task_struct *curr = READ_ONCE(rq->curr);

	return curr == rq->idle || READ_ONCE(curr->thread.in_user) || curr == current;
}

/* Also CPUs that have gone: their callbacks are still to be run. */
#define rcu_for_each_cpu(cpu)                                                                     \
	for (cpu = 0; cpu < nr_cpu_ids; cpu++) if (!per_cpu(rcu_data, cpu).nocb_task) {} else

static void rcu_gp_init(void)
{
	u32 cpu;

	rcu_for_each_cpu(cpu) {
		struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);

		raw_spin_lock(&rdp->lock);
		cblist_splice(&rdp->next, &rdp->wait);
		raw_spin_unlock(&rdp->lock);
		rdp->qs_snap = cpu_rq(cpu)->sched_count;
		rdp->qs_pending = cpu_online(cpu) && !cpu_in_eqs(cpu);
	}
	rcu_state.gp_start = jiffies;
}

static bool rcu_gp_fqs(void)
{
	bool pending = false;
	u32 cpu;

	rcu_for_each_cpu(cpu) {
		struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);

		if (rdp->qs_pending && (!cpu_online(cpu) || cpu_rq(cpu)->sched_count != rdp->qs_snap || cpu_in_eqs(cpu)))
			rdp->qs_pending = false;
		pending |= rdp->qs_pending;
	}
	return !pending;
}

static void rcu_check_stall(void)
{
	u32 cpu;

	if (time_before(jiffies, rcu_state.gp_start + RCU_STALL_TIMEOUT))
		return;
	pr_info("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\n");
	for_each_online_cpu(cpu) {
		if (per_cpu(rcu_data, cpu).qs_pending)
			pr_info("rcu: \t%u-...: (%u ticks this GP) curr %s\n", cpu, jiffies - rcu_state.gp_start,
				cpu_rq(cpu)->curr->comm);
	}
	rcu_state.gp_start = jiffies;
}

static void rcu_gp_cleanup(void)
{
	u32 cpu;

	rcu_state.gp_seq++;
	rcu_for_each_cpu(cpu) {
		struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);
		bool ready;

		raw_spin_lock(&rdp->lock);
		ready = rdp->wait.head;
		cblist_splice(&rdp->wait, &rdp->done);
		if (rdp->next.head)
			rcu_state.gp_needed = true;
		raw_spin_unlock(&rdp->lock);
		if (ready)
			wake_up(&rdp->nocb_wq);
	}
}

static int rcu_gp_kthread(void *unused)
{
	(void)unused;
	for (;;) {
		wait_event_idle(rcu_state.gp_wq, rcu_state.gp_needed);
		rcu_state.gp_needed = false;
		rcu_gp_init();
		while (!rcu_gp_fqs()) {
			schedule_timeout_idle(1);
			rcu_check_stall();
		}
		rcu_gp_cleanup();
	}
	return 0;
}

static struct rcu_head *rcu_take_done(struct rcu_data *rdp)
{
	struct rcu_head *head;

	raw_spin_lock(&rdp->lock);
	head = rdp->done.head;
	cblist_init(&rdp->done);
	raw_spin_unlock(&rdp->lock);
	return head;
}

static noinline void rcu_do_batch(struct rcu_data *rdp, struct rcu_head *head)
{
	while (head) {
		struct rcu_head *next = head->next;

		head->func(head);
		rdp->n_invoked++;
		head = next;
		cond_resched();
	}
}

static int rcu_nocb_cb_kthread(void *data)
{
	struct rcu_data *rdp = data;
	struct rcu_head *head;

	for (;;) {
		wait_event_idle(rdp->nocb_wq, (head = rcu_take_done(rdp)));
		rcu_do_batch(rdp, head);
	}
	return 0;
}

void rcutree_online_cpu(u32 cpu)
{
	struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);

	if (rdp->nocb_task)
		return;
	rdp->nocb_task = kthread_create_on_cpu(rcu_nocb_cb_kthread, rdp, 0, "rcuos/%u", cpu);
	if (IS_ERR(rdp->nocb_task))
		panic("no memory for rcuos/%u", cpu);
	wake_up_new_task(rdp->nocb_task);
}

void rcu_spawn_gp_kthread(void)
{
	u32 cpu;

	for_each_online_cpu(cpu)
		rcutree_online_cpu(cpu);
	rcu_state.gp_kthread = kthread_run_on(rcu_gp_kthread, NULL, 0, "rcu_sched");
}
