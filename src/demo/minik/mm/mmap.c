/* SPDX-License-Identifier: Apache-2.0 */
/* A process's memory. "Mapping" is allocating: every address is everybody's. */
#include "fs.h"
#include "kernel.h"
#include "sched.h"
#include "syscalls.h"

struct vm_area {
	struct list_head list;
	void *start;
	u32 order;
};

/* The last user is gone: so is the memory. */
noinline void mmput(struct mm_struct *mm)
{
	struct vm_area *vma, *n;

	if (!atomic_dec_and_test(&mm->mm_users))
		return;
	list_for_each_entry_safe(vma, n, &mm->mmaps, list) {
		free_pages(vma->start, vma->order);
		kfree(vma);
	}
	free_pages((void *)mm->data_start, (u32)mm->data_order);
	free_pages((void *)mm->start_brk, (u32)mm->stack_order);
	kfree(mm);
}

/* The brk area is the stack's region: its first page is the far end of the stack. */
long sys_brk(ulong brk)
{
	struct mm_struct *mm = current->mm;

	raw_spin_lock(&mm->mmap_lock);
	if (brk >= mm->start_brk && brk <= mm->end_brk)
		mm->brk = brk;
	brk = mm->brk;
	raw_spin_unlock(&mm->mmap_lock);
	return (long)brk;
}

static long mmap_device(long fd, size_t len)
{
	struct file *file = fget((u32)fd);
	void *p = NULL;

	if (!file)
		return -EBADF;
	if (file->f_op->mmap)
		p = file->f_op->mmap(file, len);
	fput(file);
	return p ? (long)p : -EINVAL;
}

long sys_mmap(ulong addr, size_t len, u32 prot, u32 flags, long fd, u32 off)
{
	struct mm_struct *mm = current->mm;
	struct vm_area *vma;

	(void)addr;
	(void)prot;
	(void)flags;
	(void)off;
	if (!len)
		return -EINVAL;
	if (fd >= 0)
		return mmap_device(fd, len);
	vma = kzalloc(sizeof(*vma));
	if (!vma)
		return -ENOMEM;
	vma->order = get_order(len);
	vma->start = alloc_pages(vma->order);
	if (!vma->start) {
		kfree(vma);
		return -ENOMEM;
	}
	memset(vma->start, 0, PAGE_SIZE << vma->order);
	raw_spin_lock(&mm->mmap_lock);
	list_add_tail(&vma->list, &mm->mmaps);
	raw_spin_unlock(&mm->mmap_lock);
	return (long)vma->start;
}

long sys_munmap(ulong addr, size_t len)
{
	struct mm_struct *mm = current->mm;
	struct vm_area *vma, *found = NULL;

	(void)len;
	raw_spin_lock(&mm->mmap_lock);
	list_for_each_entry(vma, &mm->mmaps, list) {
		if ((ulong)vma->start == addr) {
			found = vma;
			list_del(&vma->list);
			break;
		}
	}
	raw_spin_unlock(&mm->mmap_lock);
	if (!found)
		return -EINVAL;
	free_pages(found->start, found->order);
	kfree(found);
	return 0;
}
