/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks, run queues and everything a task owns. */
#ifndef MINIK_SCHED_H
#define MINIK_SCHED_H
#include "host.h"
#include "list.h"
#include "percpu.h"
#include "spinlock.h"
#include "timer.h"
#include "wait.h"

#define TASK_COMM_LEN 16
#define THREAD_SIZE 8192UL

/* task_struct.__state */
#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define TASK_DEAD 0x80
#define TASK_NOLOAD 0x400
#define TASK_NEW 0x800
#define TASK_IDLE (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)
#define TASK_NORMAL (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)
/* task_struct.exit_state */
#define EXIT_DEAD 0x10
#define EXIT_ZOMBIE 0x20
/* task_struct.flags */
#define PF_IDLE 0x2
#define PF_EXITING 0x4
#define PF_WQ_WORKER 0x20
#define PF_KTHREAD 0x200000

/* A reference-counted callback run after a grace period. */
struct callback_head {
	struct callback_head *next;
	void (*func)(struct callback_head *head);
};
#define rcu_head callback_head

#define NSIG 32
struct k_sigaction {
	ulong handler;
	u32 flags;
	u32 mask;
};
struct sighand_struct {
	atomic_t count;
	raw_spinlock_t siglock;
	struct k_sigaction action[NSIG];
};

/* The memory of a process image. There is no MMU: these are allocations in the one shared memory. */
struct mm_struct {
	atomic_t mm_users;
	ulong bin_start, bin_end;
	ulong data_start, data_order;
	ulong table_start;
	ulong start_brk, brk, end_brk;
	ulong start_stack, stack_order;
	struct list_head mmaps;
	raw_spinlock_t mmap_lock;
};

struct thread_struct {
	int (*fn)(void *);
	void *fn_arg;
	ulong user_sp, user_tls;
	ulong sigframe;
	bool started;
	bool in_user;
	bool exec_pending;
	bool sigreturn;
};

struct task_struct {
	volatile u32 __state;
	u32 flags;
	void *stack;
	atomic_t usage;
	u32 cpu;
	int on_rq;
	u32 exit_state;
	int exit_code;
	int exit_signal;
	pid_t pid, tgid, pgrp;
	char comm[TASK_COMM_LEN];
	struct list_head tasks;
	struct list_head run_list;
	struct task_struct *real_parent;
	struct list_head children, sibling;
	wait_queue_head_t wait_chldexit;
	struct completion *vfork_done;
	u32 *clear_child_tid;
	struct mm_struct *mm;
	struct files_struct *files;
	struct sighand_struct *sighand;
	u32 pending, blocked;
	void *worker_private;
	u32 nvcsw, last_switch_count;
	u32 last_switch_time;
	int rcu_read_lock_nesting;
	struct rcu_head rcu;
	struct thread_struct thread;
} __aligned(16);

struct rq {
	raw_spinlock_t lock;
	u32 cpu;
	u32 nr_running;
	u32 nr_user;
	u32 nr_switches;
	u32 sched_count; /* schedule() calls: each is a quiescent state */
	bool need_resched;
	struct task_struct *curr, *idle;
	struct list_head queue;
};

DECLARE_PER_CPU(struct rq, runqueues);
#define cpu_rq(c) per_cpu_ptr(&runqueues, c)
#define this_rq() this_cpu_ptr(&runqueues)

extern struct task_struct init_task;
extern struct list_head task_list;
extern raw_spinlock_t tasklist_lock;
extern struct task_struct *kthreadd_task;
#define current get_current()

/* kernel/sched.c */
void sched_init(void);
void init_idle(struct task_struct *idle, u32 cpu);
void schedule(void);
void schedule_tail(struct task_struct *prev);
void yield(void);
void cond_resched(void);
int try_to_wake_up(struct task_struct *p, u32 state);
#define wake_up_process(p) try_to_wake_up(p, TASK_NORMAL)
void wake_up_new_task(struct task_struct *p);
void cpu_idle_loop(void) __noreturn;
u32 select_task_rq_fork(void);
#define set_current_state(s) __atomic_store_n((u32 *)&current->__state, (s), __ATOMIC_SEQ_CST)

/* kernel/fork.c */
#define CSIGNAL 0xff
#define CLONE_VM 0x100
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000
#define CLONE_SETTLS 0x80000
#define CLONE_PARENT_SETTID 0x100000
#define CLONE_CHILD_CLEARTID 0x200000
struct kernel_clone_args {
	u32 flags;
	ulong stack, tls;
	u32 *parent_tid, *child_tid;
	int exit_signal;
	int (*fn)(void *);
	void *fn_arg;
	u32 cpu;
	const char *comm;
};
struct task_struct *alloc_task(void);
struct task_struct *copy_process(struct kernel_clone_args *args);
pid_t kernel_clone(struct kernel_clone_args *args);
struct task_struct *kernel_thread(int (*fn)(void *), void *arg, const char *name, u32 cpu);
struct task_struct *find_get_task(pid_t pid);
void get_task_struct(struct task_struct *p);
void put_task_struct(struct task_struct *p);
void mmput(struct mm_struct *mm);
void release_task(struct task_struct *p);
void __set_task_comm(struct task_struct *p, const char *name);

/* kernel/exit.c */
void __noreturn do_exit(long code);
void do_group_exit(long code) __noreturn;

/* kernel/kthread.c */
int kthreadd(void *unused);
struct task_struct *kthread_create_on_cpu(int (*fn)(void *), void *data, u32 cpu, const char *fmt, ...) __printf(4, 5);
struct task_struct *kthread_run_on(int (*fn)(void *), void *data, u32 cpu, const char *name);
void __noreturn kthread_exit(long code);

/* kernel/signal.c */
#define SIGHUP 1
#define SIGINT 2
#define SIGILL 4
#define SIGABRT 6
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGWINCH 28
#define SA_NODEFER 0x40000000u
#define SIG_DFL 0
#define SIG_IGN 1
bool signal_pending(struct task_struct *p);
void send_sig(int sig, struct task_struct *p);
int kill_pgrp(pid_t pgrp, int sig);
bool setup_signal(void);
void restore_sigframe(void);
void flush_signal_handlers(struct task_struct *p);
struct sighand_struct *alloc_sighand(void);

/* arch/smp.c */
#define IPI_RESCHEDULE 0
#define IPI_TIMER 1
#define IPI_HALT 2
int cpu_up(u32 cpu);
int cpu_down(u32 cpu);
void smp_send_ipi(u32 cpu, u32 ipi);
void arch_cpu_idle(void);
void raise_interrupt(int cpu, int irq);
void kernel_halt(void);
extern u32 system_halted;

#endif
