/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_MMU_H
#define _ASM_WASM_MMU_H

#ifndef __ASSEMBLY__
typedef struct {
	unsigned long end_brk;
	/* The program: the module's bytes, and where its data and its part of the table are. */
	unsigned long bin_start;
	unsigned long bin_end;
	unsigned long data_start;
	unsigned long table_start;
} mm_context_t;
#endif

#endif
