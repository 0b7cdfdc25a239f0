/* SPDX-License-Identifier: Apache-2.0 */
/* Read-copy-update: deferred callbacks. */
#ifndef MINIK_RCU_H
#define MINIK_RCU_H
#include "sched.h"

/* A CPU's callbacks: waiting for a grace period to start, waiting for it to end, ready to run. */
struct rcu_cblist {
	struct rcu_head *head;
	struct rcu_head **tail;
	u32 len;
};

struct rcu_data {
	raw_spinlock_t lock;
	u32 cpu;
	struct rcu_cblist next, wait, done;
	u32 qs_snap;
	bool qs_pending;
	u32 n_invoked;
	wait_queue_head_t nocb_wq;
	struct task_struct *nocb_task;
};

struct rcu_state {
	u32 gp_seq;
	u32 gp_start;
	bool gp_needed;
	wait_queue_head_t gp_wq;
	struct task_struct *gp_kthread;
};

DECLARE_PER_CPU(struct rcu_data, rcu_data);
extern struct rcu_state rcu_state;

static inline void rcu_read_lock(void) { current->rcu_read_lock_nesting++; barrier(); }
static inline void rcu_read_unlock(void) { barrier(); current->rcu_read_lock_nesting--; }
#define rcu_dereference(p) READ_ONCE(p)
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_SEQ_CST)

void rcu_init(void);
void rcu_spawn_gp_kthread(void);
void rcu_prepare_cpu(u32 cpu);
void rcutree_online_cpu(u32 cpu);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void synchronize_rcu(void);

#endif
