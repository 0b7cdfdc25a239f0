/* SPDX-License-Identifier: Apache-2.0 */
/* The end of tasks, and those who wait for it. */
#include "fs.h"
#include "futex.h"
#include "kernel.h"
#include "sched.h"
#include "syscalls.h"

static struct task_struct *child_reaper;

static void exit_mm(struct task_struct *p)
{
	struct mm_struct *mm = p->mm;

	if (!mm)
		return;
	if (p->clear_child_tid) {
		WRITE_ONCE(*p->clear_child_tid, 0);
		futex_wake(p->clear_child_tid, 1);
	}
	if (p->vfork_done) {
		complete(p->vfork_done);
		p->vfork_done = NULL;
	}
	p->mm = NULL;
	mmput(mm);
}

static bool ignores_sigchld(struct task_struct *parent)
{
	return parent->sighand->action[SIGCHLD].handler == SIG_IGN;
}

/* Gives the children to init, which has to reap those that are dead already. Holds tasklist_lock. */
static void forget_original_parent(struct task_struct *father)
{
	struct task_struct *p, *n;

	if (!child_reaper) {
		list_for_each_entry(p, &task_list, tasks) {
			if (p->pid == 1)
				child_reaper = p;
		}
	}
	list_for_each_entry_safe(p, n, &father->children, sibling) {
		p->real_parent = child_reaper;
		list_move_tail(&p->sibling, &child_reaper->children);
		if (p->exit_state == EXIT_ZOMBIE) {
			send_sig(SIGCHLD, child_reaper);
			wake_up_all(&child_reaper->wait_chldexit);
		}
	}
}

static noinline void exit_notify(struct task_struct *p)
{
	bool autoreap;

	raw_spin_lock(&tasklist_lock);
	forget_original_parent(p);
	autoreap = p->exit_signal < 0 || ignores_sigchld(p->real_parent);
	p->exit_state = autoreap ? EXIT_DEAD : EXIT_ZOMBIE;
	if (!autoreap) {
		send_sig(p->exit_signal ? p->exit_signal : SIGCHLD, p->real_parent);
		wake_up_all(&p->real_parent->wait_chldexit);
	}
	raw_spin_unlock(&tasklist_lock);
	if (autoreap)
		release_task(p);
}

static void __noreturn do_task_dead(void)
{
	set_current_state(TASK_DEAD);
	schedule();
	panic("dead task %s runs again", current->comm);
}

noinline void do_exit(long code)
{
	struct task_struct *p = current;

	if (p->flags & PF_IDLE)
		panic("Attempted to kill the idle task!");
	if (p->pid == 1)
		panic("Attempted to kill init! exitcode=0x%08lx", code);
	p->flags |= PF_EXITING;
	p->exit_code = (int)code;
	exit_mm(p);
	put_files_struct(p->files);
	p->files = NULL;
	if (!(p->flags & PF_KTHREAD))
		__atomic_sub_fetch(&cpu_rq(p->cpu)->nr_user, 1, __ATOMIC_SEQ_CST);
	exit_notify(p);
	do_task_dead();
}

/* Ends every thread of the process; the others notice at their next system call. */
void do_group_exit(long code)
{
	struct task_struct *p;

	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &task_list, tasks) {
		if (p->tgid == current->tgid && p != current)
			send_sig(SIGKILL, p);
	}
	raw_spin_unlock(&tasklist_lock);
	do_exit(code);
}

long sys_exit(long code) { do_exit((code & 0xff) << 8); }
long sys_exit_group(long code) { do_group_exit((code & 0xff) << 8); }

#define WNOHANG 1

/* A dead child that `pid` names, claimed; `any` tells whether there are such children at all. */
static struct task_struct *claim_zombie(long pid, bool *any)
{
	struct task_struct *p, *found = NULL;

	*any = false;
	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &current->children, sibling) {
		if (pid > 0 && p->pid != pid)
			continue;
		/* Threads are nobody's children; others may have been claimed already. */
		if (p->exit_signal < 0 || p->exit_state == EXIT_DEAD)
			continue;
		*any = true;
		if (p->exit_state == EXIT_ZOMBIE) {
			p->exit_state = EXIT_DEAD;
			found = p;
			break;
		}
	}
	raw_spin_unlock(&tasklist_lock);
	return found;
}

static bool may_stop_waiting(long pid, u32 options, struct task_struct **zombie, bool *any)
{
	*zombie = claim_zombie(pid, any);
	return *zombie || !*any || options & WNOHANG;
}

long sys_wait4(long pid, int *status, u32 options, ulong rusage)
{
	struct task_struct *p = NULL;
	bool any = false;
	long ret;

	(void)rusage;
	ret = wait_event_interruptible(current->wait_chldexit, may_stop_waiting(pid, options, &p, &any));
	if (!p)
		return ret ? ret : any ? 0 : -ECHILD;
	ret = p->pid;
	if (status)
		*status = p->exit_code;
	release_task(p);
	return ret;
}
