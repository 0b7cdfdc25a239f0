/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workqueues. Each CPU has a pool of workers; one of them runs work at a time, and another is woken only when the
 * running one sleeps. Workers idle for IDLE_WORKER_TIMEOUT go, except a few.
 */
#include "workqueue.h"
#include "kernel.h"
#include "syscalls.h"

__used DEFINE_PER_CPU(struct worker_pool, cpu_worker_pools);
struct workqueue_struct *system_wq;
static LIST_HEAD(workqueues);
/* Keeps workers attached to their pools while somebody looks from outside. */
static DEFINE_MUTEX(wq_pool_attach_mutex);
/*
 * kworker/0:0's, static so that a debugger can name it; first_worker_pool is its field `pool`. The most recently idle
 * worker is woken first, and at boot this one is: it does nearly all work of CPU 0.
 */
__used struct worker first_worker;
_Static_assert(offsetof(struct worker, pool) == 20, "first_worker_pool names another field");
__asm__(".globl first_worker_pool\n.type first_worker_pool,@object\n.set first_worker_pool, first_worker+20\n"
	".size first_worker_pool, 4\n");
static bool first_worker_used;

static struct worker_pool *pool_of(u32 cpu) { return per_cpu_ptr(&cpu_worker_pools, cpu); }

static bool need_more_worker(struct worker_pool *pool) { return !list_empty(&pool->worklist) && !pool->nr_running; }

/* Whether so many are idle that the longest idle one may go. */
static bool too_many_workers(struct worker_pool *pool)
{
	int busy = pool->nr_workers - pool->nr_idle;

	return pool->nr_idle > 2 && (pool->nr_idle - 2) * MAX_IDLE_WORKERS_RATIO >= busy;
}

static void worker_enter_idle(struct worker_pool *pool, struct worker *worker)
{
	worker->flags |= WORKER_IDLE;
	pool->nr_idle++;
	worker->last_active = jiffies;
	list_add(&worker->entry, &pool->idle_list);
	if (too_many_workers(pool) && !timer_pending(&pool->idle_timer))
		mod_timer(&pool->idle_timer, jiffies + IDLE_WORKER_TIMEOUT);
}

static void worker_leave_idle(struct worker_pool *pool, struct worker *worker)
{
	worker->flags &= ~(u32)WORKER_IDLE;
	pool->nr_idle--;
	list_del_init(&worker->entry);
}

static void wake_up_worker(struct worker_pool *pool)
{
	if (!list_empty(&pool->idle_list))
		wake_up_process(list_first_entry(&pool->idle_list, struct worker, entry)->task);
}

/* Lets workers go that have been idle for too long: they end themselves. */
static noinline void idle_worker_timeout(struct timer_list *t)
{
	struct worker_pool *pool = container_of(t, struct worker_pool, idle_timer);

	raw_spin_lock(&pool->lock);
	while (too_many_workers(pool)) {
		struct worker *worker = list_last_entry(&pool->idle_list, struct worker, entry);
		u32 expires = worker->last_active + IDLE_WORKER_TIMEOUT;

		if (time_before(jiffies, expires)) {
			mod_timer(&pool->idle_timer, expires);
			break;
		}
		worker_leave_idle(pool, worker);
		pool->nr_workers--;
		worker->flags |= WORKER_DIE;
		wake_up_process(worker->task);
	}
	raw_spin_unlock(&pool->lock);
}

static noinline void process_one_work(struct worker_pool *pool, struct worker *worker, struct work_struct *work)
{
	list_del_init(&work->entry);
	worker->current_work = work;
	worker->current_func = work->func;
	raw_spin_unlock(&pool->lock);
	/* From here on the item may be queued again, or freed by its function. */
	__atomic_and_fetch(&work->data, ~(u32)WORK_STRUCT_PENDING, __ATOMIC_SEQ_CST);
	worker->current_func(work);
	cond_resched();
	raw_spin_lock(&pool->lock);
	worker->current_work = NULL;
	worker->current_func = NULL;
	worker->desc[0] = 0;
	pool->works_done++;
}

static struct worker *create_worker(struct worker_pool *pool);

/* The last worker that is about to be busy makes a new idle one first. */
static void manage_workers(struct worker_pool *pool)
{
	if (pool->nr_idle || pool->manager_active)
		return;
	pool->manager_active = true;
	raw_spin_unlock(&pool->lock);
	create_worker(pool);
	raw_spin_lock(&pool->lock);
	pool->manager_active = false;
}

