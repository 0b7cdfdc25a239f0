/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_UACCESS_H
#define _ASM_WASM_UACCESS_H

#include <linux/types.h>

extern unsigned long memory_end;

/*
 * An access can fault in two ways only: outside of the memory it traps, and in the first 64 KiB, where nothing is, it goes
 * unnoticed. Both are told here, before the access, so that a program gets its -EFAULT.
 */
static inline int __access_ok(const void __user *ptr, unsigned long size)
{
	unsigned long addr = (unsigned long)ptr;

	return size == 0 || (addr >= 0x10000 && size <= memory_end && addr <= memory_end - size);
}
#define __access_ok __access_ok

#include <asm-generic/uaccess.h>

#endif
