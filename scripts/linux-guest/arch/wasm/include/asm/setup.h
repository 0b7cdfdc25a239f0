/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_SETUP_H
#define _ASM_WASM_SETUP_H

#include <uapi/asm/setup.h>

/* What was there to begin with, and what _start() grew it to: addresses. */
extern unsigned long memory_start, memory_kernel_break, memory_end;

#endif
