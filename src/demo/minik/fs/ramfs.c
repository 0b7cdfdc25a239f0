/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file system: a tree of inodes in memory. Files from the initramfs stay where the host put them until they are
 * written.
 */
#include "fs.h"
#include "kernel.h"

static u32 last_ino;
static DEFINE_RAW_SPINLOCK(tree_lock);
struct inode *root_inode;

static ssize_t ramfs_read(struct file *file, char *buf, size_t n)
{
	struct inode *inode = file->f_inode;
	u32 left = file->f_pos < inode->i_size ? inode->i_size - file->f_pos : 0;

	n = min(n, left);
	memcpy(buf, inode->i_data + file->f_pos, n);
	file->f_pos += n;
	return (ssize_t)n;
}

/* Room for `size` bytes in memory of the file's own. */
static int ramfs_grow(struct inode *inode, u32 size)
{
	u32 capacity = (u32)(PAGE_SIZE << get_order(size));
	char *data;

	if (size <= inode->i_capacity)
		return 0;
	data = kmalloc(capacity);
	if (!data)
		return -ENOMEM;
	memcpy(data, inode->i_data, inode->i_size);
	if (inode->i_capacity)
		kfree(inode->i_data);
	inode->i_data = data;
	inode->i_capacity = capacity;
	return 0;
}

static ssize_t ramfs_write(struct file *file, const char *buf, size_t n)
{
	struct inode *inode = file->f_inode;
	u32 end = file->f_pos + n;

	if (end < file->f_pos || ramfs_grow(inode, end))
		return -ENOMEM;
	memcpy(inode->i_data + file->f_pos, buf, n);
	file->f_pos = end;
	inode->i_size = max(inode->i_size, end);
	return (ssize_t)n;
}

static const struct file_operations ramfs_file_fops = { .read = ramfs_read, .write = ramfs_write };
static const struct file_operations ramfs_dir_fops = { 0 };

struct inode *ramfs_create(struct inode *parent, const char *name, u32 mode)
{
	struct inode *inode = kzalloc(sizeof(*inode));

	if (!inode)
		return NULL;
	inode->i_mode = mode;
	inode->i_fop = (mode & S_IFMT) == S_IFDIR ? &ramfs_dir_fops : &ramfs_file_fops;
	inode->i_parent = parent;
	strscpy(inode->i_name, name, sizeof(inode->i_name));
	INIT_LIST_HEAD(&inode->i_children);
	INIT_LIST_HEAD(&inode->i_sibling);
	raw_spin_lock(&tree_lock);
	inode->i_ino = ++last_ino;
	if (parent)
		list_add_tail(&inode->i_sibling, &parent->i_children);
	raw_spin_unlock(&tree_lock);
	return inode;
}

static struct inode *lookup_one(struct inode *dir, const char *name, size_t len)
{
	struct inode *inode, *found = NULL;

	raw_spin_lock(&tree_lock);
	list_for_each_entry(inode, &dir->i_children, i_sibling) {
		if (!strncmp(inode->i_name, name, len) && !inode->i_name[len]) {
			found = inode;
			break;
		}
	}
	raw_spin_unlock(&tree_lock);
	return found;
}

/* Walks a path from the root; with `last`, stops at the directory of the last component and gives that one's name. */
static struct inode *walk(const char *path, const char **last)
{
	struct inode *inode = root_inode;

	while (inode && *path) {
		const char *end;
		size_t len;

		if (*path == '/') {
			path++;
			continue;
		}
		end = strchr(path, '/');
		len = end ? (size_t)(end - path) : strlen(path);
		if (last && !end) {
			*last = path;
			return inode;
		}
		if (len >= sizeof(inode->i_name) || (inode->i_mode & S_IFMT) != S_IFDIR)
			return NULL;
		if (!(len == 1 && *path == '.'))
			inode = lookup_one(inode, path, len);
		path += len;
	}
	return last ? NULL : inode;
}

struct inode *path_lookup(const char *path) { return walk(path, NULL); }

/* Makes a file or directory in a directory that exists. */
struct inode *path_create(const char *path, u32 mode)
{
	const char *name = NULL;
	struct inode *dir = walk(path, &name);

	if (!dir || !name || (dir->i_mode & S_IFMT) != S_IFDIR)
		return NULL;
	return ramfs_create(dir, name, mode);
}

struct inode *mknod_dev(const char *path, const struct file_operations *fop, void *private)
{
	struct inode *inode = path_lookup(path);

	if (!inode)
		inode = path_create(path, S_IFCHR | 0600);
	if (!inode)
		panic("cannot create %s", path);
	inode->i_mode = S_IFCHR | 0600;
	inode->i_fop = fop;
	inode->i_private = private;
	return inode;
}

void ramfs_init(void)
{
	root_inode = ramfs_create(NULL, "", S_IFDIR | 0755);
	if (!root_inode || !path_create("/dev", S_IFDIR | 0755) || !path_create("/proc", S_IFDIR | 0555) ||
	    !path_create("/tmp", S_IFDIR | 01777))
		panic("no memory for the root file system");
}
