/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: sent at any time, delivered on the way back to user mode. */
#include "kernel.h"
#include "sched.h"
#include "sigframe.h"
#include "syscalls.h"

#define BIT_OF(sig) (1u << (sig))
#define UNBLOCKABLE BIT_OF(SIGKILL)

static bool ignored_by_default(int sig) { return sig == SIGCHLD || sig == SIGCONT || sig == SIGWINCH; }

bool signal_pending(struct task_struct *p)
{
	return (READ_ONCE(p->pending) & ~(p->blocked & ~UNBLOCKABLE)) != 0;
}

noinline void send_sig(int sig, struct task_struct *p)
{
	ulong handler;

	if (sig <= 0 || sig >= NSIG || p->flags & PF_KTHREAD)
		return;
	handler = p->sighand->action[sig].handler;
	if (!(p->blocked & BIT_OF(sig)) && sig != SIGKILL &&
	    (handler == SIG_IGN || (handler == SIG_DFL && ignored_by_default(sig))))
		return;
	__atomic_or_fetch(&p->pending, BIT_OF(sig), __ATOMIC_SEQ_CST);
	try_to_wake_up(p, TASK_INTERRUPTIBLE);
}

int kill_pgrp(pid_t pgrp, int sig)
{
	struct task_struct *p;
	int n = 0;

	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &task_list, tasks) {
		if (p->pgrp == pgrp && p->mm && p->pid == p->tgid) {
			send_sig(sig, p);
			n++;
		}
	}
	raw_spin_unlock(&tasklist_lock);
	return n ? 0 : -ESRCH;
}

void flush_signal_handlers(struct task_struct *p)
{
	for (int sig = 1; sig < NSIG; sig++) {
		if (p->sighand->action[sig].handler != SIG_IGN)
			p->sighand->action[sig].handler = SIG_DFL;
	}
}

static noinline void setup_rt_frame(int sig, const struct k_sigaction *ka)
{
	struct task_struct *p = current;
	ulong sp = get_user_stack_pointer();
	struct sigframe *frame = (struct sigframe *)((sp - sizeof(*frame)) & ~15UL);

	frame->signo = (u32)sig;
	frame->handler = ka->handler;
	frame->sp = sp;
	frame->tp = get_user_tls_base();
	frame->blocked = p->blocked;
	frame->prev = p->thread.sigframe;
	p->thread.sigframe = (ulong)frame;
	p->blocked |= ka->mask;
	if (!(ka->flags & SA_NODEFER))
		p->blocked |= BIT_OF(sig);
	set_user_stack_pointer((ulong)frame);
}

/* Takes the next signal. True when it has a handler, whose frame then is on the user stack. May not return. */
noinline bool setup_signal(void)
{
	struct task_struct *p = current;
	u32 ready;

	while ((ready = READ_ONCE(p->pending) & ~(p->blocked & ~UNBLOCKABLE))) {
		int sig = ready & BIT_OF(SIGKILL) ? SIGKILL : __builtin_ctz(ready);
		struct k_sigaction ka;

		__atomic_and_fetch(&p->pending, ~BIT_OF(sig), __ATOMIC_SEQ_CST);
		raw_spin_lock(&p->sighand->siglock);
		ka = p->sighand->action[sig];
		raw_spin_unlock(&p->sighand->siglock);
		if (sig != SIGKILL && (ka.handler == SIG_IGN || (ka.handler == SIG_DFL && ignored_by_default(sig))))
			continue;
		if (sig == SIGKILL || ka.handler == SIG_DFL)
			do_group_exit(sig);
		setup_rt_frame(sig, &ka);
		return true;
	}
	return false;
}

void restore_sigframe(void)
{
	struct task_struct *p = current;
	struct sigframe *frame = (struct sigframe *)p->thread.sigframe;

	if (!frame) {
		pr_info("%s[%d]: sigreturn without a signal\n", p->comm, p->pid);
		do_exit(SIGSEGV);
	}
	p->thread.sigframe = frame->prev;
	p->blocked = frame->blocked;
	set_user_stack_pointer(frame->sp);
	set_user_tls_base(frame->tp);
	p->thread.sigreturn = true;
}

long sys_rt_sigreturn(void)
{
	restore_sigframe();
	return 0;
}

long sys_rt_sigaction(long sig, const struct sigaction_arg *act, struct sigaction_arg *old, u32 size)
{
	struct sighand_struct *sh = current->sighand;
	struct k_sigaction *ka;

	if (sig <= 0 || sig >= NSIG || sig == SIGKILL || size != sizeof(u32))
		return -EINVAL;
	ka = &sh->action[sig];
	raw_spin_lock(&sh->siglock);
	if (old) {
		old->handler = ka->handler;
		old->flags = ka->flags;
		old->mask = ka->mask;
	}
	if (act) {
		ka->handler = act->handler;
		ka->flags = act->flags;
		ka->mask = act->mask;
	}
	raw_spin_unlock(&sh->siglock);
	return 0;
}

#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

long sys_rt_sigprocmask(long how, const u32 *set, u32 *old, u32 size)
{
	struct task_struct *p = current;

	if (size != sizeof(u32))
		return -EINVAL;
	if (old)
		*old = p->blocked;
	if (set && how == SIG_BLOCK)
		p->blocked |= *set;
	else if (set && how == SIG_UNBLOCK)
		p->blocked &= ~*set;
	else if (set && how == SIG_SETMASK)
		p->blocked = *set;
	else if (set)
		return -EINVAL;
	return 0;
}

long sys_kill(long pid, long sig)
{
	struct task_struct *p;

	if (sig < 0 || sig >= NSIG)
		return -EINVAL;
	if (pid < 0)
		return kill_pgrp((pid_t)-pid, (int)sig);
	p = find_get_task((pid_t)pid);
	if (!p)
		return -ESRCH;
	send_sig((int)sig, p);
	put_task_struct(p);
	return 0;
}

long sys_pause(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
	schedule();
	return -EINTR;
}
