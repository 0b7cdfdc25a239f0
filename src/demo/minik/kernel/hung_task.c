/* SPDX-License-Identifier: Apache-2.0 */
/* khungtaskd: complains of tasks that have not run for two minutes although they want to. */
#include "kernel.h"
#include "sched.h"

#define HUNG_TASK_TIMEOUT 120 /* s */
#define CHECK_INTERVAL 30

static noinline void check_hung_task(struct task_struct *p)
{
	if (p->__state != TASK_UNINTERRUPTIBLE || p->nvcsw != p->last_switch_count) {
		p->last_switch_count = p->nvcsw;
		p->last_switch_time = jiffies;
		return;
	}
	if (time_before(jiffies, p->last_switch_time + HUNG_TASK_TIMEOUT * HZ))
		return;
	pr_info("INFO: task %s:%d blocked for more than %d seconds.\n", p->comm, p->pid, HUNG_TASK_TIMEOUT);
	p->last_switch_time = jiffies;
}

static int khungtaskd(void *unused)
{
	struct task_struct *p;

	(void)unused;
	for (;;) {
		schedule_timeout_interruptible(CHECK_INTERVAL * HZ);
		raw_spin_lock(&tasklist_lock);
		list_for_each_entry(p, &task_list, tasks)
			check_hung_task(p);
		raw_spin_unlock(&tasklist_lock);
	}
	return 0;
}

void khungtaskd_init(void)
{
	kthread_run_on(khungtaskd, NULL, 0, "khungtaskd");
}