static noinline void worker_detach_from_pool(struct worker *worker)
{
	mutex_lock(&wq_pool_attach_mutex);
	list_del(&worker->node);
	current->flags &= ~(u32)PF_WQ_WORKER;
	current->worker_private = NULL;
	mutex_unlock(&wq_pool_attach_mutex);
	if (worker != &first_worker)
		kfree(worker);
}

static int worker_thread(void *data)
{
	struct worker *worker = data;
	struct worker_pool *pool = worker->pool;
	char comm[TASK_COMM_LEN + 24];

	worker->task->flags |= PF_WQ_WORKER;
	for (;;) {
		raw_spin_lock(&pool->lock);
		if (worker->flags & WORKER_DIE) {
			raw_spin_unlock(&pool->lock);
			worker_detach_from_pool(worker);
			kthread_exit(0);
		}
		worker_leave_idle(pool, worker);
		if (need_more_worker(pool)) {
			pool->nr_running++;
			manage_workers(pool);
			while (!list_empty(&pool->worklist)) {
				process_one_work(pool, worker, list_first_entry(&pool->worklist, struct work_struct, entry));
				/* The pool's other workers stay asleep while this one runs. */
				if (pool->nr_running > 1)
					break;
			}
			pool->nr_running--;
		}
		worker_enter_idle(pool, worker);
		set_current_state(TASK_IDLE);
		raw_spin_unlock(&pool->lock);
		schedule();
		wq_worker_comm(comm, sizeof(comm), current);
	}
	return 0;
}

/* Counts a worker of the pool as gone to sleep, and wakes another when work is waiting. */
noinline void wq_worker_sleeping(struct task_struct *task)
{
	struct worker *worker = task->worker_private;
	struct worker_pool *pool;

	if (!worker || worker->flags & WORKER_IDLE || !worker->current_work || worker->sleeping)
		return;
	pool = worker->pool;
	raw_spin_lock(&pool->lock);
	worker->sleeping = 1;
	pool->nr_running--;
	if (need_more_worker(pool))
		wake_up_worker(pool);
	raw_spin_unlock(&pool->lock);
}

noinline void wq_worker_running(struct task_struct *task)
{
	struct worker *worker = task->worker_private;

	if (!worker || !worker->sleeping)
		return;
	raw_spin_lock(&worker->pool->lock);
	worker->sleeping = 0;
	worker->pool->nr_running++;
	raw_spin_unlock(&worker->pool->lock);
}

static struct worker *alloc_worker(void)
{
	if (first_worker_used)
		return kzalloc(sizeof(struct worker));
	first_worker_used = true;
	return &first_worker;
}

static struct worker *create_worker(struct worker_pool *pool)
{
	struct worker *worker = alloc_worker();
	struct task_struct *p;

	if (!worker)
		return NULL;
	INIT_LIST_HEAD(&worker->entry);
	raw_spin_lock(&pool->lock);
	worker->id = pool->next_worker_id++;
	raw_spin_unlock(&pool->lock);
	p = kthread_create_on_cpu(worker_thread, worker, (u32)pool->cpu, "kworker/%d:%d", pool->cpu, worker->id);
	if (IS_ERR(p)) {
		kfree(worker);
		return NULL;
	}
	worker->task = p;
	p->worker_private = worker;
	mutex_lock(&wq_pool_attach_mutex);
	worker->pool = pool;
	list_add_tail(&worker->node, &pool->workers);
	mutex_unlock(&wq_pool_attach_mutex);
	raw_spin_lock(&pool->lock);
	pool->nr_workers++;
	worker_enter_idle(pool, worker);
	raw_spin_unlock(&pool->lock);
	wake_up_new_task(p);
	return worker;
}

/* What `ps` shows for a worker: its own name, its pool's CPU and what it works on. */
noinline void wq_worker_comm(char *buf, size_t size, struct task_struct *task)
{
	int off = snprintf(buf, size, "%s", task->comm);

	mutex_lock(&wq_pool_attach_mutex);
	if (task->flags & PF_WQ_WORKER) {
		struct worker *worker = task->worker_private;
		struct worker_pool *pool = worker->pool;

		if (pool) {
			raw_spin_lock(&pool->lock);
			if (worker->desc[0])
				snprintf(buf + off, size - (size_t)off, "%c%s", worker->current_work ? '+' : '-', worker->desc);
			raw_spin_unlock(&pool->lock);
		}
	}
	mutex_unlock(&wq_pool_attach_mutex);
}

/* What the work function that calls this is about. */
void set_worker_desc(const char *desc)
{
	struct worker *worker = current->worker_private;

	if (current->flags & PF_WQ_WORKER && worker)
		strscpy(worker->desc, desc, sizeof(worker->desc));
}

