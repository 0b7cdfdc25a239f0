// SPDX-License-Identifier: GPL-2.0
/* Wasm traps, which the host reports on the runner that trapped, and panics, which the kernel reports to the host. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/sched/debug.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <asm/entry.h>
#include <asm/host.h>

static bool on_own_stack(void)
{
	unsigned long sp = get_stack_pointer(), stack = (unsigned long)task_stack_page(current);

	return sp > stack && sp <= stack + THREAD_SIZE;
}

/* Kills the task, or everything. Never returns: the Wasm frames below have gone. */
__attribute__((export_name("raise_exception"))) void raise_exception(void);
void raise_exception(void)
{
	struct thread_struct *t = &current->thread;

	/* Nothing can be trusted any more, least of all a call. */
	if (!on_own_stack()) {
		wasm_panic("kernel stack pointer outside of the task's stack");
		wasm_stop_cpu(0);
	}
	if (t->in_user) {
		leave_user();
		force_fatal_sig(SIGILL);
		exit_to_user_mode_work(t->regs, false);
	}
	console_verbose();
	bust_spinlocks(1);
	pr_emerg("BUG: trap in kernel code: CPU: %d PID: %d Comm: %s\n", raw_smp_processor_id(), current->pid,
		 current->comm);
	panic("Fatal exception");
}

static int tell_host(struct notifier_block *self, unsigned long event, void *message)
{
	wasm_panic(message);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = {
	.notifier_call = tell_host,
	.priority = INT_MIN,
};

static int __init register_panic_block(void)
{
	return atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
}
early_initcall(register_panic_block);
