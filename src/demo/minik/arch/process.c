/* SPDX-License-Identifier: Apache-2.0 */
/* How a task begins, and the way out of the kernel into user mode. */
#include "entry.h"
#include "kernel.h"
#include "sched.h"

/* First thing on a new runner. Returns to user mode: 0 starts the loaded image, 1 goes on as a clone. */
long __ret_from_fork(struct task_struct *prev, struct task_struct *next)
{
	schedule_tail(prev);
	if (next->thread.fn) {
		int ret = next->thread.fn(next->thread.fn_arg);

		if (!next->mm)
			kthread_exit(ret);
		/* A kernel thread that has become a process. */
		next->thread.fn = NULL;
		next->thread.exec_pending = false;
		next->thread.in_user = true;
		return 0;
	}
	set_user_stack_pointer(next->thread.user_sp);
	set_user_tls_base(next->thread.user_tls);
	/* Born with a signal: the handler runs before the clone's first instruction. */
	while (setup_signal()) {
		next->thread.in_user = true;
		user_mode_tail(FLOW_SIGNAL);
		next->thread.in_user = false;
	}
	next->thread.in_user = true;
	return 1;
}

void enter_from_user_mode(ulong sp, ulong tp)
{
	current->thread.in_user = false;
	set_user_stack_pointer(sp);
	set_user_tls_base(tp);
}

long exit_to_user_mode(long ret)
{
	struct task_struct *p = current;
	bool sigreturn = p->thread.sigreturn;

	if (p->thread.exec_pending) {
		p->thread.exec_pending = false;
		p->thread.in_user = true;
		user_mode_exec();
	}
	cond_resched();
	p->thread.sigreturn = false;
	for (;;) {
		int flow = sigreturn ? FLOW_SIGRETURN : 0;

		if (setup_signal())
			flow |= FLOW_SIGNAL;
		if (!flow)
			break;
		p->thread.in_user = true;
		user_mode_tail(flow);
		p->thread.in_user = false;
	}
	p->thread.in_user = true;
	return ret;
}
