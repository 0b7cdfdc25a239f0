/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a program: a position-independent Wasm module, whose `dylink.0` section says what room its image needs. */
#include "fs.h"
#include "kernel.h"
#include "sched.h"
#include "syscalls.h"

#define USER_STACK_PAGES 2
#define MAX_ARG_STRINGS 64
#define WASM_DYLINK_MEM_INFO 1

struct cursor {
	const u8 *p, *end;
	bool bad;
};

static u32 leb_u32(struct cursor *c)
{
	u32 v = 0;

	for (u32 shift = 0; shift < 35; shift += 7) {
		u8 byte;

		if (c->p >= c->end)
			break;
		byte = *c->p++;
		v |= (u32)(byte & 0x7f) << (shift & 31);
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

struct image {
	u32 memory_size, memory_align, table_size, table_align;
};

/* `dylink.0` is a custom section and the first of the module. */
static int parse_dylink(const struct inode *inode, struct image *image)
{
	struct cursor c = { (const u8 *)inode->i_data, (const u8 *)inode->i_data + inode->i_size, false };
	u32 size, name_len;

	if (inode->i_size < 16 || memcmp(c.p, "\0asm\1\0\0\0", 8) || c.p[8] != 0)
		return -ENOEXEC;
	c.p += 9;
	size = leb_u32(&c);
	if (c.bad || size > (u32)(c.end - c.p))
		return -ENOEXEC;
	c.end = c.p + size;
	name_len = leb_u32(&c);
	if (c.bad || name_len != 8 || c.end - c.p < 8 || memcmp(c.p, "dylink.0", 8))
		return -ENOEXEC;
	c.p += 8;
	while (c.p < c.end && !c.bad) {
		u8 type = *c.p++;
		u32 len = leb_u32(&c);
		const u8 *next = c.p + len;

		if (c.bad || len > (u32)(c.end - c.p))
			return -ENOEXEC;
		if (type == WASM_DYLINK_MEM_INFO) {
			image->memory_size = leb_u32(&c);
			image->memory_align = leb_u32(&c);
			image->table_size = leb_u32(&c);
			image->table_align = leb_u32(&c);
			return c.bad || image->memory_align > 16 ? -ENOEXEC : 0;
		}
		c.p = next;
	}
	return -ENOEXEC;
}

static int count_strings(char *const *v, size_t *bytes)
{
	int n = 0;

	for (; v && v[n]; n++)
		*bytes += strlen(v[n]) + 1;
	return n;
}

static void copy_strings(char *const *from, int n, ulong **slots, char **text)
{
	for (int i = 0; i < n; i++) {
		size_t len = strlen(from[i]) + 1;

		memcpy(*text, from[i], len);
		*(*slots)++ = (ulong)*text;
		*text += len;
	}
	*(*slots)++ = 0;
}

/*
 * The stack: two pages, then what the program starts with: argc, argv[], NULL, envp[], NULL and the strings. The brk
 * area is the same region.
 */
static int setup_arg_pages(struct mm_struct *mm, char *const *argv, char *const *envp)
{
	size_t strings = 0;
	int argc = count_strings(argv, &strings), envc = count_strings(envp, &strings);
	size_t args = (size_t)(argc + envc + 3) * sizeof(ulong) + strings;
	ulong *slots;
	char *text;

	if (argc > MAX_ARG_STRINGS || envc > MAX_ARG_STRINGS || args > 16 * PAGE_SIZE)
		return -E2BIG;
	mm->stack_order = get_order(USER_STACK_PAGES * PAGE_SIZE + args);
	mm->start_brk = (ulong)alloc_pages((u32)mm->stack_order);
	if (!mm->start_brk)
		return -ENOMEM;
	memset((void *)mm->start_brk, 0, PAGE_SIZE << mm->stack_order);
	mm->brk = mm->start_brk;
	mm->end_brk = mm->start_brk + USER_STACK_PAGES * PAGE_SIZE;
	mm->start_stack = mm->end_brk;
	slots = (ulong *)mm->start_stack;
	text = (char *)(slots + argc + envc + 3);
	*slots++ = (ulong)argc;
	copy_strings(argv, argc, &slots, &text);
	copy_strings(envp, envc, &slots, &text);
	return 0;
}

static struct mm_struct *mm_for_image(const struct image *image, const struct inode *inode)
{
	struct mm_struct *mm = kzalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	atomic_set(&mm->mm_users, 1);
	raw_spin_lock_init(&mm->mmap_lock);
	INIT_LIST_HEAD(&mm->mmaps);
	mm->bin_start = (ulong)inode->i_data;
	mm->bin_end = mm->bin_start + inode->i_size;
	/* Function pointers 0 and 1 mean SIG_DFL and SIG_IGN to sigaction. */
	mm->table_start = ALIGN(2, 1u << image->table_align);
	mm->data_order = get_order(max(image->memory_size, 1u << image->memory_align));
	mm->data_start = (ulong)alloc_pages((u32)mm->data_order);
	if (!mm->data_start) {
		kfree(mm);
		return NULL;
	}
	/* Also clears the flag word of the module's start function: its data is to be initialised anew. */
	memset((void *)mm->data_start, 0, PAGE_SIZE << mm->data_order);
	return mm;
}

/* A process of its own: no shared signal handlers, memory or descriptors of the kernel's. */
static int de_thread(struct task_struct *p)
{
	if (atomic_read(&p->sighand->count) > 1) {
		struct sighand_struct *sighand = alloc_sighand();

		if (!sighand)
			return -ENOMEM;
		/* What is ignored stays ignored, except for a former kernel thread, which ignores everything. */
		if (!(p->flags & PF_KTHREAD))
			memcpy(sighand->action, p->sighand->action, sizeof(sighand->action));
		atomic_dec_and_test(&p->sighand->count);
		p->sighand = sighand;
	}
	if (p->files == &init_files) {
		struct files_struct *files = dup_fd(p->files);

		if (!files)
			return -ENOMEM;
		put_files_struct(p->files);
		p->files = files;
	}
	return 0;
}

static noinline void begin_new_exec(struct task_struct *p, struct mm_struct *mm, const char *path)
{
	const char *name = path;
	struct mm_struct *old = p->mm;

	for (const char *s = path; *s; s++) {
		if (*s == '/')
			name = s + 1;
	}
	__set_task_comm(p, name);
	flush_signal_handlers(p);
	if (p->flags & PF_KTHREAD)
		p->blocked = 0;
	p->flags &= ~(u32)PF_KTHREAD;
	p->thread.sigframe = 0;
	p->thread.exec_pending = true;
	p->clear_child_tid = NULL;
	p->mm = mm;
	set_user_stack_pointer(mm->start_stack);
	set_user_tls_base(0);
	if (p->vfork_done) {
		complete(p->vfork_done);
		p->vfork_done = NULL;
	}
	if (old)
		mmput(old);
}

noinline int do_execve(const char *path, char *const *argv, char *const *envp)
{
	struct inode *inode = path_lookup(path);
	struct image image = { 0 };
	struct mm_struct *mm;
	int ret;

	if (!inode)
		return -ENOENT;
	if ((inode->i_mode & S_IFMT) != S_IFREG)
		return -EISDIR;
	ret = parse_dylink(inode, &image);
	if (ret)
		return ret;
	mm = mm_for_image(&image, inode);
	if (!mm)
		return -ENOMEM;
	ret = setup_arg_pages(mm, argv, envp);
	if (ret) {
		free_pages((void *)mm->data_start, (u32)mm->data_order);
		kfree(mm);
		return ret;
	}
	ret = de_thread(current);
	if (ret) {
		mmput(mm);
		return ret;
	}
	wasm_load_executable(mm->bin_start, mm->bin_end, mm->data_start, mm->table_start);
	begin_new_exec(current, mm, path);
	return 0;
}

long sys_execve(const char *path, char *const *argv, char *const *envp)
{
	return do_execve(path, argv, envp);
}
