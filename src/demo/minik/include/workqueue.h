/* SPDX-License-Identifier: Apache-2.0 */
/* Workqueues: work items run by kernel threads of per-CPU worker pools. */
#ifndef MINIK_WORKQUEUE_H
#define MINIK_WORKQUEUE_H
#include "sched.h"

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	u32 data; /* WORK_STRUCT_PENDING */
	struct list_head entry;
	work_func_t func;
};
#define WORK_STRUCT_PENDING 1

struct workqueue_struct {
	char name[24];
	u32 flags;
	struct list_head list;
};

struct delayed_work {
	struct work_struct work;
	struct timer_list timer;
	struct workqueue_struct *wq;
	u32 cpu;
};

#define IDLE_WORKER_TIMEOUT (300 * HZ)
#define MAX_IDLE_WORKERS_RATIO 4
/* worker.flags */
#define WORKER_STARTED 1
#define WORKER_DIE 2
#define WORKER_IDLE 4
#define WORKER_PREP 8

struct worker_pool {
	raw_spinlock_t lock;
	int cpu;
	int id;
	u32 flags;
	int nr_running;
	struct list_head worklist;
	int nr_workers;
	int nr_idle;
	struct list_head idle_list;
	struct timer_list idle_timer;
	bool manager_active;
	struct list_head workers;
	int next_worker_id;
	u32 works_done;
};

struct worker {
	struct list_head entry;
	struct work_struct *current_work;
	work_func_t current_func;
	struct task_struct *task;
	struct worker_pool *pool;
	struct list_head node;
	u32 last_active;
	u32 flags;
	int id;
	int sleeping;
	char desc[24];
};

DECLARE_PER_CPU(struct worker_pool, cpu_worker_pools);
extern struct workqueue_struct *system_wq;

static inline void INIT_WORK(struct work_struct *w, work_func_t fn)
{
	w->data = 0;
	INIT_LIST_HEAD(&w->entry);
	w->func = fn;
}

void workqueue_init_early(void);
void workqueue_init(void);
int workqueue_online_cpu(u32 cpu);
void workqueue_offline_cpu(u32 cpu);
struct workqueue_struct *alloc_workqueue(const char *name, u32 flags);
bool queue_work_on(u32 cpu, struct workqueue_struct *wq, struct work_struct *work);
#define schedule_work(w) queue_work_on(0, system_wq, w)
void INIT_DELAYED_WORK(struct delayed_work *dw, work_func_t fn);
bool queue_delayed_work_on(u32 cpu, struct workqueue_struct *wq, struct delayed_work *dw, u32 delay);
void wq_worker_sleeping(struct task_struct *task);
void wq_worker_running(struct task_struct *task);
void wq_worker_comm(char *buf, size_t size, struct task_struct *task);
void set_worker_desc(const char *desc);

#endif
