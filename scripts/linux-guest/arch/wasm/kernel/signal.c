// SPDX-License-Identifier: GPL-2.0
/*
 * Signals. The host runs a handler inside the system call that it interrupts: wasm_user_mode_tail() calls into the
 * program and returns when the handler has made its rt_sigreturn. So the interrupted call's frame is still there
 * afterwards, and doing the call again is a loop.
 */
#include <linux/linkage.h>
#include <linux/resume_user_mode.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/signal.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>
#include <asm/entry.h>
#include <asm/host.h>
#include <uapi/asm/sigframe.h>

#define SIGFRAME_ALIGN 16UL

static int setup_rt_frame(struct ksignal *ksig)
{
	struct thread_struct *t = &current->thread;
	unsigned long sp = sigsp(t->user_sp, ksig);
	struct rt_sigframe __user *frame;
	int err = 0;

	frame = (void __user *)((sp - sizeof(*frame)) & ~(SIGFRAME_ALIGN - 1));
	if (!access_ok(frame, sizeof(*frame)))
		return -EFAULT;
	err |= __put_user(ksig->sig, &frame->signo);
	err |= __put_user((unsigned long)ksig->ka.sa.sa_handler, &frame->handler);
	err |= copy_siginfo_to_user(&frame->info, &ksig->info);
	err |= __put_user(0, &frame->uc.uc_flags);
	err |= __put_user(NULL, &frame->uc.uc_link);
	err |= __save_altstack(&frame->uc.uc_stack, t->user_sp);
	err |= __put_user(t->user_sp, &frame->uc.uc_mcontext.sc_regs.sp);
	err |= __put_user(t->user_tp, &frame->uc.uc_mcontext.sc_regs.tp);
	err |= __copy_to_user(&frame->uc.uc_sigmask, sigmask_to_save(), sizeof(sigset_t));
	err |= __put_user(t->sigframe, &frame->outer);
	if (err)
		return -EFAULT;
	t->sigframe = (unsigned long)frame;
	t->user_sp = (unsigned long)frame;
	return 0;
}

/*
 * A handler runs on top of the system call that it interrupts, and its own system calls on top of that. A program whose
 * handlers interrupt each other without end must not take the kernel's stack with them.
 */
static bool too_deep(void)
{
	return get_stack_pointer() < (unsigned long)task_stack_page(current) + THREAD_SIZE / 2;
}

static void handle_signal(struct ksignal *ksig, struct pt_regs *regs)
{
	struct thread_struct *t = &current->thread;
	int flow = WASM_FLOW_SIGNAL;
	int failed = too_deep() ? -EFAULT : setup_rt_frame(ksig);

	signal_setup_done(failed, ksig, 0);
	if (failed)
		return;
	/* A signal that comes in on the way out of another's handler runs first. */
	if (t->sigreturn)
		flow |= WASM_FLOW_SIGRETURN;
	t->sigreturn = false;
	enter_user();
	user_mode_tail(flow);
	leave_user();
	t->regs = regs;
}

/* What a call that a signal interrupted does then: true for doing it again. */
static bool restart_after_handler(struct pt_regs *regs, struct ksignal *ksig)
{
	switch (regs->ret) {
	case -ERESTART_RESTARTBLOCK:
	case -ERESTARTNOHAND:
		regs->ret = -EINTR;
		return false;
	case -ERESTARTSYS:
		if (!(ksig->ka.sa.sa_flags & SA_RESTART)) {
			regs->ret = -EINTR;
			return false;
		}
		fallthrough;
	case -ERESTARTNOINTR:
		return true;
	}
	return false;
}

bool wasm_do_signal(struct pt_regs *regs, bool in_syscall)
{
	struct ksignal ksig;
	bool again = false;

	if (get_signal(&ksig)) {
		if (in_syscall)
			again = restart_after_handler(regs, &ksig);
		handle_signal(&ksig, regs);
		/* Never do it a second time because of this one. */
		if (again)
			regs->ret = 0;
		return again;
	}
	if (in_syscall) {
		switch (regs->ret) {
		case -ERESTART_RESTARTBLOCK:
			regs->nr = __NR_restart_syscall;
			fallthrough;
		case -ERESTARTSYS:
		case -ERESTARTNOHAND:
		case -ERESTARTNOINTR:
			again = true;
			regs->ret = 0;
		}
	}
	restore_saved_sigmask();
	return again;
}

SYSCALL_DEFINE0(rt_sigreturn)
{
	struct thread_struct *t = &current->thread;
	struct rt_sigframe __user *frame = (void __user *)t->sigframe;
	unsigned long sp, tp, outer;
	sigset_t set;

	current->restart_block.fn = do_no_restart_syscall;
	if (!frame || !access_ok(frame, sizeof(*frame)) ||
	    __copy_from_user(&set, &frame->uc.uc_sigmask, sizeof(set)) ||
	    __get_user(sp, &frame->uc.uc_mcontext.sc_regs.sp) || __get_user(tp, &frame->uc.uc_mcontext.sc_regs.tp) ||
	    __get_user(outer, &frame->outer)) {
		force_sig(SIGSEGV);
		return 0;
	}
	set_current_blocked(&set);
	if (restore_altstack(&frame->uc.uc_stack)) {
		force_sig(SIGSEGV);
		return 0;
	}
	t->user_sp = sp;
	t->user_tp = tp;
	t->sigframe = outer;
	t->sigreturn = true;
	return 0;
}
