/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making tasks. A kernel stack is 8 KiB, aligned to its size, with the task_struct at its top: the stack grows down
 * from the task's own address, and nothing guards its end.
 */
#include "fs.h"
#include "kernel.h"
#include "rcu.h"
#include "sched.h"
#include "setup.h"
#include "syscalls.h"

/* Two symbols in one section keep their order: together they are the first task's 8 KiB. */
__used __section("init_thread") __aligned(8192) char init_stack[THREAD_SIZE - sizeof(struct task_struct)] = { 1 };
static struct sighand_struct init_sighand = { .count = ATOMIC_INIT(1), .siglock = __RAW_SPIN_LOCK_UNLOCKED };
__used __section("init_thread") struct task_struct init_task = {
	.__state = TASK_RUNNING,
	.flags = PF_KTHREAD,
	.stack = init_stack,
	.usage = ATOMIC_INIT(2),
	.comm = "swapper/0",
	.tasks = LIST_HEAD_INIT(init_task.tasks),
	.real_parent = &init_task,
	.children = LIST_HEAD_INIT(init_task.children),
	.sibling = LIST_HEAD_INIT(init_task.sibling),
	.wait_chldexit = __WAIT_QUEUE_HEAD_INITIALIZER(init_task.wait_chldexit),
	.files = &init_files,
	.sighand = &init_sighand,
	.blocked = ~0u,
};

__used LIST_HEAD(task_list);
DEFINE_RAW_SPINLOCK(tasklist_lock);
u32 nr_threads;
static pid_t last_pid;
static bool hold_children;

void fork_init(void)
{
	BUG_ON((ulong)init_stack + sizeof(init_stack) != (ulong)&init_task);
	for (int sig = 1; sig < NSIG; sig++)
		init_sighand.action[sig].handler = SIG_IGN;
}

void __set_task_comm(struct task_struct *p, const char *name)
{
	strscpy(p->comm, name, sizeof(p->comm));
}

struct task_struct *alloc_task(void)
{
	char *stack = alloc_pages(1);
	struct task_struct *p;

	if (!stack)
		return NULL;
	p = (struct task_struct *)(stack + THREAD_SIZE) - 1;
	memset(p, 0, sizeof(*p));
	p->stack = stack;
	atomic_set(&p->usage, 2);
	INIT_LIST_HEAD(&p->tasks);
	INIT_LIST_HEAD(&p->children);
	INIT_LIST_HEAD(&p->sibling);
	init_waitqueue_head(&p->wait_chldexit);
	return p;
}

void get_task_struct(struct task_struct *p) { atomic_inc(&p->usage); }

static noinline void free_task(struct task_struct *p)
{
	if (p->sighand && atomic_dec_and_test(&p->sighand->count))
		kfree(p->sighand);
	free_pages(p->stack, 1);
}

void put_task_struct(struct task_struct *p)
{
	if (atomic_dec_and_test(&p->usage))
		free_task(p);
}

struct sighand_struct *alloc_sighand(void)
{
	struct sighand_struct *s = kzalloc(sizeof(*s));

	if (s) {
		atomic_set(&s->count, 1);
		raw_spin_lock_init(&s->siglock);
	}
	return s;
}

static int copy_sighand(struct kernel_clone_args *args, struct task_struct *p)
{
	struct sighand_struct *old = current->sighand;

	if (args->flags & CLONE_SIGHAND || args->fn) {
		atomic_inc(&old->count);
		p->sighand = old;
		return 0;
	}
	p->sighand = alloc_sighand();
	if (!p->sighand)
		return -ENOMEM;
	raw_spin_lock(&old->siglock);
	memcpy(p->sighand->action, old->action, sizeof(old->action));
	raw_spin_unlock(&old->siglock);
	return 0;
}

static int copy_files(struct kernel_clone_args *args, struct task_struct *p)
{
	struct files_struct *oldf = current->files;

	if (args->flags & CLONE_FILES || args->fn) {
		atomic_inc(&oldf->count);
		p->files = oldf;
		return 0;
	}
	p->files = dup_fd(oldf);
	return p->files ? 0 : -ENOMEM;
}

static void link_task(struct kernel_clone_args *args, struct task_struct *p)
{
	raw_spin_lock(&tasklist_lock);
	p->pid = ++last_pid;
	p->tgid = args->flags & CLONE_THREAD ? current->tgid : p->pid;
	p->pgrp = args->fn ? 0 : current->pgrp;
	p->real_parent = args->flags & CLONE_THREAD ? current->real_parent : current;
	list_add_tail(&p->sibling, &p->real_parent->children);
	list_add_tail(&p->tasks, &task_list);
	nr_threads++;
	raw_spin_unlock(&tasklist_lock);
}

