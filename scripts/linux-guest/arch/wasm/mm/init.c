// SPDX-License-Identifier: GPL-2.0
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mm.h>

unsigned long empty_zero_page[PAGE_SIZE / sizeof(unsigned long)] __aligned(PAGE_SIZE);

void __init mem_init(void)
{
	set_max_mapnr(max_low_pfn);
	memblock_free_all();
}

/* The linker cannot keep the code and data of the initialisation apart from the rest. */
void free_initmem(void)
{
}
