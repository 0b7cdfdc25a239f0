/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: texts about the kernel's state, made when a file is opened. */
#include "fs.h"
#include "kernel.h"
#include "rcu.h"
#include "sysrq.h"
#include "vmstat.h"
#include "workqueue.h"

#define SEQ_ORDER 4

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	m->count += (u32)vsnprintf(m->buf + m->count, m->size - m->count, fmt, ap);
	va_end(ap);
}

struct proc_entry {
	void (*show)(struct seq_file *m);
};

static int proc_open(struct inode *inode, struct file *file)
{
	struct proc_entry *entry = inode->i_private;
	struct seq_file *m = kzalloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->buf = alloc_pages(SEQ_ORDER);
	if (!m->buf) {
		kfree(m);
		return -ENOMEM;
	}
	m->size = PAGE_SIZE << SEQ_ORDER;
	entry->show(m);
	file->private_data = m;
	return 0;
}

static ssize_t proc_read(struct file *file, char *buf, size_t n)
{
	struct seq_file *m = file->private_data;

	n = min(n, m->count - min(file->f_pos, m->count));
	memcpy(buf, m->buf + file->f_pos, n);
	file->f_pos += n;
	return (ssize_t)n;
}

static void proc_release(struct file *file)
{
	struct seq_file *m = file->private_data;

	if (m) {
		free_pages(m->buf, SEQ_ORDER);
		kfree(m);
	}
}

static const struct file_operations proc_fops = { .open = proc_open, .read = proc_read, .release = proc_release };

void proc_create(const char *name, void (*show)(struct seq_file *m))
{
	struct proc_entry *entry = kzalloc(sizeof(*entry));
	char path[48];

	if (!entry)
		panic("no memory for /proc/%s", name);
	entry->show = show;
	snprintf(path, sizeof(path), "/proc/%s", name);
	mknod_dev(path, &proc_fops, entry);
}

static char state_char(struct task_struct *p)
{
	u32 state = p->__state;

	if (p->exit_state)
		return p->exit_state == EXIT_ZOMBIE ? 'Z' : 'X';
	return state == TASK_RUNNING ? 'R' : state & TASK_INTERRUPTIBLE ? 'S' : state & TASK_NOLOAD ? 'I' : 'D';
}

/* The lowest pid above `pid`, with a reference. */
static struct task_struct *next_task(pid_t pid)
{
	struct task_struct *p, *best = NULL;

	raw_spin_lock(&tasklist_lock);
	list_for_each_entry(p, &task_list, tasks) {
		if (p->pid > pid && (!best || p->pid < best->pid))
			best = p;
	}
	if (best)
		get_task_struct(best);
	raw_spin_unlock(&tasklist_lock);
	return best;
}

static void tasks_show(struct seq_file *m)
{
	struct task_struct *p;
	char comm[48];

	seq_printf(m, "  PID  PPID  PGRP CPU S COMMAND\n");
	for (pid_t pid = 0; (p = next_task(pid)); put_task_struct(p)) {
		pid = p->pid;
		wq_worker_comm(comm, sizeof(comm), p);
		seq_printf(m, "%5d %5d %5d %3u %c %s\n", p->pid, p->real_parent->pid, p->pgrp, p->cpu, state_char(p), comm);
	}
}

static void uptime_show(struct seq_file *m)
{
	u64 us = local_clock() / 1000;
	u32 cpus = (u32)__builtin_popcountll(__cpu_online_mask);

	seq_printf(m, "up %lu.%02lu s, %u CPUs online, jiffies %u\n", (ulong)(us / 1000000),
		   (ulong)(us / 10000 % 100), cpus, jiffies);
}

static void timers_show(struct seq_file *m)
{
	u32 cpu;

	for_each_online_cpu(cpu) {
		struct timer_base *base = per_cpu_ptr(&timer_bases[0], cpu);

		seq_printf(m, "cpu %u: jiffies %u clk %u next_expiry %u pending %d\n", cpu, jiffies, base->clk,
			   base->next_expiry, base->timers_pending);
	}
}

static void workqueue_show(struct seq_file *m)
{
	u32 cpu;

	for_each_online_cpu(cpu) {
		struct worker_pool *pool = per_cpu_ptr(&cpu_worker_pools, cpu);

		seq_printf(m, "pool %d: cpu %d workers %d idle %d running %d done %u\n", pool->id, pool->cpu,
			   pool->nr_workers, pool->nr_idle, pool->nr_running, pool->works_done);
	}
}

static void rcu_show(struct seq_file *m)
{
	u32 cpu;

	seq_printf(m, "gp_seq %u\n", rcu_state.gp_seq);
	for_each_online_cpu(cpu) {
		struct rcu_data *rdp = per_cpu_ptr(&rcu_data, cpu);

		seq_printf(m, "cpu %u: next %u wait %u done %u invoked %u\n", cpu, rdp->next.len, rdp->wait.len,
			   rdp->done.len, rdp->n_invoked);
	}
}

DECLARE_PER_CPU(u32[2], irq_count);

static void interrupts_show(struct seq_file *m)
{
	u32 cpu;

	for_each_online_cpu(cpu) {
		u32 *count = *per_cpu_ptr(&irq_count, cpu);

		seq_printf(m, "cpu %u: ipi %u timer %u switches %u\n", cpu, count[0], count[1], cpu_rq(cpu)->nr_switches);
	}
}

static void meminfo_show(struct seq_file *m)
{
	seq_printf(m, "MemTotal: %lu kB\nMemFree:  %lu kB\nMemLow:   %lu kB (%u updates)\n",
		   (ulong)nr_total_pages() << 2, (ulong)nr_free_pages() << 2, (ulong)vmstat.low << 2, vmstat.updates);
}

static void kmsg_show(struct seq_file *m)
{
	u32 pos = log_end > 32768 ? log_end - 32768 : 0;

	m->count = log_read(pos, m->buf, m->size);
}

static void cmdline_show(struct seq_file *m)
{
	seq_printf(m, "%s\n", boot_command_line);
}

static ssize_t null_read(struct file *file, char *buf, size_t n)
{
	(void)file;
	(void)buf;
	(void)n;
	return 0;
}

static ssize_t null_write(struct file *file, const char *buf, size_t n)
{
	(void)file;
	(void)buf;
	return (ssize_t)n;
}

static const struct file_operations null_fops = { .read = null_read, .write = null_write };

void proc_init(void)
{
	mknod_dev("/dev/null", &null_fops, NULL);
	mknod_dev("/proc/sysrq-trigger", &sysrq_fops, NULL);
	proc_create("tasks", tasks_show);
	proc_create("uptime", uptime_show);
	proc_create("timers", timers_show);
	proc_create("workqueues", workqueue_show);
	proc_create("rcu", rcu_show);
	proc_create("interrupts", interrupts_show);
	proc_create("meminfo", meminfo_show);
	proc_create("kmsg", kmsg_show);
	proc_create("cmdline", cmdline_show);
}
