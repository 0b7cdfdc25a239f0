/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables: small ones live in the files_struct, larger ones are allocated and replaced under RCU. */
#include "fs.h"
#include "kernel.h"
#include "rcu.h"
#include "syscalls.h"

#define NR_OPEN_MAX 256

__used struct files_struct init_files = {
	.count = ATOMIC_INIT(1),
	.file_lock = __RAW_SPIN_LOCK_UNLOCKED,
	.fdt = &init_files.fdtab,
	.fdtab = { .max_fds = NR_OPEN_DEFAULT, .fd = init_files.fd_array, .open_fds = init_files.open_fds_init },
};

static void __free_fdtable(struct fdtable *fdt)
{
	kfree(fdt->fd);
	kfree(fdt->open_fds);
	kfree(fdt);
}

static void free_fdtable_rcu(struct rcu_head *rcu)
{
	__free_fdtable(container_of(rcu, struct fdtable, rcu));
}

static noinline struct fdtable *alloc_fdtable(u32 nr)
{
	struct fdtable *fdt = kzalloc(sizeof(*fdt));

	if (!fdt)
		return NULL;
	fdt->max_fds = nr;
	fdt->fd = kzalloc(nr * sizeof(struct file *));
	fdt->open_fds = kzalloc(ALIGN(nr, 32) / 8);
	if (!fdt->fd || !fdt->open_fds) {
		__free_fdtable(fdt);
		return NULL;
	}
	return fdt;
}

static void copy_fdtable(struct fdtable *nfdt, struct fdtable *ofdt)
{
	memcpy(nfdt->fd, ofdt->fd, ofdt->max_fds * sizeof(struct file *));
	memcpy(nfdt->open_fds, ofdt->open_fds, ALIGN(ofdt->max_fds, 32) / 8);
}

/* Makes room for descriptor nr. Takes and gives back file_lock, which it drops meanwhile. */
static noinline int expand_fdtable(struct files_struct *files, u32 nr)
{
	struct fdtable *new, *cur;

	if (nr >= NR_OPEN_MAX)
		return -EMFILE;
	raw_spin_unlock(&files->file_lock);
	new = alloc_fdtable(max(2 * NR_OPEN_DEFAULT, (nr + 8) & ~7u));
	raw_spin_lock(&files->file_lock);
	if (!new)
		return -ENOMEM;
	cur = files->fdt;
	if (nr < cur->max_fds) {
		__free_fdtable(new);
		return 0;
	}
	copy_fdtable(new, cur);
	rcu_assign_pointer(files->fdt, new);
	if (cur != &files->fdtab)
		call_rcu(&cur->rcu, free_fdtable_rcu);
	return 0;
}

static bool fd_is_open(struct fdtable *fdt, u32 fd) { return fdt->open_fds[fd / 32] >> (fd % 32) & 1; }

int get_unused_fd(void)
{
	struct files_struct *files = current->files;
	u32 fd;
	int ret;

	raw_spin_lock(&files->file_lock);
	for (fd = files->next_fd; fd < files->fdt->max_fds && fd_is_open(files->fdt, fd);)
		fd++;
	ret = fd >= files->fdt->max_fds ? expand_fdtable(files, fd) : 0;
	if (!ret) {
		files->fdt->open_fds[fd / 32] |= 1u << (fd % 32);
		files->next_fd = fd + 1;
		ret = (int)fd;
	}
	raw_spin_unlock(&files->file_lock);
	return ret;
}

void fd_install(u32 fd, struct file *file)
{
	struct files_struct *files = current->files;

	raw_spin_lock(&files->file_lock);
	rcu_assign_pointer(files->fdt->fd[fd], file);
	raw_spin_unlock(&files->file_lock);
}

static u32 count_open_files(struct fdtable *fdt)
{
	u32 n = fdt->max_fds;

	while (n && !fd_is_open(fdt, n - 1))
		n--;
	return n;
}

static void get_file(struct file *f) { atomic_inc(&f->f_count); }

