/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on open files. */
#include "fs.h"
#include "kernel.h"
#include "syscalls.h"

long sys_openat(long dfd, const char *path, long flags, u32 mode)
{
	struct inode *inode = path_lookup(path);
	struct file *file;
	int fd;

	(void)dfd;
	(void)mode;
	if (!inode && flags & O_CREAT)
		inode = path_create(path, S_IFREG | 0644);
	if (!inode)
		return -ENOENT;
	if ((inode->i_mode & S_IFMT) == S_IFREG && flags & O_TRUNC)
		inode->i_size = 0;
	file = alloc_file(inode, inode->i_fop, (u32)flags);
	if (!file)
		return -ENOMEM;
	fd = file->f_op->open ? file->f_op->open(inode, file) : 0;
	if (!fd)
		fd = get_unused_fd();
	if (fd < 0) {
		fput(file);
		return fd;
	}
	fd_install((u32)fd, file);
	return fd;
}

long sys_read(u32 fd, char *buf, size_t n)
{
	struct file *file = fget(fd);
	long ret = -EINVAL;

	if (!file)
		return -EBADF;
	if (file->f_op->read)
		ret = file->f_op->read(file, buf, n);
	fput(file);
	return ret;
}

long sys_write(u32 fd, const char *buf, size_t n)
{
	struct file *file = fget(fd);
	long ret = -EINVAL;

	if (!file)
		return -EBADF;
	if (file->f_op->write)
		ret = file->f_op->write(file, buf, n);
	fput(file);
	return ret;
}

long sys_pread64(u32 fd, char *buf, size_t n, u32 pos)
{
	struct file *file = fget(fd);
	long ret = -ESPIPE;

	if (!file)
		return -EBADF;
	if (file->f_inode && (file->f_inode->i_mode & S_IFMT) == S_IFREG) {
		u32 saved = file->f_pos;

		file->f_pos = pos;
		ret = file->f_op->read(file, buf, n);
		file->f_pos = saved;
	}
	fput(file);
	return ret;
}

long sys_lseek(u32 fd, long off, u32 whence)
{
	struct file *file = fget(fd);
	long pos = -ESPIPE;

	if (!file)
		return -EBADF;
	if (file->f_inode && (file->f_inode->i_mode & S_IFMT) == S_IFREG) {
		pos = off + (whence == 1 ? (long)file->f_pos : whence == 2 ? (long)file->f_inode->i_size : 0);
		if (pos < 0 || whence > 2)
			pos = -EINVAL;
		else
			file->f_pos = (u32)pos;
	}
	fput(file);
	return pos;
}

long sys_ioctl(u32 fd, u32 cmd, ulong arg)
{
	struct file *file = fget(fd);
	long ret = -ENOTTY;

	if (!file)
		return -EBADF;
	if (file->f_op->ioctl)
		ret = file->f_op->ioctl(file, cmd, arg);
	fput(file);
	return ret;
}

/* One entry a call, as a line of "type name\n": what the shell's ls wants. */
long sys_getdents64(u32 fd, char *buf, size_t n)
{
	struct file *file = fget(fd);
	struct inode *inode;
	u32 i = 0;
	long ret = 0;

	if (!file)
		return -EBADF;
	if (!file->f_inode || (file->f_inode->i_mode & S_IFMT) != S_IFDIR) {
		fput(file);
		return -ENOTDIR;
	}
	list_for_each_entry(inode, &file->f_inode->i_children, i_sibling) {
		if (i++ == file->f_pos) {
			u32 type = inode->i_mode & S_IFMT;

			ret = snprintf(buf, n, "%c %8u %s\n", type == S_IFDIR ? 'd' : type == S_IFCHR ? 'c' : '-',
				       inode->i_size, inode->i_name);
			file->f_pos++;
			break;
		}
	}
	fput(file);
	return ret;
}
