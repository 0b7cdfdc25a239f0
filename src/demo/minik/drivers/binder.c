/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/binder: reserves a descriptor in the caller's table, to be filled in later. */
#include "fs.h"
#include "kernel.h"
#include "planted.h"
#include "workqueue.h"

#define BINDER_RESERVED_FD 5
#define BINDER_DEFER (HZ / 10)

struct binder_proc {
	struct files_struct *files;
	u32 cookie;
	struct delayed_work deferred;
};

/* Marks a slot of a descriptor table as ours. The odd value is no file's address. */
static noinline void binder_reserve_fd(struct files_struct *files, u32 fd, u32 cookie)
{
	struct fdtable *fdt = files->fdt;

	fdt->open_fds[fd / 32] |= 1u << (fd % 32);
	fdt->fd[fd] = (struct file *)(ulong)(cookie << 1 | 1);
}

static void binder_deferred_func(struct work_struct *work)
{
	struct binder_proc *proc = container_of(work, struct binder_proc, deferred.work);

	set_worker_desc("binder_deferred");
	binder_reserve_fd(proc->files, BINDER_RESERVED_FD, proc->cookie);
}

/*
 * BUG: remembers the caller's table without a reference to it. When the caller has exited by the time the work runs,
 * the table is another process's.
 */
static int binder_open(struct inode *inode, struct file *file)
{
	struct binder_proc *proc = kzalloc(sizeof(*proc));

	(void)inode;
	if (!proc)
		return -ENOMEM;
	proc->files = current->files;
	proc->cookie = (u32)current->pid + 0x5800;
	INIT_DELAYED_WORK(&proc->deferred, binder_deferred_func);
	queue_delayed_work_on(0, system_wq, &proc->deferred, BINDER_DEFER);
	pr_info("binder: %d reserves its descriptor %d, slot at %p\n", current->pid, BINDER_RESERVED_FD,
		&proc->files->fdt->fd[BINDER_RESERVED_FD]);
	file->private_data = proc;
	return 0;
}

static const struct file_operations binder_fops = { .open = binder_open };

void binder_init(void)
{
	mknod_dev("/dev/binder", &binder_fops, NULL);
}
