// SPDX-License-Identifier: GPL-2.0
/* How a task begins, how a CPU changes from one to the next, and how one leaves the kernel. */
#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/reboot.h>
#include <linux/resume_user_mode.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <asm/entry.h>
#include <asm/host.h>

unsigned long init_stack[THREAD_SIZE / sizeof(unsigned long)] __aligned(THREAD_SIZE);

int copy_thread(struct task_struct *p, const struct kernel_clone_args *args)
{
	struct thread_struct *t = &p->thread;

	memset(t, 0, sizeof(*t));
	t->regs = &t->user_regs;
	task_thread_info(p)->irq_flags = 0;
	if (args->fn) {
		t->fn = args->fn;
		t->fn_arg = args->fn_arg;
		return 0;
	}
	t->user_sp = args->stack ?: current->thread.user_sp;
	t->user_tp = args->flags & CLONE_SETTLS ? args->tls : current->thread.user_tp;
	t->user_regs.sp = t->user_sp;
	t->user_regs.tp = t->user_tp;
	return 0;
}

struct task_struct *__switch_to(struct task_struct *prev, struct task_struct *next);
struct task_struct *__switch_to(struct task_struct *prev, struct task_struct *next)
{
	mm_context_t none = { 0 }, *image = &none;

	if (next->thread.started)
		return wasm_serialize_tasks(prev, next);
	next->thread.started = true;
	/* A clone of a user task needs an instance of its program. */
	if (next->mm && !next->thread.fn)
		image = &next->mm->context;
	return wasm_create_and_run_task(prev, next, next->comm, image->bin_start, image->bin_end, image->data_start,
					image->table_start);
}

/* First thing on a new runner. Returns to user mode: 0 starts the image that was loaded, 1 goes on as a clone. */
long wasm_ret_from_fork(struct task_struct *prev, struct task_struct *next);
long wasm_ret_from_fork(struct task_struct *prev, struct task_struct *next)
{
	struct thread_struct *t = &next->thread;
	long clone = 1;

	schedule_tail(prev);
	if (t->fn) {
		/* Returns only after an exec. */
		t->fn(t->fn_arg);
		t->fn = NULL;
		t->exec_pending = false;
		clone = 0;
	}
	exit_to_user_mode_work(t->regs, false);
	enter_user();
	return clone;
}

/* The guard is zero but for the word at the stack's end, which schedule() looks at. */
static void check_guard(struct task_struct *dead)
{
	unsigned long *stack = try_get_task_stack(dead), *damage;

	if (!stack)
		return;
	damage = memchr_inv(stack + 1, 0, THREAD_GUARD_SIZE - sizeof(*stack));
	if (damage)
		panic("kernel stack of %s/%d: its guard has been written at %px", dead->comm, dead->pid, damage);
	put_task_stack(dead);
}

/* A task that is dead may still have to switch away, on the runner that is to go: the host knows. */
void release_thread(struct task_struct *dead)
{
	check_guard(dead);
	if (dead->thread.started)
		wasm_release_task(dead);
}

void flush_thread(void)
{
}

void start_thread(struct pt_regs *regs, unsigned long pc, unsigned long sp)
{
	struct thread_struct *t = &current->thread;

	t->regs = &t->user_regs;
	memset(&t->user_regs, 0, sizeof(t->user_regs));
	t->user_regs.sp = sp;
	t->user_sp = sp;
	t->user_tp = 0;
	t->sigframe = 0;
	t->sigreturn = false;
	t->exec_pending = true;
}

bool exit_to_user_mode_work(struct pt_regs *regs, bool in_syscall)
{
	struct thread_struct *t = &current->thread;
	bool again = false;
	unsigned long work;

	local_irq_disable();
	while ((work = read_thread_flags() & _TIF_WORK_MASK) || t->sigreturn) {
		local_irq_enable();
		if (work & _TIF_NEED_RESCHED)
			schedule();
		if (work & _TIF_NOTIFY_RESUME)
			resume_user_mode_work(regs);
		if (work & (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL))
			again |= wasm_do_signal(regs, in_syscall);
		else if (t->sigreturn && !(read_thread_flags() & _TIF_WORK_MASK)) {
			t->sigreturn = false;
			enter_user();
			user_mode_tail(WASM_FLOW_SIGRETURN);
			BUG();
		}
		local_irq_disable();
	}
	local_irq_enable();
	if (t->exec_pending && in_syscall) {
		t->exec_pending = false;
		enter_user();
		user_mode_exec();
	}
	return again;
}

/* What the host sets the program's stack pointer and thread pointer to. */
__attribute__((export_name("get_user_stack_pointer"))) unsigned long get_user_stack_pointer(void);
unsigned long get_user_stack_pointer(void)
{
	return current->thread.user_sp;
}

__attribute__((export_name("get_user_tls_base"))) unsigned long get_user_tls_base(void);
unsigned long get_user_tls_base(void)
{
	return current->thread.user_tp;
}

void show_regs(struct pt_regs *regs)
{
	show_regs_print_info(KERN_DEFAULT);
	pr_info("syscall %ld sp %08lx tp %08lx\n", regs->nr, regs->sp, regs->tp);
}

/* Only the task that runs can be looked at. */
void show_stack(struct task_struct *task, unsigned long *sp, const char *loglvl)
{
	char buf[900], *line = buf, *next;

	if (task && task != current)
		return;
	wasm_dump_stacktrace(buf, sizeof(buf));
	printk("%sCall Trace:\n", loglvl);
	while ((next = strsep(&line, "\n"))) {
		if (*next)
			printk("%s %s\n", loglvl, next);
	}
}

void (*pm_power_off)(void);
EXPORT_SYMBOL(pm_power_off);

/* The host sees that nothing will ever run again. */
static void __noreturn stop_machine_for_good(void)
{
	static u32 never;

	local_irq_disable();
	smp_send_stop();
	for (;;)
		wasm_wait32(&never, 0, -1);
}

void machine_halt(void)
{
	stop_machine_for_good();
}

void machine_power_off(void)
{
	do_kernel_power_off();
	stop_machine_for_good();
}

void machine_restart(char *command)
{
	stop_machine_for_good();
}
