/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel threads, all made by kthreadd so that they start from a clean slate. */
#include "kernel.h"
#include "sched.h"

struct kthread_create_info {
	int (*threadfn)(void *);
	void *data;
	u32 cpu;
	char comm[TASK_COMM_LEN];
	struct task_struct *result;
	struct completion done;
	struct list_head list;
};

static DEFINE_RAW_SPINLOCK(kthread_create_lock);
static LIST_HEAD(kthread_create_list);
static DECLARE_WAIT_QUEUE_HEAD(kthreadd_wait);
struct task_struct *kthreadd_task;

static bool next_create_request(struct kthread_create_info **req)
{
	*req = NULL;
	raw_spin_lock(&kthread_create_lock);
	if (!list_empty(&kthread_create_list)) {
		*req = list_first_entry(&kthread_create_list, struct kthread_create_info, list);
		list_del_init(&(*req)->list);
	}
	raw_spin_unlock(&kthread_create_lock);
	return *req;
}

int kthreadd(void *unused)
{
	struct kthread_create_info *req;

	(void)unused;
	for (;;) {
		wait_event_idle(kthreadd_wait, next_create_request(&req));
		req->result = kernel_thread(req->threadfn, req->data, req->comm, req->cpu);
		complete(&req->done);
	}
}

/* A kernel thread that starts at wake_up_new_task(). */
struct task_struct *kthread_create_on_cpu(int (*fn)(void *), void *data, u32 cpu, const char *fmt, ...)
{
	struct kthread_create_info req = { .threadfn = fn, .data = data, .cpu = cpu };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(req.comm, sizeof(req.comm), fmt, ap);
	va_end(ap);
	init_completion(&req.done);
	raw_spin_lock(&kthread_create_lock);
	list_add_tail(&req.list, &kthread_create_list);
	raw_spin_unlock(&kthread_create_lock);
	wake_up(&kthreadd_wait);
	wait_for_completion(&req.done);
	return req.result;
}

struct task_struct *kthread_run_on(int (*fn)(void *), void *data, u32 cpu, const char *name)
{
	struct task_struct *p = kthread_create_on_cpu(fn, data, cpu, "%s", name);

	if (IS_ERR(p))
		panic("no memory for kernel thread %s", name);
	wake_up_new_task(p);
	return p;
}

void kthread_exit(long code)
{
	do_exit(code);
}