/* A new task, complete but not yet started. */
noinline struct task_struct *copy_process(struct kernel_clone_args *args)
{
	struct task_struct *p = alloc_task();
	int ret;

	if (!p)
		return ERR_PTR(-ENOMEM);
	p->__state = TASK_NEW;
	__set_task_comm(p, args->comm ? args->comm : current->comm);
	p->exit_signal = args->flags & CLONE_THREAD ? -1 : args->exit_signal;
	p->flags = args->fn ? PF_KTHREAD : 0;
	p->blocked = args->fn ? ~0u : current->blocked;
	p->thread.fn = args->fn;
	p->thread.fn_arg = args->fn_arg;
	p->thread.user_sp = args->stack;
	p->thread.user_tls = args->flags & CLONE_SETTLS ? args->tls : get_user_tls_base();
	ret = copy_sighand(args, p);
	if (!ret)
		ret = copy_files(args, p);
	if (ret) {
		/* Both references: nobody else knows the task. */
		put_task_struct(p);
		put_task_struct(p);
		return ERR_PTR(ret);
	}
	if (!args->fn) {
		p->mm = current->mm;
		atomic_inc(&p->mm->mm_users);
	}
	if (args->flags & CLONE_CHILD_CLEARTID)
		p->clear_child_tid = args->child_tid;
	p->cpu = args->fn ? args->cpu : select_task_rq_fork();
	link_task(args, p);
	return p;
}

pid_t kernel_clone(struct kernel_clone_args *args)
{
	struct task_struct *p = copy_process(args);
	struct completion vfork;
	pid_t pid;

	if (IS_ERR(p))
		return (pid_t)PTR_ERR(p);
	pid = p->pid;
	if (args->flags & CLONE_PARENT_SETTID)
		*args->parent_tid = (u32)pid;
	if (args->flags & CLONE_VFORK) {
		init_completion(&vfork);
		p->vfork_done = &vfork;
	}
	if (!hold_children)
		wake_up_new_task(p);
	if (args->flags & CLONE_VFORK)
		wait_for_completion(&vfork);
	return pid;
}

struct task_struct *kernel_thread(int (*fn)(void *), void *arg, const char *name, u32 cpu)
{
	struct kernel_clone_args args = {
		.fn = fn, .fn_arg = arg, .comm = name, .cpu = cpu, .exit_signal = SIGCHLD,
	};

	return copy_process(&args);
}

/* A task by its number, with a reference. */
struct task_struct *find_get_task(pid_t pid)
{
	struct task_struct *p, *found = NULL;

	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &task_list, tasks) {
		if (p->pid == pid) {
			found = p;
			get_task_struct(p);
			break;
		}
	}
	raw_spin_unlock(&tasklist_lock);
	return found;
}

static void delayed_put_task_struct(struct rcu_head *rcu)
{
	put_task_struct(container_of(rcu, struct task_struct, rcu));
}

/*
 * The last thing anybody does about a dead task: its parent, or the task itself, which then still has to switch away.
 */
noinline void release_task(struct task_struct *p)
{
	raw_spin_lock(&tasklist_lock);
	list_del_init(&p->tasks);
	list_del_init(&p->sibling);
	nr_threads--;
	raw_spin_unlock(&tasklist_lock);
	wasm_release_task(p);
	call_rcu(&p->rcu, delayed_put_task_struct);
}

static void wake_held_children(void)
{
	struct task_struct *p;

	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &task_list, tasks)
		wake_up_new_task(p);
	raw_spin_unlock(&tasklist_lock);
}

/* Holds new user tasks back from their first run, or lets those that were held go. */
long sys_minik_hold(long on)
{
	hold_children = on;
	if (!on)
		wake_held_children();
	return 0;
}

long sys_clone(u32 flags, ulong stack, u32 *ptid, u32 *ctid, ulong tls)
{
	struct kernel_clone_args args = {
		.flags = flags & ~(u32)CSIGNAL, .exit_signal = (int)(flags & CSIGNAL), .stack = stack,
		.parent_tid = ptid, .child_tid = ctid, .tls = tls,
	};

	/* Without an MMU there is only shared memory, and two tasks cannot use one stack. */
	if (!(flags & CLONE_VM) || !stack)
		return -EINVAL;
	return kernel_clone(&args);
}
