/* SPDX-License-Identifier: Apache-2.0 */
/* Wasm traps, which the host reports by calling raise_exception() on the runner that trapped. */
#include "kernel.h"
#include "sched.h"

static bool on_own_stack(struct task_struct *p)
{
	ulong sp = get_stack_pointer();

	return sp > (ulong)p->stack && sp <= (ulong)p && ((ulong)p->stack & (THREAD_SIZE - 1)) == 0;
}

__used __attribute__((export_name("raise_exception"))) void raise_exception(void)
{
	struct task_struct *p = current;

	if (!on_own_stack(p)) {
		/* Nothing can be trusted any more, least of all a call. */
		oops_in_progress++;
		pr_info("BUG: kernel stack of task %p is broken (sp %08lx)\n", p, get_stack_pointer());
		wasm_stop_cpu(0);
	}
	if (p->thread.in_user) {
		p->thread.in_user = false;
		pr_info("%s[%d]: Illegal instruction\n", p->comm, p->pid);
		do_exit(SIGILL);
	}
	oops_in_progress++;
	pr_info("BUG: trap in kernel code: CPU: %u PID: %d Comm: %s\n", p->cpu, p->pid, p->comm);
	panic("Fatal exception");
}
