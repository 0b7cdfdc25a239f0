/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_PGTABLE_H
#define _ASM_WASM_PGTABLE_H

#include <asm-generic/pgtable-nopmd.h>
#include <asm/page.h>

#ifndef __ASSEMBLY__
#define PAGE_SHARED	__pgprot(0)
#define PAGE_KERNEL	__pgprot(0)
#define swapper_pg_dir	NULL
#define TASK_SIZE	_AC(0xffffffff, UL)
#define VMALLOC_START	_AC(0, UL)
#define VMALLOC_END	_AC(0xffffffff, UL)

extern unsigned long empty_zero_page[PAGE_SIZE / sizeof(unsigned long)];
#define ZERO_PAGE(vaddr) virt_to_page(empty_zero_page)
#endif

#endif