static void insert_work(struct worker_pool *pool, struct work_struct *work)
{
	raw_spin_lock(&pool->lock);
	list_add_tail(&work->entry, &pool->worklist);
	if (need_more_worker(pool))
		wake_up_worker(pool);
	raw_spin_unlock(&pool->lock);
}

noinline bool queue_work_on(u32 cpu, struct workqueue_struct *wq, struct work_struct *work)
{
	(void)wq;
	if (__atomic_fetch_or(&work->data, WORK_STRUCT_PENDING, __ATOMIC_SEQ_CST) & WORK_STRUCT_PENDING)
		return false;
	insert_work(pool_of(cpu), work);
	return true;
}

static noinline void delayed_work_timer_fn(struct timer_list *t)
{
	struct delayed_work *dw = container_of(t, struct delayed_work, timer);

	insert_work(pool_of(dw->cpu), &dw->work);
}

void INIT_DELAYED_WORK(struct delayed_work *dw, work_func_t fn)
{
	INIT_WORK(&dw->work, fn);
	timer_setup(&dw->timer, delayed_work_timer_fn, 0);
}

bool queue_delayed_work_on(u32 cpu, struct workqueue_struct *wq, struct delayed_work *dw, u32 delay)
{
	if (__atomic_fetch_or(&dw->work.data, WORK_STRUCT_PENDING, __ATOMIC_SEQ_CST) & WORK_STRUCT_PENDING)
		return false;
	dw->wq = wq;
	dw->cpu = cpu;
	dw->timer.expires = jiffies + delay;
	add_timer_on(&dw->timer, cpu);
	return true;
}

struct workqueue_struct *alloc_workqueue(const char *name, u32 flags)
{
	struct workqueue_struct *wq = kzalloc(sizeof(*wq));

	if (!wq)
		panic("no memory for workqueue %s", name);
	strscpy(wq->name, name, sizeof(wq->name));
	wq->flags = flags;
	list_add_tail(&wq->list, &workqueues);
	return wq;
}

void workqueue_init_early(void)
{
	for (u32 cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct worker_pool *pool = pool_of(cpu);

		raw_spin_lock_init(&pool->lock);
		pool->cpu = (int)cpu;
		pool->id = (int)cpu * 2;
		INIT_LIST_HEAD(&pool->worklist);
		INIT_LIST_HEAD(&pool->idle_list);
		INIT_LIST_HEAD(&pool->workers);
		timer_setup(&pool->idle_timer, idle_worker_timeout, TIMER_PINNED | cpu);
	}
	system_wq = alloc_workqueue("events", 0);
}

int workqueue_online_cpu(u32 cpu)
{
	struct worker_pool *pool = pool_of(cpu);

	return pool->nr_workers || create_worker(pool) ? 0 : -ENOMEM;
}

/* Ends the pool's workers, which are idle: nothing is queued on a CPU that goes. */
void workqueue_offline_cpu(u32 cpu)
{
	struct worker_pool *pool = pool_of(cpu);

	raw_spin_lock(&pool->lock);
	while (!list_empty(&pool->idle_list)) {
		struct worker *worker = list_first_entry(&pool->idle_list, struct worker, entry);

		worker_leave_idle(pool, worker);
		pool->nr_workers--;
		worker->flags |= WORKER_DIE;
		wake_up_process(worker->task);
	}
	raw_spin_unlock(&pool->lock);
	while (!list_empty(&pool->workers))
		schedule_timeout_uninterruptible(1);
}

/*
 * A burst of work that sleeps: pool 0 grows several workers, which 300 s later are too many. The first sleeps longest,
 * so that its worker is the last to become idle.
 */
static struct work_struct boot_works[4];
static atomic_t boot_works_left = ATOMIC_INIT(4);

static void boot_work_fn(struct work_struct *work)
{
	set_worker_desc("async_boot");
	msleep(20 + (u32)(boot_works + ARRAY_SIZE(boot_works) - work) * 10);
	atomic_dec_return(&boot_works_left);
}

void workqueue_init(void)
{
	u32 cpu;

	for_each_online_cpu(cpu) {
		if (workqueue_online_cpu(cpu))
			panic("no worker for CPU%u", cpu);
	}
	for (u32 i = 0; i < ARRAY_SIZE(boot_works); i++) {
		INIT_WORK(&boot_works[i], boot_work_fn);
		schedule_work(&boot_works[i]);
	}
	while (atomic_read(&boot_works_left))
		schedule_timeout_uninterruptible(1);
}
