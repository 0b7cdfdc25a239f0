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

/* For the last words of a task whose stack is full. */
unsigned long overflow_stack[THREAD_SIZE / sizeof(unsigned long)] __aligned(16);

static bool within(unsigned long sp, const void *stack, unsigned long guard)
{
	return sp >= (unsigned long)stack + guard && sp <= (unsigned long)stack + THREAD_SIZE;
}

static bool stack_is_usable(void)
{
	unsigned long sp = get_stack_pointer();

	return within(sp, task_stack_page(current), THREAD_GUARD_SIZE) || within(sp, overflow_stack, 0);
}

#ifdef CONFIG_WASM_STACK_CHECK
static u32 overflow_stack_taken;

/* Called by entry.S on overflow_stack. Nothing has been stored below the guard's end yet, but by functions that call none. */
void __noreturn wasm_stack_overflow(unsigned long sp);
void __noreturn wasm_stack_overflow(unsigned long sp)
{
	unsigned long stack = (unsigned long)task_stack_page(current);
	static u32 never;

	/* Whoever comes second has nothing to add. */
	while (__atomic_exchange_n(&overflow_stack_taken, 1, __ATOMIC_SEQ_CST))
		wasm_wait32(&never, 0, -1);
	console_verbose();
	bust_spinlocks(1);
	if (within(sp, (void *)stack, 0) || (sp < stack && stack - sp < THREAD_SIZE))
		panic("kernel stack overflow: %s/%d at %08lx, its stack is %08lx-%08lx", current->comm, current->pid, sp,
		      stack + THREAD_GUARD_SIZE, stack + THREAD_SIZE);
	panic("kernel stack pointer %08lx of %s/%d is not on its stack %08lx-%08lx", sp, current->comm, current->pid,
	      stack + THREAD_GUARD_SIZE, stack + THREAD_SIZE);
}
#endif

/* Kills the task, or everything. Never returns: the Wasm frames below have gone. */
__attribute__((export_name("raise_exception"))) void raise_exception(void);
void raise_exception(void)
{
	struct thread_struct *t = &current->thread;

	/* Nothing can be trusted any more, least of all a call. */
	if (!stack_is_usable()) {
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
