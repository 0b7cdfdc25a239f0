/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: a first-in first-out run queue per CPU. Tasks stay on the CPU they were made for. Nothing pre-empts:
 * a task runs until it sleeps, yields or reaches a cond_resched() with another one waiting.
 *
 * The run queue's lock is taken before a switch and given back by the task that is switched to.
 */
#include "kernel.h"
#include "sched.h"
#include "workqueue.h"

__used DEFINE_PER_CPU(struct rq, runqueues);
static DEFINE_RAW_SPINLOCK(select_lock);

void sched_init(void)
{
	for (u32 cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct rq *rq = cpu_rq(cpu);

		raw_spin_lock_init(&rq->lock);
		rq->cpu = cpu;
		INIT_LIST_HEAD(&rq->queue);
	}
	init_idle(&init_task, 0);
}

void init_idle(struct task_struct *idle, u32 cpu)
{
	struct rq *rq = cpu_rq(cpu);

	snprintf(idle->comm, sizeof(idle->comm), "swapper/%u", cpu);
	idle->cpu = cpu;
	idle->flags |= PF_IDLE | PF_KTHREAD;
	idle->on_rq = 1;
	idle->thread.started = true;
	rq->idle = idle;
	rq->curr = idle;
}

static void enqueue_task(struct rq *rq, struct task_struct *p)
{
	p->on_rq = 1;
	rq->nr_running++;
	list_add_tail(&p->run_list, &rq->queue);
}

/* An idle CPU has to be told; a busy one looks when its task next leaves or offers the CPU. */
static void resched_curr(struct rq *rq, bool was_idle)
{
	rq->need_resched = true;
	if (was_idle && rq->cpu != smp_processor_id())
		smp_send_ipi(rq->cpu, IPI_RESCHEDULE);
}

noinline int try_to_wake_up(struct task_struct *p, u32 state)
{
	struct rq *rq = cpu_rq(p->cpu);
	bool idle;

	raw_spin_lock(&rq->lock);
	if (!(p->__state & state)) {
		raw_spin_unlock(&rq->lock);
		return 0;
	}
	p->__state = TASK_RUNNING;
	if (p->on_rq) {
		/* Still on its way to sleep: it will find itself runnable. */
		raw_spin_unlock(&rq->lock);
		return 1;
	}
	enqueue_task(rq, p);
	idle = rq->curr == rq->idle;
	raw_spin_unlock(&rq->lock);
	resched_curr(rq, idle);
	return 1;
}

void wake_up_new_task(struct task_struct *p)
{
	try_to_wake_up(p, TASK_NEW);
}

static void finish_task_switch(struct task_struct *prev)
{
	struct rq *rq = this_rq();
	bool dead = prev->__state == TASK_DEAD;

	raw_spin_unlock(&rq->lock);
	if (dead)
		put_task_struct(prev);
}

void schedule_tail(struct task_struct *prev)
{
	finish_task_switch(prev);
}

static noinline void context_switch(struct task_struct *prev, struct task_struct *next)
{
	struct mm_struct *mm = next->mm;
	struct task_struct *last;

	if (next->thread.started) {
		last = wasm_serialize_tasks(prev, next);
	} else {
		next->thread.started = true;
		last = wasm_create_and_run_task(prev, next, next->comm, mm ? mm->bin_start : 0, mm ? mm->bin_end : 0,
						mm ? mm->data_start : 0, mm ? mm->table_start : 0);
	}
	finish_task_switch(last);
}

static noinline void __schedule(void)
{
	struct task_struct *prev = current, *next;
	struct rq *rq = this_rq();

	raw_spin_lock(&rq->lock);
	rq->need_resched = false;
	rq->sched_count++;
	if (prev != rq->idle) {
		if ((prev->__state & TASK_INTERRUPTIBLE) && signal_pending(prev))
			prev->__state = TASK_RUNNING;
		if (prev->__state == TASK_RUNNING) {
			list_add_tail(&prev->run_list, &rq->queue);
		} else {
			prev->on_rq = 0;
			rq->nr_running--;
		}
	}
	next = rq->idle;
	if (!list_empty(&rq->queue)) {
		next = list_first_entry(&rq->queue, struct task_struct, run_list);
		list_del(&next->run_list);
	}
	if (next == prev) {
		raw_spin_unlock(&rq->lock);
		return;
	}
	rq->nr_switches++;
	rq->curr = next;
	prev->nvcsw++;
	context_switch(prev, next);
}

noinline void schedule(void)
{
	struct task_struct *p = current;
	bool worker = p->flags & PF_WQ_WORKER && p->__state != TASK_RUNNING && p->__state != TASK_DEAD;

	if (worker)
		wq_worker_sleeping(p);
	__schedule();
	if (worker)
		wq_worker_running(p);
}

void cond_resched(void)
{
	if (READ_ONCE(this_rq()->need_resched))
		schedule();
}

void yield(void)
{
	set_current_state(TASK_RUNNING);
	schedule();
}

noinline void cpu_idle_loop(void)
{
	struct rq *rq = this_rq();

	for (;;) {
		while (list_empty(&rq->queue))
			arch_cpu_idle();
		schedule();
	}
}

/*
 * Where a new user task goes: a CPU of its own while there are enough (brought up when it is the first to need it),
 * then the one with the fewest. CPU 0 is the kernel's and CPU 1 serves interrupts, unless there is nothing else.
 */
u32 select_task_rq_fork(void)
{
	u32 cpu, best = 0;
	bool found = false;

	raw_spin_lock(&select_lock);
	for (cpu = IRQ_CPU + 1; cpu < nr_cpu_ids; cpu++) {
		if (!found || cpu_rq(cpu)->nr_user < cpu_rq(best)->nr_user)
			best = cpu;
		found = true;
		if (!cpu_rq(best)->nr_user)
			break;
	}
	cpu_rq(best)->nr_user++;
	raw_spin_unlock(&select_lock);
	if (!cpu_online(best) && cpu_up(best))
		panic("CPU%u does not come up", best);
	return best;
}