/* A copy of a descriptor table for a new process. */
noinline struct files_struct *dup_fd(struct files_struct *oldf)
{
	struct files_struct *newf = kzalloc(sizeof(*newf));
	struct fdtable *old_fdt, *new_fdt;
	u32 open_files;

	if (!newf)
		return NULL;
	atomic_set(&newf->count, 1);
	raw_spin_lock_init(&newf->file_lock);
	new_fdt = &newf->fdtab;
	new_fdt->max_fds = NR_OPEN_DEFAULT;
	new_fdt->fd = newf->fd_array;
	new_fdt->open_fds = newf->open_fds_init;

	raw_spin_lock(&oldf->file_lock);
	old_fdt = oldf->fdt;
	open_files = count_open_files(old_fdt);
	while (open_files > new_fdt->max_fds) {
		raw_spin_unlock(&oldf->file_lock);
		if (new_fdt != &newf->fdtab)
			__free_fdtable(new_fdt);
		new_fdt = alloc_fdtable((open_files + 7) & ~7u);
		if (!new_fdt) {
			kfree(newf);
			return NULL;
		}
		raw_spin_lock(&oldf->file_lock);
		old_fdt = oldf->fdt;
		open_files = count_open_files(old_fdt);
	}
	for (u32 i = 0; i < open_files; i++) {
		struct file *f = old_fdt->fd[i];

		if (!f)
			continue;
		get_file(f);
		new_fdt->fd[i] = f;
		new_fdt->open_fds[i / 32] |= 1u << (i % 32);
	}
	newf->next_fd = oldf->next_fd;
	raw_spin_unlock(&oldf->file_lock);
	newf->fdt = new_fdt;
	return newf;
}

static void file_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct file, f_rcu));
}

noinline void fput(struct file *file)
{
	if (!atomic_dec_and_test(&file->f_count))
		return;
	if (file->f_op->release)
		file->f_op->release(file);
	call_rcu(&file->f_rcu, file_free_rcu);
}

struct file *fget(u32 fd)
{
	struct fdtable *fdt;
	struct file *file = NULL;

	rcu_read_lock();
	fdt = rcu_dereference(current->files->fdt);
	if (fd < fdt->max_fds)
		file = rcu_dereference(fdt->fd[fd]);
	if (file) {
		int count = atomic_read(&file->f_count);

		/* A count of zero belongs to a file on its way out. */
		while (count && !atomic_cmpxchg(&file->f_count, count, count + 1))
			count = atomic_read(&file->f_count);
		if (!count)
			file = NULL;
	}
	rcu_read_unlock();
	return file;
}

/* Empties a slot; the file that was in it. Holds file_lock. */
static struct file *pick_file(struct files_struct *files, u32 fd)
{
	struct fdtable *fdt = files->fdt;
	struct file *file = fd < fdt->max_fds ? fdt->fd[fd] : NULL;

	if (file) {
		rcu_assign_pointer(fdt->fd[fd], NULL);
		fdt->open_fds[fd / 32] &= ~(1u << (fd % 32));
		files->next_fd = min(files->next_fd, fd);
	}
	return file;
}

void put_files_struct(struct files_struct *files)
{
	if (!atomic_dec_and_test(&files->count))
		return;
	for (u32 fd = 0; fd < files->fdt->max_fds; fd++) {
		struct file *file = files->fdt->fd[fd];

		if (file)
			fput(file);
	}
	if (files->fdt != &files->fdtab)
		__free_fdtable(files->fdt);
	kfree(files);
}

struct file *alloc_file(struct inode *inode, const struct file_operations *fop, u32 flags)
{
	struct file *file = kzalloc(sizeof(*file));

	if (file) {
		atomic_set(&file->f_count, 1);
		file->f_inode = inode;
		file->f_op = fop;
		file->f_flags = flags;
	}
	return file;
}

long sys_close(u32 fd)
{
	struct files_struct *files = current->files;
	struct file *file;

	raw_spin_lock(&files->file_lock);
	file = pick_file(files, fd);
	raw_spin_unlock(&files->file_lock);
	if (!file)
		return -EBADF;
	fput(file);
	return 0;
}

long sys_dup(u32 fd)
{
	struct file *file = fget(fd);
	int newfd;

	if (!file)
		return -EBADF;
	newfd = get_unused_fd();
	if (newfd < 0)
		fput(file);
	else
		fd_install((u32)newfd, file);
	return newfd;
}

long sys_dup3(u32 oldfd, u32 newfd, u32 flags)
{
	struct files_struct *files = current->files;
	struct file *file = fget(oldfd), *replaced;
	int ret = 0;

	(void)flags;
	if (!file)
		return -EBADF;
	raw_spin_lock(&files->file_lock);
	if (newfd >= files->fdt->max_fds)
		ret = expand_fdtable(files, newfd);
	if (ret) {
		raw_spin_unlock(&files->file_lock);
		fput(file);
		return ret;
	}
	replaced = pick_file(files, newfd);
	files->fdt->open_fds[newfd / 32] |= 1u << (newfd % 32);
	rcu_assign_pointer(files->fdt->fd[newfd], file);
	raw_spin_unlock(&files->file_lock);
	if (replaced)
		fput(replaced);
	return (long)newfd;
}
