/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes, open files and descriptor tables. */
#ifndef MINIK_FS_H
#define MINIK_FS_H
#include "sched.h"

#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_IFCHR 0020000
#define S_IFMT 0170000
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define NR_OPEN_DEFAULT 8

struct file;
struct inode;

struct file_operations {
	int (*open)(struct inode *inode, struct file *file);
	ssize_t (*read)(struct file *file, char *buf, size_t n);
	ssize_t (*write)(struct file *file, const char *buf, size_t n);
	long (*ioctl)(struct file *file, u32 cmd, ulong arg);
	void (*release)(struct file *file);
	void *(*mmap)(struct file *file, size_t len);
};

struct inode {
	u32 i_mode;
	u32 i_ino;
	char i_name[32];
	u32 i_size;
	char *i_data;
	u32 i_capacity;
	const struct file_operations *i_fop;
	void *i_private;
	struct inode *i_parent;
	struct list_head i_children, i_sibling;
};

struct file {
	atomic_t f_count;
	u32 f_flags;
	u32 f_pos;
	struct inode *f_inode;
	const struct file_operations *f_op;
	void *private_data;
	struct rcu_head f_rcu;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
	u32 *open_fds;
	struct rcu_head rcu;
};

struct files_struct {
	atomic_t count;
	raw_spinlock_t file_lock;
	u32 next_fd;
	struct fdtable *fdt;
	struct fdtable fdtab;
	u32 open_fds_init[1];
	struct file *fd_array[NR_OPEN_DEFAULT];
};

/* A text made at open: what files under /proc are. */
struct seq_file {
	char *buf;
	u32 size;
	u32 count;
};
void seq_printf(struct seq_file *m, const char *fmt, ...) __printf(2, 3);

/* fs/file.c */
extern struct files_struct init_files;
struct files_struct *dup_fd(struct files_struct *oldf);
void put_files_struct(struct files_struct *files);
struct file *fget(u32 fd);
void fput(struct file *file);
int get_unused_fd(void);
void fd_install(u32 fd, struct file *file);
struct file *alloc_file(struct inode *inode, const struct file_operations *fop, u32 flags);
void files_init(void);

/* fs/ramfs.c */
extern struct inode *root_inode;
struct inode *ramfs_create(struct inode *parent, const char *name, u32 mode);
struct inode *path_lookup(const char *path);
struct inode *path_create(const char *path, u32 mode);
void ramfs_init(void);
struct inode *mknod_dev(const char *path, const struct file_operations *fop, void *private);

/* fs/proc.c */
void proc_init(void);
void proc_create(const char *name, void (*show)(struct seq_file *m));

/* fs/exec.c */
int do_execve(const char *path, char *const *argv, char *const *envp);

/* drivers/tty.c */
extern const struct file_operations tty_fops;
void tty_init(void);

#endif
