// SPDX-License-Identifier: GPL-2.0
/*
 * Programs: position-independent Wasm modules. Their first section, "dylink.0", says what room the image needs; the host
 * compiles and links the module, and its start function fills the image.
 */
#include <linux/binfmts.h>
#include <linux/elf.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/personality.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <asm/host.h>

/* The whole of it is the program's: malloc does not grow into it, as there is no brk area. */
#define WASM_STACK_SIZE		(128 * 1024UL)
#define WASM_STACK_ALIGN	16UL
#define WASM_DYLINK_MEM_INFO	1
#define WASM_MODULE_HEADER	8

struct cursor {
	const u8 *p, *end;
	bool bad;
};

struct image {
	u32 memory_size, memory_align, table_size, table_align;
};

static u32 leb_u32(struct cursor *c)
{
	u32 value = 0;
	unsigned int shift;

	for (shift = 0; shift < 35 && c->p < c->end; shift += 7) {
		u8 byte = *c->p++;

		value |= shift < 32 ? (u32)(byte & 0x7f) << shift : 0;
		if (!(byte & 0x80))
			return value;
	}
	c->bad = true;
	return 0;
}

/* The memory information is the first thing in dylink.0, so the file's first bytes suffice. */
static int parse_dylink(const u8 *buf, size_t size, struct image *image)
{
	static const u8 header[WASM_MODULE_HEADER] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
	struct cursor c = { buf + sizeof(header), buf + size, false };

	if (memcmp(buf, header, sizeof(header)) || *c.p++ != 0)
		return -ENOEXEC;
	leb_u32(&c);
	if (leb_u32(&c) != 8 || c.bad || c.end - c.p < 8 || memcmp(c.p, "dylink.0", 8))
		return -ENOEXEC;
	c.p += 8;
	if (c.p >= c.end || *c.p++ != WASM_DYLINK_MEM_INFO)
		return -ENOEXEC;
	leb_u32(&c);
	image->memory_size = leb_u32(&c);
	image->memory_align = leb_u32(&c);
	image->table_size = leb_u32(&c);
	image->table_align = leb_u32(&c);
	/* More than a page's alignment would need room to move. */
	if (c.bad || image->memory_align > PAGE_SHIFT || image->table_align > 16)
		return -ENOEXEC;
	return 0;
}

/*
 * What a program finds at its stack pointer: argc, argv[], NULL, envp[], NULL, auxv[]. @strings is where the arguments'
 * text is, one after the other.
 */
static int create_tables(struct linux_binprm *bprm, unsigned long strings, unsigned long *sp_out)
{
	unsigned long slots = 1 + bprm->argc + 1 + bprm->envc + 1 + 2 * 3;
	unsigned long __user *sp;
	char __user *p = (char __user *)strings;
	struct mm_struct *mm = current->mm;
	int i;
	long len;

	sp = (unsigned long __user *)((strings - slots * sizeof(*sp)) & ~(WASM_STACK_ALIGN - 1));
	*sp_out = (unsigned long)sp;
	if (put_user((unsigned long)bprm->argc, sp++))
		return -EFAULT;
	mm->arg_start = strings;
	for (i = 0; i < bprm->argc + bprm->envc; i++) {
		if (i == bprm->argc) {
			if (put_user(0UL, sp++))
				return -EFAULT;
			mm->arg_end = mm->env_start = (unsigned long)p;
		}
		if (put_user((unsigned long)p, sp++))
			return -EFAULT;
		len = strnlen_user(p, MAX_ARG_STRLEN);
		if (!len || len > MAX_ARG_STRLEN)
			return -EINVAL;
		p += len;
	}
	if (!bprm->envc) {
		if (put_user(0UL, sp++))
			return -EFAULT;
		mm->arg_end = mm->env_start = (unsigned long)p;
	}
	mm->env_end = (unsigned long)p;
	if (put_user(0UL, sp++) || put_user((unsigned long)AT_PAGESZ, sp++) || put_user(PAGE_SIZE, sp++) ||
	    put_user((unsigned long)AT_SECURE, sp++) || put_user((unsigned long)bprm->secureexec, sp++) ||
	    put_user((unsigned long)AT_NULL, sp++) || put_user(0UL, sp++))
		return -EFAULT;
	return 0;
}

static unsigned long map_anonymous(unsigned long size)
{
	return vm_mmap(NULL, 0, PAGE_ALIGN(max(size, 1UL)), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

static int map_image(struct linux_binprm *bprm, const struct image *image, size_t size)
{
	mm_context_t *context = &current->mm->context;
	unsigned long bin, data;

	bin = vm_mmap(bprm->file, 0, size, PROT_READ, MAP_PRIVATE, 0);
	if (IS_ERR_VALUE(bin))
		return bin;
	data = map_anonymous(image->memory_size);
	if (IS_ERR_VALUE(data))
		return data;
	context->bin_start = bin;
	context->bin_end = bin + size;
	context->data_start = data;
	/* Entry 0 stays the null pointer. */
	context->table_start = 1UL << image->table_align;
	current->mm->start_code = bin;
	current->mm->end_code = bin + size;
	current->mm->start_data = data;
	current->mm->end_data = data + image->memory_size;
	return 0;
}

static struct linux_binfmt wasm_format;

static int load_wasm_binary(struct linux_binprm *bprm)
{
	loff_t size = i_size_read(file_inode(bprm->file));
	struct image image;
	mm_context_t *context;
	unsigned long stack, strings, sp;
	int ret;

	ret = parse_dylink(bprm->buf, min_t(loff_t, size, BINPRM_BUF_SIZE), &image);
	if (ret)
		return ret;
	if (size > INT_MAX)
		return -ENOEXEC;
	ret = begin_new_exec(bprm);
	if (ret)
		return ret;
	/* From here on an error kills the task. */
	set_personality(PER_LINUX);
	setup_new_exec(bprm);
	ret = map_image(bprm, &image, size);
	if (ret)
		return ret;
	stack = map_anonymous(WASM_STACK_SIZE);
	if (IS_ERR_VALUE(stack))
		return stack;
	strings = stack + WASM_STACK_SIZE;
	ret = transfer_args_to_stack(bprm, &strings);
	if (ret)
		return ret;
	ret = create_tables(bprm, strings, &sp);
	if (ret)
		return ret;
	current->mm->start_stack = sp;
	current->mm->start_brk = current->mm->brk = stack;
	context = &current->mm->context;
	context->end_brk = stack;
	set_binfmt(&wasm_format);
	wasm_load_executable(context->bin_start, context->bin_end, context->data_start, context->table_start);
	finalize_exec(bprm);
	start_thread(current_pt_regs(), 0, sp);
	return 0;
}

static struct linux_binfmt wasm_format = {
	.module = THIS_MODULE,
	.load_binary = load_wasm_binary,
};

static int __init init_wasm_binfmt(void)
{
	register_binfmt(&wasm_format);
	return 0;
}
core_initcall(init_wasm_binfmt);
